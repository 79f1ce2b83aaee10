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
from typing import Any, BinaryIO

from augment.data.files import refusing
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers import tar, tree, webdataset
from augment.readers.base import (
    DAMAGED,
    MAX_BYTES,
    MISSING,
    READERS,
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
def archive(
    source: str,
    *,
    split_names: tree.SplitNames = "splits",
    tables: bool = True,
    labelled: bool = True,
) -> Listing:
    """A zip or tar archive (.gz, .bz2, .xz) of a folder such as image_folder reads.

    The options are those of image_folder. Raises AugmentError before the first item when the
    archive is missing, damaged or encrypted, where nothing says the labels for certain, or when a
    member has an absolute path, climbs out of the archive, or is a link or a device.
    """
    path = Path(source)
    if not path.is_file():
        raise AugmentError(f"{source}: no such file")
    is_zip = zipfile.is_zipfile(path) or path.suffix.lower() == ".zip"
    options = tree.Options(split_names, tables, labelled)
    return _zip_items(path, options) if is_zip else _tar_items(path, options)


def _zip_items(path: Path, options: tree.Options) -> Listing:
    with refusing(path, "zip archive", *_ERRORS):
        opened = zipfile.ZipFile(path)
    return tree.items(_Zip(path, opened), options)


class _Zip:
    def __init__(self, path: Path, opened: zipfile.ZipFile):
        self.name = str(path)
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
        if info.is_dir() or name != info.filename and info.filename.endswith("\\"):
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

    def has(self, path: str) -> bool:
        return path in self.members

    def raw(self, path: str) -> AbstractContextManager[BinaryIO]:
        data, reason = self.fetch(path)
        if reason:
            raise AugmentError(f"{self.name}: {path}: {reason}")
        assert isinstance(data, bytes)
        return io.BytesIO(data)


def _tar_items(path: Path, options: tree.Options) -> Listing:
    """The items of a tar archive: one pass reads names and sheets, a second the images."""
    names = _Tar(path)
    plan = tree.Plan(names, options)
    rows = {listed: (reason, row) for listed, reason, row in plan.rows()}
    return Listing(_tar_stream(path, plan, rows), plan.count, plan.remarks)


class _Tar:
    """The names in a tar archive, and the bytes of what may list labels."""

    def __init__(self, path: Path):
        self.name = str(path)
        self.paths: set[str] = set()
        self.folders: dict[tree.Folders, list[str]] = defaultdict(list)
        self.texts: dict[str, bytes] = {}
        size = 0
        for member in tar.members(path):
            *above, name = member.path.split("/")
            self.folders[tuple(above)].append(name)
            self.paths.add(member.path)
            if name.lower().endswith(tree.LISTS) and size + member.size <= MAX_BYTES:
                size += member.size
                self.texts[member.path] = member.read()

    def walk(self) -> Iterator[tuple[tree.Folders, list[str]]]:
        yield from self.folders.items()

    def has(self, path: str) -> bool:
        return path in self.paths

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        raise NotImplementedError  # the second pass reads the images in their order

    def raw(self, path: str) -> AbstractContextManager[BinaryIO]:
        if path not in self.texts:
            raise AugmentError(f"{self.name}: {path}: {TOO_LARGE}")
        return io.BytesIO(self.texts[path])


def _tar_stream(
    archive: Path, plan: tree.Plan, rows: dict[str, tuple[str, dict[Any, Any]]]
) -> Iterator[Item]:
    """The second pass: items in the archive's order, then rows of sheets without a member."""
    seen: set[str] = set()
    for path, size, read in tar.members(archive):
        reason, row = rows.get(path, ("", {}))
        if path in rows:
            item = plan.item(path, b"", reason, row)
            seen.add(path)
        else:
            item = plan.unlisted(path)
        if not item.reason:
            reason = TOO_LARGE if size > MAX_BYTES else ""
            item = item._replace(data=b"" if reason else read(), reason=reason)
        yield item
    for path, (reason, row) in rows.items():
        if path not in seen:
            yield plan.item(path, b"", reason or MISSING, row)
