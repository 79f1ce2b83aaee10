"""The synth stage: accepted samples of each class."""
