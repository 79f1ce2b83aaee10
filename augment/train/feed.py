"""Batches of real images, each a function of the seed and its number."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augment.data import images
from augment.data.arrays import Arrays, DatasetError
from augment.models.base import Batch
from augment.runtime import seeding
from augment.train.settings import Balance

ON_DEVICE = 8 << 30  # bytes of pixels that may lie on a GPU, at most; chosen by hand


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
        source: bool = False,
    ):
        """Serve ``data``, whose labels are -1 where unknown, in ``batches`` batches.

        With ``balance: classes`` each class has an equal share of the labelled images of a batch;
        images without a label come as they are. With ``source`` every image comes with another one
        of its class, and classes of a single image do not come. Raises DatasetError where no class
        has two images.
        """
        place = device if data.pixels.nbytes <= ON_DEVICE else torch.device("cpu")
        self.pixels = torch.from_numpy(data.pixels).to(place)
        self.labels = torch.from_numpy(data.labels).to(place)
        self.codes = None if data.codes is None else torch.from_numpy(data.codes).to(place)
        self.styles = None if data.styles is None else torch.from_numpy(data.styles).to(place)
        self.labelled = np.flatnonzero(data.labels >= 0)  # places
        self.source = source
        if source:
            several = np.bincount(data.labels[self.labelled]) > 1
            self.labelled = self.labelled[several[data.labels[self.labelled]]]
            if not len(self.labelled):
                raise DatasetError("train: pairs need a class with two images; every class has one")
            self.kinds = data.labels
            self.groups = [np.flatnonzero(data.labels == kind) for kind in range(len(several))]
        self.members: list[NDArray[np.int64]] = []  # of each class, where all come equally often
        if balance == "classes":
            kinds = np.unique(data.labels[self.labelled])
            self.members = [np.flatnonzero(data.labels == kind) for kind in kinds]
        self.batch, self.batches, self.seed, self.device = batch, batches, seed, device

    def at(self, number: int) -> Batch:
        """A batch that follows from the seed and its number alone."""
        labelled = None
        if self.source or len(self.labelled) == len(self.labels):
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
        source = self._samples_at(self._partners(places, number))[0] if self.source else None
        done = number / self.batches
        return Batch(real, labels, number, rng, done, labelled, codes, styles, source)

    def _labelled_places(self, number: int, seed: int) -> NDArray[np.int64]:
        """Places of the labelled images that batch ``number`` holds."""
        if self.members:
            return seeding.balanced_places(self.members, self.batch, number, seed)
        return self.labelled[seeding.places(len(self.labelled), self.batch, number, seed)]

    def _partners(self, places: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        """For each image in ``places`` (N,) the place of another one of its class."""
        shares = seeding.rng(self.seed, "source", number).random(len(places))
        partners = np.empty_like(places)
        for row, (place, label) in enumerate(zip(places, self.kinds[places], strict=True)):
            group = self.groups[label]
            step = 1 + int(shares[row] * (len(group) - 1))  # never 0 and never a whole round
            partners[row] = group[(np.searchsorted(group, place) + step) % len(group)]
        return partners

    def _samples_at(self, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) in [-1, 1] and labels (N,) at ``places`` (N,), on the device."""
        rows = torch.from_numpy(places).to(self.pixels.device)
        real = images.to_signed(self.pixels[rows].to(self.device).float())
        real = real.contiguous(memory_format=torch.channels_last)
        return real, self.labels[rows].to(self.device)
