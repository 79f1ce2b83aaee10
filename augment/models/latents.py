"""A generator network fed with noise, a condition and codes, and the draw of those."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from augment.models.critic import PairCritic
from augment.models.density import ClassMixture, picked
from augment.models.networks import Shape
from augment.vision.structure import Structure, structure_of

Ranges = Mapping[int, tuple[float, float]]  # least and greatest value of a code, by its number


class LatentGenerator(nn.Module):
    """A generator network fed with noise, a condition and codes.

    With ``styles`` above 1 the network is told a style of the condition as well. A further number
    of the noise picks it, as often as ``note`` saw it with that condition. With ``components``
    above 0 the network is fed with codes of a mixture of so many components for each condition (its
    ``prior``) in place of the noise, a further number of which picks the component.

    With a ``judge`` of pairs (``augment.models.critic.PairCritic``) it makes ``tries`` images from
    each source, by noise of their own, and keeps the one that goes best with it. ``temperature`` is
    the standard deviation of the noise that ``latents`` draws for it.
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
        components: int = 0,
        judge: PairCritic | None = None,
        tries: int = 1,
        temperature: float = 1.0,
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
        self.prior = ClassMixture(conditions, components, noise) if components else None
        self.conditioning = conditioning
        inputs = int(conditioning.inputs) if conditioning else 0  # type: ignore[arg-type]
        norms = int(conditioning.condition) if conditioning else 0  # type: ignore[arg-type]
        self.network = network(noise + inputs + codes, shape, norms)
        self.judge = judge
        self.tries = tries
        self.temperature = temperature

    @property
    def inputs(self) -> int:
        """How many numbers of noise an image takes."""
        return self.fed + (self.styles > 1) + (self.prior is not None)

    @property
    def fed(self) -> int:
        """How many of these, the first ones, are no number that picks a style or a component."""
        return self.noise * self.levels * self.tries

    @property
    def components(self) -> int:
        """How many components the prior of a condition has; 0: the noise itself is fed."""
        return self.prior.components if self.prior else 0

    @property
    def levels(self) -> int:
        """How many parts of the network have noise of their own, ``noise`` numbers each."""
        return int(getattr(self.network, "levels", 1))

    @property
    def grown(self) -> float:
        """How far the network has grown; the same number for good where it does not grow."""
        return float(getattr(self.network, "growth", 0.0))

    @property
    def source(self) -> bool:
        """Whether the network starts from source images."""
        return bool(getattr(self.network, "source", False))

    def told(self, conditions: Tensor) -> Tensor:
        """All numbers (N, K) by which the network is told conditions (N,)."""
        if self.conditioning is None:
            return torch.empty(len(conditions), 0, device=conditions.device)
        inputs, vector = self.conditioning(conditions)
        return inputs if vector is None else torch.cat([inputs, vector], 1)

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
        return picked(normal, self.counts.double()[conditions] + 1e-9)

    def forward(
        self, noise: Tensor, conditions: Tensor, codes: Tensor, source: Tensor | None = None,
        styles: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """(N, inputs), (N,), (N, codes) and styles (N,) to images (N, C, H, W) in [-1, 1].

        ``source`` (N, C, H, W) are the images that a network starts from, where it does, or whose
        structure it paints on. Without ``styles`` the last number of the noise picks them.
        """
        if self.judge is not None and source is not None:
            return self._best(noise, conditions, codes, source)
        return self._painted(*self.inputs_of(noise, conditions, codes, styles), source)

    def _best(self, noise: Tensor, conditions: Tensor, codes: Tensor, source: Tensor) -> Tensor:
        """Of ``tries`` images from each source the one that goes best with it, by the judge."""
        assert self.judge is not None
        count, tries = len(source), self.tries
        conditions, codes, sources = (
            values.repeat_interleave(tries, 0) for values in (conditions, codes, source)
        )
        joined = self._joined(noise.reshape(count * tries, self.noise), conditions, codes)
        images = self._painted(*joined, sources)
        best = self.judge.agreement(sources, images).view(count, tries).argmax(1)
        return images.view(count, tries, *images.shape[1:])[torch.arange(count), best]

    def decode(
        self, noise: Tensor, conditions: Tensor, codes: Tensor, source: Tensor | None = None
    ) -> Tensor:
        """Images of the numbers (N, noise) that the network is fed with, past styles and prior."""
        return self._painted(*self._joined(noise, conditions, codes), source)

    def inputs_of(
        self, noise: Tensor, conditions: Tensor, codes: Tensor, styles: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What the network takes, (N, latent) and (N, condition), from what ``forward`` takes.

        A network of several levels takes (N, levels, latent): the noise of each, the same class and
        codes for all.
        """
        if self.styles > 1:
            if styles is None:
                styles = self.pick(noise[:, -1], conditions)
            noise, conditions = noise[:, :-1], conditions * self.styles + styles
        if self.prior is not None:
            noise = self.prior(noise, conditions)
        return self._joined(noise, conditions, codes)

    def _joined(
        self, noise: Tensor, conditions: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The network's inputs and condition, of numbers that are past styles and prior."""
        shared, vector = [codes], None
        if self.conditioning is not None:
            inputs, vector = self.conditioning(conditions)
            shared.insert(0, inputs)
        if self.levels > 1:
            noise = noise.view(-1, self.levels, self.noise)
            shared = [part[:, None].expand(-1, self.levels, -1) for part in shared]
        return torch.cat([noise, *shared], -1), vector

    def _painted(self, joined: Tensor, vector: Tensor | None, source: Tensor | None) -> Tensor:
        if source is not None and self.structure:
            source = structure_of(source, self.structure).to(source)
        start = {} if source is None else {"source": source}
        images: Tensor = self.network(joined, vector, **start)
        return images


def latents(
    generator: LatentGenerator,
    count: int,
    rng: torch.Generator,
    *,
    ranges: Ranges = MappingProxyType({}),
    truncation: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Noise (count, inputs), normal, and codes (count, codes), uniform on [-1, 1].

    The noise is multiplied by the generator's ``temperature``, but for the number that picks a
    style or a component.

    ``ranges`` bounds single codes: (low, high) is uniform between them.
    ``truncation`` bounds the same numbers before that (Brock et al. 2019, BigGAN). Neither changes
    what the rest of the draw is.
    """
    noise = torch.randn(count, generator.inputs, generator=rng, device=rng.device)
    codes = torch.rand(count, generator.codes, generator=rng, device=rng.device) * 2 - 1
    for index, (low, high) in ranges.items():
        codes[:, index] = low + (codes[:, index] + 1) / 2 * (high - low)
    fed = noise[:, : generator.fed]
    if truncation is not None:
        fed.copy_(truncate(fed, truncation))
    fed.mul_(generator.temperature)
    return noise, codes


def truncate(noise: Tensor, limit: float) -> Tensor:
    """Normal numbers to normal numbers that lie within ±``limit``, in the same order."""
    root = math.sqrt(2)
    share = torch.erf(noise.double() / root) * math.erf(limit / root)  # a float32 soon rounds to 1
    return (root * torch.erfinv(share)).to(noise).clamp(-limit, limit)
