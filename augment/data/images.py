"""Images decoded and encoded, here only; and uint8 <-> [-1, 1].

A decoded image is upright, with eight bits a channel, of mode ``L`` or ``RGB``. Pillow decodes all
allowed formats itself (HEIC by its plugin pillow-heif), so that no file can start another program.
What black and white mean in 16 bits and in floats no file says by itself: see augment.data.levels.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from augment.data import deep
from augment.data.opening import (
    FORMATS,
    MAX_PIXELS,
    MOST_PIXELS,
    opened,
    own_limit,
    too_large,
)
from augment.data.opening import ImageError as ImageError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
    ".avif", ".heic", ".heif",
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

Pixels = NDArray[np.uint8]


class Facts(NamedTuple):
    """What a file holds.

    SHA-256 of its bytes, its upright size in pixels, its mode in the file; ``kind`` of its levels,
    the lowest and the highest level, and the highest that its metadata allow (0: they say nothing);
    the number of its pages, of which the first is decoded.
    """

    id: str
    width: int
    height: int
    mode: str
    kind: str = "8 bits"
    low: float = 0.0
    high: float = 0.0
    declared: float = 0.0
    pages: int = 1


def decode(data: bytes) -> Image.Image:
    """The image in ``data``, upright, as ``L`` or ``RGB``; the first page of several.

    16 bits are scaled to 8, one bit and palettes are expanded, transparent images are laid over
    white, CMYK is converted; a JPEG above 32 megapixels is decoded at half its size or less. Raises
    ImageError for bytes that are empty, no image, truncated, animated, of more than MOST_PIXELS or
    of an unsupported mode, such as floats.
    """
    return _eight_bits(opened(data))


def examine(data: bytes, max_pixels: int = MAX_PIXELS) -> Facts:
    """Decode ``data`` fully and return its facts.

    Raises ImageError like ``decode``, for more than ``max_pixels``, and for floats that are not
    finite; other floats are no error here.
    """
    image = opened(data, max_pixels)
    mode = image.mode
    pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    colours = deep.colours(data, image)
    if colours is not None:
        low, high = float(colours.min()), float(colours.max())
        kind, declared = f"{image.format}, 16 bits in colour", deep.declared(image)
        upright = _upright(image)
    elif not deep.is_deep(mode):
        upright = _eight_bits(image)
        lows, highs = np.reshape(upright.getextrema(), (-1, 2)).T
        kind, low, high, declared = "8 bits", float(lows.min()), float(highs.max()), 0.0
    else:
        wide = deep.levels(image)
        low, high = float(wide.min()), float(wide.max())
        kind = f"{image.format}, {'floats' if mode == 'F' else '16 bits'}"
        declared = deep.declared(image)
        upright = _upright(_in_place_of(image, np.zeros(wide.shape, np.uint8)))
    digest = hashlib.sha256(data).hexdigest()
    return Facts(digest, upright.width, upright.height, mode, kind, low, high, declared, pages)


def rescaled(data: bytes, black: float, white: float) -> bytes:
    """A deep image as an upright PNG of eight bits; levels beyond black and white are cut.

    Raises ImageError like ``examine``.
    """
    image = opened(data)
    colours = deep.colours(data, image)
    if colours is None:
        share = (deep.levels(image) - black) / (white - black)
        plain = Image.fromarray(np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8))
    else:
        shares = (np.arange(1 << 16) - black) / (white - black)
        plain = Image.fromarray(np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)[colours])
        if image.mode == "RGBA":
            plain.putalpha(image.getchannel("A"))
            plain = _over_white(plain)
    return encode(np.asarray(_upright(_in_place_of(image, plain))))


def mode(data: bytes) -> str:
    """The mode of an image in the file. Raises ImageError."""
    return opened(data).mode


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin like a TIFF."""
    return data.startswith(_TIFF)


def pages(data: bytes) -> Iterator[bytes]:
    """Each page of ``data`` as a TIFF of its own, if ``data`` is a TIFF of several; else itself.

    Raises ImageError for a damaged page, and ends there.
    """
    count = getattr(opened(data), "n_frames", 1) if is_tiff(data) else 1
    if count == 1:
        yield data
        return
    with warnings.catch_warnings(), own_limit():
        warnings.simplefilter("ignore")
        for place in range(count):
            try:
                image: Any = Image.open(io.BytesIO(data), formats=("TIFF",))
                image.seek(place)
                if image.width * image.height > MOST_PIXELS:
                    raise ImageError(too_large(image))
                kept = {tag: image.tag_v2[tag] for tag in _KEPT_TAGS if tag in image.tag_v2}
                buffer = io.BytesIO()
                image.load()
                page = Image.frombytes(image.mode, image.size, image.tobytes())
                if image.palette:
                    page.putpalette(image.palette)
                page.save(buffer, "TIFF", tiffinfo=kept)
            except ImageError:
                raise
            except Exception:
                raise ImageError(f"page {place + 1} is damaged") from None
            yield buffer.getvalue()


