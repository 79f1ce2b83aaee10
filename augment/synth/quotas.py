"""Quotas: how many samples each class gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier
from augment.data.arrays import Arrays
from augment.errors import AugmentError
from augment.synth.settings import SynthSettings


class SynthError(AugmentError):
    """A quota that makes no sense, or that the generator did not fill within its budget."""


@dataclass(frozen=True)
class Order:
    """A quota: ``count`` samples of the class ``label``."""

    label: str
    count: int


def quotas(
    settings: SynthSettings, train: Arrays, recall: NDArray[np.float64] | None = None
) -> list[Order]:
    """The quota of each class that gets samples, in class order.

    ``recall`` (K,) is the share of each class's images that is recognised, for ``match: weakest``.
    Raises SynthError for an unknown class or for settings that ask for nothing or for two things.
    """
    real = np.bincount(train.labels, minlength=len(train.classes))
    if settings.match == "weakest":
        counts = _weakest(settings, train, recall, real)
    elif settings.weakest is not None:
        raise SynthError("synth.weakest: goes with match: weakest")
    elif (settings.match is None) == (settings.per_class is None):
        raise SynthError("synth: give either per_class or match, and set the other to null")
    elif settings.match is not None:
        counts = {name: int(real.max() - n) for name, n in zip(train.classes, real, strict=True)}
    elif isinstance(settings.per_class, int):
        counts = dict.fromkeys(train.classes, settings.per_class)
    else:
        counts = dict(settings.per_class or {})
        unknown = counts.keys() - set(train.classes)
        if unknown:
            raise SynthError(
                f"synth.per_class: unknown class {sorted(unknown)[0]!r}; "
                f"known: {', '.join(train.classes)}"
            )
    return [Order(name, counts[name]) for name in train.classes if counts.get(name)]


def recalls(labeller: Classifier, valid: Arrays) -> NDArray[np.float64]:
    """Share (K,) of each class's images that ``labeller`` recognises; NaN where there is none."""
    recognised = labeller.predict(valid.pixels).argmax(1) == valid.labels
    counts = np.bincount(valid.labels, minlength=len(valid.classes))
    hits = np.bincount(valid.labels, recognised, len(valid.classes))
    return np.where(counts, hits / np.maximum(counts, 1), np.nan)


def _weakest(
    settings: SynthSettings,
    train: Arrays,
    recall: NDArray[np.float64] | None,
    real: NDArray[np.int64],
) -> dict[str, int]:
    """Quotas of the classes that are recognised worst; the others get none.

    Among classes of equal recall the one with fewer train images, ``real`` (K,), comes first. A
    class without valid images comes before all: nothing shows that it is recognised.
    """
    if not isinstance(settings.per_class, int) or settings.weakest is None:
        raise SynthError(
            "synth.match: weakest needs per_class, a number of samples, and weakest, a number of "
            f"classes (found {settings.per_class} and {settings.weakest})"
        )
    if recall is None or np.isnan(recall).all():
        raise SynthError("synth.match: weakest needs labelled images in the valid split")
    order = np.lexsort((real, np.nan_to_num(recall, nan=-1.0)))
    weakest = [train.classes[place] for place in order[: settings.weakest]]
    return dict.fromkeys(weakest, settings.per_class)
