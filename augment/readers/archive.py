"""Archives of a folder of images, read without unpacking to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO

from augment.data.files import refusing
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers import csv, tar, tree, webdataset
from augment.readers.base import (
    DAMAGED,
    MAX_BYTES,
    MISSING,
    READERS,
    SIDE_FILE,
    TOO_LARGE,
    Item,
    Listing,
    is_side_file,
)

_NAMES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # only these unpack in small steps


def _recognises(source: str) -> bool:
    path = Path(source)
    if not path.is_file():
        return False
    named = path.name.lower().endswith(_NAMES)
    return (named or zipfile.is_zipfile(path) or tar.is_tar(path)) and not (
        webdataset.recognises(source)
    )


@READERS.register("archive", recognises=_recognises)
def archive(source: str) -> Listing:
    """A zip or tar archive (.gz, .bz2, .xz) of a folder such as image_folder reads.

    Raises AugmentError before the first item when the archive is missing, damaged or encrypted, or
    when a member has an absolute path, climbs out of the archive, or is a link or a device.
    """
    path = Path(source)
    if not path.is_file():
        raise AugmentError(f"{source}: no such file")
    is_zip = zipfile.is_zipfile(path) or path.suffix.lower() == ".zip"
    return _zip_items(path) if is_zip else _tar_items(path)


def _zip_items(path: Path) -> Listing:
    with refusing(path, "zip archive", *_ERRORS):
        opened = zipfile.ZipFile(path)
    return tree.items(_Zip(path, opened))


class _Zip:
    def __init__(self, path: Path, opened: zipfile.ZipFile):
        self.opened = opened
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.folders: dict[tree.Folders, list[str]] = defaultdict(list)
        for info in opened.infolist():
            self._add(path, info)

    def _add(self, archive: Path, info: zipfile.ZipInfo) -> None:
        """Enter a member. Raises AugmentError for a member that no honest archive has."""
        name = tar.safe_path(archive, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if stat.S_ISLNK(kind):
            raise tar.refusal(archive, info.filename, "is a link")
        if info.is_dir():
            return
        if kind not in (0, stat.S_IFREG):
            raise tar.refusal(archive, info.filename, "is neither a file nor a folder")
        if info.flag_bits & 1:
            raise tar.refusal(archive, info.filename, "is encrypted")
        *folders, last = name.split("/")
        if name in self.members and not is_side_file(last):
            raise tar.refusal(archive, info.filename, "stands twice")
        self.members[name] = info
        self.folders[tuple(folders)].append(last)

    def walk(self) -> Iterator[tuple[tree.Folders, list[str]]]:
        for folders in sorted(self.folders, key=lambda parts: [natural(part) for part in parts]):
            yield folders, self.folders[folders]

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        """The bytes of a member and no reason, or no bytes and the reason."""
        info = self.members.get(path)
        if info is None:
            return b"", MISSING
        if info.file_size > MAX_BYTES:
            return b"", TOO_LARGE
        if info.compress_type not in _METHODS:
            return b"", "unsupported compression"
        try:
            with self.opened.open(info) as file:
                return file.read(info.file_size + 1), ""  # without a size zlib unpacks without end
        except _ERRORS:
            return b"", DAMAGED

    def text(self, path: str) -> AbstractContextManager[TextIO]:
        data, reason = self.fetch(path)
        if reason:
            raise AugmentError(f"{self.opened.filename}: {path}: {reason}")
        assert isinstance(data, bytes)
        return _text(data)


def _tar_items(path: Path) -> Listing:
    """The items of a tar archive: one pass reads layout and metadata, a second the images."""
    holding: set[tree.Folders] = set()
    listing: list[tree.Folders] = []
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    count = 0
    for member in tar.members(path):
        count += 1
        *above, name = member.path.split("/")
        folders = tuple(above)
        if not is_side_file(name):
            holding.add(folders)
        elif name == tree.METADATA and member.size <= MAX_BYTES:
            data = member.read()
            if tree.FILE_NAME in csv.header(_text(data), member.path):
                listing.append(folders)
                for listed, reason, row in tree.listed_files(_text(data), folders):
                    rows[listed] = reason, row
    found = Listing(_tar_stream(path, tree.layout_of(holding), listing, rows), count)
    found.reads = [tree.joined(folders, tree.METADATA) for folders in listing]
    return found


def _tar_stream(
    archive: Path,
    layout: tree.Layout,
    listing: list[tree.Folders],
    rows: dict[str, tuple[str, dict[str, Any]]],
) -> Iterator[Item]:
    """The second pass: items in the archive's order, then metadata rows without a member."""
    seen: set[str] = set()
    for path, size, read in tar.members(archive):
        *above, name = path.split("/")
        folders = tuple(above)
        if is_side_file(name):
            yield Item(path, b"", None, reason=SIDE_FILE)
            continue
        reason, row = rows.get(path, ("", {}))
        if not row and tree.is_below(folders, listing):
            reason = tree.UNLISTED
        elif size > MAX_BYTES:
            reason = TOO_LARGE
        seen.add(path)
        yield tree.item_at(path, b"" if reason else read(), reason, layout, row)
    for path, (reason, row) in rows.items():
        if path not in seen:
            yield tree.item_at(path, b"", reason or MISSING, layout, row)


def _text(data: bytes) -> TextIO:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
