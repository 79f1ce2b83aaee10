"""Classes of few images: ``dagan`` learns on other classes how two images of a class differ."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from augment.classifiers.fit import CLASSIC
from augment.data.arrays import Arrays, join
from augment.registry import Spec
from augment.runtime import seeding
from benchmarks import generated, mnist, transfer
from benchmarks.borrowed import letters
from benchmarks.cleaning import glyphs
from benchmarks.results import Row
from benchmarks.training import Training, settings

SIDE = 32
RARE, FEW = 10, 3  # of the characters, and their images
EACH, HELD = 40, 20  # images of a character; held out
SMALL, LARGE = 10, 400  # images of a digit; of one that helps
LACKING = 5  # digits of few images

Arms = dict[str, tuple[Arrays, Sequence[Spec]]]


def characters(seed: int, options: argparse.Namespace) -> Row:
    """100 characters by nine brushes, 40 images of each, but 3 of ten: the recall of the ten.

    Print of all of them, bent as the other 90 differ from print, fills half of every one's places.
    """
    whole = letters.written(glyphs.FONTS, glyphs.CHARACTERS, EACH, SIDE, seed)
    held = letters.written(glyphs.FONTS, glyphs.CHARACTERS, HELD, SIDE, seed + 1000)
    rare = np.sort(seeding.rng(seed, "rare").permutation(len(whole.classes))[:RARE])
    scarce = np.isin(whole.labels, rare)
    train = whole.take(np.flatnonzero(~scarce | (np.arange(len(whole)) % EACH < FEW)))
    files = [glyphs.path_of(name, letters.PRINT) for name in letters.PRINT]
    source = letters.printed(files, glyphs.CHARACTERS, SIDE)
    run = bender(whole.take(np.flatnonzero(~scarce)), seed, options, source)
    added = transfer.made(run, source, np.arange(len(source.classes)), EACH // 2)
    arms: Arms = {
        "oversampling": (transfer.filled(train, each=EACH), CLASSIC),
        "stronger": (transfer.filled(train, each=EACH), transfer.STRONGER),
        "print": (transfer.filled(train, source, EACH), CLASSIC),
        "made": (transfer.filled(train, added, EACH), CLASSIC),
        "real": (whole, CLASSIC),
    }
    row: Row = {"seconds": run.seconds}
    for name, (images, policy) in arms.items():
        recall = transfer.recalls(images, policy, held, transfer.Fit.of(options))
        row[name] = float(recall[rare].mean())
        row[f"others_{name}"] = float(np.delete(recall, rare).mean())
    return row


def helpers(seed: int, options: argparse.Namespace) -> Row:
    """Five digits, 10 images of each; the other five, 400 of each, help and are of no class."""
    whole, held = mnist.digits()
    few = np.sort(seeding.rng(seed, "few").permutation(len(whole.classes))[:LACKING])
    every = np.full(len(whole.classes), LARGE)
    counts = every.copy()
    counts[few] = SMALL
    kept, away = generated.parts(whole, [counts, every], seed)
    helping = kept.take(np.flatnonzero(~np.isin(kept.labels, few)))
    run = bender(helping, seed, options)
    count = round(options.share * LARGE)
    added = only(transfer.made(run, kept, few, count), few)
    train, shown = only(kept, few), only(join(held, away), few)
    judge = mnist.judge(options.judge, options.device)
    row: Row = {
        "seconds": run.seconds,
        "label_accuracy": judge.accuracy(added.pixels, few[added.labels]),
    }
    arms: Arms = {
        "oversampling": (train, CLASSIC),
        "stronger": (train, transfer.STRONGER),
        "made": (transfer.filled(train, added, LARGE), CLASSIC),
        "real": (only(whole, few), CLASSIC),
    }
    for name, (images, policy) in arms.items():
        test = only(held, few) if name == "real" else shown
        row[name] = float(transfer.recalls(images, policy, test, transfer.Fit.of(options)).mean())
    return row


def bender(
    train: Arrays, seed: int, options: argparse.Namespace, source: Arrays | None = None
) -> Training:
    """``dagan`` after its steps on ``train``; it starts from ``source``, where there is one."""
    pairs: dict[str, Any] = {"model": {"name": "pix2pix", "l1": 0.0}, "generator": "bend"}
    pairs = {} if source is None else pairs
    run = Training(settings("dagan", options, seed, **pairs), train, options.device, source)
    run.run(options.steps)
    return run


def only(data: Arrays, kinds: np.ndarray) -> Arrays:
    """The images of the classes ``kinds``, sorted (K,); no other class is left."""
    rows = np.flatnonzero(np.isin(data.labels, kinds))
    names = [data.classes[kind] for kind in kinds]
    ids = [data.ids[row] for row in rows]
    return Arrays(data.pixels[rows], np.searchsorted(kinds, data.labels[rows]), ids, names)
