"""Images of one domain turned into another: characters that nobody wrote, and seasons."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.classifiers.other_domain import BENT
from augment.data import images
from augment.data.arrays import Arrays, join
from augment.data.images import Pixels
from augment.runtime import seeding
from augment.train.recipes import RECIPES
from augment.vision import edges
from augment.vision.colours import yuv
from benchmarks import mnist, photographs, transfer
from benchmarks.borrowed import letters
from benchmarks.borrowed.bent import bender, only
from benchmarks.cleaning import glyphs
from benchmarks.results import Row
from benchmarks.training import Training, settings

SIDE = 32
UNSEEN = 20  # characters
EACH, HELD = 40, 20  # images of a character that was written; held out
MADE = 200  # images of one that was not
SEASONS = ("dry", "green")
PAINTER = RECIPES["cartoongan"].settings["generator"]  # which keeps what it does not change
SCENES = {  # patches: their season
    "dry grass": "dry", "fallen leaves": "dry", "grass": "green", "leaf": "green", "moss": "green",
}  # fmt: skip


def unseen(seed: int, options: argparse.Namespace) -> Row:
    """20 of 100 characters in print alone, the others also by eight brushes."""
    files = [glyphs.path_of(name, letters.PRINT) for name in letters.PRINT]
    source = letters.printed(files, glyphs.CHARACTERS, SIDE)
    order = seeding.rng(seed, "unseen").permutation(len(source.classes))
    new = np.sort(order[:UNSEEN])
    written = letters.written(letters.BRUSHES, glyphs.CHARACTERS, EACH, SIDE, seed)
    pool = written.take(np.flatnonzero(~np.isin(written.labels, new)))
    run = bender(pool, seed, options, source)
    added = only(transfer.made(run, source, new, MADE), new)
    plain = only(source, new)
    held = only(letters.written(letters.BRUSHES, glyphs.CHARACTERS, HELD, SIDE, seed + 1000), new)
    arms = {
        "plain": (plain, CLASSIC),
        "stronger": (plain, [BENT]),
        "made": (added, CLASSIC),
        "both": (join(added, plain), CLASSIC),
    }
    row: Row = {"seconds": run.seconds}
    for name, (shown, policy) in arms.items():
        row[name] = float(transfer.recalls(shown, policy, held, transfer.Fit.of(options)).mean())
    return row


def seasons(seed: int, options: argparse.Namespace) -> Row:
    """Patches of green meadows made dry, and dry ones green, by ``stargan``; both must keep edges.

    The patches that are translated, and those that the judge is measured on, are held out.
    """
    train, held = (_halved(part) for part in photographs.patches())
    recipe = settings("stargan", options, seed, generator=PAINTER)
    run = Training(recipe, train, options.device)
    run.run(options.steps)
    judge = fit_classifier(
        train.pixels, train.labels, classes=2, network="residual", steps=options.judge, batch=64,
        seed=mnist.JUDGE_SEED + seed, device=options.device, augment=CLASSIC, even=True,
    )  # fmt: skip
    row: Row = {"seconds": run.seconds, "judge": mnist.accuracy(judge, held)}
    run.generator.start_from(held)
    places = {name: place for place, name in enumerate(held.ids)}
    for label, season in enumerate(SEASONS):
        chunk = next(run.generator.candidates(season, seed=seed))
        assert chunk.sources is not None
        sources = held.pixels[[places[name] for name in chunk.sources]]
        right = judge.predict(chunk.pixels).argmax(1) == label
        row[f"to_{season}"] = float(right.mean())
        row[f"edges_{season}"] = kept_edges(sources, chunk.pixels)
        if options.picture:
            picture = sheet(sources, chunk.pixels)
            Path(options.picture, f"{season}-{seed}.png").write_bytes(images.encode(picture))
    return row


def kept_edges(sources: Pixels, made: Pixels) -> float:
    """The mean correlation of how steep brightness is, of pairs uint8 (N, 3, H, W).

    A pair of which one image is flat counts as 0.
    """
    steep = [
        edges.slopes(yuv(images.to_signed(torch.from_numpy(part).float()))[:, :1])
        .square().sum(1).sqrt().flatten(1).double().numpy()
        for part in (sources, made)
    ]  # fmt: skip
    centred = [part - part.mean(1, keepdims=True) for part in steep]
    product = (centred[0] * centred[1]).sum(1)
    norm = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return float(np.divide(product, norm, out=np.zeros_like(norm), where=norm > 0).mean())


def sheet(sources: Pixels, made: Pixels, across: int = 16) -> Pixels:
    """Rows of sources (3, H, W), and below each what was made of it: uint8 (H, W, 3)."""
    rows = [
        np.concatenate([*part[start : start + across].transpose(0, 2, 3, 1)], axis=1)
        for start in range(0, len(sources) // across * across, across)
        for part in (sources, made)
    ]
    return np.concatenate(rows)


def _halved(patches: Arrays) -> Arrays:
    """The patches of both seasons on SIDE pixels."""
    few = only(patches, np.array([patches.classes.index(name) for name in sorted(SCENES)]))
    labels = np.array([SEASONS.index(SCENES[few.classes[label]]) for label in few.labels])
    count, channels, height, width = few.pixels.shape
    rows, columns = height // SIDE, width // SIDE
    fine = few.pixels.reshape(count, channels, SIDE, rows, SIDE, columns)
    small = np.rint(fine.mean((3, 5))).astype(np.uint8)
    return Arrays(small, labels, few.ids, list(SEASONS))
