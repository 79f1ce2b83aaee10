"""Tar archives as a stream of safe members, in bounded memory and without unpacking."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from augment.data.files import refusing
from augment.errors import AugmentError
from augment.readers.base import is_junk_folder

_OPENERS: Mapping[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_EXTENDED_BYTES = 1 << 20  # bytes of a name or of attributes, at most: tarfile loads them whole
_ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, UnicodeError)


class Member(NamedTuple):
    """A file in an archive; ``read`` works until the next member is taken."""

    path: str
    size: int
    read: Callable[[], bytes]


class _Header(tarfile.TarInfo):
    """A header that raises ReadError when it is damaged; tarfile would take it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """The header in ``buf``. Raises ReadError for damage and for absurd sizes."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf or buf.strip(b"\0"):
                raise tarfile.ReadError(str(error)) from None
            raise  # zeros are the end
        if header.size < 0 or (header.type in _EXTENDED and header.size > _EXTENDED_BYTES):
            raise tarfile.ReadError(f"a header claims {header.size} bytes")
        return header


def is_tar(file: Path) -> bool:
    """Whether a file begins like a tar archive, compressed or not."""
    try:
        return file.is_file() and tarfile.is_tarfile(file)
    except _ERRORS:
        return False


def members(archive: Path, encoding: str | None = None) -> Iterator[Member]:
    """The files of a tar archive in order.

    Names are UTF-8 or in ``encoding``; bytes that do not fit it stay as lone surrogates. Raises
    AugmentError for an archive that is damaged or ends early, and for a member that is a link or a
    device, has an absolute path or climbs out of the archive.
    """
    with (
        refusing(archive, "tar archive", *_ERRORS),
        _opened(archive) as stream,
        tarfile.open(
            fileobj=stream, mode="r|", tarinfo=_Header, encoding=encoding or "utf-8"
        ) as opened,
    ):
        while (header := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined]  # or it keeps every header
            path = safe_path(archive, header.name)
            if header.issym() or header.islnk():
                raise refusal(archive, header.name, "is a link")
            if header.isreg():
                yield Member(path, header.size, _reading(archive, opened, header))
            elif not header.isdir():
                raise refusal(archive, header.name, "is neither a file nor a folder")


def safe_path(archive: Path, name: str) -> str:
    """A member's path with single slashes; a path inside a tool's folder is cut to that folder.

    Backslashes separate folders in a name without any slash, as some programs of Windows write it.
    Raises AugmentError for a path that is absolute or climbs out on any operating system.
    """
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or re.fullmatch(r"[A-Za-z]:", parts[0]) and len(parts) > 1:
        raise refusal(archive, name, "is absolute")
    if ".." in parts:
        raise refusal(archive, name, "climbs out")
    parts = name.split("/") if "/" in name else parts
    kept = [part for part in parts if part not in ("", ".")]
    junk = next((place for place, part in enumerate(kept) if is_junk_folder(part)), len(kept))
    return "/".join(kept[: junk + 1])


def refusal(archive: Path, name: str, why: str) -> AugmentError:
    """The error for a member that no honest archive of images has."""
    return AugmentError(f"{archive}: member {name!r} {why}; the archive is not read")


def _opened(archive: Path) -> IO[bytes]:
    file: IO[bytes] = open(archive, "rb")
    magic = file.read(5)
    for start, opener in _OPENERS.items():
        if magic.startswith(start):
            file.close()
            file = opener(archive)
    file.seek(0)
    return file


def _reading(
    archive: Path, opened: tarfile.TarFile, header: tarfile.TarInfo
) -> Callable[[], bytes]:
    """A function that reads a member; it raises AugmentError where the archive ends early."""

    def read() -> bytes:
        with refusing(archive, "tar archive", *_ERRORS):  # it runs in its caller's frame
            file = opened.extractfile(header)
            assert file is not None  # only for members that are no files
            return file.read()

    return read
