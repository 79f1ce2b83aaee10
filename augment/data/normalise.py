"""Forms: the common size and mode to which ``clean`` brings the images of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augment.data import images

SIZES = (8, 16, 28, 32, 48, 64, 96, 128)
# Chosen by hand.
GREY_LEVELS = 16  # levels by which channels of a grey image may differ: JPEG's colour noise
GREY_SHARE = 0.99  # share of the pixels that must not differ by more
LONG = 2.0  # times the other side: from here on an image is long, such as that of a word
LONG_SHARE = 0.6  # least share of long images in a set of long ones
ACROSS_SHARE = 0.25  # greatest share of images that lie the other way in such a set


@dataclass(frozen=True)
class Form:
    """Height and width in pixels, mode (L or RGB) and resize policy (pad, fit or crop)."""

    size: tuple[int, int]
    mode: str
    resize: str


def to_form(data: bytes, form: Form) -> bytes:
    """The encoded image ``data`` in the given form, as PNG bytes.

    Resampling is Lanczos; an image of the right size is not resampled. ``pad`` keeps the whole
    image and its aspect and fills the rest with the median of its border, so that paper continues
    as paper; ``fit`` stretches; ``crop`` keeps the aspect and cuts the centre out.
    """
    image = images.decode(data).convert(form.mode)
    height, width = form.size
    if image.size != (width, height):
        image = _RESIZE[form.resize](image, width, height)
    return images.encode(np.asarray(image))


def small(pixels: images.Pixels, side: int) -> images.Pixels:
    """An (H, W) or (H, W, 3) array as (``side``, ``side``, 3), padded to a square."""
    image = Image.fromarray(pixels)
    if image.size != (side, side):
        image = _pad(image, side, side, gap=2.0)  # averages blocks first: half as dear
    return np.asarray(image.convert("RGB"))


def auto_size(longer: Sequence[float] | NDArray[Any]) -> int:
    """The common side, in pixels, for images with these longer sides.

    The member of SIZES nearest to their median, and the smaller of two equally near.
    """
    median = float(np.median(longer))
    return min(SIZES, key=lambda size: (abs(size - median), size))


def auto_shape(heights: NDArray[Any], widths: NDArray[Any]) -> tuple[int, int]:
    """The common height and width, in pixels, for images with these heights (N,) and widths (N,).

    A square with the side ``auto_size`` of their longer sides, unless the set is one of long images
    that lie one way: at least 60 % of them are twice as wide as high, and at most 25 % are higher
    than wide (words of a line have a short one now and then), or all that the other way round. Then
    the longer side is the same, and the shorter one the member of SIZES nearest to what the median
    ratio of the sides asks for: 32 × 128 for words four times as wide as high.
    """
    side = auto_size(np.maximum(heights, widths))
    ratios = np.asarray(widths, np.float64) / np.asarray(heights)
    for wide, times in ((True, ratios), (False, 1 / ratios)):
        if (times >= LONG).mean() >= LONG_SHARE and (times < 1).mean() <= ACROSS_SHARE:
            short = auto_size([side / float(np.median(times))])
            return (short, side) if wide else (side, short)
    return side, side


def is_grey(pixels: images.Pixels) -> bool:
    """Whether an (H, W) or (H, W, 3) array has no more colour than JPEG adds by itself."""
    if pixels.ndim == 2:
        return True
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    return bool((spread <= GREY_LEVELS).mean() >= GREY_SHARE)


def _pad(image: Image.Image, width: int, height: int, gap: float | None = None) -> Image.Image:
    inner = _scaled(image, min(width / image.width, height / image.height), gap)
    if inner.size == (width, height):
        return inner
    canvas = Image.new(image.mode, (width, height), _border(image))
    canvas.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return canvas


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _crop(image: Image.Image, width: int, height: int) -> Image.Image:
    outer = _scaled(image, max(width / image.width, height / image.height))
    left, top = (outer.width - width) // 2, (outer.height - height) // 2
    return outer.crop((left, top, left + width, top + height))


_RESIZE = {"pad": _pad, "fit": _fit, "crop": _crop}


def _scaled(image: Image.Image, factor: float, gap: float | None = None) -> Image.Image:
    """Each side times ``factor``; with a ``gap`` blocks are averaged first, to ``gap`` times it."""
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=gap)


def _border(image: Image.Image) -> tuple[int, ...]:
    """The median of the outermost pixels, for each channel."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(level) for level in np.median(edge, axis=0))
