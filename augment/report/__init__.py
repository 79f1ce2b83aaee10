"""The report stage: one page about all that has been run."""