_KEPT_TAGS = (deep.HIGHEST, deep.HIGHEST_FLOAT, 0x0112)  # the last is the orientation


def examine_many(
    items: Iterable[bytes | str], max_pixels: int = MAX_PIXELS
) -> list[tuple[bytes, Facts | None, str]]:
    """Read and examine several images; each gives its bytes, its facts, and a reason if unusable.

    An item is a path as text, or bytes. This is the task of a worker process: bytes that the caller
    sent are not returned (empty instead), so that they cross between processes once.
    """
    results: list[tuple[bytes, Facts | None, str]] = []
    for item in items:
        try:
            if isinstance(item, str):
                with open(item, "rb") as file:
                    data = file.read()
                results.append((data, examine(data, max_pixels), ""))
            else:
                results.append((b"", examine(item, max_pixels), ""))
        except ImageError as error:
            results.append((b"", None, str(error)))
        except MemoryError:
            results.append((b"", None, "too large for the memory there is"))
        except FileNotFoundError:
            results.append((b"", None, "missing file"))
        except OSError:
            results.append((b"", None, "unreadable file"))
    return results


def header(source: bytes | str) -> tuple[int, int, str] | None:
    """Upright width and height, and the mode, from the header of an image in a file or in bytes.

    None where only decoding tells what is wrong with it (``examine_many``). No pixel is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = source if isinstance(source, str) else io.BytesIO(source)
            with Image.open(file, formats=FORMATS) as image:
                width, height = image.size
                if image.format not in ("PNG", "GIF", "BMP", "PPM"):
                    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
                    width, height = (height, width) if turned else (width, height)
                animated = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
                return (
                    None if animated or width * height > MAX_PIXELS else (width, height, image.mode)
                )
        except Exception:  # as in _open
            return None


def encode(pixels: Pixels) -> bytes:
    """PNG bytes of an (H, W) or (H, W, 3) array. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_many(pixels: Pixels) -> list[bytes]:
    """PNG bytes of each image of an (N, H, W) or (N, H, W, 3) array: a worker's task."""
    return [encode(image) for image in pixels]


def pixels(data: bytes, mode: str) -> Pixels:
    """Decode to an array: (H, W) for mode ``L``, (H, W, 3) for ``RGB``. Raises ImageError."""
    return np.asarray(decode(data).convert(mode))


def channels_last(batch: Pixels) -> Pixels:
    """(N, C, H, W) to (N, H, W, 3), or to (N, H, W) for one channel, as encode_many takes it."""
    moved = batch.transpose(0, 2, 3, 1)
    return moved[..., 0] if moved.shape[-1] == 1 else moved


def to_signed(values: Any) -> Any:
    """0…255 to [-1, 1], for arrays and tensors; floats keep their type."""
    return values / 127.5 - 1.0


def to_uint8(values: NDArray[Any]) -> Pixels:
    """[-1, 1] to 0…255, rounded and clipped."""
    scaled: Pixels = np.clip(np.rint((values + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return scaled


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return _upright(image)
    return _upright(_convert(image))


def _upright(image: Image.Image) -> Image.Image:
    if image.format in ("PNG", "GIF", "BMP", "PPM") and "exif" not in image.info:
        return image
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF says nothing about the orientation
            return image


def _convert(image: Image.Image) -> Image.Image:
    """An image of another mode as ``L`` or ``RGB``; its EXIF stays for ``_upright``."""
    mode = image.mode
    if deep.is_deep(mode) and mode != "F":
        plain = Image.fromarray(np.rint(deep.levels(image) / 257.0).astype(np.uint8))
    elif mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        plain = _over_white(image)
    elif mode == "1":
        plain = image.convert("L")
    elif mode == "P":
        plain = image.convert("RGB")
        plain = plain.convert("L") if _is_grey(plain) else plain
    elif mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        plain = image.convert("RGB")
    else:
        raise ImageError(f"unsupported mode {mode}")
    return _in_place_of(image, plain)


def _in_place_of(image: Image.Image, pixels: Pixels | Image.Image) -> Image.Image:
    """The pixels as an image with the format and the EXIF of ``image``."""
    plain = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    plain.format = image.format
    if "exif" in image.info:
        plain.info["exif"] = image.info["exif"]
    return plain


def _over_white(image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    flat = Image.alpha_composite(white, layered).convert("RGB")
    return flat.convert("L") if image.mode in ("L", "LA", "La", "1") or _is_grey(flat) else flat


def _is_grey(image: Image.Image) -> bool:
    channels = np.asarray(image)
    return bool((channels == channels[..., :1]).all())


def animation(frames: list[Pixels], seconds: float = 0.25) -> bytes:
    """An endless GIF of (H, W, 3) frames of equal size; the last frame stays four times as long."""
    pictures = [Image.fromarray(frame) for frame in frames]
    durations = [int(seconds * 1000)] * (len(frames) - 1) + [int(seconds * 4000)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )
    return buffer.getvalue()
