"""No label at all: images that another domain names, as the stage ``adopt`` does by default."""

from __future__ import annotations

import argparse

import numpy as np
from PIL import Image

from augment.data.arrays import Arrays
from augment.runtime import seeding
from benchmarks import mnist, no_labels
from benchmarks.borrowed import letters
from benchmarks.results import Row

SIDE = 28  # pixels of characters, and of digits of both sets
KANJI = 60  # Chinese characters
HELD = 20  # held-out images of a class


def capitals(seed: int, options: argparse.Namespace) -> Row:
    """26 capitals by eleven hands, which 200 other fonts name."""
    files = letters.plain(letters.CAPITALS, options.files, seed)
    domain = letters.printed(files, letters.CAPITALS, SIDE)
    return _written(letters.HANDS, letters.CAPITALS, domain, seed, options)


def characters(seed: int, options: argparse.Namespace) -> Row:
    """60 Chinese characters by eight brushes, which twelve printed fonts name."""
    order = seeding.rng(seed, "characters").permutation([*letters.glyphs.CHARACTERS])
    few = [str(letter) for letter in order[:KANJI]]
    files = [letters.glyphs.path_of(name, letters.PRINT) for name in letters.PRINT]
    domain = letters.printed(files, few, SIDE)
    return _written(letters.BRUSHES, few, domain, seed, options)


def small_digits(seed: int, options: argparse.Namespace) -> Row:
    """scikit-learn's digits without a label, which MNIST's name."""
    unlabelled, held = _halves(enlarged(), seed)
    return no_labels.named(unlabelled, mnist.digits(seed)[0], held, seed, options)


def large_digits(seed: int, options: argparse.Namespace) -> Row:
    """3,000 of MNIST's digits without a label, which scikit-learn's name."""
    train, held = mnist.digits(seed)
    order = seeding.rng(seed, "unlabelled").permutation(len(train))[: no_labels.UNLABELLED]
    return no_labels.named(train.take(np.sort(order)), enlarged(), held, seed, options)


def enlarged() -> Arrays:
    """scikit-learn's digits on 28 pixels, their 8 times 8 on the middle 24."""
    data = mnist.small_digits()
    pixels = np.zeros((len(data), 1, SIDE, SIDE), np.uint8)
    for page, image in zip(pixels[:, 0], data.pixels[:, 0], strict=True):
        page[2:26, 2:26] = Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC)
    return Arrays(pixels, data.labels, data.ids, data.classes)


def _written(
    hands: dict[str, str], few: str | list[str], domain: Arrays, seed: int,
    options: argparse.Namespace,
) -> Row:  # fmt: skip
    unlabelled = letters.written(hands, few, options.each, SIDE, seed)
    held = letters.written(hands, few, HELD, SIDE, seed + 1000)
    return no_labels.named(unlabelled, domain, held, seed, options)


def _halves(data: Arrays, seed: int) -> tuple[Arrays, Arrays]:
    """Three quarters of the images, and the rest."""
    order = seeding.rng(seed, "held").permutation(len(data))
    cut = len(data) * 3 // 4
    return data.take(np.sort(order[:cut])), data.take(np.sort(order[cut:]))
