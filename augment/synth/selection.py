"""Selection: more candidates are accepted than are wanted, and the selectors keep the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier, Floats
from augment.classifiers.judge import JudgeRecipe, fit_judge
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.errors import AugmentError
from augment.runtime import seeding
from augment.synth.filter import Filter
from augment.synth.selectors import SELECTORS, Pool, Scores, choose
from augment.synth.settings import SynthSettings
from augment.vision.neighbours import nearest


class SelectionError(AugmentError):
    """A class whose candidates cannot be compared with real images."""


class Evidence(NamedTuple):
    """What is known of accepted candidates: features (N, F), probabilities (N, K) of both."""

    features: Floats
    probabilities: Floats
    second: Floats


@dataclass(frozen=True)
class Selection:
    """The best of ``surplus`` accepted candidates for each wanted one, class by class."""

    selectors: Sequence[Callable[[Pool], Scores]]
    surplus: float
    chosen: Filter
    held: Floats
    held_labels: NDArray[np.int64]
    second: Classifier | None

    @classmethod
    def fit(cls, settings: SynthSettings, chosen: Filter, valid: Arrays, cache: Path) -> Selection:
        """What ``settings.select`` asks for.

        ``valid`` are the held-out images that say how far honest ones lie from the train images. A
        second classifier, where a selector needs one, sees what the labeller sees and is kept in
        ``cache``. Raises PartError for an unknown part.
        """
        names = [SELECTORS.resolve(spec)["name"] for spec in settings.select]
        second = None
        if any(SELECTORS.describe(name).facts.get("second") for name in names):
            asked, device = settings.second, chosen.labeller.device
            recipe = JudgeRecipe(asked.network, asked.steps, asked.batch, device)
            second = fit_judge(cache, recipe, chosen.train, seeding.derive(settings.seed, "second"))
        return cls(
            [SELECTORS.build(spec) for spec in settings.select],
            settings.surplus,
            chosen,
            chosen.labeller.features(valid.pixels),
            valid.labels,
            second,
        )

    def look(self, pixels: Pixels, seen: Floats, probabilities: Floats) -> Evidence:
        """The evidence of accepted candidates, of which the labeller has told its part."""
        second = self.second.predict(pixels) if self.second else probabilities[:, :0]
        return Evidence(seen, probabilities, second)

    def best(self, label: str, count: int, found: Sequence[Evidence]) -> NDArray[np.int64]:
        """Places, in ascending order, of the ``count`` of all candidates ``found`` to keep.

        Raises SelectionError where the class has no real train image.
        """
        train = self.chosen.train
        wanted = train.classes.index(label)
        real = self.chosen.reference[train.labels == wanted]
        if not len(real):
            raise SelectionError(f"class {label!r}: no train image to select candidates by")
        held = self.held[self.held_labels == wanted]
        apart = nearest(held, real) if len(held) else nearest(real, real, same=True)
        distances = apart[1][:, 0]
        seen, probabilities, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        known = distances[np.isfinite(distances)]
        pool = Pool(wanted, seen, probabilities, second, real, known)
        return choose(self.selectors, pool, count)
