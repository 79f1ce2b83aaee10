"""Images compared, described and varied, without a trained model."""
