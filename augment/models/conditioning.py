"""Conditioning parts tell the two networks the class: one registry for each network.

A generator part turns labels (N,) into numbers that join the noise z and into the condition of the
generator's norms. A discriminator part adds planes to the images, or a term to the logit. It sees
packs: ``members`` images of C channels, one behind the other, and their labels (PacGAN, Lin et al.
2018, arXiv:1712.04086).
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
    """Base of the generator's parts: from labels (N,) two arrays, for z and for the norms.

    The first (N, ``inputs``) joins z; the second (N, ``condition``) is the condition of the norms,
    or None where ``condition`` is 0.
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
        """Labels (N,) to one-hot vectors (N, classes)."""
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
        """All norms share a vector of ``width`` numbers."""
        super().__init__()
        self.condition = width
        self.embed = nn.Embedding(classes, width)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N,) to an empty array (N, 0) and vectors (N, width)."""
        vectors = self.embed(labels)
        return vectors[:, :0], vectors


class DiscriminatorCondition(nn.Module):
    """Base of the discriminator's parts; by itself it changes nothing.

    ``planes`` is the number of channels that ``add`` appends.
    """

    planes = 0

    def __init__(self, classes: int, shape: Shape, members: int):
        """Build for packs of ``members`` images of ``shape`` (C, H, W)."""
        super().__init__()

    def connect(self, width: int) -> None:
        """Build the layers whose size is the network's feature ``width``; called once."""

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """Packs (N, members·C, H, W) with their planes: (N, members·C + planes, H, W).

        ``labels`` are (N, members).
        """
        return images

    def logit(self, features: Tensor, labels: Tensor) -> Tensor:
        """A term (N,) of the logits, from features (N, width) and labels (N, members)."""
        return features.new_zeros(len(features))


@DISCRIMINATOR_CONDITIONS.register("concat", paper="Mirza & Osindero 2014 (arXiv:1411.1784)")
class OneHotPlanes(DiscriminatorCondition):
    """Planes beside the images, one per class and image: 1 for the image's class, otherwise 0."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """Add ``classes`` · ``members`` planes."""
        super().__init__(classes, shape, members)
        self.classes = classes
        self.planes = classes * members

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """``images`` and their planes; those of a pack's first image come first."""
        rows = functional.one_hot(labels, self.classes).to(images).flatten(1)
        planes = rows[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return torch.cat([images, planes], 1)


@DISCRIMINATOR_CONDITIONS.register("embed", paper="Denton et al. 2015, LAPGAN (arXiv:1506.05751)")
class EmbeddedPlanes(DiscriminatorCondition):
    """A learned plane of the class beside the images, one for each image."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """Add ``members`` planes."""
        super().__init__(classes, shape, members)
        self.planes = members
        self.embed = nn.Embedding(classes, shape[1] * shape[2])

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """``images`` and their planes; that of a pack's first image comes first."""
        planes = self.embed(labels).unflatten(2, images.shape[2:])
        return torch.cat([images, planes], 1)


@DISCRIMINATOR_CONDITIONS.register("projection", paper="Miyato & Koyama 2018 (arXiv:1802.05637)")
class Projection(DiscriminatorCondition):
    """The inner product of the features and a learned vector of the class joins the logit."""

    def __init__(self, classes: int, shape: Shape, members: int):
        """Add no planes; ``shape`` and ``members`` play no part."""
        super().__init__(classes, shape, members)
        self.classes = classes

    def connect(self, width: int) -> None:
        """Build a vector of ``width`` numbers for each class, of length about 1 at the start."""
        self.embed = nn.Embedding(self.classes, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def logit(self, features: Tensor, labels: Tensor) -> Tensor:
        """The inner product (N,), averaged over the images of a pack."""
        term: Tensor = (self.embed(labels).mean(1) * features).sum(1)
        return term
