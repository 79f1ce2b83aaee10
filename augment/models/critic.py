"""A discriminator network with its logit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import Shape
from augment.runtime.precision import in_full

HIDDEN = 256  # units between features and logit of a pair; chosen by hand
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
        self.logit: nn.Module = nn.Linear(self.width, 1)
        if getattr(self.network, "patches", False):
            self.logit = nn.Sequential(nn.Conv2d(self.width, 1, 3, padding=1), nn.Flatten())
        if conditioning is not None:
            conditioning.connect(self.width)  # type: ignore[operator]

    def features(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs (N, members·C, H, W) of classes (N, members) to features (N, width)."""
        if self.conditioning is not None:
            packs = self.conditioning.add(packs, labels)  # type: ignore[operator]
        features: Tensor = self.network(packs)
        return features

    @in_full
    def logits_of(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, width) and classes (N, members) to logits (N,).

        Of features (N, width, h, w) there is one for each patch: (N · h · w,). The class then adds
        to all of them by the mean of their features.
        """
        logits: Tensor = self.logit(features)
        if self.conditioning is not None:
            whole = features.mean((2, 3)) if features.dim() > 2 else features
            logits = logits + self.conditioning.logit(whole, labels)[:, None]  # type: ignore[operator]
        return logits.flatten()

    def logit_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters on which the logit depends: none of other heads."""
        for part in (self.network, self.logit, self.conditioning):
            if part is not None:
                yield from part.parameters()

    def forward(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs and their classes to logits (N,)."""
        return self.logits_of(self.features(packs, labels), labels)


class PairCritic(Critic):
    """A critic of packs of two with a hidden layer: whether two agree is no sum."""

    def __init__(self, network: Callable[[Shape], nn.Module], shape: Shape):
        """Build ``network`` for pairs of images of ``shape``; it is told no class."""
        super().__init__(network, shape, None, 2)
        self.logit = nn.Sequential(
            nn.Linear(self.width, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, 1)
        )

    def agreement(self, sources: Tensor, images: Tensor) -> Tensor:
        """The logits (N,) of ``images`` (N, C, H, W) beside the ``sources`` of each."""
        pairs = torch.cat([sources, images], 1).contiguous(memory_format=torch.channels_last)
        return self.logits_of(self.network(pairs), torch.empty(0))


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
        return self._logits(self.project(features))

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """D2D-CE or cross-entropy of features (N, width) and classes (N · members,)."""
        projected = self.project(features)
        if self.d2d:
            return self._data_to_data(projected, labels)
        return functional.cross_entropy(self._logits(projected), labels)

    @in_full
    def _logits(self, projected: Tensor) -> Tensor:
        if self.d2d:
            unit, proxies = self.vectors(projected)
            return unit @ proxies.T / self.temperature
        logits: Tensor = self.proxies(functional.relu(projected.view(-1, PROXY)))
        return logits

    @in_full
    def _data_to_data(self, projected: Tensor, labels: Tensor) -> Tensor:
        return data_to_data(*self.vectors(projected), labels, self.temperature, *self.margins)

    def vectors(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of images (N · members, PROXY), and of classes (kinds, PROXY)."""
        normalize = functional.normalize
        unit = normalize(projected.view(-1, PROXY), dim=1)
        return unit, normalize(self.proxies.weight, dim=1)


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
        return codes.float()

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
        return logits.float()
