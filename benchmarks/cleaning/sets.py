"""The sets that faults are planted in: real digits, and characters rendered as if scanned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from augment.data.images import Pixels
from augment.runtime import seeding
from benchmarks import mnist
from benchmarks.cleaning import glyphs

Mask = NDArray[np.float32]  # (H, W), 0 paper … 1 ink
LETTERS = "AEFGHKMNQRTWXYadefghkmrtw"  # none that a hurried hand writes as a digit
ALIKE = {"0": (1, 2, 3), "8": (2,), "1": (2,)}  # quarter turns after which a digit is itself


@dataclass(frozen=True)
class Collection:
    """Grey images with true labels; ``images`` may draw them only when they are asked for."""

    name: str
    images: Sequence[Pixels]
    labels: Sequence[str]
    foreign: Callable[[np.random.Generator], Mask]  # a character that is of no class
    alike: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def load(name: str, characters: int, scans: int, limit: int) -> Collection:
    """The set of that name, or the first ``limit`` images of it in a fixed random order."""
    whole = SETS[name](characters, scans)
    if limit >= len(whole.images):
        return whole
    places = seeding.rng(0, "limit").permutation(len(whole.images))[:limit]
    return replace(
        whole, images=[whole.images[place] for place in places],
        labels=[whole.labels[place] for place in places],
    )  # fmt: skip


def _mnist(_: int, __: int) -> Collection:
    data = mnist.all_digits()
    return Collection("mnist", data.pixels[:, 0], [*map(str, data.labels)], _letter, ALIKE)


def _digits(_: int, __: int) -> Collection:
    """scikit-learn's, threefold on 32 px: a seal or a shift by two has no place on their 8."""
    data = mnist.small_digits()
    pixels = np.zeros((len(data), 32, 32), np.uint8)
    for page, image in zip(pixels, data.pixels[:, 0], strict=True):
        page[4:28, 4:28] = Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC)
    return Collection("digits", pixels, [*map(str, data.labels)], _letter, ALIKE)


def _glyphs(characters: int, scans: int) -> Collection:
    images = glyphs.Scans(characters, scans)
    name = f"glyphs {characters} × {scans}"
    return Collection(name, images, images.labels, functools.partial(glyphs.kana, images.fonts))


SETS: dict[str, Callable[[int, int], Collection]] = {
    "mnist": _mnist,
    "digits": _digits,
    "glyphs": _glyphs,
}


def _letter(rng: np.random.Generator) -> Mask:
    """A Latin letter (112, 112), bent by hand; Pillow's own font, which is always there."""
    page = Image.new("L", (112, 112))
    font = ImageFont.load_default(84)
    ImageDraw.Draw(page).text((56, 56), str(rng.choice([*LETTERS])), 255, font, "mm")
    return glyphs.warped(np.asarray(page, np.float32) / 255, rng)
