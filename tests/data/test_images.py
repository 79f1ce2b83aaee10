"""Images: every mode and format to upright L or RGB, and every flaw to one reason."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from augment.data import images
from augment.data.images import ImageError
from augment.errors import AugmentError

GREY = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], 2)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
LAYERED = np.array([[[0, 0], [0, 255], [100, 255], [0, 128]]], np.uint8)  # value, alpha


def encoded(image: Image.Image | np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def palette(colours: list[int], mode: str = "P") -> Image.Image:
    image = Image.new(mode, (2, 1))
    image.putpalette(colours)
    image.putpixel((1, 0), 1 if mode == "P" else (1, 128))
    return image


def bits(values: list[int]) -> Image.Image:
    return Image.fromarray(np.array([values], np.uint8)).convert("1")


def wide(values: list[int], kind: type = np.uint16) -> Image.Image:
    return Image.fromarray(np.array([values], kind))


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT"


MODES = {  # what is in the file -> its mode there, what it decodes to
    "bits": (encoded(bits([0, 255])), "1", [[0, 255]]),
    "bits, black is clear": (encoded(bits([0, 255]), transparency=0), "1", [[255, 255]]),
    "grey": (encoded(GREY), "L", GREY),
    "grey, black is clear": (encoded(GREY, transparency=0), "L", [[255, 50, 100], GREY[1]]),
    "grey, alpha": (encoded(LAYERED), "LA", [[255, 0, 100, 127]]),
    "palette": (encoded(palette([255, 0, 0, 0, 0, 255])), "P", [[[255, 0, 0], [0, 0, 255]]]),
    "grey palette": (encoded(palette([9, 9, 9, 8, 8, 8])), "P", [[9, 8]]),
    "palette, first is clear": (
        encoded(palette([255, 0, 0, 0, 0, 255]), transparency=0),
        "P",
        [[[255, 255, 255], [0, 0, 255]]],
    ),
    "palette, alpha": (
        encoded(palette([255, 0, 0, 0, 0, 255], "PA"), "TIFF"),
        "PA",
        [[[255, 255, 255], [127, 127, 255]]],
    ),
    "colour": (encoded(COLOUR), "RGB", COLOUR),
    "grey as colour": (encoded(np.stack([GREY] * 3, 2)), "RGB", np.stack([GREY] * 3, 2)),
    "colour, alpha": (
        encoded(np.array([[[0, 9, 0, 0], [255, 0, 0, 255], [255, 0, 0, 128]]], np.uint8)),
        "RGBA",
        [[[255, 255, 255], [255, 0, 0], [255, 127, 127]]],
    ),
    "ink": (
        encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"),
        "CMYK",
        [[[255, 0, 0]]],
    ),
    "luminance": (
        encoded(Image.new("YCbCr", (1, 1), (200, 128, 128)), "TIFF"),
        "YCbCr",
        [[[200, 200, 200]]],
    ),
    "16 bits": (encoded(wide([0, 128, 129, 257 * 7, 65535])), "I;16", [[0, 0, 1, 7, 255]]),
    "16 bits, TIFF": (encoded(wide([0, 257, 65535]), "TIFF"), "I;16", [[0, 1, 255]]),
    "the first of two pages": (
        encoded(GREY, "TIFF", save_all=True, append_images=[bits([0, 1])]),
        "L",
        GREY,
    ),
    "16 bits in 32": (encoded(wide([0, 257, 65535], np.int32), "TIFF"), "I", [[0, 1, 255]]),
}

REASONS = {
    "empty": (b"", "empty file"),
    "text": (b"no image at all", "not an image: text"),
    "program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image: PostScript"),
    "half": (encoded(NOISE)[:500], "truncated or damaged"),
    "half a JPEG": (encoded(NOISE, "JPEG")[:500], "truncated or damaged"),
    "damaged": (encoded(NOISE)[:500] + bytes(100) + encoded(NOISE)[600:], "truncated or damaged"),
    "bomb": (
        header(60000, 60000),
        "3600 megapixels: more than 268, the most that is read",
    ),
    "just a bomb": (header(16385, 16384), "269 megapixels: more than 268, the most that is read"),
    "no bomb": (header(8001, 8000), "truncated or damaged"),
    "animated GIF": (
        encoded(GREY, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        "animated",
    ),
    "animated PNG": (
        encoded(GREY, save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        "animated",
    ),
    "animated WebP": (
        encoded(COLOUR, "WEBP", save_all=True, append_images=[Image.fromarray(255 - COLOUR)]),
        "animated",
    ),
    "Lab": (encoded(Image.new("LAB", (2, 2)), "TIFF"), "unsupported mode LAB"),
    "32 bits": (encoded(wide([0, 65536], np.int32), "TIFF"), "unsupported mode I beyond 16 bits"),
    "negative": (encoded(wide([0, -1], np.int32), "TIFF"), "unsupported mode I beyond 16 bits"),
}


@pytest.mark.parametrize("name", MODES)
def test_modes(name: str) -> None:
    data, mode, expected = MODES[name]
    image = images.decode(data)
    assert np.asarray(image).tolist() == np.asarray(expected).tolist()
    assert image.mode == ("RGB" if np.ndim(expected) == 3 else "L")
    facts = images.examine(data)
    assert facts.mode == mode
    assert (facts.height, facts.width) == np.shape(expected)[:2]
    assert facts.id == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", REASONS)
def test_reasons(name: str) -> None:
    data, reason = REASONS[name]
    for ask in (images.decode, images.examine):
        with pytest.raises(ImageError) as caught:
            ask(data)
        assert str(caught.value) == reason
    assert isinstance(caught.value, AugmentError)


@pytest.mark.parametrize("format", images.FORMATS)
def test_formats(format: str) -> None:
    smooth = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    decoded = np.asarray(images.decode(encoded(smooth, format)), int)
    assert abs(decoded - smooth).max() <= (4 if format in ("JPEG", "WEBP") else 0)


def test_multi_picture_jpeg_gives_its_first() -> None:
    flat = [Image.new("L", (8, 8), level) for level in (200, 20)]
    data = encoded(flat[0], "MPO", save_all=True, append_images=flat[1:])
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
    assert np.asarray(images.decode(data)).mean() == pytest.approx(200, abs=3)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16) * 257], ids=["L", "I;16"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, GREY),
        (2, GREY[:, ::-1]),
        (3, GREY[::-1, ::-1]),
        (4, GREY[::-1]),
        (5, GREY.T),
        (6, np.rot90(GREY, -1)),
        (7, GREY[::-1, ::-1].T),
        (8, np.rot90(GREY)),
    ],
)
def test_exif_orientation(
    format: str, pixels: np.ndarray, orientation: int, upright: np.ndarray
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(pixels, format, exif=exif)
    assert (np.asarray(images.decode(data)) == upright).all()
    assert (images.examine(data).height, images.examine(data).width) == upright.shape


def test_damaged_exif_says_nothing() -> None:
    data = encoded(GREY, exif=b"Exif\0\0MM\0*\xff\xff")
    assert (np.asarray(images.decode(data)) == GREY).all()


@pytest.mark.parametrize("format", images.FORMATS)
def test_any_damage_is_an_image_error_or_an_image(format: str) -> None:
    whole = encoded(COLOUR, format)
    damaged = [whole[:length] for length in range(0, len(whole), 5)]
    for value in (0, 255):
        for place in range(0, min(len(whole), 500), 2):
            damaged.append(whole[:place] + bytes([value]) + whole[place + 1 :])
    refused = 0
    for data in damaged:
        try:
            assert images.decode(data).mode in ("L", "RGB")
        except ImageError:
            refused += 1
    assert 0 < refused < len(damaged)


def test_examine_many_reads_paths_and_says_why_not(tmp_path: Path) -> None:
    good = encoded(GREY)
    (tmp_path / "good.png").write_bytes(good)
    (tmp_path / "bad.png").write_bytes(b"bad")
    paths = [str(tmp_path / name) for name in ("good.png", "bad.png", "none.png", "")]
    examined = images.examine_many([paths[0], good, *paths[1:], b""])
    facts = images.examine(good)
    assert examined == [
        (good, facts, ""),
        (b"", facts, ""),
        (b"", None, "not an image: text"),
        (b"", None, "missing file"),
        (b"", None, "unreadable file"),
        (b"", None, "empty file"),
    ]


@pytest.mark.parametrize("pixels", [GREY, COLOUR, GREY.T, COLOUR[::-1, ::2], GREY[:1, :1]])
def test_encode_is_lossless_and_repeats(pixels: np.ndarray) -> None:
    data = images.encode(pixels)
    assert data == images.encode(pixels.copy())
    mode = "L" if pixels.ndim == 2 else "RGB"
    assert (images.pixels(data, mode) == pixels).all()
    assert images.encode_many(np.stack([pixels, 255 - pixels])) == [
        data,
        images.encode(255 - pixels),
    ]


def test_pixels_convert() -> None:
    assert images.pixels(encoded(GREY), "RGB").tolist() == np.stack([GREY] * 3, 2).tolist()
    assert images.pixels(encoded(COLOUR), "L").shape == (2, 3)


def test_channels_last() -> None:
    batch = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    assert images.channels_last(batch).shape == (2, 4, 5, 3)
    assert (images.channels_last(batch)[1, 2, 3] == batch[1, :, 2, 3]).all()
    assert (images.channels_last(batch[:, :1]) == batch[:, 0]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_signed_and_back_is_exact(kind: type) -> None:
    every = np.arange(256, dtype=np.uint8)
    signed = images.to_signed(every.astype(kind))
    assert signed.dtype == kind
    assert (signed[0], signed[-1]) == (-1, 1)
    assert (images.to_uint8(signed) == every).all()
    tensor = images.to_signed(torch.from_numpy(every).float())
    assert (images.to_uint8(tensor.numpy()) == every).all()


def test_to_uint8_rounds_and_clips() -> None:
    values = np.array([-2, -1, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 1 - 0.49 / 127.5, 3])
    assert images.to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255]


def test_animation_keeps_every_frame_and_waits_at_the_end() -> None:
    frames = [np.full((4, 6, 3), level, np.uint8) for level in (0, 100, 200)]
    data = images.animation(frames, seconds=0.1)
    assert data == images.animation(frames, seconds=0.1)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, image.n_frames, image.info["loop"]) == ((6, 4), 3, 0)  # type: ignore[attr-defined]
        waits = []
        for place, frame in enumerate(frames):
            image.seek(place)
            waits.append(image.info["duration"])
            assert (np.asarray(image.convert("RGB")) == frame).all()
    assert waits == [100, 100, 400]
