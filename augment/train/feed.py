"""Batches of real images, each a function of the seed and its number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augment.data import images
from augment.data.arrays import Arrays, DatasetError
from augment.models.base import Batch, Source
from augment.models.sources import FOREIGN
from augment.runtime import seeding
from augment.train.settings import Balance
from augment.train.step import Engine

ON_DEVICE = 8 << 30  # bytes of pixels that may lie on a GPU, at most; chosen by hand
LEAST = {  # what a class needs for a partner
    "class": "two images to make a pair of",
    "others": "another class beside it",
    "pair": "an image of a further domain",
}


class Feed:
    """Batches of real images from memory; on the GPU where they fit."""

    def __init__(
        self,
        data: Arrays,
        batch: int,
        batches: int,
        seed: int,
        device: torch.device,
        balance: Balance = "none",
        *,
        rule: Source | None = None,
        sources: Arrays | None = None,
    ):
        """Serve ``data``, whose labels are -1 where unknown, in ``batches`` batches.

        With ``balance: classes`` each class has an equal share of the labelled images of a batch;
        images without a label come as they are. By the ``rule`` of ``Needs.source`` every image
        comes with one of ``sources`` (default: ``data``) that a generator starts from. A class of a
        single image does not come by the rule ``class``, nor one without an image there by the rule
        ``pair``. Raises DatasetError where none is left.
        """
        place = place_of(data, device)
        self.pixels = torch.from_numpy(data.pixels).to(place)
        self.labels = torch.from_numpy(data.labels).to(place)
        self.codes = None if data.codes is None else torch.from_numpy(data.codes).to(place)
        self.styles = None if data.styles is None else torch.from_numpy(data.styles).to(place)
        self.labelled = np.flatnonzero(data.labels >= 0)  # places
        self.partners = Partners(rule, data, sources or data, seed, device) if rule else None
        self.paired = rule in LEAST  # then only images with a label come
        if self.partners and rule in LEAST:
            self.labelled = self.labelled[self.partners.able[data.labels[self.labelled]]]
            if not len(self.labelled):
                raise DatasetError(f"train: no class has {LEAST[rule]}")
        self.members: list[NDArray[np.int64]] = []  # of each class, where all come equally often
        if balance == "classes":
            kinds = np.unique(data.labels[self.labelled])
            self.members = [np.flatnonzero(data.labels == kind) for kind in kinds]
        self.batch, self.batches, self.seed, self.device = batch, batches, seed, device

    def at(self, number: int) -> Batch:
        """A batch that follows from the seed and its number alone."""
        labelled = None
        if self.paired or len(self.labelled) == len(self.labels):
            places = self._labelled_places(number, self.seed)
        else:
            places = seeding.places(len(self.labels), self.batch, number, self.seed)
            if len(self.labelled):
                seed = seeding.derive(self.seed, "known")
                labelled = self._samples_at(self._labelled_places(number, seed))
        real, labels = self._samples_at(places)
        rng = seeding.generator(self.seed, "step", number, device=self.device)
        codes = None if self.codes is None else self.codes[places].to(self.device)
        styles = None if self.styles is None else self.styles[places].to(self.device)
        source = self.partners.of(places, number) if self.partners else (None, None)
        done = number / self.batches
        return Batch(real, labels, number, rng, done, labelled, codes, styles, *source)

    def _labelled_places(self, number: int, seed: int) -> NDArray[np.int64]:
        """Places of the labelled images that batch ``number`` holds."""
        if self.members:
            return seeding.balanced_places(self.members, self.batch, number, seed)
        return self.labelled[seeding.places(len(self.labelled), self.batch, number, seed)]

    def _samples_at(self, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) in [-1, 1] and labels (N,) at ``places`` (N,), on the device."""
        return samples_at(self.pixels, self.labels, places, self.device)


def feed_of(engine: Engine, data: Arrays, sources: Arrays | None = None) -> Feed:
    """The batches of a whole run of ``engine``; ``sources`` count where the model's are foreign."""
    settings, rule = engine.settings, engine.model.needs.source
    return Feed(
        data, settings.batch, settings.length * engine.batches, settings.seed, engine.device,
        settings.balance, rule=rule, sources=sources if rule in FOREIGN else None,
    )  # fmt: skip


class Partners:
    """The images that a generator starts from: one for each image of a batch.

    ``able`` tells for each class whether there is one.
    """

    def __init__(
        self, rule: Source, data: Arrays, sources: Arrays, seed: int, device: torch.device
    ):
        """Partners of the images of ``data`` among ``sources``."""
        self.rule, self.seed, self.device = rule, seed, device
        self.labels = data.labels
        self.keys = data.keys
        place = place_of(sources, device)
        self.pixels = torch.from_numpy(sources.pixels).to(place)
        self.kinds = torch.from_numpy(sources.labels).to(place)
        classes = range(len(data.classes))
        if rule == "others":
            self.groups = [
                np.flatnonzero((sources.labels != kind) & (sources.labels >= 0)) for kind in classes
            ]
        else:
            self.groups = [np.flatnonzero(sources.labels == kind) for kind in classes]
        self.able = np.array([len(group) > (rule == "class") for group in self.groups])
        self.keyed: dict[tuple[int, str], list[int]] = {}  # the sources of a class and key
        for row, key in enumerate(sources.keys or ()):
            if key is not None:
                self.keyed.setdefault((int(sources.labels[row]), key), []).append(row)

    def of(self, places: NDArray[np.int64], number: int) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) in [-1, 1] and labels (N,) for the images at ``places`` (N,)."""
        if self.rule == "domain":
            seed = seeding.derive(self.seed, "source")
            partners = seeding.places(len(self.kinds), len(places), number, seed)
        else:
            partners = self._in_groups(places, number)
        return samples_at(self.pixels, self.kinds, partners, self.device)

    def _in_groups(self, places: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        """At random of those of the image's class and key, or else of its class; never itself."""
        shares = seeding.rng(self.seed, "source", number).random(len(places))
        apart = self.rule == "class"
        partners = np.empty_like(places)
        for row, (place, label) in enumerate(zip(places, self.labels[places], strict=True)):
            group: Sequence[int] | NDArray[np.int64] = self.groups[label]
            if self.keys is not None and (key := self.keys[place]) is not None:
                group = self.keyed.get((int(label), key), group)
            step = apart + int(shares[row] * (len(group) - apart))  # apart: never a whole round
            start = np.searchsorted(group, place) if apart else 0
            partners[row] = group[(start + step) % len(group)]
        return partners


def place_of(data: Arrays, device: torch.device) -> torch.device:
    """Where the pixels of ``data`` lie: on ``device`` where they fit."""
    return device if data.pixels.nbytes <= ON_DEVICE else torch.device("cpu")


def samples_at(
    pixels: Tensor, labels: Tensor, places: NDArray[np.int64], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) in [-1, 1] and labels (N,) at ``places`` (N,), on ``device``."""
    rows = torch.from_numpy(places).to(pixels.device)
    real = images.to_signed(pixels[rows].to(device).float())
    return real.contiguous(memory_format=torch.channels_last), labels[rows].to(device)
