"""Quotas: how many samples of each class are wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from augment.dataset import Arrays
from augment.errors import AugmentError
from augment.params import SynthSettings


class SynthError(AugmentError):
    """A quota that makes no sense, or that the generator did not fill within its budget."""


@dataclass(frozen=True)
class Order:
    """So many samples of a class."""

    label: str
    count: int


def quotas(settings: SynthSettings, train: Arrays) -> list[Order]:
    """What is wanted of each class, in class order.

    Raises SynthError for an unknown class or for settings that ask for nothing or for two things.
    """
    if (settings.match is None) == (settings.per_class is None):
        raise SynthError("synth: give either per_class or match, and set the other to null")
    real = np.bincount(train.labels, minlength=len(train.classes))
    if settings.match is not None:
        wanted = {name: int(real.max() - n) for name, n in zip(train.classes, real, strict=True)}
    elif isinstance(settings.per_class, int):
        wanted = dict.fromkeys(train.classes, settings.per_class)
    else:
        wanted = dict(settings.per_class or {})
        unknown = wanted.keys() - set(train.classes)
        if unknown:
            raise SynthError(
                f"synth.per_class: unknown class {sorted(unknown)[0]!r}; "
                f"known: {', '.join(train.classes)}"
            )
    return [Order(name, wanted[name]) for name in train.classes if wanted.get(name)]
