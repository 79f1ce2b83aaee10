"""The adopt stage: images without a label get one, where it is sure."""
