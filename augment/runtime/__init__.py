"""Support for long work: seeds, devices, workers, progress, checkpoints, the cache."""
