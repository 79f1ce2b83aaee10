"""IDX files: MNIST, EMNIST and their kin."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from augment.data import images, provenance
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers.base import READERS, Item, Listing, described, locate, split_of
from augment.readers.beside import others

_IMAGES = re.compile(
    r"(?:(?P<subset>.+)[-.])?(?P<part>train|t10k|test|valid|val|validation)"
    r"[-.]images[-.]idx[34][-.]ubyte(?:\.gz)?"
)
_LABELS = re.compile(r"[-.]images([-.])idx[34]([-.])")
_UBYTE = re.compile(r"[-.]idx[134][-.]ubyte(?:\.gz)?$")
_HOMES = ("raw", "gzip")  # folders that torchvision and EMNIST's archive make
_BLOCK = 4 << 20  # bytes read at a time
_SIDE = 1 << 14  # pixels of a side, at most; a header with more is taken for damage


class _Pair(NamedTuple):
    """The files of one split; ``shape`` is (N, H, W) or (N, H, W, 3)."""

    split: str
    images: Path
    labels: Path | None
    shape: tuple[int, ...]


def _recognises(source: str) -> bool:
    return any(_found(home) for home in _homes(Path(source)))


@READERS.register("idx", recognises=_recognises)
def idx(
    source: str,
    *,
    subset: str | None = None,
    mapping: str | Literal[False] | None = None,
    transpose: bool | None = None,
    labelled: bool = True,
) -> Listing:
    """A folder of IDX files as of MNIST or EMNIST, also .gz: ``train-images-idx3-ubyte`` and so on.

    The files may lie in ``raw``, ``MNIST/raw`` or ``gzip``, or each in a folder of its own name.
    ``subset`` chooses among several sets in the folder, such as ``emnist-letters``. Labels are the
    numbers in decimal. ``mapping`` names a file in the folder whose lines translate them: after a
    number stands a character's code (further codes do not count) or a text. ``transpose`` sets the
    images of EMNIST upright, which lie on their side. Where the files are named emnist, null means
    their own mapping if it lies beside them, and upright; false turns either off. Raises
    AugmentError before the first item for a missing file, a wrong magic number or a wrong length.
    """
    folder = _home(Path(source))
    files, subset = _files(folder, subset)
    pairs = [_pair(folder, split, path, labelled) for split, path in files.items()]
    emnist = subset.lower().startswith("emnist")
    remarks = [] if folder == Path(source) else [f"the IDX files lie in {folder}"]
    if mapping is None and emnist and labelled:
        mapping = next((name for name in _mappings(subset) if (folder / name).is_file()), None)
        remarks.append(
            f"labels are characters, by {mapping} (reader option mapping)"
            if mapping
            else f"labels are numbers: no {_mappings(subset)[0]} beside the images"
        )
    if transpose is None:
        transpose = emnist
        if emnist:
            remarks.append(f"{subset}: images are turned upright (reader option transpose)")
    if mapping and (leaves := locate(folder, mapping)[1]):
        raise AugmentError(f"{folder}: option mapping: {mapping!r}: {leaves}")
    names = _names(folder / mapping) if mapping else None
    turned = transpose
    labels = {pair.split: _labels(pair, names) for pair in pairs}
    counts: dict[str | None, int] = {pair.split: pair.shape[0] for pair in pairs}
    rows = provenance.rows(folder, counts)
    items = (
        described(Item(f"{pair.images.name}/{place}", data, label, pair.split), row)
        for pair in pairs
        for place, (data, label, row) in enumerate(
            zip(_encoded(pair, turned), labels[pair.split], rows[pair.split], strict=False)
        )
    )
    read = [folder / name for name in (*_mappings(subset), mapping) if name]
    beside = [item for item in others(Path(source), read) if not _UBYTE.search(item.path)]
    return Listing(itertools.chain(items, beside), sum(counts.values()) + len(beside), remarks)


def _homes(folder: Path) -> Iterator[Path]:
    """The folders in which IDX files may lie."""
    if folder.is_dir():
        with os.scandir(folder) as entries:  # no stat for each of many images
            inner = sorted(folder / entry.name for entry in entries if entry.is_dir())
        yield folder
        yield from (path for path in inner if path.name in _HOMES)
        yield from (path / name for path in inner for name in _HOMES if (path / name).is_dir())


def _home(folder: Path) -> Path:
    """The one folder that holds IDX files."""
    if not folder.is_dir():
        raise AugmentError(f"{folder}: no such folder")
    homes = [home for home in _homes(folder) if _found(home)]
    if not homes:
        raise AugmentError(f"{folder}: no IDX images (such as train-images-idx3-ubyte)")
    if len(homes) > 1 and homes[0] != folder:
        names = ", ".join(home.relative_to(folder).as_posix() for home in homes)
        raise AugmentError(f"{folder}: IDX files in {names}: name one of these folders")
    return homes[0]


def _found(home: Path) -> list[Path]:
    """The files of images in a folder, or each in a folder of its own name."""
    named = [home / name for name in os.listdir(home) if _IMAGES.fullmatch(name)]
    return [file for path in named for file in [path, path / path.name] if file.is_file()]


def _mappings(subset: str) -> tuple[str, ...]:
    return (f"{subset}-mapping.txt", f"{subset}.mapping.txt")


def _files(folder: Path, subset: str | None) -> tuple[dict[str, Path], str]:
    """The file of images of each split, and the subset.

    An unpacked file comes before its .gz, and a file in ``folder`` before one further down.
    """

    def last_first(path: Path) -> tuple[bool, bool, Any]:
        return path.parent != folder, path.suffix == ".gz", natural(path.name)

    subsets: dict[str, dict[str, Path]] = {}
    for path in sorted(_found(folder), key=last_first, reverse=True):
        match = _IMAGES.fullmatch(path.name)
        assert match is not None  # as _found asks
        split = split_of(match["part"]) or ""
        subsets.setdefault(match["subset"] or "", {})[split] = path
    if subset is None and len(subsets) == 1:
        (subset,) = subsets
    if subset not in subsets:
        names = ", ".join(sorted(subsets))
        raise AugmentError(f"{folder}: option subset: expected one of {names}, found {subset!r}")
    return subsets[subset], subset


def _pair(folder: Path, split: str, path: Path, labelled: bool) -> _Pair:
    """The images in ``path`` and the file of their labels, both checked by header and length."""
    shape = _shape(path, (3, 4))
    if len(shape) == 4 and shape[3] != 3:
        raise AugmentError(f"{path}: 3 channels expected, found {shape[3]}")
    if not all(0 < side <= _SIDE for side in shape[1:]):
        raise AugmentError(f"{path}: images of {shape[1]} × {shape[2]} pixels")
    if not labelled:
        return _Pair(split, path, None, shape)
    name = _LABELS.sub(
        lambda dots: f"{dots[0][0]}labels{dots[1]}idx1{dots[2]}", path.name.removesuffix(".gz")
    )
    spellings = [name, name.replace(".", "-"), name.replace("-idx", ".idx")]
    places = [folder / each for spelling in spellings for each in (spelling, f"{spelling}.gz")]
    labels = next(
        (file for place in places for file in (place, place / place.name) if file.is_file()), None
    )
    if labels is None:
        raise AugmentError(f"{folder / name}: missing, beside {path.name}")
    count = _shape(labels, (1,))[0]
    if count != shape[0]:
        raise AugmentError(f"{labels}: {count} labels for {shape[0]} images in {path.name}")
    return _Pair(split, path, labels, shape)


def _shape(path: Path, dimensions: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in a file's header, checked against the length of the whole file."""
    try:
        with _opened(path) as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08" or head[3] not in dimensions:
                magics = " or ".join(f"0x000008{number:02x}" for number in dimensions)
                raise AugmentError(f"{path}: IDX magic {magics} expected, found 0x{head.hex()}")
            sizes = file.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise AugmentError(f"{path}: ends in the header")
            shape = struct.unpack(f">{head[3]}I", sizes)
            expected_bytes = math.prod(shape)
            counted = 0
            while counted <= expected_bytes and (block := file.read(_BLOCK)):
                counted += len(block)
    except (OSError, EOFError, zlib.error) as error:
        raise AugmentError(f"{path}: cannot be read: {error}") from None
    if counted != expected_bytes:
        more = "more" if counted > expected_bytes else f"only {counted}"
        raise AugmentError(
            f"{path}: {expected_bytes} bytes expected after the header, found {more}"
        )
    return shape


