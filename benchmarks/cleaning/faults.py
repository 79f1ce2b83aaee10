"""Faults as people's scans have them, each drawn from an image uint8 (H, W) and a generator.

Ink differs from the paper, which has the image's median level, so dark on light and light on dark
work the same. Additions keep to the image's own levels and grain: nothing gives itself away.
"""

from __future__ import annotations

import functools
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.datasets import load_sample_images

from augment.data.images import Pixels

Floats = NDArray[Any]
Rng = np.random.Generator
FAINT = 0.15  # of the contrast, below which ink is grain of the paper; chosen by hand
LEAST_TEXTURE = 25.0  # levels of standard deviation; chosen by hand
LEAST_GRAIN = 1.5  # levels, so that no two blank pages are equal; chosen by hand


class Page(NamedTuple):
    """An image taken apart."""

    ink: Floats  # (H, W), 0 to 1
    paper: float
    contrast: float  # levels from paper to full ink, negative for dark ink
    grain: Floats  # (P,), levels by which pixels of the paper differ from it

    def drawn(self, ink: Floats, rng: Rng, *, least: float = 0.0) -> Pixels:
        """Other ``ink`` (H', W') on the same paper, with grain of at least this deviation."""
        grain = rng.choice(self.grain, ink.shape) + rng.normal(0, least, ink.shape)
        return _levels(self.paper + self.contrast * ink + grain * (1 - ink))


def page(image: Pixels) -> Page:
    """Tell ink from paper."""
    away = image.astype(np.float32) - np.median(image)
    edge = np.quantile(np.abs(away), 0.995)
    strong = away[np.abs(away) >= edge]
    contrast = float(np.copysign(max(edge, 1.0), strong.mean()))
    share = np.clip(away / contrast, 0, 1)
    ink = np.where(share > FAINT, share, 0)
    bare = ~ndimage.binary_dilation(ink > 0, iterations=2)  # no soft edge of a stroke is grain
    return Page(ink, float(np.median(image)), contrast, away[bare] if bare.any() else away)


