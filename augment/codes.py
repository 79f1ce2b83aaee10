"""The codes stage: which class a categorical code draws, and what each continuous code moves.

A generator trained without labels finds classes by itself, in an order of its own; the labelled
images that there are, one a class at least, tell which of its categories is which. A continuous
code gets the name of the factor that follows it most closely.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from augment import (
    checkpoint,
    classifiers,
    dataset,
    devices,
    factors,
    heads,
    images,
    progress,
    seeding,
    sheets,
    table,
)
from augment.classifiers import Classifier
from augment.dataset import Arrays
from augment.errors import AugmentError
from augment.factors import FACTORS
from augment.generator import Generator
from augment.heads import Head
from augment.params import CLEAN, CODES, GENERATOR, REPORTS, Params

NAMED = 0.5  # least |Spearman| at which a code is called by a factor
POSITIONS = np.linspace(-1, 1, 9, dtype=np.float32)  # of a code along its traversal
MIDDLE = len(POSITIONS) // 2
BUDGET = 2000  # images that each of the two measurements draws, unless classes are very many
SWEPT = (20, 200)  # fewest and most images of a class, for correlations
WALKS = (2, 20)  # fewest and most traversals of a class and code, for class changes


class CodesError(AugmentError, ValueError):
    """Codes that cannot be matched to classes, or a code that has no such name."""


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Match, measure and name the codes of models/generator.

    Writes models/codes.json, which is what names stand for, reports/codes.json and its picture.
    Raises CodesError for fewer categories than classes or a class without a labelled train image.
    """
    home = root / GENERATOR
    device = devices.resolve(params.codes.device)
    generator = Generator.load(home, device=str(device))
    head = None if generator.matched else heads.load(home, device)
    matching = _no_matching(generator) if head is None else _match(root, generator, head)
    owned: Mapping[str, Sequence[int]] = matching["classes"] or {}
    if generator.matched:
        owned = {name: [index] for index, name in enumerate(generator.classes)}
    probe = Probe(
        generator,
        classifiers.load(home, "labeller", device),
        {name: categories[0] for name, categories in owned.items()},
        seeding.derive(params.codes.seed, "codes"),
    )
    spearman, changes = probe.correlations(), probe.class_changes()
    names = name_codes(spearman)
    _write_picture(root / REPORTS / "codes.png", probe, names)
    known = {"generator": generator.digest, "classes": matching["classes"], "names": names}
    table.write_json(root / CODES, known)
    report = {**known, **matching, "continuous": _continuous(probe, spearman, changes, names)}
    table.write_json(root / REPORTS / "codes.json", report)
    return report


def resolve(name: str, root: Path = Path(".")) -> tuple[int, int]:
    """The number of the continuous code that is called ``name``, and its sign.

    With sign -1 the factor falls where the code rises. Raises CodesError for a name that no code
    has, or where ``augment codes`` has not seen this generator.
    """
    path = root / CODES
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        names, seen = known["names"], known["generator"]
    except FileNotFoundError:
        raise CodesError(f"code {name!r}: no {path} to look it up; run augment codes") from None
    except (ValueError, KeyError, TypeError):
        raise CodesError(f"{path}: damaged; run augment codes") from None
    if seen != checkpoint.digest(root / GENERATOR, "generator"):
        raise CodesError(f"{path}: is of another generator; run augment codes")
    if name not in names:
        raise CodesError(f"unknown code {name!r}; known: {', '.join(names) or 'numbers only'}")
    return names[name]["code"], names[name]["sign"]


