"""A discriminator network with its logit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import Shape

PROXY = 128  # numbers in a vector by which D2D-CE compares images with classes; chosen by hand


class Critic(nn.Module):
    """A discriminator network with its logit; told a pack's classes where it is conditional."""

    def __init__(
        self,
        network: Callable[[Shape], nn.Module],
        shape: Shape,
        conditioning: nn.Module | None,
        members: int,
    ):
        """Build ``network`` for packs of ``members`` images of ``shape``."""
        super().__init__()
        channels, height, width = shape
        self.members = members
        self.conditioning = conditioning
        planes = int(conditioning.planes) if conditioning else 0  # type: ignore[arg-type]
        self.network = network((channels * members + planes, height, width))
        self.width = int(self.network.width)  # type: ignore[arg-type]
        self.logit = nn.Linear(self.width, 1)
        if conditioning is not None:
            conditioning.connect(self.width)  # type: ignore[operator]

    def features(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs (N, members·C, H, W) of classes (N, members) to features (N, width)."""
        if self.conditioning is not None:
            packs = self.conditioning.add(packs, labels)  # type: ignore[operator]
        features: Tensor = self.network(packs)
        return features

    def logits_of(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, width) and classes (N, members) to logits (N,)."""
        logits: Tensor = self.logit(features)[:, 0]
        if self.conditioning is not None:
            logits = logits + self.conditioning.logit(features, labels)  # type: ignore[operator]
        return logits

    def logit_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters on which the logit depends: none of other heads."""
        for part in (self.network, self.logit, self.conditioning):
            if part is not None:
                yield from part.parameters()

    def forward(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs and their classes to logits (N,)."""
        return self.logits_of(self.features(packs, labels), labels)


class ClassHead(nn.Module):
    """Places each image of a pack among the classes, from the features of the pack.

    With ``d2d`` images and classes are unit vectors, and the logits are their similarity over the
    temperature (Kang et al. 2021, ReACGAN, arXiv:2111.01118); otherwise a hidden layer gives them.
    """

    def __init__(
        self,
        width: int,
        kinds: int,
        members: int,
        *,
        d2d: bool = True,
        temperature: float = 0.5,
        margin_positive: float = 0.98,
        margin_negative: float = -0.02,
    ):
        """For features (N, ``width``) of packs of ``members`` images, and ``kinds`` classes."""
        super().__init__()
        self.d2d, self.temperature = d2d, temperature
        self.margins = margin_positive, margin_negative
        self.project = nn.Linear(width, PROXY * members)
        self.proxies = nn.Linear(PROXY, kinds, bias=not d2d)  # directions have no bias

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, width) to logits (N · members, kinds)."""
        if self.d2d:
            unit, proxies = self.vectors(features)
            return unit @ proxies.T / self.temperature
        logits: Tensor = self.proxies(functional.relu(self.project(features).view(-1, PROXY)))
        return logits

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """D2D-CE or cross-entropy of features (N, width) and classes (N · members,)."""
        if self.d2d:
            return data_to_data(*self.vectors(features), labels, self.temperature, *self.margins)
        return functional.cross_entropy(self(features), labels)

    def vectors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of images (N · members, PROXY), and of classes (kinds, PROXY)."""
        images = self.project(features).view(-1, PROXY)
        normalize = functional.normalize
        return normalize(images, dim=1), normalize(self.proxies.weight, dim=1)


def data_to_data(
    unit: Tensor,
    proxies: Tensor,
    labels: Tensor,
    temperature: float,
    margin_positive: float,
    margin_negative: float,
) -> Tensor:
    """D2D-CE (Kang et al. 2021, equation 8) of unit vectors (N, F), proxies (K, F), classes (N,).

    Each image is drawn to its class's proxy up to one margin and away from the batch's images of
    other classes down to the other.
    """
    similarity = (unit * proxies[labels]).sum(1)  # to the proxy of the image's class
    attract = (similarity - margin_positive).clamp(max=0) / temperature
    repel = (unit @ unit.T - margin_negative).clamp(min=0) / temperature
    repel = repel.masked_fill(labels[:, None] == labels[None], -torch.inf)
    whole = torch.cat([attract[:, None], repel], 1).logsumexp(1)
    return (whole - attract).mean()


class InfoCritic(Critic):
    """A critic that also tells condition and codes of each image: Q.

    Codes are read from the trunk, and so is the condition, by a ``ClassHead`` with ``d2d``; unless
    ``recogniser`` is a network of its own for it: a classifier, giving features and logits.
    """

    def __init__(
        self,
        network: Callable[[Shape], nn.Module],
        shape: Shape,
        conditioning: nn.Module | None,
        members: int,
        kinds: int,
        codes: int,
        recogniser: nn.Module | None = None,
        *,
        d2d: bool = False,
    ):
        """Heads for ``kinds`` logits and ``codes`` numbers an image."""
        super().__init__(network, shape, conditioning, members)
        self.count = codes
        self.hidden = nn.Sequential(nn.Linear(self.width, 128), nn.LeakyReLU(0.2))
        self.category: nn.Module | None = None
        if recogniser is None:
            self.category = (
                ClassHead(self.width, kinds, members) if d2d else nn.Linear(128, kinds * members)
            )
        self.codes = nn.Linear(128, codes * members) if codes else None
        self.recogniser = recogniser

    def read(self, features: Tensor) -> Tensor:
        """Features (N / members, width) to codes (N, codes)."""
        size = len(features) * self.members
        assert self.codes is not None
        codes: Tensor = self.codes(self.hidden(features)).view(size, self.count)
        return codes

    def recognise(self, images: Tensor, features: Tensor) -> Tensor:
        """Logits (N, kinds) of images (N, C, H, W), whose packs have ``features``."""
        logits: Tensor
        if self.recogniser is not None:
            logits = self.recogniser(images)[1]
        else:
            assert self.category is not None
            d2d = isinstance(self.category, ClassHead)
            logits = self.category(features if d2d else self.hidden(features))
            logits = logits.view(len(images), -1)
        return logits
