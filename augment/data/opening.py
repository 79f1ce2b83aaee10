"""Opening the bytes of an image: which formats, how large, and why a file is no usable image."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile, UnidentifiedImageError

from augment.data import signatures
from augment.errors import AugmentError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # Pillow opens MPO as JPEG
MAX_PIXELS = 128_000_000  # of an image, by default: the 108 megapixels of a phone, and some more
MOST_PIXELS = 1 << 28  # of any image, 0.8 GB in colour; the upper bound of ingest.max_pixels
_REDUCED = 32_000_000  # pixels from which a format that can is decoded at half its size or less
ImageFile.LOAD_TRUNCATED_IMAGES = False


class ImageError(AugmentError, ValueError):
    """The bytes are no usable image; the message is the reason, in a few words."""


def opened(data: bytes, max_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image in ``data``, loaded, in the mode of the file. Raises ImageError."""
    if not data:
        raise ImageError("empty file")
    formats = _formats(data)
    with warnings.catch_warnings(), own_limit():
        warnings.simplefilter("ignore")
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError:
            content = signatures.what(data)
            raise ImageError(f"not an image: {content}" if content else "not an image") from None
        except MemoryError:
            raise
        except Exception:
            raise ImageError("truncated or damaged") from None
        if image.width * image.height > max_pixels:
            raise ImageError(too_large(image))
        try:
            several = getattr(image, "n_frames", 1) > 1
            animated = several and image.format not in ("MPO", "TIFF", "HEIF")
            if not animated:
                _reduce(image)
                image.load()
        except MemoryError:
            raise
        except Exception:  # Pillow's decoders raise OSError, SyntaxError, struct.error, KeyError, …
            raise ImageError("truncated or damaged") from None
        if animated:
            raise ImageError("animated")
        return image


def _formats(data: bytes) -> tuple[str, ...]:
    """Pillow's formats for these bytes. Raises ImageError for HEIC without pillow-heif."""
    if signatures.is_heic(data):
        try:
            import pillow_heif  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImageError(
                "HEIC, which needs the package pillow-heif: pip install 'augment[heif]'"
            ) from None
        pillow_heif.register_heif_opener()
        return ("HEIF",)
    if signatures.is_avif(data):
        Image.init()
        return ("AVIF",) if "AVIF" in Image.OPEN else FORMATS
    return FORMATS


@contextmanager
def own_limit() -> Iterator[None]:
    """Pillow's own limit of pixels lies below what ingest.max_pixels may allow: lift it here."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def too_large(image: Image.Image) -> str:
    """Why an image of more pixels than are allowed is not read."""
    millions = -(-image.width * image.height // 1_000_000)
    if image.width * image.height > MOST_PIXELS:
        return f"{millions} megapixels: more than {MOST_PIXELS // 1_000_000}, the most that is read"
    return f"{millions} megapixels: raise ingest.max_pixels"


def _reduce(image: Image.Image) -> None:
    """Let a format that can (JPEG) decode a large image at 1/2, 1/4 or 1/8 of its size."""
    factor = 1
    while image.width * image.height > _REDUCED * factor**2:
        factor *= 2
    if factor > 1:
        image.draft(image.mode, (image.width // factor, image.height // factor))
