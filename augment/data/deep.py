"""Levels of images with more than eight bits a channel, as the file holds them."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augment.data.opening import FORMATS, ImageError, own_limit

_BITS, HIGHEST, HIGHEST_FLOAT = 258, 281, 341  # TIFF 6.0: BitsPerSample, (S)MaxSampleValue


def is_deep(mode: str) -> bool:
    """Whether images of this mode have more than eight bits a channel."""
    return mode.startswith("I;16") or mode in ("I", "F")


def levels(image: Image.Image) -> NDArray[np.float64]:
    """The levels (H, W) of a deep image. Raises ImageError where they are beyond 16 bits."""
    wide = np.asarray(image, np.float64)
    if not np.isfinite(wide).all():
        raise ImageError("holds NaN or infinite levels")
    if image.mode != "F" and (wide.min() < 0 or wide.max() > 65535):
        raise ImageError(f"unsupported mode {image.mode} beyond 16 bits")
    return wide


def colours(data: bytes, image: Image.Image) -> NDArray[np.uint16] | None:
    """The levels (H, W, 3) of a colour image of 16 bits a channel; None for any other image.

    Pillow decodes such a file to its high bytes; with the byte order swapped, to its low ones.
    Raises ImageError where it cannot.
    """
    if image.format == "PNG":
        deep = data[24] == 16  # IHDR: the bit depth
    else:
        bits = getattr(image, "tag_v2", {}).get(_BITS, 0)
        deep = (bits[0] if isinstance(bits, tuple) and bits else bits) == 16
    if not deep or image.mode not in ("RGB", "RGBA"):
        return None
    high = np.asarray(image)[..., :3].astype(np.uint16)
    with warnings.catch_warnings(), own_limit():
        warnings.simplefilter("ignore")
        try:
            swapped: Any = Image.open(io.BytesIO(data), formats=FORMATS)
            grey = False
            tiles = []
            for tile in swapped.tile:
                rawmode, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args
                grey = rawmode == "LA;16B"  # both bytes of grey, then both of alpha
                rawmode = "RGBA" if grey else rawmode[:-1] + _SWAPPED[rawmode[-4:]]
                tiles.append(tile._replace(args=(rawmode, *rest) if rest else rawmode))
            swapped.tile = tiles
            low = np.asarray(swapped)
        except MemoryError:
            raise
        except Exception:
            raise ImageError("colours of 16 bits in a layout that is not read") from None
    both_bytes: NDArray[np.uint16] = (high << 8) | (low[..., 1:2] if grey else low[..., :3])
    return both_bytes


_SWAPPED = {";16B": "L", ";16L": "B", ";16N": "B" if sys.byteorder == "little" else "L"}


def declared(image: Image.Image) -> float:
    """The highest level that the tags of a deep TIFF allow; 0 where they say nothing."""
    tags = getattr(image, "tag_v2", {})

    def number(tag: int) -> float:
        value = tags.get(tag, 0)
        value = value[0] if isinstance(value, tuple) and value else value
        try:
            return float(value)
        except (TypeError, ValueError, ZeroDivisionError):
            return 0.0

    if image.mode == "F":
        return number(HIGHEST_FLOAT)
    bits = number(_BITS)
    return number(HIGHEST) or (2.0**bits - 1 if 8 < bits < 16 else 0.0)
