"""Images of no class: made of two images of the set, or bent out of shape."""

from __future__ import annotations

import numpy as np
import pytest

from augment.vision import foreign as module
from augment.vision.foreign import foreign


def bars(side: int = 12) -> np.ndarray:
    """A bar across and a bar down, on black paper, three channels."""
    pixels = np.zeros((2, 3, side, side), np.uint8)
    pixels[0, :, side // 2] = 255
    pixels[1, :, :, side // 2] = 200
    return pixels


def test_the_same_again() -> None:
    first = foreign(bars(), 30, 5)
    assert first.shape == (30, 3, 12, 12) and first.dtype == np.uint8
    assert first.tobytes() == foreign(bars(), 30, 5).tobytes() != foreign(bars(), 30, 6).tobytes()


def test_a_chunk_is_a_bound_on_memory_and_not_on_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    assert foreign(bars(), 7, 0).max((1, 2, 3)).min() > 100
    assert foreign(bars(), 0, 0).shape == (0, 3, 12, 12)


def test_halves_are_of_two_images_and_inks_lie_over_each_other() -> None:
    """Flat images of level 0 and 200: each half is of one, and ink over ink is the paper's own."""
    flat = np.repeat(np.array([0, 200], np.uint8), 144).reshape(2, 1, 12, 12)
    made = foreign(flat, 60, 1)
    halves, overlaid = made[0::3], made[1::3]
    mixed = (halves == 0).any((1, 2, 3)) & (halves == 200).any((1, 2, 3))
    assert mixed.any() and ((halves == 0) | (halves == 200)).mean() > 0.8
    assert set(np.unique(overlaid)) == {0, 200} and (np.ptp(overlaid, axis=(1, 2, 3)) == 0).all()
    crossed = foreign(bars(), 60, 1)[1::3]
    both = (crossed[:, 0, 6, 0] == 255) & (crossed[:, 0, 0, 6] == 200)
    assert both.any() and (crossed[both][:, 0, 6, 6] == 255).all()


def test_bent_images_keep_their_paper() -> None:
    bent = foreign(bars(16), 60, 2)[2::3]
    assert (np.median(bent, axis=(1, 2, 3)) == 0).all() and (bent.max((1, 2, 3)) > 100).all()
