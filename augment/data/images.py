"""Images decoded and encoded, here only; and uint8 <-> [-1, 1].

A decoded image is upright, with eight bits a channel, of mode ``L`` or ``RGB``. Pillow decodes all
allowed formats itself, so that no file can start another program.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from augment.errors import AugmentError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # Pillow opens MPO as JPEG
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
)  # fmt: skip
MAX_PIXELS = 64_000_000  # of an image; a larger one is rejected as a decompression bomb
ImageFile.LOAD_TRUNCATED_IMAGES = False

Pixels = NDArray[np.uint8]


class ImageError(AugmentError, ValueError):
    """The bytes are no usable image; the message is the reason, in a few words."""


class Facts(NamedTuple):
    """SHA-256 of an image's bytes, its upright size in pixels, and the mode in the file."""

    id: str
    width: int
    height: int
    mode: str


def decode(data: bytes) -> Image.Image:
    """The image in ``data``, upright, as ``L`` or ``RGB``.

    16 bits are scaled to 8, one bit and palettes are expanded, transparent images are laid over
    white, CMYK is converted. Raises ImageError for bytes that are empty, no image, truncated, a
    decompression bomb, animated or of an unsupported mode.
    """
    return _eight_bits(_open(data))


def examine(data: bytes) -> Facts:
    """Decode ``data`` fully and return its facts. Raises ImageError like ``decode``."""
    image = _open(data)
    mode = image.mode
    upright = _eight_bits(image)
    return Facts(hashlib.sha256(data).hexdigest(), upright.width, upright.height, mode)


def examine_many(items: Iterable[bytes | str]) -> list[tuple[bytes, Facts | None, str]]:
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
                results.append((data, examine(data), ""))
            else:
                results.append((b"", examine(item), ""))
        except ImageError as error:
            results.append((b"", None, str(error)))
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


def _open(data: bytes) -> Image.Image:
    """The image in ``data``, loaded, in the mode of the file. Raises ImageError."""
    if not data:
        raise ImageError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise ImageError("not an image") from None
        except Image.DecompressionBombError:
            raise ImageError("decompression bomb") from None
        except Exception:
            raise ImageError("truncated or damaged") from None
        if image.width * image.height > MAX_PIXELS:
            raise ImageError("decompression bomb")
        try:
            animated = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
            if not animated:
                image.load()
        except Image.DecompressionBombError:
            raise ImageError("decompression bomb") from None
        except Exception:  # Pillow's decoders raise OSError, SyntaxError, struct.error, KeyError, …
            raise ImageError("truncated or damaged") from None
        if animated:
            raise ImageError("animated")
        return image


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
    if mode.startswith("I;16") or mode == "I":
        wide = np.asarray(image, dtype=np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ImageError(f"unsupported mode {mode} beyond 16 bits")
        plain = Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))
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
