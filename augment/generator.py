"""A trained generator: seeded candidates by class name.

Candidate ``index`` of a class depends on the generator, the seed and the index alone: the network
always runs on chunks of one size, drawn from the chunk's own seed, so neither how many are asked
for nor any batch size changes an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from augment import checkpoint, devices, images, seeding
from augment.classifiers import Floats
from augment.errors import AugmentError
from augment.models.gan import ConditionalGenerator, Ranges, latents
from augment.networks import GENERATORS
from augment.params import GENERATOR

CHUNK = 64  # candidates that the network sees at a time; changing it changes every image


class GeneratorError(AugmentError, ValueError):
    """A class, code, truncation or count that the generator cannot serve."""


class Chunk(NamedTuple):
    """Candidates ``start`` … of one class: uint8 (CHUNK, C, H, W) and codes (CHUNK, codes)."""

    start: int
    pixels: images.Pixels
    codes: Floats


class Generator:
    """A trained generator: images by class name."""

    def __init__(self, network: ConditionalGenerator, meta: Mapping[str, Any], digest: str):
        """Wrap ``network``; Generator.load is the way in."""
        self.network = network.eval()
        self.classes: list[str] = list(meta["classes"])
        self.shape: tuple[int, ...] = tuple(meta["shape"])
        self.digest = digest

    @classmethod
    def load(cls, folder: str | Path = GENERATOR, *, device: str = "auto") -> Generator:
        """Read what ``train`` wrote. Raises CheckpointError naming the file."""
        folder = Path(folder)
        tensors, meta = checkpoint.load_state(folder, "generator")
        try:
            channels, height, width = meta["shape"]
            network = ConditionalGenerator(
                lambda latent, shape: GENERATORS.build(meta["generator"], latent, shape),
                (channels, height, width),
                classes=len(meta["classes"]),
                noise=meta["noise"],
                embedding=meta["embedding"],
                codes=meta["codes"],
            )
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            path = folder / "generator.json"
            raise checkpoint.CheckpointError(f"{path}: is no generator ({error})") from None
        network.to(devices.resolve(device)).to(memory_format=torch.channels_last)
        return cls(network, meta, checkpoint.digest(folder, "generator"))

    def sample(
        self,
        label: str,
        n: int,
        *,
        seed: int = 0,
        codes: Ranges = MappingProxyType({}),
        truncation: float | None = None,
    ) -> torch.Tensor:
        """The first ``n`` candidates of class ``label``, unfiltered: uint8 (n, C, H, W).

        ``codes`` maps a continuous code's number to (low, high). Raises GeneratorError for a class
        or a code that the generator does not have.
        """
        if n < 1:
            raise GeneratorError(f"n: at least 1, found {n}")
        found: list[images.Pixels] = []
        for chunk in self.candidates(label, seed=seed, codes=codes, truncation=truncation):
            found.append(chunk.pixels)
            if chunk.start + CHUNK >= n:
                break
        return torch.from_numpy(np.concatenate(found)[:n])

    def candidates(
        self,
        label: str,
        *,
        seed: int,
        codes: Ranges = MappingProxyType({}),
        truncation: float | None = None,
        first: int = 0,
    ) -> Iterator[Chunk]:
        """Endless chunks of candidates of class ``label`` from chunk ``first`` on."""
        self.check(label, codes, truncation)
        device = next(self.network.parameters()).device
        labels = torch.full((CHUNK,), self.classes.index(label), device=device)
        number = first
        while True:
            rng = seeding.generator(seed, "synth", label, number)
            noise, drawn = latents(self.network, CHUNK, rng, ranges=codes, truncation=truncation)
            with torch.inference_mode():
                signed = self.network(noise.to(device), labels, drawn.to(device))
            pixels = images.to_uint8(signed.float().cpu().numpy())
            yield Chunk(number * CHUNK, pixels, drawn.numpy())
            number += 1

    def check(self, label: str, codes: Ranges, truncation: float | None) -> None:
        """Raise GeneratorError for a class, code or truncation that cannot be served."""
        if label not in self.classes:
            known = ", ".join(self.classes)
            raise GeneratorError(f"unknown class {label!r}; known: {known}")
        for index in codes:
            if not 0 <= index < self.network.codes:
                raise GeneratorError(
                    f"code {index}: the generator has {self.network.codes}, from 0 on"
                )
        if truncation is not None and not truncation > 0:
            raise GeneratorError(f"truncation: above 0, found {truncation}")
