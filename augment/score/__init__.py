"""The score stage: what the samples are worth."""
