"""Plans of small sources, which hypothesis draws: names, contents, lists, damage, options."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from augment.data import images
from augment.readers.base import READERS

SEGMENTS = (
    "a", "b", "c", "train", "test", "val", "images", "masks", "ground_truth", "labels", "data",
    "..", ".", "", "C:", "CON", "nul", "a ", " a", "a.", "é", "é", "가", "ａ", "A", "x" * 200,
    "x" * 300, "a\0b", ".hidden", "__MACOSX", "-rf", "*", "a\nb", "a\tb", "a,b", '"a"', "\udcff",
    "\ud800", "~", "%2e%2e", "a\\b", "..\\a", "00000", "1", "_", "a;b", "MNIST", "raw", "\u202ea",
)  # fmt: skip
STEMS = (
    "1", "2", "3", "10", "x", "x.1", "word 1", "é", "é", "a_1", "CON", "nul", ".x", "y" * 240,
    "z" * 300, "i\0j", "i\nj", "\udcfe", "metadata", "Thumbs", "mask", " ",
)  # fmt: skip
ENDINGS = (
    ".png", ".png", ".png", ".jpg", ".PNG", ".tif", ".webp", ".heic", "", ".txt", ".csv", ".json",
    ".png ", ".xml", ".yaml", ".cls", ".parquet",
)  # fmt: skip
ROOTS = ("", "", "", "/", "//", "../", "../outside/", "/etc/", "C:\\", "\\\\host\\", "./", "train/")
LABELS = (
    "a", "b", "a", "b", "c", "", " ", "é", "é", "a ", "\0", "x" * 500, "1", "01", "train", "../x",
    "a\tb", "a\nb", "\udcff", "\ud800", "true", "nan", "1.0", "-1", "[]", "a,b", '"',
)  # fmt: skip
CELLS = ("0", "1", "train", "test", "", "nowhere", "w1", "0.5", "2")
COLUMNS = (
    "path", "label", "file_name", "filename", "Path", "LABEL", "words", "id", "split", "group",
    "class", "cat", "dog", "xmin", "origin", "", "label", "image", "codes", "url",
)  # fmt: skip
VALUES = (
    None, True, False, "", "a", "1", "path", "label", "image", "file_name", "..", "/etc/passwd",
    "(", "(.+)_[0-9]+", "first", "last", "auto", "gbk", "utf-16", "klingon", ";", "::", "classes",
    "ignored", "splits", 0, -1, 1.5, "\0",
)  # fmt: skip
SPECIAL = (
    "metadata.csv", "metadata.jsonl", "metadata.parquet", "dataset.json", "train.csv", "labels.csv",
    "_classes.csv", "train.txt", "rec_gt.txt", "data.yaml", "data.mdb", "0000.parquet", "x.tar",
    "train-images-idx3-ubyte", "provenance.parquet", "classes.json", "data-00000-of-00001.arrow",
    "instances.json", "mapping.txt",
)  # fmt: skip
KINDS = ("file",) * 40 + ("folder", "link", "circle", "device", "pipe")


def _png(value: int, size: tuple[int, int] = (4, 3)) -> bytes:
    return images.encode(np.random.default_rng(value).integers(0, 256, size, dtype=np.uint8))


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _contents() -> tuple[bytes, ...]:
    """Images of many kinds, and bytes that are none."""
    grey = Image.new("L", (3, 2), 9)
    deep = Image.fromarray(np.array([[0, 4000], [70, 65535]], np.uint16))
    bomb = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    header = b"IHDR" + bomb
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return (
        *(_png(number) for number in range(8)),
        _png(8, (3, 7)),
        _saved(grey, "JPEG"),
        _saved(grey, "TIFF", save_all=True, append_images=[Image.new("L", (3, 2), 99)]),
        _saved(grey, "GIF", save_all=True, append_images=[Image.new("L", (3, 2), 99)]),
        _saved(deep, "PNG"),
        _saved(deep, "TIFF"),
        _saved(Image.fromarray(np.array([[0, 0.5], [1, np.nan]], np.float32)), "TIFF"),
        _saved(Image.new("RGBA", (2, 2), (1, 2, 3, 4)), "WEBP"),
        _saved(Image.new("CMYK", (2, 2)), "JPEG"),
        b"\x89PNG\r\n\x1a\n" + chunk,
        b"",
        b"text",
        b"<svg/>",
        b"%PDF-1.4",
        b"0 0.5 0.5 0.25 0.1\n",
        b"\0" * 600,
        b'{"annotations": []}',
        b"names: [a]\ntrain: x\n",
        b"\x1f\x8b\x08",
    )


CONTENTS = _contents()


class Entry(NamedTuple):
    """A file, a member or a row: where, what, and its label."""

    root: str
    path: str
    content: bytes
    label: str
    kind: str


class Plan(NamedTuple):
    """All that a source is made from."""

    entries: list[Entry]
    extra: list[str]  # names of special files
    columns: list[str]
    cells: list[str]
    form: int  # which of a reader's forms
    mark: str  # between cells
    encoding: str
    damage: list[tuple[int, int]]  # a place as a share of 65,536, and the byte there
    cut: int | None  # where the file ends, as such a share
    options: dict[str, Any]
    automatic: bool  # whether the reader is recognised


def _entries() -> st.SearchStrategy[Entry]:
    pick = st.sampled_from
    folders = st.lists(pick(SEGMENTS[:3] * 40 + SEGMENTS), max_size=3)
    name = st.tuples(pick(STEMS[:6] * 12 + STEMS), pick(ENDINGS)).map("".join)
    path = st.tuples(folders, name).map(lambda pair: "/".join([*pair[0], pair[1]]))
    return st.builds(
        Entry, pick(ROOTS[:1] * 80 + ROOTS), path, pick(CONTENTS[:8] * 3 + CONTENTS),
        pick(LABELS[:2] * 16 + LABELS), pick(KINDS),
    )  # fmt: skip


def plans(reader: str) -> st.SearchStrategy[Plan]:
    """Plans for a reader, with some of its options."""
    pick = st.sampled_from
    names = [*READERS.describe(reader).options]
    options = st.dictionaries(pick(names), pick(VALUES), max_size=2) if names else st.just({})
    damaged = st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255)), max_size=3)
    return st.builds(
        Plan,
        entries=st.lists(_entries(), max_size=7),
        extra=st.lists(pick(SPECIAL), max_size=2),
        columns=pick([["path", "label"]] * 3 + [["file_name", "label"]] * 2 + [[]]).flatmap(
            lambda first: st.lists(pick(COLUMNS), max_size=3).map(lambda more: [*first, *more])
        ),
        cells=st.lists(pick(CELLS), min_size=1, max_size=4),
        form=st.integers(0, 15),
        mark=pick(",,,;\t|"),
        encoding=pick(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "cp1252", "gbk", "latin-1"]),
        damage=st.one_of(st.just([]), st.just([]), damaged),
        cut=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 65535)),
        options=st.one_of(st.just({}), st.just({}), options),
        automatic=st.booleans(),
    )
