"""InfoGAN in its three uses: with labels, without any, and with a few."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, STYLE, Batch, Losses, Needs, Parts
from augment.models.critic import ClassHead, Critic, InfoCritic
from augment.registry import Amount, Count, PartError
from augment.vision.factors import FACTORS

PAINTED = (
    "train.conditioning.discriminator: infogan reads the class from images, so it must not be "
    "painted on them; use projection"
)
STYLES = 16  # of a class, at most; see benchmarks.frontier
BLIND = 0.995  # code loss (1: a blind guess) from which codes count as ignored; chosen by hand


@MODELS.register(
    "infogan",
    paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657); "
    "Ji et al. 2019, Invariant Information Clustering (arXiv:1807.06653)",
)
class InfoGan(AdversarialModel):
    """A GAN from whose images its network Q can read the class and the continuous codes."""

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
        styles: Count | Literal["auto"] = "auto",
        classifier: Literal["cross_entropy", "d2d"] = "cross_entropy",
        class_weight: Amount = 2.0,
        code_weight: Amount = 0.1,
        real_weight: Amount = 1.0,
    ):
        """Check the options and build the networks. Raises PartError for options that do not fit.

        ``continuous`` is the number of continuous codes, uniform on [-1, 1]. ``factors`` names what
        the first of them shall move (``augment.vision.factors``): Q then also learns how the real
        images of a class rank by each factor, from -1 to 1. ``class_weight``, ``code_weight`` and
        ``real_weight`` weigh the losses of Q.

        ``styles`` tells the images of a class apart by what they look like: so many clusters
        at most, one for each 25 images, which both networks are told beside the class, so that the
        rare ones are not left out. ``sample`` draws each as often as there are images of it.
        ``auto`` is as many as the images of a class allow on average, up to 16. Sources: Liu
        et al. 2020, Self-Conditioned GANs (arXiv:2006.10728); Casanova et al. 2021,
        Instance-Conditioned GAN (arXiv:2109.05070).

        ``classifier`` is how Q learns the class: ``d2d`` by ReACGAN's data-to-data cross-entropy
        (Kang et al. 2021, arXiv:2111.01118), which needs labels for all images. The discriminator
        is then told neither class nor style, whatever ``train.conditioning.discriminator`` says: it
        has to find the class.

        ``labels`` says which images have one: ``all``, some (``half``) or ``none``. With ``all``
        both networks are conditioned on the class, with ``none`` on a categorical code of
        ``categories`` values (default: as many as classes).

        ``pseudo_labels: graph`` gives each image without a label one from a neighbour graph before
        training (``augment.train.guessed_labels``). Both networks are conditioned on these labels.
        The class head is then a network of its own, that of ``train.labeller``; it learns from real
        images alone, varied in ways that change no class.

        ``pseudo_labels: none`` guesses no label. With ``none`` the code finds classes by itself, as
        in the paper. With ``half`` the class head learns from the labelled images, from the model's
        samples and, by ``real_weight``, from the information that its answers to two views of a
        real image share.
        """
        self.matched = labels != "none"
        guessed = labels != "all" and pseudo_labels == "graph"
        self.d2d = classifier == "d2d"
        self.labelled = labels == "all" or guessed  # whether conditions are labels of real images
        self.told = self.labelled and not self.d2d
        self.separate = labels == "half" or guessed
        if self.d2d and labels != "all":
            raise PartError("model 'infogan': option 'classifier': 'd2d' goes with labels: all")
        self.class_weight = class_weight
        self.code_weight = code_weight
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
        if self.d2d and parts.discriminator_condition(parts.classes, parts.shape, packing).planes:
            raise PartError(PAINTED)
        styles = 1 if styles == "auto" else styles
        if styles > 1 and not self.told:
            raise PartError(
                "model 'infogan': option 'styles' goes with labels, or guessed ones, and not with "
                "'d2d': the discriminator is told them"
            )
        self.continuous, self.factors = continuous, factors
        kinds = categories or parts.classes
        groups = kinds if labels == "none" else 0
        self._needs = Needs(labels, guessed, groups, factors, packing, styles)
        self.assemble(
            parts, noise=noise, codes=continuous, conditions=kinds, packing=packing, styles=styles
        )
        self.head = copy.deepcopy(self.discriminator).requires_grad_(False)

    @classmethod
    def decide(cls, options: dict[str, Any], images: float) -> dict[str, Any]:
        """``styles: auto`` by ``images`` a class.

        1 where the discriminator is told no class, and where codes learn factors: told a style, the
        generator leaves them still.
        """
        if options["styles"] != "auto":
            return options
        labelled = options["labels"] == "all" or options["pseudo_labels"] == "graph"
        told = labelled and options["classifier"] != "d2d" and not options["factors"]
        return {**options, "styles": min(STYLES, max(1, int(images / STYLE))) if told else 1}

    @property
    def needs(self) -> Needs:
        """Labels as option ``labels`` says, and ranks by the factors."""
        return self._needs

    def class_head(self) -> InfoCritic:
        """The averaged discriminator with its Q."""
        return self.head

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator with Q."""
        if conditioning is not None and conditioning.planes:
            raise PartError(PAINTED)
        return InfoCritic(
            self.parts.discriminator,
            self.parts.shape,
            conditioning,
            self.packing,
            self.conditions,
            self.continuous,
            self.parts.head(self.parts.shape, self.conditions) if self.separate else None,
            d2d=self.d2d,
        )

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """The head is averaged as well."""
        return [*super().averaged(), (self.head, self.discriminator)]

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {**super().modules(), "head": self.head}

    def draw_conditions(self, batch: Batch) -> Tensor:
        """The labels (N,) of the real images, or uniform codes where the networks see no labels."""
        if self.labelled:
            return batch.labels
        rng = batch.rng
        size = batch.labels.shape
        conditions = torch.randint(self.conditions, size, generator=rng, device=rng.device)
        return conditions.to(batch.labels)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The losses by which Q learns, on generated and on real images."""
        losses = self._code_loss(fake, fakes)
        if self.factors and batch.codes is not None:
            losses["codes"] = self._factor_loss(real, batch.codes)
        if self.separate:
            return losses | self._recogniser_losses(fakes, batch)
        if not self.d2d:
            losses["q_class"] = self._class_loss(fakes.images, fake, fakes.conditions)
        if self.labelled:
            losses["class"] = self._class_loss(batch.real, real, batch.labels)
        return losses

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Q's losses on generated images: a bound on how much they tell of conditions and codes."""
        images = self.parts.vary(fakes.images, batch.rng) if self.separate else fakes.images
        with settled(self.discriminator.recogniser):
            class_loss = self._class_loss(images, fake, fakes.conditions)
        return {"q_class": class_loss, **self._code_loss(fake, fakes)}

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Whether Q reads the class or the codes no better than chance.

        Chance is a cross-entropy of ln K nats for the class and a loss of 1 for the codes; of
        D2D-CE it follows from the batch, and is not looked at.
        """
        chance = math.log(self.conditions)
        class_loss = row["g_q_class"] / self.class_weight if self.class_weight else 0.0
        if class_loss >= chance and not self.d2d:
            return f"class loss {class_loss:.3f} against ln K = {chance:.3f}"
        code_loss = row.get("g_q_codes", 0.0) / (self.code_weight or 1.0)
        if code_loss >= BLIND:
            return f"code loss {code_loss:.3f} against 1 for a blind guess"
        return None

    def _class_loss(self, images: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        category = self.discriminator.category
        if isinstance(category, ClassHead):
            return category.loss(features, labels) * self.class_weight
        logits = self.discriminator.recognise(images, features)
        return functional.cross_entropy(logits, labels) * self.class_weight

    def _code_loss(self, features: Tensor, fakes: Fakes) -> Losses:
        """Three times the mean squared error of the codes: 1 for a guess of zero."""
        if not self.continuous:
            return {}
        error = functional.mse_loss(self.discriminator.read(features), fakes.codes) * 3
        return {"q_codes": error * self.code_weight}

    def _factor_loss(self, features: Tensor, ranks: Tensor) -> Tensor:
        """The same error on real images, against their ranks (N, factors), NaN where unknown."""
        ranked = ranks.isfinite()
        read = self.discriminator.read(features)[:, : len(self.factors)]
        squares = torch.where(ranked, read - ranks, 0.0).square().sum()
        return squares / ranked.sum().clamp(min=1) * 3 * self.code_weight

    def _recogniser_losses(self, fakes: Fakes, batch: Batch) -> Losses:
        """The losses of the class head that is a network of its own.

        It learns from labelled images. Where no labels are guessed, it also learns from the model's
        samples and from two views of each real image; samples would repeat the errors among guessed
        labels. One pass takes all images, so that batch norms see them alike.
        """
        recogniser = self.discriminator.recogniser
        assert recogniser is not None
        images, labels = batch.labelled or (batch.real, batch.labels)
        others = [] if self.labelled else [fakes.images, batch.real, batch.real]
        logits = recogniser(self.parts.vary(torch.cat([images, *others]), batch.rng))[1]
        labelled, *rest = logits.split(len(images))
        losses = {"class": functional.cross_entropy(labelled, labels)}
        if rest:
            fake, *views = rest
            shared = information(*(view.softmax(1) for view in views))
            losses["q_class"] = functional.cross_entropy(fake, fakes.conditions) * self.class_weight
            losses["q_real"] = (math.log(self.conditions) - shared) * self.real_weight
        return losses


@contextmanager
def settled(module: nn.Module | None) -> Iterator[None]:
    """Let the batch norms of ``module`` use their running statistics and leave them unchanged."""
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
