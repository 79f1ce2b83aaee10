"""What long work needs: seeds, devices, workers, progress, checkpoints, the cache."""
