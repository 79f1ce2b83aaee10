"""The ingest stage: a source becomes one table of samples, split."""
