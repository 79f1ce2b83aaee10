"""What two rare classes gain from images made of their few: ``python -m benchmarks.transfer``.

Two of MNIST's ten digits are cut to 10, 3 or 1 of their 400 images. ``dagan`` learns on the other
eight alone how two images of a class differ, and then bends the images of the two. A classifier has
400 places for each digit; those of a rare one are filled with its real images, repeated, and with a
share of made ones, all under the classic augmentation. Recall is that of the two digits on all
images of them that no arm has seen, for *all real* on the held-out ones alone; *others* is the
accuracy on the held-out images of the other eight.

The rival is the better of oversampling under the classic augmentation and under elastic changes of
twice the amplitude for all classes (*stronger*): the bounds ask for tuned augmentation. Made images
are tuned alike: theirs is the better of the same two. Controls: *copier* takes a generator that has
learned nothing and all but gives its source; *shuffled* are images made of the other rare digit,
and must harm.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data.arrays import Arrays, join
from augment.registry import Spec
from augment.runtime import seeding
from augment.score.uplift import statistics
from benchmarks import generated, mnist, runs
from benchmarks.results import SETTING, Row
from benchmarks.tables import MACHINE, WHERE, Column, Frame, first, met, summary
from benchmarks.training import Training, settings

CASES = ("10", "3", "1")  # images of a rare digit
SHARE = {"10": 0.5, "3": 0.8, "1": 0.8}  # of a rare digit's places that made images fill
GAIN = {"3": 0.05, "1": 0.09}  # of recall, at least; of 10 images half of what 400 real ones add
LOSS = -0.002  # of the other eight's accuracy
ROUNDING = 1e-9
SUBSETS, GENERATORS = range(5), range(2)
EACH = 400  # places of each digit
STRONGER: tuple[Spec, ...] = ({"name": "elastic", "amplitude": 0.16},)

Labels = NDArray[np.int64]


def cut(case: str, subset: int) -> tuple[Arrays, Arrays, Labels]:
    """The train digits, two of them cut to so many images; what was cut off; which two (2,)."""
    whole, _ = mnist.digits()
    rare = seeding.rng(subset, "rare").permutation(len(whole.classes))[: generated.RARE]
    every = np.full(len(whole.classes), len(whole))
    counts = every.copy()
    counts[rare] = int(case)
    kept, away = generated.parts(whole, [counts, every], subset)
    return kept, away, rare


@functools.lru_cache(maxsize=2)  # it, and its copier
def bender(subset: int, seed: int, steps: int, width: int, device: torch.device) -> Training:
    """``dagan`` after ``steps`` on the digits that are not rare; after none it is a copier."""
    train, _, rare = cut(CASES[0], subset)
    size = argparse.Namespace(network="own", width=width, steps=max(steps, 1), batch=64)
    common = train.take(np.flatnonzero(~np.isin(train.labels, rare)))
    run = Training(settings("dagan", size, seeding.derive(subset, seed)), common, device)
    run.run(steps)
    return run


def made(run: Training, train: Arrays, labels: Labels, count: int) -> Arrays:
    """``count`` images of each of ``labels`` that start from those of ``train``, unfiltered."""
    run.generator.start_from(train)
    seed = run.settings.seed
    pixels = [run.generator.sample(train.classes[label], count, seed=seed) for label in labels]
    names = [str(place) for place in range(count * len(labels))]
    return Arrays(torch.cat(pixels).numpy(), np.repeat(labels, count), names, train.classes)


def filled(train: Arrays, added: Arrays | None = None, each: int = EACH) -> Arrays:
    """``added`` and the images of ``train``, repeated until each class has ``each`` of both."""
    counts = np.bincount(added.labels, minlength=len(train.classes)) if added else None
    rows = [
        np.resize(np.flatnonzero(train.labels == label), each - (0 if counts is None else count))
        for label, count in enumerate(counts if counts is not None else [0] * len(train.classes))
    ]
    real = train.take(np.concatenate(rows))
    return join(real, added) if added else real


def swapped(added: Arrays, rare: Labels) -> Arrays:
    """``added`` images of the two ``rare`` classes, each under the label of the other."""
    return Arrays(added.pixels, rare.sum() - added.labels, added.ids, added.classes)


def measure(case: str, seed: int, generator: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    train, _, rare = cut(case, seed)
    count = round(SHARE[case] * EACH)
    run = bender(seed, generator, options.steps, options.width, options.device)
    added = made(run, train, rare, count)
    row: Row = {"share": SHARE[case], "classifiers": options.classifiers, "seconds": run.seconds}
    judge = mnist.judge(options.judge, options.device)
    row["label_accuracy"] = judge.accuracy(added.pixels, added.labels)
    idle = bender(seed, generator, 0, options.width, options.device)
    arms: dict[str, tuple[Arrays, Sequence[Spec]]] = {
        "made": (filled(train, added), CLASSIC),
        "made_stronger": (filled(train, added), STRONGER),
        "copier": (filled(train, made(idle, train, rare, count)), CLASSIC),
        "shuffled": (filled(train, swapped(added, rare)), CLASSIC),
    }
    fit = Fit.of(options)
    recall_of = {**without(case, seed, fit), "real": of_all(fit)}
    recall_of |= {
        name: recalls(images, policy, unseen(case, seed), fit)
        for name, (images, policy) in arms.items()
    }
    for name, recall in recall_of.items():
        row[name] = float(recall[rare].mean())
        row[f"others_{name}"] = float(np.delete(recall, rare).mean())
    return row


class Fit(NamedTuple):
    """How many classifiers learn the images of an arm, for how many steps, and on what."""

    classifiers: int
    steps: int
    device: torch.device

    @classmethod
    def of(cls, options: argparse.Namespace) -> Fit:
        """What ``options`` say."""
        return cls(options.classifiers, options.classify, options.device)


def unseen(case: str, subset: int) -> Arrays:
    """The images that no arm of a case has seen: those held out, and those that were cut off."""
    _, away, rare = cut(case, subset)
    _, held = mnist.digits()
    return join(held, away.take(np.flatnonzero(np.isin(away.labels, rare))))


@functools.cache
def without(case: str, subset: int, fit: Fit) -> dict[str, NDArray[np.float64]]:
    """The recalls (K,) of the arms in which no generator has a part."""
    train, _, _ = cut(case, subset)
    policies = {"oversampling": CLASSIC, "stronger": STRONGER}
    return {
        name: recalls(filled(train), policy, unseen(case, subset), fit)
        for name, policy in policies.items()
    }


@functools.cache
def of_all(fit: Fit) -> NDArray[np.float64]:
    """The recall (K,) where no class is cut."""
    whole, held = mnist.digits()
    return recalls(whole, CLASSIC, held, fit)


def recalls(train: Arrays, policy: Sequence[Spec], shown: Arrays, fit: Fit) -> NDArray[np.float64]:
    """The recall (K,) of each class of ``shown``, a mean over classifiers of ``train``."""
    right = []
    for seed in range(fit.classifiers):
        fitted = fit_classifier(
            train.pixels, train.labels, classes=len(train.classes), network="cnn",
            steps=fit.steps, batch=64, seed=seed, device=fit.device, augment=policy,
        )  # fmt: skip
        right.append(fitted.predict(shown.pixels).argmax(1) == shown.labels)
    hits = np.mean(right, 0)
    return np.bincount(shown.labels, hits) / np.bincount(shown.labels)


def transfer(rows: Frame) -> Frame:
    """A line for each number of images: means over subsets, and over the generators of each."""

    def enough(t: Frame) -> Frame:
        half = (t["all real"] - t["rival"]) / 2
        least = t["images"].map(GAIN).fillna(half)
        reached = (t["gain"] >= least - ROUNDING) & (t["others' gain"] >= LOSS - ROUNDING)
        return reached & (t["at least"] > 0)

    def low(gains: pd.Series[float]) -> float:
        return statistics.interval(gains.to_numpy())[0]

    return summary(by_subset(rows), ["case"], {
        "images": first("case"), "rival": mean("rival"), "made": mean("against"),
        "gain": mean("gain", "{:+.1%}"), "at least": Column("gain", low, "{:+.1%}"),
        "others": mean("others_rival"), "others' gain": mean("others_gain", "{:+.2%}"),
        "all real": mean("real"), "met": met(enough),
        "subsets": Column("seed", "size", "{}"), "setting": WHERE["setting"], **MACHINE,
    })  # fmt: skip


def controls(rows: Frame) -> Frame:
    """The same lines, of what the made images are and of the controls."""
    return summary(by_subset(rows), ["case"], {
        "images": first("case"), "oversampling": mean("oversampling"), "with made": mean("made"),
        "stronger": mean("stronger"), "stronger with made": mean("made_stronger"),
        "others, stronger": mean("others_stronger"),
        "copier": mean("copier"), "shuffled": mean("shuffled"),
        "made images right": mean("label_accuracy"),
    })  # fmt: skip


def by_subset(rows: Frame) -> Frame:
    """A row for each subset, the mean over its generators, which are no independent proof.

    ``rival`` is the better of oversampling and of *stronger* in the subset, ``against`` the better
    of both with made images, and ``others_`` tells the other eight.
    """
    subset = ["case", "seed", *SETTING, "device", "machine"]
    means = rows.groupby(subset, sort=False, as_index=False).mean(numeric_only=True)
    for arm, classic, stronger in (
        ("rival", "oversampling", "stronger"),
        ("against", "made", "made_stronger"),
    ):
        better = means[stronger] > means[classic]
        for before in ("", "others_"):
            weak, strong = means[before + classic], means[before + stronger]
            means[before + arm] = weak.mask(better, strong)
    return means.assign(
        gain=means["against"] - means["rival"],
        others_gain=means["others_against"] - means["others_rival"],
    )


def mean(key: str, form: str = "{:.1%}") -> Column:
    """A column of means."""
    return Column(key, "mean", form)


TABLES = (transfer, controls)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {"cases": ["3"], "generators": [0], "steps": 2, "classify": 2, "classifiers": 1}
    options = runs.parse(
        __doc__, argv, quick, seeds=[*SUBSETS], generators=[*GENERATORS], cases=list(CASES),
        width=16, steps=1000, classify=500, classifiers=2,
    )  # fmt: skip
    keys = runs.grid(seed=options.seeds, generator=options.generators, case=options.cases)
    full_form = runs.grid(options.full, case=CASES, seed=SUBSETS, generator=GENERATORS)
    key = ("case", "seed", "generator")
    runs.collect("transfer", options, keys, measure, full_form, key, mnist.judge_facts)


if __name__ == "__main__":
    main()
