"""Files written whole or not at all, read with clear errors, and hashed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from augment.errors import AugmentError, visible

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ARROW_ERRORS = (pa.ArrowException, OSError, UnicodeError, KeyError)  # of damaged Parquet


class JSONError(AugmentError, ValueError):
    """A file is not JSON; the message names it."""


@contextmanager
def refusing(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn ``errors``, which a library raises for a damaged ``path``, into an AugmentError.

    ``kind`` names the format in the message, which has a single line.
    """
    try:
        yield
    except errors as error:
        why = " ".join(str(error).split())
        raise AugmentError(f"{visible(str(path))}: no {kind}, or damaged: {why}") from None


def temporary_beside(destination: Path) -> Path:
    """A new empty folder on the file system of ``destination``, under a hidden, temporary name.

    Removes the temporary folders of runs that were killed, and those beside these.
    """
    parent = destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    owned = re.compile(rf"\.+{re.escape(destination.name)}\.(\d+)\.\w+(\.\d+\.\w+)*")
    for path in parent.iterdir():
        if (match := owned.fullmatch(path.name)) and not _runs(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{destination.name}.{os.getpid()}.", dir=parent))
    folder.chmod(0o755)
    return folder


def _runs(process: int) -> bool:
    """Whether the process exists; true where the system does not tell."""
    if os.name != "posix":  # elsewhere the signal 0 would do harm
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def publish(temporary: Path, destination: Path) -> None:
    """Rename the folder ``temporary`` to ``destination``; an old folder there is removed."""
    if destination.exists():
        old = temporary_beside(destination)
        destination.rename(old / "old")
        temporary.rename(destination)
        shutil.rmtree(old)
    else:
        temporary.rename(destination)


def digest_of_folder(folder: Path) -> str:
    """SHA-256 of all files of a folder, at any depth: their relative names and bytes, sorted."""
    total = hashlib.sha256()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically; makes the folder if needed."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; makes the folder if needed."""
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file of ``parts`` one after the other, atomically; makes the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def open_parquet(source: Path | BinaryIO) -> pq.ParquetFile:
    """A Parquet file to read in batches, without what was read before staying in memory.

    Arrow buffers all of a file ahead by default and keeps it. Raises ``ARROW_ERRORS``.
    """
    import pyarrow.parquet as pq  # not every command reads one

    return pq.ParquetFile(source, pre_buffer=False)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; equal values give equal bytes, NaN and infinity become null."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises JSONError naming the file, and FileNotFoundError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise JSONError(f"{path}: not JSON: {error}") from None


def finite(value: Any) -> Any:
    """``value`` as JSON can hold it: plain numbers, None for NaN and infinity, keys as text."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item"):  # NumPy scalars
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
