"""Files that lie elsewhere: any address that fsspec knows, such as s3://bucket/folder.

What is read is first copied into a folder of the project, so that every reader finds files; what is
written is made here and then sent. A later run copies what has changed, by size and by the mark
(ETag, digest or time) that the storage keeps. Credentials are taken as each storage's library takes
them, from the environment or a profile; an address that holds some is refused.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from augment.data import files
from augment.errors import AugmentError
from augment.runtime import progress

FOLDER = ".augment/remote"  # of a project: a copy of what was read, a folder an address
MARKS = "marks.json"  # what each copied file was when it was read
SENT = ".augment.json"  # at an address: the names of all that was sent there
AT_A_TIME = 16  # files that are copied at a time
TRIES = 5  # of a file
PAUSE = 0.5  # seconds before the second try; twice as long before each further one
EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure",
    "abfss": "azure", "adl": "azure", "hf": "hf", "http": "http", "https": "http",
}  # fmt: skip
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::|://)")
_ARCHIVED = re.compile(r"(?:zip|tar)::")  # readers open archives themselves
_SECRET = re.compile(r"(?i)signature|credential|token|secret|password|passwd|\bsig\b|api.?key")
_MARKS = ("ETag", "etag", "md5Hash", "md5", "checksum", "oid", "LastModified", "mtime", "created")
_FATAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")


class RemoteError(AugmentError):
    """An address that cannot be read or written; the message names it."""


class _Place(NamedTuple):
    """A storage, and a path in it."""

    storage: Any
    path: str


def is_remote(name: str) -> bool:
    """Whether ``name`` is an address, and no path of this machine."""
    return _ADDRESS.match(name) is not None


def shared() -> Path:
    """The folder of this user in which copies for no project lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "augment" / "remote"


def listing(address: str) -> dict[str, str]:
    """The files below ``address``: names relative to it, and a mark that changes with a file.

    A file alone has its own name. Raises RemoteError for an address that cannot be read.
    """
    place = _place(address)
    return {name: mark for name, (_, mark) in _listed(place, address).items()}


def fetch(address: str, home: Path) -> Path:
    """A copy of the file or folder at ``address`` in a folder of ``home``; returns its path.

    Only files that changed since the last time are copied; those that are gone are removed. Raises
    RemoteError for an address that cannot be read, for a name that leads out of the folder, and
    for a file that changes while it is copied.
    """
    place = _place(address)
    listed = _listed(place, address)
    home = home / hashlib.sha256(address.encode()).hexdigest()[:16]
    content, notes, drafts = home / "files", home / MARKS, home / "drafts"
    shutil.rmtree(drafts, ignore_errors=True)
    drafts.mkdir(parents=True)
    marks: dict[str, str] = files.read_json(notes) if notes.exists() else {}
    content.mkdir(parents=True, exist_ok=True)
    for name in marks.keys() - listed.keys():
        _forget(content, name)
    changed = [
        name
        for name, (_, mark) in listed.items()
        if marks.get(name) != mark or not (content / name).is_file()
    ]
    marks = {name: mark for name, (_, mark) in listed.items() if name not in changed}
    files.write_json(notes, marks)  # a run that is killed copies the others again

    def copy(name: str) -> str:
        path, mark = listed[name]
        draft = drafts / hashlib.sha256(name.encode()).hexdigest()
        _again(lambda: _copied(place.storage, path, mark, draft, address), address)
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        draft.replace(content / name)
        return name

    try:
        for name in _each(copy, changed, f"fetch {address}"):
            marks[name] = listed[name][1]
    finally:
        files.write_json(notes, marks)
        shutil.rmtree(drafts)
    alone = list(listed) == [_name(place.path)] and _is_file(place, address)
    return content / _name(place.path) if alone else content


