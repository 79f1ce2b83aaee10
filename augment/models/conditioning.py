"""How a class reaches the two networks: parts beside the networks, one registry for each side.

A generator part turns labels (N,) into numbers that join z and into the condition of the
generator's norms. A discriminator part adds planes to the images, or a term to the logit. It sees
packs: ``members`` images of C channels in a row, with as many labels (PacGAN, Lin et al. 2018,
arXiv:1712.04086).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import Shape
from augment.registry import Count, Registry

GENERATOR_CONDITIONS = Registry("generator conditioning")
DISCRIMINATOR_CONDITIONS = Registry("discriminator conditioning")


class GeneratorCondition(nn.Module):
    """Base of the generator's parts: labels (N,) to what joins z and to the norms' condition.

    ``inputs`` numbers join z; the condition is a vector of ``condition`` numbers, 0 for none.
    """

    inputs = 0
    condition = 0


@GENERATOR_CONDITIONS.register("concat", paper="Mirza & Osindero 2014 (arXiv:1411.1784)")
class OneHot(GeneratorCondition):
    """The class as a one-hot vector beside z."""

    def __init__(self, classes: int):
        """``classes`` numbers join z."""
        super().__init__()
        self.inputs = classes

    def forward(self, labels: Tensor) -> tuple[Tensor, None]:
        """Labels (N,) to rows (N, classes) with a single one."""
        return functional.one_hot(labels, self.inputs).float(), None


@GENERATOR_CONDITIONS.register("embed", paper="Reed et al. 2016 (arXiv:1605.05396)")
class Embedding(GeneratorCondition):
    """A learned vector of the class beside z."""

    def __init__(self, classes: int, *, width: Count = 32):
        """``width`` numbers join z."""
        super().__init__()
        self.inputs = width
        self.embed = nn.Embedding(classes, width)

    def forward(self, labels: Tensor) -> tuple[Tensor, None]:
        """Labels (N,) to vectors (N, width)."""
        return self.embed(labels), None


@GENERATOR_CONDITIONS.register(
    "conditional_norm",
    paper="Dumoulin et al. 2017 (arXiv:1610.07629); de Vries et al. 2017 (arXiv:1707.00683); "
    "Brock et al. 2019, BigGAN (arXiv:1809.11096)",
)
class NormCondition(GeneratorCondition):
    """A learned vector of the class sets scale and shift of every norm; z stays as it is."""

    def __init__(self, classes: int, *, width: Count = 32):
        """``width`` numbers, shared by all norms."""
        super().__init__()
        self.condition = width
        self.embed = nn.Embedding(classes, width)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N,) to nothing (N, 0) and vectors (N, width)."""
        vectors = self.embed(labels)
        return vectors[:, :0], vectors


class DiscriminatorCondition(nn.Module):
    """Base of the discriminator's parts; by itself it changes nothing.

    ``planes`` is the number of channels that ``add`` appends.
    """

    planes = 0

    def __init__(self, classes: int, shape: Shape, members: int):
        """For ``members`` images of ``shape`` (C, H, W) a pack."""
        super().__init__()

    def connect(self, width: int) -> None:
        """Make what depends on the network's feature ``width``; call it once, before use."""

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """Packs (N, members·C, H, W), labels (N, members) to (N, members·C + planes, H, W)."""
        return images

    def logit(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, width), labels (N, members) to what is added to the logits (N,)."""
        return features.new_zeros(len(features))


@DISCRIMINATOR_CONDITIONS.register("concat", paper="Mirza & Osindero 2014 (arXiv:1411.1784)")
class OneHotPlanes(DiscriminatorCondition):
    """A plane per class and image beside the images: ones for its class, zeros otherwise."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """``classes`` · ``members`` planes."""
        super().__init__(classes, shape, members)
        self.classes = classes
        self.planes = classes * members

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """The planes of a pack's first image come first."""
        rows = functional.one_hot(labels, self.classes).to(images).flatten(1)
        planes = rows[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return torch.cat([images, planes], 1)


@DISCRIMINATOR_CONDITIONS.register("embed", paper="Denton et al. 2015, LAPGAN (arXiv:1506.05751)")
class EmbeddedPlanes(DiscriminatorCondition):
    """A learned plane of the class beside the images, one for each image."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """``members`` planes."""
        super().__init__(classes, shape, members)
        self.planes = members
        self.embed = nn.Embedding(classes, shape[1] * shape[2])

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """The plane of a pack's first image comes first."""
        planes = self.embed(labels).unflatten(2, images.shape[2:])
        return torch.cat([images, planes], 1)


@DISCRIMINATOR_CONDITIONS.register("projection", paper="Miyato & Koyama 2018 (arXiv:1802.05637)")
class Projection(DiscriminatorCondition):
    """The inner product of the features and a learned vector of the class joins the logit."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """No planes."""
        super().__init__(classes, shape, members)
        self.classes = classes

    def connect(self, width: int) -> None:
        """A vector of ``width`` numbers a class; the term starts as large as the features are."""
        self.embed = nn.Embedding(self.classes, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def logit(self, features: Tensor, labels: Tensor) -> Tensor:
        """The mean over a pack's images."""
        term: Tensor = (self.embed(labels).mean(1) * features).sum(1)
        return term
