"""The cost of dirt, and the share of it that cleaning brings back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from augment.data import table
from augment.data.arrays import Arrays
from augment.data.normalise import Form
from benchmarks import mnist
from benchmarks.cleaning.judging import arrays, clean, grey, place, stacked
from benchmarks.cleaning.planting import Planted, plant
from benchmarks.cleaning.sets import Collection
from benchmarks.results import Row
from benchmarks.training import Training, settings

ARMS = ("dirty", "cleaned", "clean")


def rows(collection: Collection, seed: int, options: argparse.Namespace) -> list[Row]:
    """A row for the classifier and, with ``options.recipe``, one for the generator.

    Dirt is in the train and valid splits alone. Each arm takes the same steps on its train images.
    Accuracy is measured on the test images, which no arm and no threshold has seen.
    """
    planted = plant(collection, seed, splits=("train", "valid"))
    classes = table.classes_of(collection.labels)
    form = Form((options.side, options.side), "L", "pad")
    with place(options.keep, f"{collection.name}-{seed}-worth") as root:
        clean(planted, root)
        arms = {
            "dirty": _original(planted, "train", form, classes, dirty=True),
            "cleaned": _kept(root, form, classes),
            "clean": _original(planted, "train", form, classes),
        }
    test = _original(planted, "test", form, classes)
    sizes = {f"images_{name}": len(arms[name]) for name in ARMS}

    def classifier(data: Arrays) -> float:
        fitted = mnist.classifier(data, "cnn", options.judge, options.device, seed)
        return mnist.accuracy(fitted, test)

    measured = [{"what": "classifier", **_compared(arms, classifier), **sizes}]
    if options.recipe:
        judge = mnist.classifier(arms["clean"], "residual", options.judge, options.device)

        def generator(data: Arrays) -> float:
            training = Training(settings(options.recipe, options, seed), data, options.device)
            training.run(options.steps)
            pixels, labels = training.samples(len(test))
            return float((judge.predict(pixels).argmax(1) == labels).mean())

        measured.append({"what": options.recipe, **_compared(arms, generator), **sizes})
    return measured


def _compared(arms: dict[str, Arrays], accuracy: Callable[[Arrays], float]) -> dict[str, float]:
    return {name: accuracy(arms[name]) for name in ARMS}


def _original(
    planted: Planted, split: str, form: Form, classes: list[str], *, dirty: bool = False
) -> Arrays:
    """The images of a split as they are in the dirty set, or as they were before."""
    places = [
        place
        for place, plant in enumerate(planted.plants)
        if plant.split == split and (dirty or planted.twin(place) == place)
    ]
    draw = planted.pixels if dirty else planted.original
    plants = [planted.plants[place] for place in places]
    labels = [plant.label if dirty else plant.truth for plant in plants]
    return arrays(stacked(map(draw, places), form), labels, classes)


def _kept(root: Path, form: Form, classes: list[str]) -> Arrays:
    """The train images that clean let through, labels changed and images repaired as it saw fit."""
    kept = list(table.rows(root / "data/clean", split="train"))
    return arrays(stacked(map(grey, kept), form), [row["label"] for row in kept], classes)
