"""Signatures: what is no image is named."""

from __future__ import annotations

import io
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image, features

from augment.data import images
from augment.data.images import ImageError


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    return buffer.getvalue()


def media(*brands: bytes) -> bytes:
    major_brand, *others = brands
    body = b"ftyp" + major_brand + bytes(4) + b"".join(others)
    return (4 + len(body)).to_bytes(4) + body + bytes(100)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\n", "a PDF"),
        (b'<?xml version="1.0"?>\n<svg/>', "SVG"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (zipped(), "a zip archive"),
        (media(b"qt  "), "a video"),
        (media(b"isom", b"mp41"), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"8BPS" + bytes(20), "a Photoshop file"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM"),
        ("plain words, also with ä".encode(), "text"),
        (b"\x93NUMPY\1\0", "a NumPy array"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"^not an image: {name}"):
        images.decode(data)


@pytest.mark.parametrize("data", [bytes(50), b"\x80\x81\x82", b"ab\0cd"])
def test_unknown_bytes_are_only_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match="^not an image$"):
        images.decode(data)


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"heic"), (b"heix",)])
def test_heic_names_the_extra(brands: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"HEIC, .*pip install 'augment\[heif\]'"):
        images.examine(media(*brands))


def test_avif_is_read_where_pillow_can(monkeypatch: pytest.MonkeyPatch) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), (200, 100, 50), np.uint8)).save(buffer, "AVIF")
    decoded = np.asarray(images.decode(buffer.getvalue()), int)
    assert abs(decoded - (200, 100, 50)).max() <= 6
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF")
    with pytest.raises(ImageError, match="AVIF, which this Pillow does not decode"):
        images.decode(buffer.getvalue())


def test_size_is_a_limit_that_can_be_raised() -> None:
    data = images.encode(np.zeros((100, 120), np.uint8))
    with pytest.raises(ImageError, match="^1 megapixels: raise ingest.max_pixels"):
        images.examine(data, 11_999)
    assert images.examine(data, 12_000).width == 120


def test_a_large_jpeg_is_decoded_at_reduced_size() -> None:
    buffer = io.BytesIO()
    Image.new("L", (12000, 9000), 99).save(buffer, "JPEG")
    image = images.decode(buffer.getvalue())
    assert image.size == (6000, 4500)
    assert image.getextrema() == (99, 99)


def test_pages_are_images_of_their_own() -> None:
    deep = [Image.fromarray(np.full((2, 3), level, np.uint16)) for level in (1, 300)]
    buffer = io.BytesIO()
    deep[0].save(buffer, "TIFF", save_all=True, append_images=deep[1:])
    assert images.examine(buffer.getvalue()).pages == 2
    page_facts = [images.examine(page) for page in images.pages(buffer.getvalue())]
    assert [(facts.pages, facts.high, facts.mode) for facts in page_facts] == [
        (1, 1, "I;16"),
        (1, 300, "I;16"),
    ]
    single = images.encode(np.zeros((2, 2), np.uint8))
    assert list(images.pages(single)) == [single]
