"""Archives of a folder of images, read without unpacking to disk."""

from __future__ import annotations

import io
import itertools
import stat
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
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
    is_encoding,
    is_side_file,
)
from augment.readers.layout import Folders, Options, SplitNames

_NAMES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075  # the extra field of Info-ZIP that holds a member's name in UTF-8
_ENCODINGS = ("utf-8", "gbk", "big5", "cp932", "cp949", "cp1252", "cp437")  # tried for names
_SHOWN = 3  # names in each encoding that an error shows
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
    encoding: str | None = None,
    split_names: SplitNames = "splits",
    tables: bool = True,
    labelled: bool = True,
) -> Listing:
    """A zip or tar archive (.gz, .bz2, .xz) of a folder such as image_folder reads.

    ``encoding`` is that of the members' names where the archive does not say that they are UTF-8,
    such as gbk, big5, cp932 (Shift-JIS) or cp437; the other options are those of image_folder.
    Raises AugmentError before the first item when the archive is missing, damaged or encrypted,
    where nothing says the labels for certain, when a member has an absolute path, climbs out of
    the archive, or is a link or a device, and when names need an encoding and there is none.
    """
    path = Path(source)
    if encoding is not None:
        _check_encoding(encoding)
    if not path.is_file():
        raise AugmentError(f"{source}: no such file")
    is_zip = zipfile.is_zipfile(path) or path.suffix.lower() == ".zip"
    options = Options(split_names, tables, labelled)
    items = _zip_items if is_zip else _tar_items
    return items(path, options, encoding)


def _check_encoding(encoding: str) -> None:
    if not is_encoding(encoding):
        raise AugmentError(f"encoding {encoding!r} is not known; such as {', '.join(_ENCODINGS)}")


def _zip_items(path: Path, options: Options, encoding: str | None) -> Listing:
    with refusing(path, "zip archive", *_ERRORS):
        opened = zipfile.ZipFile(path)
    return tree.items(_Zip(path, opened, encoding), options)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The bytes of a name whose encoding the archive does not say; none where it is known."""
    name = info.orig_filename.partition("\0")[0]
    if info.flag_bits & _UTF8_FLAG or name.isascii():
        return b""
    return name.encode("cp437")  # as zipfile decoded it: each byte is a character of it


def _unicode_name(info: zipfile.ZipInfo) -> str | None:
    """The name in the Unicode extra field, if it was made for this very name."""
    raw = info.orig_filename.encode("cp437", "replace")
    rest = info.extra
    while len(rest) >= 4:
        kind, size = struct.unpack_from("<HH", rest)
        field, rest = rest[4 : 4 + size], rest[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            try:
                return field[5:].decode("utf-8").partition("\0")[0]
            except UnicodeDecodeError:
                return None
    return None


def _undecided(archive: Path, names: Sequence[bytes], encoding: str | None) -> AugmentError:
    """The error for names whose encoding is not said, or that the given ``encoding`` lacks."""
    why = f"not {encoding}" if encoding else "in an encoding that the archive does not say"
    return AugmentError(
        f"{archive}: names of {len(names)} members are {why}; set ingest.encoding to the one "
        f"in which they read right: {_readings(names)}"
    )


def _readings(names: Sequence[bytes]) -> str:
    """The first names, in each encoding that all names fit."""
    readings = []
    for encoding in _ENCODINGS:
        try:
            for name in names:
                name.decode(encoding)
        except UnicodeDecodeError:
            continue
        shown = dict.fromkeys(name.decode(encoding) for name in names)
        readings.append(f"{encoding} ({', '.join(map(repr, itertools.islice(shown, _SHOWN)))})")
    return ", ".join(readings)


class _Zip:
    def __init__(self, path: Path, opened: zipfile.ZipFile, encoding: str | None):
        """List the members. Raises AugmentError for one to refuse or a name of unknown encoding."""
        self.name = str(path)
        self.opened = opened
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.folders: dict[Folders, list[str]] = defaultdict(list)
        undecided = []
        for info in opened.infolist():
            name, raw = _unicode_name(info), _raw_name(info)
            if name is None and raw:
                try:
                    name = raw.decode(encoding or "ascii")
                except UnicodeDecodeError:
                    undecided.append(raw)
            self._add(path, info, info.filename if name is None else name)
        if undecided:
            raise _undecided(path, undecided, encoding)

    def _add(self, archive: Path, info: zipfile.ZipInfo, member_name: str) -> None:
        """Enter the member ``member_name``. Raises AugmentError if no honest archive has it."""
        name = tar.safe_path(archive, member_name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if stat.S_ISLNK(kind):
            raise tar.refusal(archive, member_name, "is a link")
        if info.is_dir() or name != member_name and member_name.endswith("\\"):
            return
        if kind not in (0, stat.S_IFREG):
            raise tar.refusal(archive, member_name, "is neither a file nor a folder")
        if info.flag_bits & 1:
            raise tar.refusal(archive, member_name, "is encrypted")
        *folders, last = name.split("/")
        if name in self.members and not is_side_file(last):
            raise tar.refusal(archive, member_name, "stands twice")
        self.members[name] = info
        self.folders[tuple(folders)].append(last)

    def walk(self) -> Iterator[tuple[Folders, list[str]]]:
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


def _tar_items(path: Path, options: Options, encoding: str | None) -> Listing:
    """The items of a tar archive: one pass reads names and sheets, a second the images."""
    names = _Tar(path, encoding)
    plan = tree.ReadingPlan(names, options)
    rows = {listed: (reason, row) for listed, reason, row in plan.rows()}
    listing = Listing(_tar_stream(path, encoding, plan, rows), plan.count, plan.remarks)
    listing.reads = [sheet.path for sheet in plan.sheets]
    return listing


class _Tar:
    """The names in a tar archive, and the bytes of what may list labels."""

    def __init__(self, path: Path, encoding: str | None):
        """Read the archive once. Raises AugmentError for names of unknown encoding."""
        self.name = str(path)
        self.paths: set[str] = set()
        self.folders: dict[Folders, list[str]] = defaultdict(list)
        self.texts: dict[str, bytes] = {}
        undecided: list[bytes] = []
        size = 0
        for member in tar.members(path, encoding):
            if not _is_text(member.path):
                undecided.append(member.path.encode(errors="surrogateescape"))
            *above, name = member.path.split("/")
            self.folders[tuple(above)].append(name)
            self.paths.add(member.path)
            if tree.may_list(name) and size + member.size <= MAX_BYTES:
                size += member.size
                self.texts[member.path] = member.read()
        if undecided:
            raise _undecided(path, undecided, encoding)

    def walk(self) -> Iterator[tuple[Folders, list[str]]]:
        yield from self.folders.items()

    def has(self, path: str) -> bool:
        return path in self.paths

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        raise NotImplementedError  # the second pass reads the images in their order

    def raw(self, path: str) -> AbstractContextManager[BinaryIO]:
        if path not in self.texts:
            raise AugmentError(f"{self.name}: {path}: {TOO_LARGE}")
        return io.BytesIO(self.texts[path])


def _is_text(name: str) -> bool:
    """Whether a name could be decoded: tarfile keeps bytes that it cannot as lone surrogates."""
    return not any("\udc80" <= letter <= "\udcff" for letter in name)


def _tar_stream(
    archive: Path,
    encoding: str | None,
    plan: tree.ReadingPlan,
    rows: dict[str, tuple[str, dict[Any, Any]]],
) -> Iterator[Item]:
    """The second pass: items in the archive's order, then rows of sheets without a member."""
    seen: set[str] = set()
    for path, size, read in tar.members(archive, encoding):
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