def send(folder: Path, address: str, *, overwrite: bool = False) -> None:
    """Copy all files of ``folder`` to ``address``, and then a list of them, SENT.

    A reader elsewhere that waits for the list finds a whole set. Files there that stand in an older
    list and that ``folder`` does not have are removed; nothing else ever is. Raises RemoteError for
    an address that cannot be written, or that ``free`` refuses.
    """
    there = free(address, overwrite=overwrite)
    place = _place(address)
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )

    def put(name: str) -> str:
        _again(lambda: _put(place, folder / name, name), address)
        return name

    list(_each(put, names, f"send {address}"))
    for name in sorted(there - {SENT, *names}):
        _again(functools.partial(place.storage.rm_file, f"{place.path}/{name}"), address)
    with tempfile.TemporaryDirectory() as temporary:
        files.write_json(Path(temporary) / SENT, names)
        _again(lambda: _put(place, Path(temporary) / SENT, SENT), address)


def free(address: str, *, overwrite: bool = False) -> set[str]:
    """The names at an address, all of which may be replaced.

    Raises RemoteError for files that must not be: any without ``overwrite``, with it those that
    ``send`` did not write.
    """
    place = _place(address)
    names = _listed(place, address, needed=False).keys()
    if names and not overwrite:
        raise RemoteError(f"{address} is not empty")
    foreign = sorted(names - _sent(place, address) - {SENT})
    if foreign:
        raise RemoteError(
            f"{address} holds files that augment did not write, such as {foreign[0]!r}; name "
            "another folder"
        )
    return set(names)


@contextmanager
def outgoing(out: str | Path | None, *, overwrite: bool = False) -> Iterator[Path | None]:
    """A folder of this machine to write to: ``out`` itself, or one that is sent there at the end.

    Nothing is sent where an error ends the work. Raises RemoteError like ``send``, for an address
    that is not free before any work.
    """
    if out is None or not is_remote(str(out)):
        yield None if out is None else Path(out)
        return
    free(str(out), overwrite=overwrite)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "out"
        yield folder
        send(folder, str(out), overwrite=overwrite)


def check(address: str) -> None:
    """Raise RemoteError for an address of an unknown kind, or one that holds credentials."""
    _place(address)


def _place(address: str) -> _Place:
    """The storage of an address and the path in it."""
    where = _ARCHIVED.sub("", address, count=1)
    _refuse_secrets(address)
    import fsspec

    kind = where.split("://")[0].split("::")[0].lower()
    try:
        storage, path = fsspec.core.url_to_fs(where)
    except ImportError as error:
        extra = f"pip install 'augment[{EXTRAS[kind]}]'" if kind in EXTRAS else str(error)
        raise RemoteError(f"{address}: {kind} needs a further package: {extra}") from None
    except ValueError as error:
        raise RemoteError(f"{address}: {error}") from None
    except Exception as error:
        raise RemoteError(f"{address}: {_why(error)}") from None
    return _Place(storage, str(path).rstrip("/"))


def _refuse_secrets(address: str) -> None:
    """Raise RemoteError, which does not repeat them, for credentials in an address."""
    parts = urlsplit(address.rpartition("::")[2])
    named = [key for key, _ in parse_qsl(parts.query) if _SECRET.search(key)]
    if "@" in parts.netloc and not address.startswith(("abfs", "az://")) or named:
        what = f"the key {named[0]}" if named else "a name or a password"
        raise RemoteError(
            f"{parts.scheme}://{parts.hostname or ''}…: the address holds {what}; credentials "
            "belong into the environment or a profile, from where the storage's library takes them"
        )


