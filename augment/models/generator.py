"""A trained generator: seeded candidates by class name.

Candidate ``index`` of a class depends on the generator, the seed and the index alone, and on the
real image that it starts from in a generator that needs one. The network
always runs on chunks of one size, each drawn with a seed of its own, so that no count and no batch
size changes an image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from augment.classifiers.classifier import Floats
from augment.data import images
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.data.places import CODES, GENERATOR
from augment.errors import AugmentError
from augment.models.base import Source
from augment.models.conditioning import GENERATOR_CONDITIONS
from augment.models.critic import PairCritic
from augment.models.latents import LatentGenerator, Ranges, latents
from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape
from augment.models.sources import source_places
from augment.runtime import checkpoint, devices, seeding

BACK = "back"  # the file of the generator that goes from the set to where sources come from
CHUNK = 64  # candidates that the network sees at a time; another number changes every image


class GeneratorError(AugmentError, ValueError):
    """A class, code, truncation or count that the generator cannot serve, or no images to bend."""


class Chunk(NamedTuple):
    """Candidates ``start`` … of one class: uint8 (CHUNK, C, H, W) and codes (CHUNK, codes).

    ``sources`` are the ids of the real images that they start from, where they do.
    """

    start: int
    pixels: Pixels
    codes: Floats
    sources: list[str] | None = None


class Generator:
    """A trained generator: images by class name."""

    def __init__(
        self,
        network: LatentGenerator,
        meta: Mapping[str, Any],
        digest: str,
        matches: Mapping[str, list[int]],
    ):
        """Wrap ``network``; Generator.load is the way in.

        ``categories`` is how many conditions it takes (0: none); ``matched`` says that they are the
        classes. ``rule`` is that of the images that it starts from, None where it starts from
        noise; ``key`` is that of its pairs, and ``domains`` those from which they come. Where
        conditions are no classes, ``matches`` gives those of a class, as the codes stage matched
        them.
        """
        self.network = network.eval()
        self.classes: list[str] = list(meta["classes"])
        self.shape: tuple[int, ...] = tuple(meta["shape"])
        self.categories: int = meta["conditions"]
        self.matched: bool = meta["matched"]
        self.rule: Source | None = meta["source"]
        self.key: str | None = meta.get("key")
        self.domains: list[str] = meta.get("domains", [])
        self.digest = digest
        self._matches = matches
        self._sources: Arrays | None = None

    @classmethod
    def load(
        cls, folder: str | Path = GENERATOR, *, device: str = "auto", back: bool = False
    ) -> Generator:
        """Read what ``train`` wrote. Raises CheckpointError naming the file.

        ``back`` reads the one that goes from the set to where sources come from; it starts from
        images that are given alone (``sample(source=)``).
        """
        folder = Path(folder)
        name = BACK if back else "generator"
        tensors, meta = checkpoint.load_state(folder, name)
        try:
            channels, height, width = meta["shape"]
            count = meta["conditions"]
            network = LatentGenerator(
                lambda *sizes: GENERATORS.build(meta["generator"], *sizes),
                (channels, height, width),
                GENERATOR_CONDITIONS.build(meta["conditioning"], count * meta["styles"])
                if count and meta["conditioning"]
                else None,
                noise=meta["noise"],
                codes=meta["codes"],
                conditions=count,
                styles=meta["styles"],
                components=meta.get("components", 0),
                judge=_judge(meta.get("judge"), (channels, height, width)),
                tries=meta.get("tries", 1),
                temperature=meta.get("temperature", 1.0),
            )
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            path = folder / f"{name}.json"
            raise checkpoint.CheckpointError(f"{path}: is no generator ({error})") from None
        network.to(devices.choose_device(device)).to(memory_format=torch.channels_last)
        digest = checkpoint.digest_of_checkpoint(folder, name)
        return cls(network, meta, digest, _codes(folder.parent / Path(CODES).name, digest))

    @property
    def paints(self) -> bool:
        """Whether it paints on a structure, its own or that of a picture."""
        return self.network.structure is not None

    @property
    def device(self) -> str:
        """Where the network runs, such as cpu or cuda; other kinds round otherwise."""
        return next(self.network.parameters()).device.type

    @property
    def starts(self) -> bytes:
        """The digest of the images that candidates start from; of nothing where there are none."""
        total = hashlib.sha256()
        if self._sources is not None:
            total.update("".join(self._sources.ids).encode())
            total.update(np.ascontiguousarray(self._sources.pixels).data)  # mapped: no copy
        return total.digest()

    def start_from(self, sources: Arrays) -> None:
        """Take the real train images that candidates start from, where the network needs them.

        They are those that it was trained on (``models.sources.load_sources``): the same images
        give the same candidates. Raises GeneratorError for images of other classes or another
        shape.
        """
        if (sources.classes, sources.shape) != (self.classes, self.shape):
            raise GeneratorError(
                f"the generator starts from images of {self.classes}, {self.shape}; found "
                f"{sources.classes}, {sources.shape}"
            )
        self._sources = sources

    def sample(
        self,
        label: str,
        n: int,
        *,
        seed: int = 0,
        codes: Ranges = MappingProxyType({}),
        truncation: float | None = None,
        source: Pixels | None = None,
    ) -> torch.Tensor:
        """The first ``n`` candidates of class ``label``, unfiltered: uint8 (n, C, H, W).

        With ``source``, uint8 (C, H, W), all start from that image, or are painted on its
        structure. ``codes`` maps a continuous code's number to (low, high). Raises GeneratorError
        for a class or a code that the generator does not have.
        """
        if n < 1:
            raise GeneratorError(f"n: at least 1, found {n}")
        chunks: list[images.Pixels] = []
        for chunk in self.candidates(
            label, seed=seed, codes=codes, truncation=truncation, source=source
        ):
            chunks.append(chunk.pixels)
            if chunk.start + CHUNK >= n:
                break
        return torch.from_numpy(np.concatenate(chunks)[:n])

    def candidates(
        self,
        label: str,
        *,
        seed: int,
        codes: Ranges = MappingProxyType({}),
        truncation: float | None = None,
        first: int = 0,
        source: Pixels | None = None,
    ) -> Iterator[Chunk]:
        """Endless chunks of candidates of class ``label`` from chunk ``first`` on.

        With ``source``, uint8 (C, H, W), all of them start from that image: candidate ``index`` is
        then the one that has this source.
        """
        self.check(label, codes, truncation)
        if source is not None and not (self.rule or self.paints):
            raise GeneratorError("the generator starts from noise and takes no image")
        conditions = torch.tensor(self._conditions(label)).repeat(CHUNK)[:CHUNK]
        number = first
        while True:
            rng = seeding.generator(seed, "synth", label, number)
            noise, values = latents(self.network, CHUNK, rng, ranges=codes, truncation=truncation)
            start, names = None, None
            if source is not None:
                start = np.broadcast_to(source, (CHUNK, *source.shape))
            elif self.rule:
                start, names = self._starts(conditions.numpy(), seeding.derive(seed, label), number)
            pixels = self._run(noise, conditions, values, start)
            yield Chunk(number * CHUNK, pixels, values.numpy(), names)
            number += 1

    def images(
        self,
        conditions: NDArray[np.int64],
        codes: Floats,
        *,
        seed: int,
        same_noise: bool = False,
    ) -> Pixels:
        """Images uint8 (N, C, H, W) of given conditions (N,) and codes (N, codes).

        ``same_noise`` gives all of them one noise vector.
        """
        count = len(conditions)
        rng = seeding.generator(seed, "images")
        noise, _ = latents(self.network, 1 if same_noise else count, rng)
        inputs: list[Any] = [
            noise.expand(count, -1), torch.from_numpy(conditions), torch.from_numpy(codes)
        ]  # fmt: skip
        inputs += [self._starts(conditions, seed)[0]] if self.rule else []
        parts = [
            self._run(*(values[start : start + CHUNK] for values in inputs))
            for start in range(0, count, CHUNK)
        ]
        return np.concatenate(parts)

    def _starts(
        self, conditions: NDArray[np.int64], seed: int, number: int = 0
    ) -> tuple[Pixels, list[str]]:
        """Where samples of the classes (N,) ``conditions`` start: images and their ids."""
        if self._sources is None:
            raise GeneratorError(
                "this generator starts from real images and has none; give it those of data/clean: "
                "Generator.start_from"
            )
        sources = self._sources
        places = source_places(sources, conditions, seed, number, self.rule or "class")
        return sources.pixels[places], [sources.ids[place] for place in places]

    def _run(
        self,
        noise: torch.Tensor,
        conditions: torch.Tensor,
        codes: torch.Tensor,
        source: Pixels | None = None,
    ) -> Pixels:
        """Images uint8 (N, C, H, W) of these inputs."""
        device = next(self.network.parameters()).device
        start = None
        if source is not None:
            start = images.to_signed(torch.tensor(source).to(device).float())
        with torch.inference_mode():
            signed = self.network(noise.to(device), conditions.to(device), codes.to(device), start)
        return images.to_uint8(signed.float().cpu().numpy())

    def _conditions(self, label: str) -> list[int]:
        """The conditions that give a class, in turns."""
        if self.matched or not self.categories:
            return [self.classes.index(label)]
        if label not in self._matches:
            raise GeneratorError(
                f"class {label!r}: this generator was trained without labels and its codes are "
                "not matched to classes yet; run `augment codes`"
            )
        return self._matches[label]

    def check(self, label: str, codes: Ranges, truncation: float | None) -> None:
        """Raise GeneratorError for a class, code or truncation that cannot be served."""
        if label not in self.classes:
            raise GeneratorError(f"unknown class {label!r}; known: {', '.join(self.classes)}")
        self._conditions(label)
        for index in codes:
            if not 0 <= index < self.network.codes:
                raise GeneratorError(
                    f"code {index}: the generator has {self.network.codes}, from 0 on"
                )
        if truncation is not None and not truncation > 0:
            raise GeneratorError(f"truncation: above 0, found {truncation}")


def _judge(spec: Mapping[str, Any] | None, shape: Shape) -> PairCritic | None:
    """The critic that picks among several tries, by its discriminator, where there is one."""
    if spec is None:
        return None
    return PairCritic(lambda pair: DISCRIMINATORS.build(spec, pair), shape)


def _codes(path: Path, digest: str) -> dict[str, list[int]]:
    """The conditions of each class, as the codes stage matched them for this very generator."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise checkpoint.CheckpointError(f"{path}: damaged ({error})") from None
    return report["classes"] or {} if report.get("generator") == digest else {}
