"""A generator network fed with noise, a condition and codes, and the draw of those."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from augment.models.networks import Shape
from augment.vision.structure import Structure, structure_of

Ranges = Mapping[int, tuple[float, float]]  # least and greatest value of a code, by its number


class LatentGenerator(nn.Module):
    """A generator network fed with noise, a condition and codes.

    With ``styles`` above 1 the network is told a style of the condition as well. A further number
    of the noise picks it, as often as ``note`` saw it with that condition.
    """

    counts: Tensor

    def __init__(
        self,
        network: Callable[[int, Shape, int], nn.Module],
        shape: Shape,
        conditioning: nn.Module | None,
        *,
        noise: int,
        codes: int,
        conditions: int = 0,
        styles: int = 1,
    ):
        """Build ``network`` for its inputs; no ``conditioning`` means that conditions say nothing.

        ``conditioning`` has ``inputs`` numbers to join and a ``condition`` vector for norms; it
        takes ``conditions`` · ``styles`` kinds.
        """
        super().__init__()
        self.noise = noise
        self.codes = codes
        self.styles = styles
        if styles > 1:
            self.register_buffer("counts", torch.zeros(conditions, styles))
        self.conditioning = conditioning
        inputs = int(conditioning.inputs) if conditioning else 0  # type: ignore[arg-type]
        norms = int(conditioning.condition) if conditioning else 0  # type: ignore[arg-type]
        self.network = network(noise + inputs + codes, shape, norms)

    @property
    def inputs(self) -> int:
        """How many numbers of noise an image takes."""
        return self.noise + (self.styles > 1)

    @property
    def source(self) -> bool:
        """Whether the network starts from source images."""
        return bool(getattr(self.network, "source", False))

    @property
    def structure(self) -> Structure | None:
        """What the network draws and paints on, where it does: it also paints on a source's."""
        kind: Structure | None = getattr(self.network, "structure", None)
        return kind

    def note(self, conditions: Tensor, styles: Tensor) -> None:
        """Count the styles (N,) that come with conditions (N,)."""
        ones = self.counts.new_ones(len(styles))
        self.counts.index_put_((conditions, styles), ones, accumulate=True)

    def pick(self, normal: Tensor, conditions: Tensor) -> Tensor:
        """The styles (N,) of conditions (N,) for normal numbers (N,), each as often as counted."""
        ends = (self.counts.double() + 1e-9).cumsum(1)[conditions]
        places = torch.special.ndtr(normal.double()) * ends[:, -1]
        styles: Tensor = (places[:, None] >= ends[:, :-1]).sum(1)
        return styles

    def forward(
        self, noise: Tensor, conditions: Tensor, codes: Tensor, source: Tensor | None = None,
        styles: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """(N, inputs), (N,), (N, codes) and styles (N,) to images (N, C, H, W) in [-1, 1].

        ``source`` (N, C, H, W) are the images that a network starts from, where it does, or whose
        structure it paints on. Without ``styles`` the last number of the noise picks them.
        """
        numbers, vector = self.numbers(noise, conditions, codes, styles)
        if source is not None and self.structure:
            source = structure_of(source, self.structure).to(source)
        start = {} if source is None else {"source": source}
        images: Tensor = self.network(numbers, vector, **start)
        return images

    def numbers(
        self, noise: Tensor, conditions: Tensor, codes: Tensor, styles: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What the network is fed with: numbers (N, latent), and a condition (N, condition)."""
        if self.styles > 1:
            if styles is None:
                styles = self.pick(noise[:, -1], conditions)
            noise, conditions = noise[:, :-1], conditions * self.styles + styles
        joined, vector = [noise], None
        if self.conditioning is not None:
            inputs, vector = self.conditioning(conditions)
            joined.append(inputs)
        return torch.cat([*joined, codes], 1), vector


def latents(
    generator: LatentGenerator,
    count: int,
    rng: torch.Generator,
    *,
    ranges: Ranges = MappingProxyType({}),
    truncation: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Noise (count, inputs), normal, and codes (count, codes), uniform on [-1, 1].

    ``ranges`` bounds single codes: (low, high) is uniform between them.
    ``truncation`` bounds the noise (Brock et al. 2019, BigGAN), but for the number that picks a
    style. Neither changes what the rest of the draw is.
    """
    noise = torch.randn(count, generator.inputs, generator=rng, device=rng.device)
    codes = torch.rand(count, generator.codes, generator=rng, device=rng.device) * 2 - 1
    for index, (low, high) in ranges.items():
        codes[:, index] = low + (codes[:, index] + 1) / 2 * (high - low)
    if truncation is not None:
        fed = noise[:, : generator.noise]
        fed.copy_(truncate(fed, truncation))
    return noise, codes


def truncate(noise: Tensor, limit: float) -> Tensor:
    """Normal numbers to normal numbers that lie within ±``limit``, in the same order."""
    root = math.sqrt(2)
    share = torch.erf(noise.double() / root) * math.erf(limit / root)  # a float32 soon rounds to 1
    return (root * torch.erfinv(share)).to(noise).clamp(-limit, limit)
