"""Handwriting without a label, named by fonts: ``python -m benchmarks.no_labels``.

3,000 MNIST digits, of which no label is told, and the ten digits as this machine's fonts draw them.
Measured is what ``adopt`` makes of both, and what a classifier of the adopted digits reads.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Sequence

import numpy as np

from augment.adopt.combine import label_pool
from augment.adopt.opinions import Pool
from augment.adopt.settings import AdoptSettings
from augment.classifiers.fit import enough_steps
from augment.data import images as pictures
from augment.data.arrays import Arrays
from augment.readers import READERS
from augment.runtime import seeding
from benchmarks import mnist, runs
from benchmarks.results import Row
from benchmarks.tables import MACHINE, Column, Frame, first, met, summary

FONTS = (200,)  # font files of a draw
UNLABELLED = 3000  # digits without a label
CLASSIFY = 4000  # steps of the classifier of the adopted digits
NETWORK = "residual"  # of that classifier
LEAST_MEDIAN, LEAST_WORST = 0.99, 0.98  # of the held-out digits read right, over the draws
SEEDS = 5  # draws of the full form


@functools.cache
def glyphs(source: str) -> tuple[Arrays, tuple[str, ...]]:
    """The digits of all fonts of ``source`` that have all ten, and the font of each."""
    reader = READERS.build({"name": "fonts", "side": 28}, source)
    by_font: dict[str, list[tuple[pictures.Pixels, int]]] = {}
    for item in reader():
        if not item.reason and isinstance(item.data, bytes) and item.label and item.group:
            image = pictures.pixels(item.data, "L")[None]
            by_font.setdefault(item.group, []).append((image, int(item.label)))
    rows = [
        (image, label, font)
        for font, of_font in by_font.items()
        if len(of_font) == len(mnist.CLASSES)
        for image, label in of_font
    ]
    pixels, labels, fonts = zip(*rows, strict=True)
    ids = [str(place) for place in range(len(rows))]
    data = Arrays(np.stack(pixels), np.array(labels, np.int64), ids, mnist.CLASSES)
    return data, fonts


def draw(source: str, count: int, seed: int) -> Arrays:
    """The digits of ``count`` fonts of ``source``, or of all where there are fewer."""
    data, fonts = glyphs(source)
    names = seeding.rng(seed, "fonts").permutation(sorted(set(fonts)))[:count]
    return data.take(np.flatnonzero(np.isin(fonts, names)))


def measure(fonts: int, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    train, held = mnist.digits(seed)
    order = seeding.rng(seed, "unlabelled").permutation(len(train))[: options.unlabelled]
    digits, domain = train.take(np.sort(order)), draw(options.source, fonts, seed)
    files = len(domain) // len(mnist.CLASSES)
    return {"files": files} | named(digits, domain, held, seed, options)


def named(
    images: Arrays, domain: Arrays, held: Arrays, seed: int, options: argparse.Namespace
) -> Row:
    """What ``domain`` makes of ``images``, whose labels are not told, and a classifier of them."""
    unknown = np.full(len(images), -1)
    settings = AdoptSettings()
    begun = time.perf_counter()
    pool = Pool(
        images.pixels, images.classes, upright=True, home=mnist.CACHE, device=options.device,
        steps=min(options.teach, enough_steps(settings.steps, len(images))), rounds=1,
        batch=settings.batch, seed=seed, domain=domain,
    )  # fmt: skip
    reading = pool.reading
    assert reading is not None
    seeds = reading.seeds >= 0
    row: Row = {
        "alone": float((reading.alone == images.labels).mean()),
        "seeds_right": float((reading.seeds == images.labels)[seeds].mean()),
        "agreed": reading.agreed,
        "spread": float((reading.spread.argmax(1) == images.labels).mean()),
    }
    if reading.silent:  # nothing is adopted, and nothing taught
        return row | {"adopted": 0.0, "adopted_right": None, "sure": None, "held": 0.0}
    chances, _ = label_pool(pool, unknown, unknown[:0], ["graph", "domain", "self_training"])
    adopted = np.flatnonzero(chances.max(1) >= settings.probability)
    guesses = chances.argmax(1)
    seconds = time.perf_counter() - begun
    taught = mnist.classifier(
        Arrays(images.pixels[adopted], guesses[adopted], [""] * len(adopted), images.classes),
        NETWORK, options.classify, options.device, mnist.JUDGE_SEED + seed,
    )  # fmt: skip
    return row | {
        "adopted": len(adopted) / len(images),
        "adopted_right": float((guesses == images.labels)[adopted].mean()),
        "sure": float(chances[adopted].max(1).mean()),
        "held": mnist.accuracy(taught, held),
        "seconds": seconds,
    }


def no_labels(rows: Frame) -> Frame:
    """A line for each number of fonts: medians over the draws, and the worst of what is bounded."""

    def enough(t: Frame) -> list[bool]:
        lines = zip(t["held out, median"], t["worst"], t["draws"], strict=True)
        return [
            middle >= LEAST_MEDIAN and worst >= LEAST_WORST and draws >= SEEDS
            for middle, worst, draws in lines
        ]

    return summary(rows, ["fonts"], {
        "font files": first("files"),
        "fonts alone": Column("alone", form="{:.3f}"),
        "seeds right": Column("seeds_right", form="{:.3f}"),
        "seeds that agree": Column("agreed", form="{:.3f}"),
        "spread": Column("spread", form="{:.3f}"),
        "adopted": Column("adopted", form="{:.3f}"),
        "of these right": Column("adopted_right", form="{:.3f}"),
        "sure by its word": Column("sure", form="{:.3f}"),
        "held out, median": Column("held", form="{:.4f}"),
        "worst": Column("held", "min", "{:.4f}"),
        "draws": Column("seed", "size", "{}"),
        "met": met(enough),
        **MACHINE,
    })  # fmt: skip


TABLES = (no_labels,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {"fonts": [4], "unlabelled": 200, "classify": 2, "teach": 2}
    options = runs.parse(
        __doc__, argv, quick, fonts=list(FONTS), unlabelled=UNLABELLED, classify=CLASSIFY,
        teach=600, source="builtin:fonts", width=32, steps=1000,
    )  # fmt: skip
    keys = runs.grid(fonts=options.fonts, seed=options.seeds)
    full_form = runs.grid(options.full, fonts=FONTS, seed=range(SEEDS))
    runs.collect("no_labels", options, keys, measure, full_form, ("fonts", "seed"))


if __name__ == "__main__":
    main()
