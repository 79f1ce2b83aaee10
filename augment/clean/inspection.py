"""Inspection: measures, repairs and normalises encoded images one at a time, also in workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from augment.clean.glyphs.ink import Glyph
from augment.data import images, normalise
from augment.data.images import Pixels
from augment.data.normalise import Form

SIDE = 32  # pixels of the small square form for pixel checks and learned checks; chosen by hand

DIGEST_BYTES = 16
_GROUP = 16  # images that go through each step together: a sixth faster than one by one
_LARGE = 1 << 22  # bytes of decoded images from which a group is closed

Check = Callable[[Pixels], float]
Repair = Callable[[Pixels], Pixels | None]
Names = tuple[str, ...]


class Inspected(NamedTuple):
    """The facts and measures of one image."""

    pixels: bytes  # DIGEST_BYTES, a digest of the decoded image
    grey: bool
    measures: tuple[float, ...]  # of the image checks in order, 0 … 1
    small: Pixels | None  # (SIDE, SIDE, 3), uint8; None where no check needs it


class Mended(NamedTuple):
    """The repairs that changed an image, in order, and its measures after them."""

    repairs: Names
    after: Inspected


@dataclass(frozen=True)
class Inspector:
    """The image checks and the repairs by name, in order, and whether small forms are needed."""

    checks: dict[str, Check]
    repairs: dict[str, Repair]
    small: bool

    def measure(self, encoded: Sequence[bytes]) -> list[Inspected]:
        """Decode and measure each image."""
        return [
            image for group in _groups(map(_plain, encoded)) for image in self._inspected(group)
        ]

    def mend(self, items: Sequence[tuple[bytes, Names]]) -> list[Mended]:
        """Apply to each encoded image its named repairs, and measure it again."""
        mended = []
        for data, names in items:
            pixels, done = self._repaired(_plain(data), names)
            mended.append(Mended(done, *self._inspected([pixels])))
        return mended

    def form(self, items: Sequence[tuple[bytes, Names]], form: Form) -> list[bytes]:
        """Apply to each encoded image its named repairs; returns it in ``form``, as PNG bytes."""
        normalised = []
        for data, names in items:
            if names:
                data = images.encode(self._repaired(_plain(data), names)[0])
            normalised.append(normalise.to_form(data, form))
        return normalised

    def _repaired(self, pixels: Pixels, names: Names) -> tuple[Pixels, Names]:
        done = []
        for name in names:
            mended = self.repairs[name](pixels)
            if mended is not None:
                pixels = mended
                done.append(name)
        return pixels, tuple(done)

    def _inspected(self, group: Sequence[Pixels]) -> Iterator[Inspected]:
        """The facts and measures of a few images, each step for all of them before the next."""
        digests = [_digest(pixels) for pixels in group]
        grey = [normalise.is_grey(pixels) for pixels in group]
        small = [normalise.small(pixels, SIDE) if self.small else None for pixels in group]
        glyphs = [pixels.view(Glyph) for pixels in group]  # each finds its ink but once
        # From the last check, which asks little of the ink, to the first, which asks for its
        # pieces, so that each part of the ink is found for all images before the next one.
        columns = [
            [float(check(glyph)) for glyph in glyphs] for check in [*self.checks.values()][::-1]
        ]
        rows = zip(*columns[::-1], strict=True) if columns else [()] * len(group)
        return map(Inspected, digests, grey, rows, small)


def _groups(decoded: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    """Images in groups that share the caches of the processor, and fewer of them if large."""
    group: list[Pixels] = []
    for pixels in decoded:
        group.append(pixels)
        if len(group) == _GROUP or sum(image.size for image in group) > _LARGE:
            yield group
            group = []
    if group:
        yield group


def _digest(pixels: Pixels) -> bytes:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=DIGEST_BYTES)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _plain(data: bytes) -> Pixels:
    """The pixels (H, W), or (H, W, 3) where there is a colour: equal pictures are equal arrays."""
    pixels: Pixels = np.asarray(images.decode(data))
    grey = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if grey else pixels
