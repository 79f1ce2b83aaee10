"""Randomness: every draw follows from a seed and a few words that name its purpose.

No other file touches a global random state.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed that depends on ``seed`` and ``purpose`` only, the same on every machine."""
    text = "\0".join([str(seed), *(str(word) for word in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def unit(seed: int, *purpose: object) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``purpose`` only."""
    return derive(seed, *purpose) / 2.0**63


def rng(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for a purpose, seeded by ``derive``."""
    return np.random.default_rng(derive(seed, *purpose))


def places(count: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """The batch of ``step``: places (``batch``,) among ``count`` samples, shuffled in each epoch.

    The result depends on the arguments alone, so that a run can be taken up at any step.
    """
    return _samples_at(np.arange(step * batch, (step + 1) * batch), count, seed)


def balanced_places(
    members: Sequence[NDArray[np.int64]], batch: int, step: int, seed: int
) -> NDArray[np.int64]:
    """The batch of ``step``, places (``batch``,), where all classes come equally often.

    ``members`` holds the places of the samples of each class; no class is empty. Classes take
    turns across batches, and so do the samples of a class, shuffled anew in each round. Within a
    batch the order is random. The result depends on the arguments alone.
    """
    turns, whose = np.divmod(np.arange(step * batch, (step + 1) * batch), len(members))
    samples = np.empty(batch, np.int64)
    for number, class_places in enumerate(members):
        here = whose == number
        samples[here] = class_places[
            _samples_at(turns[here], len(class_places), derive(seed, "class", number))
        ]
    return rng(seed, "order", step).permutation(samples)


def _samples_at(positions: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Places at ``positions`` (N,) of an endless row of shuffled epochs of ``count`` samples."""
    epochs, offsets = np.divmod(positions, count)
    samples = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        samples[here] = _shuffled(count, int(epoch), seed)[offsets[here]]
    return samples


@functools.lru_cache(maxsize=4)
def _shuffled(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return rng(seed, "epoch", epoch).permutation(count)


def generator(seed: int, *purpose: object, device: Any = "cpu") -> torch.Generator:
    """A torch generator on ``device`` for a purpose, seeded by ``derive``."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


def everything(seed: int, *purpose: object) -> None:
    """Seed the global states of random, NumPy and torch.

    Training calls this once a step with the step's number. So the randomness of a step never
    depends on earlier steps, and a resumed run repeats an unbroken run bit for bit.
    """
    import torch

    value = derive(seed, *purpose)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)
