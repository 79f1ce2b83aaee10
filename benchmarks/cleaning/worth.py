"""What dirt costs, and how much of it cleaning brings back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from augment.data import images, table
from augment.data.arrays import Arrays
from augment.data.normalise import Form
from benchmarks import runs
from benchmarks.cleaning.judging import clean, fitted, indices, place, stacked
from benchmarks.cleaning.planting import Planted, plant
from benchmarks.cleaning.sets import Collection

Row = dict[str, Any]
ARMS = ("dirty", "cleaned", "clean")


def rows(collection: Collection, seed: int, asked: argparse.Namespace) -> list[Row]:
    """A row for the classifier and, where it is asked for, one for the generator.

    Dirt is in the train and valid splits alone. Each arm takes the same steps on its train images;
    accuracy is that on the test images, which no arm and no threshold has seen.
    """
    planted = plant(collection, seed, splits=("train", "valid"))
    classes = table.classes_of(collection.labels)
    form = Form((asked.side, asked.side), "L", "pad")
    with place(asked.keep, f"{collection.name}-{seed}-worth") as root:
        clean(planted, root)
        arms = {
            "dirty": _original(planted, "train", form, classes, dirty=True),
            "cleaned": _kept(root, form, classes),
            "clean": _original(planted, "train", form, classes),
        }
    test = _original(planted, "test", form, classes)
    sizes = {f"images_{name}": len(arms[name]) for name in ARMS}

    def classifier(data: Arrays) -> float:
        found = fitted(
            data.pixels, data.labels, len(classes), "cnn", asked.judge, asked.device, seed
        )
        return float((found.predict(test.pixels).argmax(1) == test.labels).mean())

    made = [{"what": "classifier", **_compared(arms, classifier), **sizes}]
    if asked.generator:
        pure = arms["clean"]
        judge = fitted(
            pure.pixels, pure.labels, len(classes), "residual", asked.judge, asked.device
        )

        def generator(data: Arrays) -> float:
            one = runs.Training(runs.settings(asked.recipe, asked, seed), data, asked.device)
            one.run(asked.steps)
            pixels, wanted = one.samples(len(test))
            return float((judge.predict(pixels).argmax(1) == wanted).mean())

        made.append({"what": asked.recipe, **_compared(arms, generator), **sizes})
    return made


def _compared(arms: dict[str, Arrays], accuracy: Callable[[Arrays], float]) -> dict[str, float]:
    return {name: accuracy(arms[name]) for name in ARMS}


def _original(
    planted: Planted, split: str, form: Form, classes: list[str], *, dirty: bool = False
) -> Arrays:
    """The images of a split as they are in the dirty set, or as they were before."""
    chosen = [
        place
        for place, one in enumerate(planted.plants)
        if one.split == split and (dirty or planted.twin(place) == place)
    ]
    draw = planted.pixels if dirty else planted.original
    labels = [
        planted.plants[place].label if dirty else planted.plants[place].truth for place in chosen
    ]
    return _arrays(stacked(map(draw, chosen), form), labels, classes)


def _kept(root: Path, form: Form, classes: list[str]) -> Arrays:
    """The train images that clean let through, labels changed and images repaired as it saw fit."""
    found = list(table.rows(root / "data/clean", split="train"))
    decoded = (np.asarray(images.decode(row["image"]["bytes"]).convert("L")) for row in found)
    return _arrays(stacked(decoded, form), [row["label"] for row in found], classes)


def _arrays(pixels: images.Pixels, labels: list[str], classes: list[str]) -> Arrays:
    ids = [str(number) for number in range(len(labels))]
    return Arrays(pixels, indices(labels, classes), ids, classes)
