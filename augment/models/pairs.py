"""The base of the models whose discriminator sees an image beside the one that it came from."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import torch
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import Batch, Losses
from augment.models.critic import Critic
from augment.registry import PartError

STEM = "stem"  # the key that is a file's name without its suffix


class PairGame(AdversarialModel):
    """The discriminator sees pairs: a source, and the real or the made image that goes with it.

    ``variety`` weighs a reward for two noises that give two images from one source. It ends where
    these differ by ``cap`` times as much as a source and the real image that goes with it.
    """

    matched = True  # a sample is of the class of its source
    variety: float
    cap: float

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator of packs of two, which is told no class."""
        return Critic(self.parts.discriminator, self.parts.shape, None, 2)

    def show(self, images: Tensor, batch: Batch) -> Tensor:
        """``images`` (N, C, H, W) behind their sources: pairs (N, 2·C, H, W), changed together."""
        assert batch.source is not None
        pairs = torch.cat([batch.source, images], 1)
        return super().show(pairs.contiguous(memory_format=torch.channels_last), batch)

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """What two noises from one source lack in difference."""
        assert batch.source is not None
        if not self.variety:
            return {}
        usual = difference(batch.source, batch.real).mean().detach()
        again = self.generate(batch).images
        return {"variety": narrowness(fakes.images, again, usual, self.cap) * self.variety}


def pattern_of(key: str) -> re.Pattern[str] | None:
    """The regular expression that a key of pairs is; None for ``stem``. Raises PartError."""
    if key == STEM:
        return None
    try:
        return re.compile(key)
    except re.error as error:
        raise PartError(f"train.model.key: {key!r} is no regular expression: {error}") from None


def key_of(path: str, key: str) -> str | None:
    """What ``path`` shares with its partner's: its stem, or what ``key`` finds; None for nothing.

    ``stem`` is the file's name without its last suffix; any other ``key`` is a regular expression
    that is searched in the path, whose first group counts, or else the whole of it.
    """
    pattern = pattern_of(key)
    if pattern is None:
        return PurePosixPath(path).stem or None
    match = pattern.search(path)
    return match and (match[1] if pattern.groups else match[0])


def difference(images: Tensor, others: Tensor) -> Tensor:
    """The mean absolute difference (N,) of images (N, C, H, W)."""
    return (images - others).float().abs().flatten(1).mean(1)


def narrowness(images: Tensor, others: Tensor, usual: Tensor, cap: float) -> Tensor:
    """How far two images from one source stay below ``cap`` × ``usual``, 0 … ``cap``: a mean.

    Mao et al. 2019 divide by the difference of the noises, which hardly varies, and set no cap:
    then images leave their class for the reward.
    """
    return (cap - difference(images, others) / usual.clamp(min=1e-6)).clamp(min=0).mean()