def contingency(
    probabilities: NDArray[Any], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Mean probability of each category over the images of each class: (classes, categories).

    From the head's probabilities (N, categories) and class indices (N,); every class counts the
    same, however many images it has. The row of a class without images is 0.
    """
    members = np.eye(classes)[labels]
    counts = np.maximum(members.sum(0), 1)
    mean: NDArray[np.float64] = members.T @ probabilities / counts[:, None]
    return mean


def match(
    probabilities: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, list[int]]:
    """The categories of each class, the best first.

    From the head's probabilities (N, categories) for labelled images and their class indices (N,);
    one image a class is enough. Each class gets one category so that the classes' mean
    probabilities sum to the most (Kuhn 1955, The Hungarian Method); a category that is left goes to
    the class in which it is likeliest. Raises CodesError for fewer categories than classes or a
    class without an image.
    """
    categories = probabilities.shape[1]
    if categories < len(classes):
        raise CodesError(
            f"{categories} categories cannot be matched to {len(classes)} classes; set categories "
            "of train.model to as many at least"
        )
    without = set(range(len(classes))) - set(labels.tolist())
    if without:
        empty = ", ".join(repr(classes[index]) for index in sorted(without))
        raise CodesError(f"no labelled train image of class {empty} to match categories by")
    means = contingency(probabilities, labels, len(classes))
    owner = means.argmax(0)
    rows, chosen = linear_sum_assignment(means, maximize=True)
    owner[chosen] = rows
    return {
        name: sorted(np.flatnonzero(owner == row).tolist(), key=lambda one: -means[row, one])
        for row, name in enumerate(classes)
    }


def accuracy(
    probabilities: NDArray[Any], labels: NDArray[np.int64], owned: Mapping[str, Sequence[int]]
) -> float:
    """Share of images whose class has the largest probability, the sum over its categories.

    ``owned`` is what match gave. NaN for no images.
    """
    sums = np.stack([probabilities[:, categories].sum(1) for categories in owned.values()], axis=1)
    return float((sums.argmax(1) == labels).mean()) if len(labels) else float("nan")


def name_codes(spearman: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Codes by the factor that names them: ``{factor: {code, sign, spearman}}``.

    ``spearman`` holds each factor's correlation with every code. The strongest pair is named first;
    no code has two names and no two codes have the same. Below NAMED there is no name.
    """
    pairs = [
        (abs(value), code, factor)
        for factor, values in spearman.items()
        for code, value in enumerate(values.tolist())
        if abs(value) >= NAMED
    ]
    names: dict[str, dict[str, Any]] = {}
    for _, code, factor in sorted(pairs, key=lambda pair: -pair[0]):
        if factor not in names and all(code != one["code"] for one in names.values()):
            value = float(spearman[factor][code])
            names[factor] = {"code": code, "sign": 1 if value > 0 else -1, "spearman": value}
    return names


@dataclass(frozen=True)
class Probe:
    """Draws from a generator with chosen codes; ``shown`` is the condition drawn of each class."""

    generator: Generator
    labeller: Classifier
    shown: Mapping[str, int]
    seed: int

    @property
    def codes(self) -> int:
        """How many continuous codes there are to measure."""
        return self.generator.network.codes if self.shown else 0

    def correlations(self) -> dict[str, NDArray[np.float64]]:
        """Spearman of each factor with every code (codes,): the mean over the classes.

        All codes vary together, uniform on [-1, 1]. Correlations are taken within a class, since
        classes differ in slant or size by themselves; a class in which a factor cannot be measured
        or does not vary does not count.
        """
        if not self.codes:
            return {name: np.empty(0) for name in FACTORS.names()}
        size = self._affordable(SWEPT, 1)
        found: dict[str, list[list[float]]] = {name: [] for name in FACTORS.names()}
        for name, condition in progress.track(self.shown.items(), "sweeps", len(self.shown)):
            values = seeding.rng(self.seed, "sweep", name).uniform(-1, 1, (size, self.codes))
            pixels = self.generator.images(
                np.full(size, condition),
                values.astype(np.float32),
                seed=seeding.derive(self.seed, "sweep", name),
            )
            for factor, measures in factors.measure(pixels).items():
                found[factor].append([_spearman(one, measures) for one in values.T])
        return {
            name: np.ma.masked_invalid(rows).mean(0).filled(np.nan) for name, rows in found.items()
        }

    def class_changes(self) -> NDArray[np.float64]:
        """Share (classes, codes) of images that leave their class as a code goes from -1 to 1.

        An image has left it when the labeller's verdict is another than at the code's 0; noise and
        the other codes, which are random, stay as they are along a traversal.
        """
        shares = np.zeros((len(self.shown), self.codes))
        if not self.codes:
            return shares
        walks = self._affordable(WALKS, self.codes * len(POSITIONS))
        for walk in progress.track(range(walks), "traversals", walks):
            size = (len(self.shown), self.codes)
            others = seeding.rng(self.seed, "walk", walk).uniform(-1, 1, size)
            pixels = self.traversals(others, seeding.derive(self.seed, "walk", walk))
            verdicts = self.labeller.predict(pixels.reshape(-1, *pixels.shape[3:])).argmax(1)
            verdicts = verdicts.reshape(pixels.shape[:3])
            changed = verdicts != verdicts[..., MIDDLE, None]
            shares += np.delete(changed, MIDDLE, axis=2).mean(2) / walks
        return shares

    def traversals(self, others: NDArray[Any], seed: int) -> images.Pixels:
        """Images (classes, codes, positions, C, H, W) that differ along positions in one code only.

        All have the same noise; ``others`` (classes, codes) are the values of the codes that rest.
        """
        shape = (len(self.shown), self.codes, len(POSITIONS))
        values = np.broadcast_to(others[:, None, None], (*shape, self.codes)).astype(np.float32)
        for code in range(self.codes):
            values[:, code, :, code] = POSITIONS
        conditions = np.repeat(list(self.shown.values()), shape[1] * shape[2])
        pixels = self.generator.images(
            conditions, values.reshape(-1, self.codes), seed=seed, same_noise=True
        )
        return pixels.reshape(*shape, *pixels.shape[1:])

    def samples(self) -> dict[str, images.Pixels]:
        """Some images of each class, or of all where conditions say nothing."""
        shown = self.shown or {"any": 0}
        conditions = np.repeat(list(shown.values()), len(POSITIONS))
        codes = np.zeros((len(conditions), self.generator.network.codes), np.float32)
        pixels = self.generator.images(conditions, codes, seed=seeding.derive(self.seed, "samples"))
        return dict(zip(shown, np.split(pixels, len(shown)), strict=True))

    def _affordable(self, limits: tuple[int, int], images_each: int) -> int:
        """How many of something that costs ``images_each`` a class the budget allows."""
        least, most = limits
        return max(least, min(most, BUDGET // (len(self.shown) * images_each)))


def _spearman(values: NDArray[np.float64], measures: NDArray[np.float64]) -> float:
    """Rank correlation where there is a measure; NaN for too few, or a factor that stands still."""
    known = np.isfinite(measures)
    values, measures = values[known], measures[known]
    if len(measures) < 3 or np.ptp(measures) == 0:
        return float("nan")
    return float(spearmanr(values, measures).statistic)


def _no_matching(generator: Generator) -> dict[str, Any]:
    """What the report says of conditions that are the classes, or that say nothing."""
    meaning = "classes" if generator.matched else "none"
    return {"conditions": meaning, "classes": None, "accuracy": {}, "categories": [], "table": {}}


def _match(root: Path, generator: Generator, head: Head) -> dict[str, Any]:
    """Categories matched to classes by the labelled train images, and how good that is."""
    train, valid = (_labelled(root, generator, split) for split in ("train", "valid"))
    seen = {"train": head.predict(train.pixels), "valid": head.predict(valid.pixels)}
    owned = match(seen["train"], train.labels, train.classes)
    means = contingency(seen["train"], train.labels, len(train.classes))
    return {
        "conditions": "categories",
        "classes": owned,
        "accuracy": {
            "train": accuracy(seen["train"], train.labels, owned),
            "valid": accuracy(seen["valid"], valid.labels, owned),
        },
        "categories": _purities(means, owned),
        "table": dict(zip(train.classes, means.tolist(), strict=True)),
    }


def _labelled(root: Path, generator: Generator, split: str) -> Arrays:
    return dataset.arrays(
        root / CLEAN,
        split=split,
        origin="real",
        classes=generator.classes,
        shape=generator.shape,
    )


def _purities(
    means: NDArray[np.float64], owned: Mapping[str, Sequence[int]]
) -> list[dict[str, Any]]:
    """Of each category its class and its purity: that class's share of what falls in it."""
    names = list(owned)
    owner = {one: row for row, categories in enumerate(owned.values()) for one in categories}
    return [
        {
            "category": category,
            "class": names[row],
            "purity": means[row, category] / (means[:, category].sum() or np.nan),
        }
        for category, row in sorted(owner.items())
    ]


def _continuous(
    probe: Probe,
    spearman: Mapping[str, NDArray[np.float64]],
    changes: NDArray[np.float64],
    names: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A row of the report for each continuous code."""
    called = {found["code"]: name for name, found in names.items()}
    return [
        {
            "code": code,
            "name": called.get(code),
            "spearman": {factor: values[code] for factor, values in spearman.items()},
            "class_changes": changes[:, code].mean(),
            "per_class": dict(zip(probe.shown, changes[:, code].tolist(), strict=True)),
        }
        for code in range(probe.codes)
    ]


def _write_picture(path: Path, probe: Probe, names: Mapping[str, Mapping[str, Any]]) -> None:
    """A row a class, a block a code, from -1 to 1 at one noise and the other codes' 0.

    Without continuous codes a row shows samples that differ by their noise.
    """
    if not probe.codes:
        table.write_bytes(path, images.encode(sheets.by_class(probe.samples(), len(POSITIONS))))
        return
    rest = np.zeros((len(probe.shown), probe.codes))
    pixels = probe.traversals(rest, seeding.derive(probe.seed, "picture"))
    titles = [f"code {code}" for code in range(probe.codes)]
    for name, found in names.items():
        titles[found["code"]] += f": {name}, Spearman {found['spearman']:.2f}"
    blocks = [
        _block(title, dict(zip(probe.shown, pixels[:, code], strict=True)))
        for code, title in enumerate(titles)
    ]
    table.write_bytes(path, images.encode(np.hstack(blocks)))


def _block(title: str, tiles: Mapping[str, images.Pixels]) -> images.Pixels:
    """Traversals of one code, a row a class, under its title and its values."""
    sheet = sheets.by_class(tiles, len(POSITIONS))
    width = sheets.grid(next(iter(tiles.values())), len(POSITIONS)).shape[1]
    left, step = sheet.shape[1] - width, width / len(POSITIONS)
    head = Image.new("RGB", (sheet.shape[1], 50), (sheets.PAPER,) * 3)
    draw = ImageDraw.Draw(head)
    ink = (40, 40, 40)
    draw.text((left, 14), title, fill=ink, font=ImageFont.load_default(16), anchor="lm")
    for place in (0, MIDDLE, len(POSITIONS) - 1):
        centre = (left + (place + 0.5) * step, 38)
        value = f"{POSITIONS[place]:g}"
        draw.text(centre, value, fill=ink, font=ImageFont.load_default(13), anchor="mm")
    return np.vstack([np.asarray(head), sheet])
