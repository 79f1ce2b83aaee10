"""Repairs: each removes one kind of fault from an image, or leaves it alone.

A repair is ``repair(image, *, options) -> Pixels | None`` on a uint8 array (H, W) or (H, W, 3):
None where there is nothing to do, or nothing that is safe. Registered facts: ``cures`` are the
checks whose fault it may remove.
"""

from __future__ import annotations

import numpy as np

from augment.images import Pixels
from augment.registry import Registry

REPAIRS = Registry("repair")


@REPAIRS.register("invert", cures=("inverted",))
def invert(image: Pixels) -> Pixels:
    """The negative of the image."""
    return np.subtract(255, image, dtype=np.uint8)
