"""The contract of a model: what is trained, how a step of it goes, and what is sampled from it.

The training loop knows phases, batches and samples, and nothing of any one model. A GAN has two
phases, an autoencoder or a flow one. To add a model: one file that registers a class here, and one
row in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from augment.models.critic import InfoCritic
from augment.models.latents import LatentGenerator, latents
from augment.models.losses import Loss
from augment.models.networks import Shape
from augment.models.penalties import Penalty
from augment.registry import Registry
from augment.vision.augmentations import Augmentation

MODELS = Registry("model")
Losses = dict[str, Tensor]
Source = Literal["class", "others", "domain", "pair"]

STYLE = 25  # images of a style, at least: fewer are learned by heart; see benchmarks.frontier
STATISTICS = ("running_mean", "running_var")  # buffers that a batch norm keeps


@dataclass(frozen=True)
class Parts:
    """The parts that the settings name, from which a model takes what it uses.

    ``head`` builds a classifier of so many classes, giving features and logits; ``vary`` changes an
    image as no class is changed by. ``instance_noise`` is the standard deviation, in units of
    [-1, 1], of the noise on all that the discriminator sees at the start; it falls linearly to 0 at
    the share ``noise_until`` of the run. ``discriminator_steps`` is how many steps the
    discriminator takes for each one of the generator.
    """

    shape: Shape
    classes: int
    generator: Callable[[int, Shape, int], nn.Module]
    discriminator: Callable[[Shape], nn.Module]
    generator_condition: Callable[[int], nn.Module]
    discriminator_condition: Callable[[int, Shape, int], nn.Module]
    loss: Loss
    penalties: Sequence[Penalty]
    augment: Augmentation
    head: Callable[[Shape, int], nn.Module]
    vary: Augmentation
    instance_noise: float = 0.0
    noise_until: float = 1.0
    discriminator_steps: int = 1


@dataclass(frozen=True)
class Batch:
    """A batch of a step: real images (N, C, H, W) in [-1, 1] and class indices (N,).

    A label is -1 where it is unknown. Where some are, ``labelled`` holds N more images, all of them
    labelled, and their labels. ``done`` is the share of the run that is over; all randomness of
    the step comes from ``rng``. ``codes`` (N, F) in [-1, 1] are the values that Q shall read from
    the images as their first continuous codes, NaN where unknown. ``styles`` (N,) are the styles of
    the images within their classes. ``source`` (N, C, H, W) holds the images that the generator
    starts from, of classes ``source_labels`` (N,).
    """

    real: Tensor
    labels: Tensor
    step: int
    rng: torch.Generator
    done: float = 0.0
    labelled: tuple[Tensor, Tensor] | None = None
    codes: Tensor | None = None
    styles: Tensor | None = None
    source: Tensor | None = None
    source_labels: Tensor | None = None


@dataclass(frozen=True)
class Needs:
    """What the batches of a model must hold.

    ``labels``: of all images, of some (``half``: then images without a label come too), or of none.
    ``guessed``: images without a label get one from a neighbour graph before training; where no
    label is known at all, those are ``groups`` clusters. ``factors`` are those by which the images
    of a label are ranked (``Batch.codes``). The images of a batch come in packs of ``pack``. The
    images of a label are told apart in ``styles`` kinds at most, STYLE images each.

    ``helpers``: images of classes that the set has not may join, labelled from ``Parts.classes`` on
    (``ingest.helpers``); only for networks that are told no class.

    ``source`` is what a generator starts from that does not start from noise: with each image comes
    another one of its ``class``, or one of the ``others``, or of a further ``domain``, whatever its
    class, or its ``pair``, one of its class there (``Batch.source``). A sample of a class starts
    from an image of that class, with ``others`` from one of another class. ``key`` says what the
    path of an image and that of its ``pair`` have in common (``models.sources.key_of``).
    """

    labels: Literal["all", "half", "none"] = "all"
    guessed: bool = False
    groups: int = 0
    factors: tuple[str, ...] = ()
    pack: int = 1
    styles: int = 1
    source: Source | None = None
    helpers: bool = False
    key: str | None = None


def never(step: int) -> bool:
    """No step at all: what ``Phase.second_order`` is by default."""
    return False


def nothing() -> None:
    """What follows an optimiser step by default."""


@dataclass(frozen=True)
class Phase:
    """One optimiser and what it minimises: the sum of the named ``losses`` of a batch.

    ``prefix`` begins the names of its losses in the log (``d_adversarial``). It takes ``repeats``
    optimiser steps in each step of the run, each on a batch of its own; a phase with fewer repeats
    than another sees the last batches of that one. ``second_order`` says whether a step
    differentiates a gradient, which needs full precision and cannot be compiled. ``after`` runs
    after each optimiser step.
    """

    name: str
    prefix: str
    modules: Sequence[nn.Module]
    losses: Callable[[Batch], Losses]
    repeats: int = 1
    second_order: Callable[[int], bool] = never
    after: Callable[[], None] = nothing

    def parameters(self) -> list[nn.Parameter]:
        """All that its optimiser changes."""
        return [parameter for module in self.modules for parameter in module.parameters()]


class Model:
    """Base of every model.

    ``conditions`` is how many conditions the generator takes (0: none); ``matched`` says that they
    are the classes. ``facts`` are numbers of the last step for the log: no loss, but measured with
    them. ``phase_names`` are those of ``phases()``, known before a model is built, so that settings
    can be checked by them. ``generators`` and ``discriminators`` are what its networks have to be;
    ``discriminates`` says that it uses the discriminator's network,
    ``patches`` that this may judge patches, and ``follows_length`` that a step depends on how long
    the run will be.
    """

    phase_names: ClassVar[tuple[str, ...]]
    generators: ClassVar[type[nn.Module]] = nn.Module
    discriminators: ClassVar[type[nn.Module]] = nn.Module
    discriminates: ClassVar[bool] = True
    patches: ClassVar[bool] = False
    follows_length: ClassVar[bool] = False

    generator: LatentGenerator
    average: LatentGenerator
    back_average: LatentGenerator | None = None  # from the set to where sources come from
    conditions: int
    matched: bool
    facts: Losses

    @classmethod
    def decide(cls, options: dict[str, Any], images: float) -> dict[str, Any]:
        """Options with those decided that are left to the number of ``images`` a class."""
        return options

    @property
    def needs(self) -> Needs:
        """What batches must hold: by default a label for every image."""
        return Needs()

    @property
    def penalties(self) -> Sequence[Penalty]:
        """Penalties whose weights a remedy may change; they count among the losses of a phase."""
        return ()

    def phases(self) -> Sequence[Phase]:
        """The phases of a step, in their order."""
        raise NotImplementedError

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        raise NotImplementedError

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a module's running average and the module."""
        return [(self.average, self.generator)]

    def class_head(self) -> InfoCritic | None:
        """The averaged network that reads a condition from an image, where the model has one."""
        return None

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Why the mean losses of a measurement say that a code is ignored, or None."""
        return None

    def bits(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor | None:
        """Bits a dimension (N,) of images in [-1, 1] given their class; None without a density.

        It is what 256 grey values of a pixel cost, less being better: for a model of continuous
        values the images get uniform noise of one grey value from ``rng`` (Theis et al. 2016, A
        note on the evaluation of generative models). A bound counts as what it bounds.
        """
        return None

    @torch.no_grad()
    def on_step(self, step: int, decay: float) -> None:
        """Move the averages; they warm up so that they forget the start.

        A batch norm's statistics are averaged like the weights: the newest statistics belong to
        other weights, and with them an average is worse than the network that it averages.
        """
        share = 1 - min(decay, (1 + step) / (10 + step))
        for average, module in self.averaged():
            means: list[Tensor] = [*average.parameters()]
            currents: list[Tensor] = [*module.parameters()]
            for (name, mean), now in zip(average.named_buffers(), module.buffers(), strict=True):
                if name.endswith(STATISTICS):
                    means.append(mean)
                    currents.append(now)
                else:
                    mean.copy_(now)
            torch._foreach_lerp_(means, currents, share)

    @torch.no_grad()
    def sample(
        self,
        conditions: Tensor,
        *,
        generator: torch.Generator,
        codes: Tensor | None = None,
        truncation: float | None = None,
        source: Tensor | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of the averaged generator; ``codes`` (N, codes).

        ``source`` (N, C, H, W) are what they start from, in a model that needs it: real images of
        their classes.
        """
        noise, uniform = latents(self.average, len(conditions), generator, truncation=truncation)
        codes = uniform if codes is None else codes
        self.average.eval()
        place = conditions.device
        images: Tensor = self.average(noise.to(place), conditions, codes.to(place), source)
        return images