def _labels(pair: _Pair, names: dict[int, str] | None) -> Iterator[str]:
    """The class names in order. Raises AugmentError for a number that ``names`` lacks."""
    if pair.labels is None:
        return itertools.repeat("")
    with _opened(pair.labels) as file:
        numbers = file.read()[8:]
    if names is None:
        return map(str, numbers)
    unknown = sorted(set(numbers) - names.keys())
    if unknown:
        raise AugmentError(f"{pair.labels}: label {unknown[0]} does not stand in the mapping")
    return map(names.__getitem__, numbers)


def _names(path: Path) -> dict[int, str]:
    """Names by number, from lines such as ``0 48`` (a character's code) or ``0 T-shirt/top``."""
    names: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AugmentError(f"{path}: cannot be read: {error}") from None
    for place, line in enumerate(filter(str.strip, lines), start=1):
        number, _, rest = line.strip().partition(" ")
        codes = rest.split()
        try:
            names[int(number)] = chr(int(codes[0])) if codes[0].isdecimal() else rest.strip()
        except (ValueError, IndexError, OverflowError):
            raise AugmentError(
                f"{path}: line {place}: 'label code' expected, found {line!r}"
            ) from None
    return names


def _encoded(pair: _Pair, transpose: bool) -> Iterator[bytes]:
    _, *shape = pair.shape
    size = math.prod(shape)
    with _opened(pair.images) as file:
        file.read(4 + 4 * len(pair.shape))
        while data := file.read(size * max(1, _BLOCK // size)):
            block = np.frombuffer(data, np.uint8).reshape(-1, *shape)
            yield from map(images.encode, block.swapaxes(1, 2) if transpose else block)


def _opened(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
