"""Levels: what black and white mean in images of 16 bits and of floats, decided for a whole set.

A file of 16 bits does not say how many of them its camera used, and floats have no white at all.
One image cannot tell (a dark one would be brightened), so ingest measures the levels of all images
of a kind (format and depth, grey or colour), decides once, and stores those whose white is not the
file's own as PNGs of eight bits. So every later decoder sees the same picture and needs to know
nothing; the id stays that of the original bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from augment.data.images import Facts

EIGHT_BITS = "8 bits"
_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners use
_SMALL = 1 / 8  # share of the range below which a set is said to stay within a small part; by hand


@dataclass
class Levels:
    """The levels of all images of one kind."""

    kind: str
    images: int = 0
    low: float = inf
    high: float = -inf
    declared: float = 0.0
    silent: bool = False  # whether the metadata of an image say nothing

    def note(self, facts: Facts) -> None:
        """Count an image."""
        self.images += 1
        self.low, self.high = min(self.low, facts.low), max(self.high, facts.high)
        self.declared = max(self.declared, facts.declared)
        self.silent = self.silent or not facts.declared

    def ends(self) -> tuple[float, float]:
        """The levels of black and of white.

        White is the highest level that the metadata of every image allow, if none goes beyond it.
        Otherwise integers end at the least usual depth (8, 10, 12, 14 or 16 bits) that holds them;
        floats at 1 if none is higher, up to 65535 at a usual depth. Floats below 0 go from the
        lowest to the highest level of the set, as do those above 65535.
        """
        if self.kind == EIGHT_BITS:
            return 0.0, 255.0
        if self.low < 0 or self.high > 65535:
            return self.low, max(self.high, self.low + 1e-9)
        if not self.silent and self.high <= self.declared:
            return 0.0, self.declared
        if self.kind.endswith("floats") and self.high <= 1:
            return 0.0, 1.0
        return 0.0, next(2.0**bits - 1 for bits in _DEPTHS if self.high < 2**bits)

    def as_stored(self) -> bool:
        """Whether any decoder reads these images right from the file's bytes."""
        return self.kind == EIGHT_BITS or (
            not self.kind.endswith("floats") and self.ends() == (0.0, 65535.0)
        )

    def remarks(self) -> list[str]:
        """What is decided here, and whether the images use a small part of the range only."""
        black, white = self.ends()
        said = f"{self.images} images ({self.kind}) have levels from {self.low:g} to {self.high:g}"
        remarks = [] if self.as_stored() else [f"{said}: {black:g} is black, {white:g} is white"]
        if self.high - self.low < _SMALL * (white - black):
            remarks.append(f"{said}: a small part of {black:g} to {white:g}, nearly one tone")
        return remarks

    def report(self) -> dict[str, float]:
        """Numbers for the report."""
        black, white = self.ends()
        return {
            "images": self.images,
            "low": self.low,
            "high": self.high,
            "black": black,
            "white": white,
        }
