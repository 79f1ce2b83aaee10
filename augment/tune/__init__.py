"""Tune: many short trials of a project's settings, kept in one study, and which of them help most.

The study lies under ``.augment/tune``; nothing that a stage declares is touched, and trials see a
copy of the cleaned table that holds no test image.
"""