def shifted(image: Pixels, rng: Rng) -> Pixels:
    """Moved by one or two pixels along one axis or both; the new border repeats the edge."""
    down, right = rng.choice([(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (1, 2), (2, 2)])
    moves = (down * rng.choice([-1, 1]), right * rng.choice([-1, 1]))
    return ndimage.shift(image, moves, order=0, mode="nearest")


def scaled(image: Pixels, rng: Rng) -> Pixels:
    """Five per cent larger or smaller about the middle, in the same frame."""
    factor = rng.choice([0.95, 1.05])
    middle = (np.array(image.shape) - 1) / 2
    resized = ndimage.affine_transform(
        image.astype(np.float32), np.eye(2) / factor, middle * (1 - 1 / factor),
        order=1, mode="nearest",
    )  # fmt: skip
    return _levels(resized)


def brightened(image: Pixels, rng: Rng) -> Pixels:
    """Every level times 0.8 to 0.9, or times 1.1 to 1.2 as far as white."""
    step = rng.uniform(0.1, 0.2) * rng.choice([-1, 1])
    return _levels(image * (1 + step))


def compressed(image: Pixels, _: Rng) -> Pixels:
    """As JPEG of quality 60 leaves it."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer).convert("L"))


def neighbour(image: Pixels, rng: Rng, other: Floats) -> Pixels:
    """A smaller character (``other``, a mask) at the side; the first one makes room for it."""
    sheet = page(image)
    height, width = image.shape
    small = fitted(other, *[max(6, round(rng.uniform(0.22, 0.32) * min(image.shape)))] * 2)
    canvas = np.zeros(image.shape, np.float32)
    gap = max(1, round(0.03 * min(image.shape)))
    sideways = rng.random() < 0.6  # left or right, as a column beside the column
    room = (height - 2 * gap, width - small.shape[1] - 3 * gap)
    if not sideways:
        room = (height - small.shape[0] - 3 * gap, width - 2 * gap)
    main = fitted(sheet.ink, *room, enlarge=False)
    first = rng.random() < 0.5
    if sideways:
        _put(canvas, main, 0.5, float(first), gap)
        _put(canvas, small, rng.random(), float(not first), gap)
    else:
        _put(canvas, main, float(first), 0.5, gap)
        _put(canvas, small, float(not first), rng.random(), gap)
    return sheet.drawn(canvas, rng)


def touching(image: Pixels, rng: Rng, other: Floats) -> Pixels:
    """A smaller character (``other``, a mask) in a corner, moved until it touches the first.

    It is the corner where it moves least, of those where it covers little of the first one.
    """
    sheet = page(image)
    small = fitted(other, *[max(6, round(rng.uniform(0.22, 0.32) * min(image.shape)))] * 2)
    gap = max(1, round(0.03 * min(image.shape)))
    near = ndimage.binary_dilation(sheet.ink > FAINT, np.ones((3, 3)))
    added = []
    for down, right in rng.permutation([(0, 0), (0, 1), (1, 0), (1, 1)]):
        for inwards in range(min(image.shape) // 2):
            canvas = np.zeros(image.shape, np.float32)
            _put(canvas, small, float(down), float(right), gap + inwards)
            if (canvas[near] > FAINT).any():
                break
        covered = np.minimum(canvas, sheet.ink).sum() > 0.25 * small.sum()
        added.append((covered, inwards, canvas))
    nearest = min(added, key=lambda corner: corner[:2])
    return sheet.drawn(np.maximum(sheet.ink, nearest[-1]), rng)


def sealed(image: Pixels, rng: Rng, other: Floats) -> Pixels:
    """A square seal in a corner, a character (``other``) carved into it, paler than the ink."""
    sheet = page(image)
    side = max(6, round(rng.uniform(0.16, 0.24) * min(image.shape)))
    rim = max(1, side // 10)
    stamp = np.ones((side, side), np.float32)
    carved = fitted(other, side - 2 * rim, side - 2 * rim)
    _put(stamp, -carved, 0.5, 0.5, rim)
    canvas = np.zeros(image.shape, np.float32)
    gap = max(1, round(0.03 * min(image.shape)))
    room = [round(0.97 * length - side) for length in image.shape]
    main = fitted(sheet.ink, room[0] + side // 2, room[1] + side // 2, enlarge=False)
    down, right = rng.integers(0, 2, 2)
    _put(canvas, main, 1.0 - down, 1.0 - right, gap)
    _put(canvas, np.clip(stamp, 0.1, 1) * rng.uniform(0.5, 0.75), down, right, gap)
    return sheet.drawn(canvas, rng)


def ruled(image: Pixels, rng: Rng) -> Pixels:
    """Two lines of a column or a row, paler than the ink, and sometimes one through the strokes."""
    sheet = page(image)
    drawing = Image.new("L", (max(image.shape),) * 2)
    side = drawing.width
    width = max(1, round(rng.uniform(0.006, 0.014) * side))
    places = [rng.uniform(0.04, 0.14), rng.uniform(0.86, 0.96)]
    if rng.random() < 0.35:
        places.append(rng.uniform(0.3, 0.7))
    tilt = rng.uniform(-0.01, 0.01) * side
    for place in places:
        line = [(place * side + tilt, 0), (place * side - tilt, side)]
        ImageDraw.Draw(drawing).line(line, 255, width)
    upright = drawing if rng.random() < 0.6 else drawing.transpose(Image.Transpose.TRANSPOSE)
    lines = np.asarray(upright.resize(image.shape[::-1], Image.Resampling.BOX), np.float32) / 255
    ink = np.maximum(sheet.ink, lines * rng.uniform(0.4, 0.7))
    return _levels(np.where(ink > sheet.ink, sheet.paper + sheet.contrast * ink, image))


def inverted(image: Pixels, _: Rng) -> Pixels:
    """Dark for bright."""
    return 255 - image


def turned(image: Pixels, _: Rng, *, quarters: int) -> Pixels:
    """Turned left by so many quarters."""
    return np.rot90(image, quarters).copy()


def cut_off(image: Pixels, rng: Rng) -> Pixels:
    """Moved over a border by so much that 15 to 30 % of the ink is lost."""
    sheet = page(image)
    quarters = int(rng.integers(4))
    ink = np.rot90(sheet.ink, quarters)
    rows = ink.sum(1).cumsum()
    lost = int(np.searchsorted(rows, rng.uniform(0.15, 0.3) * rows[-1])) + 1
    moved = np.concatenate([ink[lost:], np.zeros_like(ink[:lost])])
    return sheet.drawn(np.rot90(moved, -quarters), rng)


def blank(image: Pixels, rng: Rng) -> Pixels:
    """The paper of ``image`` alone."""
    return page(image).drawn(np.zeros(image.shape, np.float32), rng, least=LEAST_GRAIN)


def noise(image: Pixels, rng: Rng) -> Pixels:
    """Noise of a broken scanner, fine or coarse, over all levels of the image."""
    sheet = page(image)
    rough = ndimage.gaussian_filter(rng.random(image.shape), rng.uniform(0, 0.02) * len(image))
    spread = (rough - rough.min()) / np.ptp(rough)
    return sheet.drawn(spread, rng)


def scribble(image: Pixels, rng: Rng) -> Pixels:
    """Loops of a pen that somebody tried."""
    sheet = page(image)
    side = 4 * max(image.shape)
    drawing = Image.new("L", (side, side))
    for _ in range(int(rng.integers(1, 4))):
        walk = rng.normal(0, 1, (int(rng.integers(80, 240)), 2)).cumsum(0)
        walk = ndimage.gaussian_filter1d(walk, 4, axis=0)
        walk = (walk - walk.min(0)) / np.ptp(walk, axis=0)
        inner = (0.12 + 0.76 * walk) * side
        width = round(rng.uniform(0.02, 0.05) * side)
        ImageDraw.Draw(drawing).line([tuple(at) for at in inner], 255, width, joint="curve")
    small = drawing.resize(image.shape[::-1], Image.Resampling.BOX)
    return sheet.drawn(np.asarray(small, np.float32) / 255, rng)


def foreign(image: Pixels, rng: Rng, other: Floats) -> Pixels:
    """A character of another script (``other``, a mask), as large as the image's own."""
    sheet = page(image)
    canvas = np.zeros(image.shape, np.float32)
    _put(canvas, fitted(other, *(round(0.75 * length) for length in image.shape)), 0.5, 0.5, 0)
    return sheet.drawn(canvas, rng)


def texture(image: Pixels, rng: Rng) -> Pixels:
    """A piece of a photograph, of two that scikit-learn comes with, in grey."""
    photographs = _photographs()
    whole = photographs[int(rng.integers(len(photographs)))]
    share = rng.uniform(0.15, 0.5)
    height, width = (round(share * min(whole.shape) * n / max(image.shape)) for n in image.shape)
    piece = whole[:0]
    while piece.size == 0 or piece.std() < LEAST_TEXTURE:  # fog would be one more blank page
        top, left = rng.integers((whole.shape[0] - height, whole.shape[1] - width))
        piece = whole[top : top + height, left : left + width]
    small = Image.fromarray(piece).resize(image.shape[::-1], Image.Resampling.LANCZOS)
    return np.asarray(small)


def fitted(ink: Floats, height: int, width: int, *, enlarge: bool = True) -> Floats:
    """``ink`` without its margins, its aspect kept, at most ``height`` by ``width``."""
    rows, columns = (np.flatnonzero(ink.max(axis) > FAINT) for axis in (1, 0))
    if not len(rows):
        return np.zeros((1, 1), np.float32)
    inner = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = min(height / inner.shape[0], width / inner.shape[1])
    factor = factor if enlarge else min(factor, 1.0)
    size = [max(1, int(factor * length)) for length in inner.shape]
    small = Image.fromarray(_levels(inner * 255)).resize(size[::-1], Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _put(canvas: Floats, piece: Floats, down: float, right: float, gap: int) -> None:
    """Add ``piece`` to ``canvas``, from 0 at the upper left to 1 at the lower right, in place."""
    starts = [
        gap + max(0, round(share * (outer - inner - 2 * gap)))
        for share, outer, inner in zip((down, right), canvas.shape, piece.shape, strict=True)
    ]
    there = canvas[starts[0] :, starts[1] :][: piece.shape[0], : piece.shape[1]]
    there += piece[: there.shape[0], : there.shape[1]]
    np.clip(canvas, 0, 1, out=canvas)


def _levels(values: Floats) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@functools.cache
def _photographs() -> list[Pixels]:
    return [np.asarray(Image.fromarray(rgb).convert("L")) for rgb in load_sample_images().images]
