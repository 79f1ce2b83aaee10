"""The train stage: the labeller and the generator."""