def _listed(place: _Place, address: str, *, needed: bool = True) -> dict[str, tuple[str, str]]:
    """Path and mark of each file below a place, by its name relative to it."""

    def find() -> Mapping[str, Mapping[str, Any]]:
        if _is_file(place, address):
            return {place.path: place.storage.info(place.path)}
        if not place.storage.exists(place.path):
            return {}
        place.storage.invalidate_cache()
        return dict(place.storage.find(place.path, detail=True))

    entries = _again(find, address)
    listed: dict[str, tuple[str, str]] = {}
    for path, facts in sorted(entries.items()):
        inside = path.removeprefix(place.path).lstrip("/")
        name = inside if inside and path != place.path else _name(path)
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\0" in name or "\\" in name:
            raise RemoteError(f"{address}: the name {name!r} leads out of its folder")
        listed[name] = (path, _mark(facts))
    if needed and not listed:
        raise RemoteError(f"{address}: no such file or folder, or no file in it")
    return listed


def _is_file(place: _Place, address: str) -> bool:
    if urlsplit(address.rpartition("::")[2]).scheme in ("http", "https"):
        return True  # a page's links are no listing
    return bool(_again(lambda: place.storage.isfile(place.path), address))


def _mark(facts: Mapping[str, Any]) -> str:
    """What tells a file from a later one of the same name: its size, and what the storage keeps."""
    kept = [facts[key] for key in _MARKS if facts.get(key)]
    times = [value.timestamp() if isinstance(value, datetime) else value for value in kept]
    return " ".join(map(str, [facts.get("size"), *times[:1]]))


def _name(path: str) -> str:
    return PurePosixPath(unquote(urlsplit(path).path) if "://" in path else path).name


def _forget(content: Path, name: str) -> None:
    """Remove a copy, and the folders that it leaves empty: an empty one would count as a class."""
    path = content / name
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == content or any(folder.iterdir()):
            return
        folder.rmdir()


def _copied(storage: Any, path: str, mark: str, draft: Path, address: str) -> None:
    """Copy a file; raises RemoteError where it is no longer the one that was listed."""
    storage.get_file(path, str(draft))
    storage.invalidate_cache()
    facts = storage.info(path)
    size = facts.get("size")
    if _mark(facts) != mark or (size is not None and draft.stat().st_size != size):
        raise RemoteError(f"{address}: {path} changed while it was read; run it again")


def _put(place: _Place, source: Path, name: str) -> None:
    """Copy a file to a storage, and look whether all of it arrived."""
    target = f"{place.path}/{name}"
    place.storage.makedirs(target.rpartition("/")[0], exist_ok=True)
    place.storage.put_file(str(source), target)
    place.storage.invalidate_cache()
    size = place.storage.info(target).get("size")
    if size != source.stat().st_size:
        raise OSError(f"{target} has {size} bytes of {source.stat().st_size}")


def _sent(place: _Place, address: str) -> set[str]:
    """The names that ``send`` wrote last."""
    path = f"{place.path}/{SENT}"
    if not _again(lambda: place.storage.isfile(path), address):
        return set()
    try:
        names = json.loads(_again(lambda: place.storage.cat_file(path), address))
    except ValueError:
        raise RemoteError(f"{address}/{SENT} is damaged; name another folder") from None
    return {str(name) for name in names} if isinstance(names, list) else set()


def _each(work: Callable[[str], str], names: list[str], title: str) -> Iterable[str]:
    """``work`` on all names, several at a time; the first error ends it."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            yield from progress.track(pool.map(work, names), title, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _again(work: Callable[[], T], address: str) -> T:
    """What ``work`` gives, after further tries where the way to a storage fails.

    Raises RemoteError in place of what the storage's library raises.
    """
    for number in range(TRIES):
        try:
            return work()
        except AugmentError:
            raise
        except _FATAL as error:
            raise RemoteError(f"{address}: {_why(error)}") from None
        except Exception as error:  # each library has errors of its own
            if number == TRIES - 1:
                raise RemoteError(f"{address}: {_why(error)}, after {TRIES} tries") from None
        time.sleep(PAUSE * 2**number)
    raise AssertionError("unreachable")


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    if isinstance(error, PermissionError):
        return "access denied: credentials are missing or not enough"
    return " ".join(f"{type(error).__name__}: {error}".split())
