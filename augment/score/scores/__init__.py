"""Scores: numbers that say how good synthetic samples are."""

from augment.score.scores import diversity, fidelity, labels, memorisation, uplift  # noqa: F401
