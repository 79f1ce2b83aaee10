"""Photographs in colour: patches, 64 × 64, of Debian's wallpapers.

The packages are ``mate-backgrounds`` and ``plasma-workspace-wallpapers``. A class is what a part of
a photograph shows, by the list below, made by hand. Patches to train lie in its left part and
held-out ones in its right part, so that no place is in both.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from augment.data.arrays import Arrays
from augment.errors import AugmentError
from augment.runtime import seeding

FOLDERS = (Path("/usr/share/backgrounds"), Path("/usr/share/wallpapers"))
SIDE, CUT = 64, 128  # pixels of a patch, and those of the photograph that it is made of
TRAIN, HELD = 400, 50  # patches of each class
LEFT, RIGHT = (0.0, 0.68), (0.7, 1.0)  # of the width: train, held out
PLACES = {  # photograph and the part of its height
    "dry grass": ("mate/nature/Dune.jpg", (0.5, 1.0)),
    "fallen leaves": ("FallenLeaf/contents/images/2560x1600.jpg", (0.0, 1.0)),
    "forest": ("Path/contents/images/2560x1600.jpg", (0.0, 0.8)),
    "grass": ("mate/nature/GreenMeadow.jpg", (0.0, 1.0)),
    "leaf": ("mate/nature/Blinds.jpg", (0.0, 1.0)),
    "moss": ("OneStandsOut/contents/images/2560x1600.jpg", (0.0, 1.0)),
    "planks": ("BytheWater/contents/images/2560x1600.jpg", (0.55, 1.0)),
    "sky": ("Kite/contents/images/2560x1600.jpg", (0.0, 1.0)),
}


@functools.cache
def patches() -> tuple[Arrays, Arrays]:
    """3,200 patches to train and 400 held out, as many of each class.

    Raises AugmentError with the packages to install where a photograph is missing.
    """
    classes = sorted(PLACES)
    parts: list[list[np.ndarray]] = [[], []]
    for name in classes:
        where, height = PLACES[name]
        photograph = np.asarray(Image.open(path_of(where)).convert("RGB"))
        for part, count, width in zip(parts, (TRAIN, HELD), (LEFT, RIGHT), strict=True):
            part += cut(photograph, count, width, height, f"{name} {count}")
    return tuple(  # type: ignore[return-value]
        Arrays(
            np.stack(part),
            np.repeat(np.arange(len(classes)), count),
            [*map(str, range(len(part)))],
            classes,
        )
        for part, count in zip(parts, (TRAIN, HELD), strict=True)
    )


def path_of(where: str) -> Path:
    """The file of a photograph; raises AugmentError where it is not installed."""
    for folder in FOLDERS:
        if (folder / where).exists():
            return folder / where
    raise AugmentError(
        f"{where}: no such photograph; install Debian's mate-backgrounds and "
        "plasma-workspace-wallpapers"
    )


def cut(
    photograph: np.ndarray, count: int, width: tuple[float, float], height: tuple[float, float],
    name: str,
) -> list[np.ndarray]:  # fmt: skip
    """``count`` patches (3, SIDE, SIDE) at random places within these shares of a photograph."""
    rng = seeding.rng(0, "patches", name)
    rows, columns = photograph.shape[:2]
    patches_cut = []
    for _ in range(count):
        top = rng.integers(int(height[0] * rows), int(height[1] * rows) - CUT + 1)
        left = rng.integers(int(width[0] * columns), int(width[1] * columns) - CUT + 1)
        patch = Image.fromarray(photograph[top : top + CUT, left : left + CUT])
        patches_cut.append(
            np.asarray(patch.resize((SIDE, SIDE), Image.Resampling.BOX)).transpose(2, 0, 1)
        )
    return patches_cut
