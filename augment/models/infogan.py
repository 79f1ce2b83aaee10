"""InfoGAN in its three uses: with labels, without any, and with a few."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models import MODELS
from augment.models.base import Batch, Critic, Fakes, Losses, Model, Parts
from augment.networks import Shape
from augment.registry import Amount, Count, PartError


class InfoCritic(Critic):
    """A critic whose trunk also tells condition and codes of each image: Q."""

    def __init__(
        self,
        network: Callable[[Shape], nn.Module],
        shape: Shape,
        conditioning: nn.Module | None,
        members: int,
        kinds: int,
        codes: int,
    ):
        """Heads for ``kinds`` logits and ``codes`` numbers an image."""
        super().__init__(network, shape, conditioning, members)
        self.count = codes
        self.hidden = nn.Sequential(nn.Linear(self.width, 128), nn.LeakyReLU(0.2))
        self.category = nn.Linear(128, kinds * members)
        self.codes = nn.Linear(128, codes * members)

    def infer(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N / members, width) to logits (N, kinds) and codes (N, codes)."""
        hidden, size = self.hidden(features), len(features) * self.members
        return self.category(hidden).view(size, -1), self.codes(hidden).view(size, self.count)


@MODELS.register(
    "infogan",
    paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657); "
    "Ji et al. 2019, Invariant Information Clustering (arXiv:1807.06653)",
)
class InfoGan(Model):
    """A GAN whose class and continuous codes must be readable from its images."""

    discriminator: InfoCritic

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        continuous: Annotated[int, Field(ge=0)] = 2,
        labels: Literal["all", "half", "none"] = "all",
        categories: Count | None = None,
        packing: Count = 1,
        class_weight: Amount = 0.2,
        code_weight: Amount = 0.1,
        real_weight: Amount | None = None,
    ):
        """``continuous`` codes are uniform on [-1, 1]; weights are those of Q's losses.

        ``labels``: ``all`` conditions both networks on the class; with ``none`` the condition is a
        categorical code of ``categories`` values (default: as many as classes) that finds classes
        by itself; with ``half`` the class head learns from the labelled images and from its own
        samples. In the latter two the head also maximises the information between its answers
        to two views of the same real image, with ``real_weight`` (default 1; 0 with ``all``).
        Raises PartError where the discriminator would be shown the answer.
        """
        self.matched = labels != "none"
        self.told = labels == "all"
        self.labels = labels
        self.class_weight, self.code_weight = class_weight, code_weight
        self.real_weight = (labels != "all") * 1.0 if real_weight is None else real_weight
        if categories is not None and labels != "none":
            raise PartError("model 'infogan': option 'categories' goes with labels: none")
        self.continuous = continuous
        kinds = categories or parts.classes
        self.assemble(parts, noise=noise, codes=continuous, conditions=kinds, packing=packing)
        self.head = copy.deepcopy(self.discriminator).requires_grad_(False)

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator with Q."""
        if conditioning is not None and conditioning.planes:
            raise PartError(
                "train.conditioning.discriminator: infogan reads the class from images, so it "
                "must not be painted on them; use projection"
            )
        return InfoCritic(
            self.parts.discriminator,
            self.parts.shape,
            conditioning,
            self.packing,
            self.conditions,
            self.continuous,
        )

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """The head is averaged as well."""
        return [*super().averaged(), (self.head, self.discriminator)]

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {**super().modules(), "head": self.head}

    def draw_conditions(self, batch: Batch) -> Tensor:
        """With labels those of the real images, otherwise uniform."""
        if self.told:
            return batch.labels
        rng = batch.rng
        size = batch.labels.shape
        drawn = torch.randint(self.conditions, size, generator=rng, device=rng.device)
        return drawn.to(batch.labels)

    def fake_losses(self, features: Tensor, fakes: Fakes, *, generator: bool) -> Losses:
        """The bound on the information that images hold of their conditions and codes."""
        logits, guesses = self.discriminator.infer(features)
        found = functional.cross_entropy(logits, fakes.conditions)
        losses = {"q_class": found * self.class_weight}
        if self.continuous:  # three times the squared error: 1 for a guess of zero
            error = functional.mse_loss(guesses, fakes.codes) * 3
            losses["q_codes"] = error * self.code_weight
        return losses

    def real_losses(self, features: Tensor, batch: Batch) -> Losses:
        """What the head learns from real images: labels that are known, and their two views."""
        losses = {}
        infer = self.discriminator.infer
        if self.labels == "all":
            logits, _ = infer(features)
            losses["class"] = functional.cross_entropy(logits, batch.labels) * self.class_weight
        elif self.labels == "half" and batch.known is not None:
            images, labels = batch.known
            logits, _ = infer(self._features(images, batch))
            losses["class"] = functional.cross_entropy(logits, labels)
        if self.real_weight:
            first, second = infer(features)[0], infer(self._features(batch.real, batch))[0]
            shared = information(first.softmax(1), second.softmax(1))
            losses["q_real"] = (math.log(self.conditions) - shared) * self.real_weight
        return losses

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Q no better than chance: cross-entropy of ln K, squared error of the prior."""
        chance = math.log(self.conditions)
        found = row["g_q_class"] / self.class_weight if self.class_weight else 0.0
        if found >= chance:
            return f"class loss {found:.3f} against ln K = {chance:.3f}"
        found = row.get("g_q_codes", 0.0) / (self.code_weight or 1.0)
        return f"code loss {found:.3f} against 1 for a blind guess" if found >= 0.995 else None

    def _features(self, images: Tensor, batch: Batch) -> Tensor:
        shown = self.show(images, batch)
        return self.discriminator.features(shown, self.packed(batch.labels[: len(images)]))


def information(first: Tensor, second: Tensor) -> Tensor:
    """Mutual information in nats of two views' class probabilities (N, K), (N, K): 0 … ln K.

    Ji et al. 2019, equation 3: from the joint distribution over the batch, made symmetric.
    """
    joint = first.T @ second / len(first)
    joint = ((joint + joint.T) / 2).clamp(min=1e-9)
    rows, columns = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    return (joint * (joint.log() - rows.log() - columns.log())).sum()
