"""Sets of the sizes that people have: brushed characters, words, and many classes of few images.

All are drawn from Debian's fonts by ``benchmarks.borrowed.letters``, light ink on black. Train and
held-out images are of the same hands, but no two images are the same.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.runtime import seeding
from benchmarks.borrowed import letters
from benchmarks.cleaning import glyphs

EACH, HELD = 100, 10  # train and held-out images of a class
WORDS = (
    "AUTUMN", "BRIDGE", "CASTLE", "DANGER", "ENGINE", "FLOWER", "GARDEN", "HARBOUR", "ISLAND",
    "JACKET", "KITCHEN", "LADDER", "MARKET", "NEEDLE", "ORANGE", "PENCIL", "QUARTZ", "RIVER",
    "SUMMER", "VALLEY",
)  # fmt: skip
HEIGHT, WIDTH = 32, 128  # pixels of a word
TURNS, FEW, FEWEST = 3, 20, 2  # ways that a character is turned; images of a class, of the first

Sets = tuple[Arrays, Arrays]  # train, held out


@functools.cache
def calligraphy() -> Sets:
    """10,000 images, 64 × 64, of 100 characters by nine brushes, and 1,000 held out."""
    return _written(64, EACH)


@functools.cache
def large_calligraphy() -> Sets:
    """The 20 first images of each of these characters, 128 × 128, and those held out."""
    return _written(128, FEW)


@functools.cache
def many() -> Sets:
    """300 classes, 32 × 32: characters upright, on their side and upside down.

    Each has 20 images, but the first has two.
    """
    upright = _written(32, FEW)
    train, held = (_turned(part) for part in upright)
    rare = np.flatnonzero(train.labels == 0)[FEWEST:]
    return train.take(np.setdiff1d(np.arange(len(train)), rare)), held


@functools.cache
def words() -> Sets:
    """2,000 images, 32 high and 128 wide, of 20 words by eleven hands, and 200 held out."""
    train, held = (_words(each, seed) for each, seed in ((EACH, 0), (HELD, 1000)))
    return train, held


def _written(side: int, each: int) -> Sets:
    characters = glyphs.CHARACTERS[:EACH]
    train = letters.written(glyphs.FONTS, characters, each, side, 0)
    return train, letters.written(glyphs.FONTS, characters, HELD, side, 1000)


def _turned(upright: Arrays) -> Arrays:
    """Every image by TURNS quarter turns; each makes classes of its own."""
    turns = range(TURNS)
    return Arrays(
        np.concatenate([np.rot90(upright.pixels, turn, (2, 3)) for turn in turns]),
        np.concatenate([upright.labels + turn * len(upright.classes) for turn in turns]),
        [f"{name} {turn}" for turn in turns for name in upright.ids],
        [f"{name} {90 * turn}" for turn in turns for name in upright.classes],
    )


def _words(each: int, seed: int) -> Arrays:
    hands = [glyphs.path_of(name, letters.HANDS) for name in letters.HANDS]
    labels = np.repeat(np.arange(len(WORDS)), each)
    pixels = [
        _word(WORDS[label], hands[number % len(hands)], seeding.rng(seed, "word", label, number))
        for label in range(len(WORDS))
        for number in range(each)
    ]
    ids = [f"{WORDS[label]} {place} {seed}" for place, label in enumerate(labels)]
    return Arrays(np.stack(pixels)[:, None], labels, ids, list(WORDS))


def _word(word: str, hand: Path, rng: np.random.Generator) -> Pixels:
    """The letters beside one another, each bent by itself, none at quite the same height."""
    page = np.zeros((HEIGHT, WIDTH), np.uint8)
    across = rng.uniform(0.8, 1) * WIDTH / len(word)
    left = rng.uniform(0, WIDTH - across * len(word))
    tall = round(rng.uniform(0.7, 0.9) * HEIGHT)
    for place, letter in enumerate(word):
        mask = glyphs.warped(letters.inked(hand, letter, letters.FINE), rng)
        image = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
        wide = round(across * 1.15)
        cell = np.asarray(image.resize((wide, tall), Image.Resampling.BOX))
        top = int(rng.integers(0, HEIGHT - tall + 1))
        start = min(max(round(left + place * across), 0), WIDTH - wide)
        part = page[top : top + tall, start : start + wide]
        np.maximum(part, cell, out=part)
    return page
