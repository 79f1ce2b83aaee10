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

    def judge(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, width) and classes (N, members) to logits (N,)."""
        logits: Tensor = self.logit(features)[:, 0]
        if self.conditioning is not None:
            logits = logits + self.conditioning.logit(features, labels)  # type: ignore[operator]
        return logits

    def judges(self) -> Iterator[nn.Parameter]:
        """The parameters that the logit depends on: none of other heads."""
        for part in (self.network, self.logit, self.conditioning):
            if part is not None:
                yield from part.parameters()

    def forward(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs and their classes to logits (N,)."""
        return self.judge(self.features(packs, labels), labels)
