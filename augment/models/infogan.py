"""InfoGAN in its three uses: with labels, without any, and with a few."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.critic import Critic, InfoCritic
from augment.registry import Amount, Count, PartError
from augment.vision.factors import FACTORS


@MODELS.register(
    "infogan",
    paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657); "
    "Ji et al. 2019, Invariant Information Clustering (arXiv:1807.06653)",
)
class InfoGan(AdversarialModel):
    """A GAN whose class and continuous codes must be readable from its images."""

    discriminator: InfoCritic

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        continuous: Annotated[int, Field(ge=0)] = 2,
        factors: tuple[str, ...] = (),
        labels: Literal["all", "half", "none"] = "all",
        pseudo_labels: Literal["graph", "none"] = "graph",
        categories: Count | None = None,
        packing: Count = 1,
        class_weight: Amount = 0.2,
        code_weight: Amount = 0.1,
        real_weight: Amount = 1.0,
    ):
        """``continuous`` codes are uniform on [-1, 1]; weights are those of Q's losses.

        ``factors`` names what the first codes are to move (``augment.vision.factors``): Q is then
        also taught how the real images of a class rank by it, from -1 to 1.

        ``labels``: ``all`` conditions both networks on the class. With ``half`` some are known,
        with ``none`` the condition is a categorical code of ``categories`` values (default: as many
        as classes). Images without a label then get one from a neighbour graph before training
        (``pseudo_labels``, see ``augment.train.guessed_labels``) that both networks are conditioned
        on, and the class head is a network of its own (that of ``train.labeller``) that learns from
        real images alone, varied as no class is changed by.

        Without ``pseudo_labels`` a code of ``none`` finds classes by itself, as in the paper, and
        the head of ``half`` learns from the labels that are known, from its own samples and, with
        ``real_weight``, from the information that its answers to two views of a real image share.
        Raises PartError where the discriminator would be shown the answer.
        """
        self.matched = labels != "none"
        guessed = labels != "all" and pseudo_labels == "graph"
        self.told = labels == "all" or guessed
        self.separate = labels == "half" or guessed
        self.class_weight, self.code_weight = class_weight, code_weight
        self.real_weight = real_weight
        if categories is not None and labels != "none":
            raise PartError("model 'infogan': option 'categories' goes with labels: none")
        unknown = sorted(set(factors) - set(FACTORS.names()))
        if unknown or len(factors) > continuous:
            raise PartError(
                f"model 'infogan': option 'factors': {unknown[0]!r} is none of "
                f"{', '.join(FACTORS.names())}"
                if unknown
                else f"model 'infogan': {len(factors)} factors for {continuous} continuous codes"
            )
        self.continuous, self.factors = continuous, factors
        kinds = categories or parts.classes
        self._needs = Needs(labels, guessed, kinds if labels == "none" else 0, factors, packing)
        self.assemble(parts, noise=noise, codes=continuous, conditions=kinds, packing=packing)
        self.head = copy.deepcopy(self.discriminator).requires_grad_(False)

    @property
    def needs(self) -> Needs:
        """Labels as far as the option says, and ranks by the factors."""
        return self._needs

    def class_head(self) -> InfoCritic:
        """The averaged discriminator with Q."""
        return self.head

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
            self.parts.head(self.parts.shape, self.conditions) if self.separate else None,
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

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """What Q learns from its own samples, and from real images."""
        losses = self._code_loss(fake, fakes)
        if self.factors and batch.codes is not None:
            losses["codes"] = self._factor_loss(real, batch.codes)
        if self.separate:
            return losses | self._recogniser_losses(fakes, batch)
        losses["q_class"] = self._class_loss(fakes.images, fake, fakes.conditions)
        if self.told:
            losses["class"] = self._class_loss(batch.real, real, batch.labels)
        return losses

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The bound on the information that images hold of their conditions and codes."""
        images = self.parts.vary(fakes.images, batch.rng) if self.separate else fakes.images
        with settled(self.discriminator.recogniser):
            found = self._class_loss(images, fake, fakes.conditions)
        return {"q_class": found, **self._code_loss(fake, fakes)}

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Q no better than chance: cross-entropy of ln K, squared error of the prior."""
        chance = math.log(self.conditions)
        found = row["g_q_class"] / self.class_weight if self.class_weight else 0.0
        if found >= chance:
            return f"class loss {found:.3f} against ln K = {chance:.3f}"
        found = row.get("g_q_codes", 0.0) / (self.code_weight or 1.0)
        return f"code loss {found:.3f} against 1 for a blind guess" if found >= 0.995 else None

    def _class_loss(self, images: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        logits = self.discriminator.recognise(images, features)
        return functional.cross_entropy(logits, labels) * self.class_weight

    def _code_loss(self, features: Tensor, fakes: Fakes) -> Losses:
        """Three times the squared error: 1 for a guess of zero."""
        if not self.continuous:
            return {}
        error = functional.mse_loss(self.discriminator.read(features), fakes.codes) * 3
        return {"q_codes": error * self.code_weight}

    def _factor_loss(self, features: Tensor, ranks: Tensor) -> Tensor:
        """Like the codes' own, of real images whose ranks (N, factors) are known."""
        known = ranks.isfinite()
        found = self.discriminator.read(features)[:, : len(self.factors)]
        squares = torch.where(known, found - ranks, 0.0).square().sum()
        return squares / known.sum().clamp(min=1) * 3 * self.code_weight

    def _recogniser_losses(self, fakes: Fakes, batch: Batch) -> Losses:
        """From images with their labels; where none are guessed also from samples and two views.

        Samples repeat the errors among guessed labels, so they do not teach beside those. All in
        one pass, so that its batch norms see all alike.
        """
        recogniser = self.discriminator.recogniser
        assert recogniser is not None
        known, labels = batch.known or (batch.real, batch.labels)
        others = [] if self.told else [fakes.images, batch.real, batch.real]
        logits = recogniser(self.parts.vary(torch.cat([known, *others]), batch.rng))[1]
        labelled, *rest = logits.split(len(known))
        losses = {"class": functional.cross_entropy(labelled, labels)}
        if rest:
            fake, *views = rest
            shared = information(*(view.softmax(1) for view in views))
            losses["q_class"] = functional.cross_entropy(fake, fakes.conditions) * self.class_weight
            losses["q_real"] = (math.log(self.conditions) - shared) * self.real_weight
        return losses


@contextmanager
def settled(module: nn.Module | None) -> Iterator[None]:
    """``module`` with its batch norms at their running means, which stay as they are."""
    if module is None:
        yield
        return
    module.eval()
    try:
        yield
    finally:
        module.train()


def information(first: Tensor, second: Tensor) -> Tensor:
    """Mutual information in nats of two views' class probabilities (N, K), (N, K): 0 … ln K.

    Ji et al. 2019, equation 3: from the joint distribution over the batch, made symmetric.
    """
    joint = first.T @ second / len(first)
    joint = ((joint + joint.T) / 2).clamp(min=1e-9)
    rows, columns = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    return (joint * (joint.log() - rows.log() - columns.log())).sum()
