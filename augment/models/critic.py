"""A discriminator network with its logit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from augment.models.networks import Shape


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


class InfoCritic(Critic):
    """A critic that also tells condition and codes of each image: Q.

    Codes are read from the trunk, and so is the condition, unless ``recogniser`` is a network of
    its own for it: a classifier, giving features and logits.
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
    ):
        """Heads for ``kinds`` logits and ``codes`` numbers an image."""
        super().__init__(network, shape, conditioning, members)
        self.count = codes
        self.hidden = nn.Sequential(nn.Linear(self.width, 128), nn.LeakyReLU(0.2))
        self.category = None if recogniser else nn.Linear(128, kinds * members)
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
            logits = self.category(self.hidden(features)).view(len(images), -1)
        return logits
