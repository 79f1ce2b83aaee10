"""Otsu's threshold: closed forms, and the plain search over all levels."""

from __future__ import annotations

import numpy as np
import pytest

from augment.vision.thresholds import otsu_threshold


def spikes(**counts: int) -> np.ndarray:
    """A histogram with counts at levels, as in ``spikes(_10=3)``."""
    histogram = np.zeros((1, 256), np.int64)
    for level, count in counts.items():
        histogram[0, int(level[1:])] = count
    return histogram


@pytest.mark.parametrize(
    ("histogram", "level", "halfway"),
    [
        (spikes(_10=5, _30=5), 20.0, 20.0),
        (spikes(_0=1, _255=900), 127.5, 127.5),
        (spikes(_7=3, _8=3), 7.5, 7.5),
        (spikes(_0=2, _100=1, _200=2), 100.0, 250 / 3),  # both gaps part equally well
        (spikes(_40=9), 128.0, 20.0),  # nothing to part
    ],
)
def test_closed_form(histogram: np.ndarray, level: float, halfway: float) -> None:
    thresholds = otsu_threshold(histogram)
    assert thresholds.level.tolist() == [level]
    assert thresholds.halfway.tolist() == pytest.approx([halfway])


def test_against_the_plain_search() -> None:
    """The parts of the variance between groups, by definition, in exact integers."""
    rng = np.random.default_rng(0)
    histograms = rng.integers(0, 9, (50, 256)) * (rng.random((50, 256)) < 0.3)
    thresholds = otsu_threshold(histograms)
    for place, counts in enumerate(histograms.tolist()):
        gains = []
        for level in range(256):
            dark, light = sum(counts[: level + 1]), sum(counts[level + 1 :])
            mass = sum(number * count for number, count in enumerate(counts[: level + 1]))
            rest = sum(number * count for number, count in enumerate(counts)) - mass
            gains.append((mass * light - rest * dark) ** 2 / (dark * light) if dark * light else 0)
        best = np.flatnonzero(np.array(gains) >= max(gains) * (1 - 1e-9))
        assert thresholds.level[place] == (best[0] + best[-1] + 1) / 2


def test_each_histogram_has_its_own_threshold() -> None:
    both = otsu_threshold(np.concatenate([spikes(_10=5, _30=5), spikes(_100=1, _200=9)]))
    assert both.level.tolist() == [20.0, 150.0]
