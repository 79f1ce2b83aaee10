"""Images compared, described and varied, without a model of them."""
