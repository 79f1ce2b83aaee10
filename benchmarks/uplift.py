"""Does a classifier get better by it? ``python -m benchmarks.uplift --cases "10 labels"``.

``10 labels`` and ``1 label`` of each of MNIST's ten digits, the rest of the 4,000 without: the
classic arm, pseudo-labels as the honest rival, and the images that ``augment adopt`` takes in with
a generator's class head left out. There is no valid split, so nothing is chosen on one; the
accuracy is that on the held-out digits, over two classifier seeds for each subset, the interval a
bootstrap over digits and seeds. ``copier`` hides near copies of real images among honest held-out
ones and asks how many of either ``memorisation`` calls copies.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from augment.adopt import combine
from augment.adopt.opinions import Pool
from augment.adopt.settings import AdoptSettings
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.runtime import seeding
from augment.score.uplift.arms import Outcome, Study, Training, perturbed
from augment.score.uplift.learners import Terms
from augment.score.uplift.learners import judge as learner
from augment.score.uplift.protocol import Plan, measure
from augment.vision.lookalikes import Lookalikes
from benchmarks import half, mnist, runs

FEW = {"10 labels": 10, "1 label": 1}
CASES = (*FEW, "copier: digits", "copier: MNIST")
SEEDS = range(5)  # subsets
LABELLERS = ("graph", "self_training")
QUANTILE = 0.005  # of memorisation


def few(case: str, seed: int, asked: argparse.Namespace) -> runs.Row:
    """A row about a few labels and many images without."""
    train, held = mnist.digits()
    data = half.labelled(train, FEW[case], seed)
    settings = AdoptSettings()
    pool = Pool(
        data.pixels, data.classes, upright=True, home=Path(), device=asked.device,
        steps=asked.steps, rounds=1, batch=asked.batch, seed=seed,
    )  # fmt: skip
    nobody = np.zeros(0, np.int64)
    probabilities, verdict = combine.label_pool(pool, data.labels, nobody, LABELLERS)
    sure = (data.labels < 0) & (probabilities.max(1) >= settings.probability)
    guessed = dataclasses.replace(data, labels=probabilities.argmax(1))
    adopted = guessed.take(np.flatnonzero(sure))
    terms = Terms(10, asked.steps, asked.batch, "cnn", "glyph", asked.device)

    def trained(training: Training, number: int, title: str) -> Outcome:
        predict = learner(training, terms, seeding.derive(seed, number), title)
        unlabelled = predict(study.unlabelled) if title == "labeller" else empty
        return Outcome(empty, predict(held.pixels), unlabelled)

    empty = np.zeros((0, 10), np.float32)
    nothing = data.take(nobody)
    study = Study(
        train=data.take(np.flatnonzero(data.labels >= 0)), valid=nothing, test=held,
        synthetic=nothing, adopted=adopted, unlabelled=data.pixels[data.labels < 0],
        trained=trained,
    )  # fmt: skip
    plan = Plan(("pseudo_labels", "adopted"), (), range(asked.classifiers), ("elastic",))
    found = measure(study, plan)
    arms = {name: arm["mean"] for name, arm in found["arms"].items()}
    gain = found["adopted"] or {}
    return {
        **{name: arms.get(name) for name in ("classic", "pseudo_labels", "adopted")},
        **{name: gain.get(name) for name in ("gain", "low", "high", "verdict")},
        "classifiers": asked.classifiers,
        "threshold": settings.probability,
        "taken": len(adopted),
        "taken_right": float((adopted.labels == train.labels[sure]).mean()) if sure.any() else None,
        "method": verdict.method,
    }


def copier(case: str, seed: int) -> runs.Row:
    """A row about copies hidden among honest images."""
    pixels = _images(case)
    order = seeding.rng(seed, "copier").permutation(len(pixels))
    train, held = np.split(pixels[order], [int(0.6 * len(pixels))])
    known = Lookalikes(train)
    limit = np.quantile(known.gaps(train, own=np.arange(len(train))), QUANTILE)
    planted = perturbed(train[: len(train) // 20], seed)
    return {
        "recall": float((known.gaps(planted) <= limit).mean()),
        "false_alarms": float((known.gaps(held) <= limit).mean()),
    }


def _images(case: str) -> Pixels:
    if case == "copier: digits":
        return (load_digits().images * (255 / 16)).astype(np.uint8)[:, None]
    both: tuple[Arrays, Arrays] = mnist.digits()
    return np.concatenate([one.pixels for one in both])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__,
        seeds=[*SEEDS],
        cases=list(CASES),
        steps=1000,
        classifiers=2,
        network="cnn",
        width=32,
    )
    made.add_argument("--cases", type=runs.names, help=f"of {', '.join(CASES)}; default: all")
    made.add_argument("--classifiers", type=int, help="classifier seeds of each subset")
    made.add_argument("--again", action="store_true", help="measure stored rows anew")
    asked = runs.ask(made, argv, seeds=[0], steps=20, classifiers=1)

    def measured(key: runs.Row) -> runs.Row:
        case, seed = key["case"], key["seed"]
        return few(case, seed, asked) if case in FEW else copier(case, seed)

    todo = [{"case": case, "seed": seed} for case in asked.cases for seed in asked.seeds]
    full = {"steps": made.get_default("steps")}
    wanted = [{"case": case, "seed": seed, **full} for case in CASES for seed in SEEDS]
    runs.resume("uplift", asked, todo, measured, wanted, ("case", "seed"))


if __name__ == "__main__":
    main()
