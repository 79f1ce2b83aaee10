"""Characters as hands and as plain fonts draw them: labels that cost nothing, on 28 or 32 pixels.

A hand is a brush font or one that was written by hand, and no two of its images are the same: each
is turned, sheared, bent and inked anew. No plain font is of a hand's family.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.readers.fonts import SUFFIXES
from augment.runtime import seeding
from benchmarks.cleaning import glyphs

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HANDS = {  # file: the Debian package that has it
    "AoyagiKouzanT.ttf": "fonts-aoyagi-kouzan-t",
    "Breip.ttf": "fonts-breip",
    "DancingScript-Regular.otf": "fonts-dancingscript",
    "Domestic_Manners.ttf": "fonts-dustin",
    "Humor-Sans.ttf": "fonts-humor-sans",
    "kiloji.ttf": "fonts-kiloji",
    "Kristi.ttf": "fonts-kristi",
    "LeckerliOne-Regular.ttf": "fonts-leckerli-one",
    "Rufscript010.ttf": "fonts-rufscript",
    "TomsonTalks.ttf": "fonts-tomsontalks",
    "dkg.ttf": "fonts-dkg-handwriting",
}
CURSIVE = "KouzanBrushFontSousyo.ttf"  # which draws another shape than print for most characters
BRUSHES = {name: package for name, package in glyphs.FONTS.items() if name != CURSIVE}
PRINT = {  # fonts of Chinese characters that no brush drew
    "HanaMinA.ttf": "fonts-hanazono",
    "MTLc3m.ttf": "fonts-motoya-l-cedar",
    "Mplus1-Bold.otf": "fonts-mplus",
    "Mplus1-Light.otf": "fonts-mplus",
    "Mplus1-Medium.otf": "fonts-mplus",
    "Mplus2-Regular.otf": "fonts-mplus",
    "OradanoGSRR.ttf": "fonts-oradano-mincho-gsrr",
    "RictyDiminished-Regular.ttf": "fonts-ricty-diminished",
    "migmix-1p-bold.ttf": "fonts-migmix",
    "migmix-1p-regular.ttf": "fonts-migmix",
    "migu-1c-regular.ttf": "fonts-migmix",
    "monapo.ttf": "fonts-monapo",
}
FINE = 96  # pixels at least on which a hand's image is bent, before it is made small


def written(
    names: Mapping[str, str], characters: Sequence[str], each: int, side: int, seed: int
) -> Arrays:
    """``each`` images of every one of ``characters`` by the hands ``names``, which take turns.

    Light ink on black, uint8 (N, 1, ``side``, ``side``); all of them follow from ``seed``. An id
    begins with the font. Raises FontError naming the package of a font that is missing.
    """
    files = [glyphs.path_of(name, names) for name in names]

    def image(label: int, number: int) -> Pixels:
        rng = seeding.rng(seed, "hand", characters[label], number)
        mask = inked(files[(number + label) % len(files)], characters[label], max(FINE, side))
        return _small(glyphs.warped(mask, rng), side)

    places = [(label, number) for label in range(len(characters)) for number in range(each)]
    ids = [
        f"{files[(number + label) % len(files)].name} {label} {number} {seed}"
        for label, number in places
    ]
    return _arrays([image(*place) for place in places], places, ids, characters)


def printed(files: Sequence[Path], characters: Sequence[str], side: int) -> Arrays:
    """An image of every one of ``characters`` by each of the font ``files``, as ``written``."""
    places = [(label, number) for label in range(len(characters)) for number in range(len(files))]
    pixels = [
        _small(inked(files[number], characters[label], FINE), side) for label, number in places
    ]
    ids = [f"{files[number].name} {label}" for label, number in places]
    return _arrays(pixels, places, ids, characters)


def plain(characters: Sequence[str], count: int, seed: int) -> list[Path]:
    """``count`` installed fonts, drawn by ``seed``, that have all ``characters`` and are no hands.

    The folder of a hand holds its family, and is left out.
    """
    hands = [glyphs.path_of(name, names) for names in (HANDS, glyphs.FONTS) for name in names]
    folders = {path.parent for path in hands}
    paths = sorted(path for path in glyphs.FOLDER.rglob("*") if path.suffix.lower() in SUFFIXES)
    every = [path for path in paths if path.parent not in folders]
    order = seeding.rng(seed, "plain").permutation(len(every))
    complete = (every[place] for place in order if _has(every[place], tuple(characters)))
    return [path for path, _ in zip(complete, range(count), strict=False)]


def _arrays(
    pixels: Sequence[Pixels], places: Sequence[tuple[int, int]], ids: list[str],
    characters: Sequence[str],
) -> Arrays:  # fmt: skip
    labels = np.array([label for label, _ in places], np.int64)
    return Arrays(np.stack(pixels)[:, None], labels, ids, list(characters))


@functools.cache
def _has(path: Path, characters: tuple[str, ...]) -> bool:
    """Whether the font can be drawn with, and has all of ``characters``."""
    try:
        return all(glyphs.drawable(path, letter) for letter in characters)
    except (OSError, ValueError):
        return False


@functools.lru_cache(maxsize=64)
def inked(path: Path, character: str, side: int) -> np.ndarray:
    """Ink (``side``, ``side``) from 0 to 1."""
    page = Image.fromarray((glyphs.character(path, character) * 255).astype(np.uint8))
    return np.asarray(page.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def _small(mask: np.ndarray, side: int) -> Pixels:
    page = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
    return np.asarray(page.resize((side, side), Image.Resampling.BOX))
