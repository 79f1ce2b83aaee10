"""Files that lie elsewhere: a real S3 server on this machine, and fsspec's memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from augment.runtime import remote
from augment.runtime.remote import RemoteError


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.0)


@pytest.fixture()
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]
    yield storage
    storage.store.clear()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("s3://bucket/folder", True),
        ("zip::s3://bucket/set.zip", True),
        ("hf://datasets/someone/set", True),
        ("memory://set", True),
        ("builtin:digits", False),
        ("/data/s3:", False),
        ("C:\\images", False),
        ("photos", False),
    ],
)
def test_what_an_address_is(name: str, address: bool) -> None:
    assert remote.is_remote(name) == address


def test_a_folder_is_copied_once_and_follows_its_source(
    s3: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    sent = {"a/1.png": b"one", "b/2 ü.png": b"two", "b/3.png": b"three", "c/d/4.png": b"four"}
    for name, data in sent.items():
        s3.pipe_file(f"bucket/photos/{name}", data)
    s3.pipe_file("bucket/photos-of-others/a/9.png", b"not below the address")
    folder = remote.fetch("s3://bucket/photos", tmp_path)
    assert content(folder) == sent
    before = (folder / "a/1.png").stat().st_mtime_ns
    s3.pipe_file("bucket/photos/b/3.png", b"threE")  # of the same size
    s3.rm_file("bucket/photos/b/2 ü.png")
    s3.rm_file("bucket/photos/c/d/4.png")
    assert remote.fetch("s3://bucket/photos/", tmp_path).name == "files"
    folder = remote.fetch("s3://bucket/photos", tmp_path)
    assert content(folder) == {"a/1.png": b"one", "b/3.png": b"threE"}
    assert (folder / "a/1.png").stat().st_mtime_ns == before
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]  # no class without images


def test_marks_change_with_a_file_alone(s3: fsspec.AbstractFileSystem) -> None:
    s3.pipe_file("bucket/marks/1.png", b"one")
    first = remote.listing("s3://bucket/marks")
    assert remote.listing("s3://bucket/marks") == first and list(first) == ["1.png"]
    s3.pipe_file("bucket/marks/1.png", b"One")
    assert remote.listing("s3://bucket/marks") != first


def test_a_file_alone_keeps_its_name(s3: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    s3.pipe_file("bucket/set.zip", b"archive")
    for address in ("s3://bucket/set.zip", "zip::s3://bucket/set.zip"):
        path = remote.fetch(address, tmp_path)
        assert (path.name, path.read_bytes()) == ("set.zip", b"archive")


def test_a_set_is_sent_whole_and_replaces_only_what_was_sent(
    s3: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    folder, address = tmp_path / "set", "s3://bucket/sent"
    write(folder, {"a/1.png": b"one", "b/2.png": b"two"})
    remote.send(folder, address)
    assert json.loads(s3.cat_file(f"bucket/sent/{remote.SENT}")) == ["a/1.png", "b/2.png"]
    assert s3.cat_file("bucket/sent/b/2.png") == b"two"
    with pytest.raises(RemoteError, match="s3://bucket/sent is not empty"):
        remote.send(folder, address)
    (folder / "b/2.png").unlink()
    remote.send(folder, address, overwrite=True)
    assert set(remote.listing(address)) == {"a/1.png", remote.SENT}
    s3.pipe_file("bucket/sent/theirs.txt", b"keep")
    with pytest.raises(RemoteError, match="files that augment did not write, such as 'theirs.txt'"):
        remote.send(folder, address, overwrite=True)
    assert s3.cat_file("bucket/sent/theirs.txt") == b"keep"


def test_what_is_not_there_or_not_allowed_is_named(
    s3: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    with pytest.raises(RemoteError, match="s3://bucket/nothing: no such file or folder"):
        remote.fetch("s3://bucket/nothing", tmp_path)
    with pytest.raises(RemoteError, match="s3://no-such-bucket/x: "):
        remote.fetch("s3://no-such-bucket/x", tmp_path)


def test_a_file_that_changes_while_it_is_read_is_noticed(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/set/1.png", b"one")
    read = type(memory).get_file

    def late(self: fsspec.AbstractFileSystem, path: str, local: str, **options: object) -> None:
        read(self, path, local, **options)
        self.pipe_file(path, b"another")

    monkeypatch.setattr(type(memory), "get_file", late)
    with pytest.raises(RemoteError, match="/set/1.png changed while it was read"):
        remote.fetch("memory://set", tmp_path)
    monkeypatch.undo()
    assert content(remote.fetch("memory://set", tmp_path)) == {"1.png": b"another"}


def test_a_way_that_fails_is_tried_again(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/set/1.png", b"one")
    read, tries = type(memory).get_file, []

    def seldom(self: fsspec.AbstractFileSystem, path: str, local: str, **options: object) -> None:
        tries.append(path)
        if len(tries) < remote.TRIES:
            raise OSError("connection reset")
        read(self, path, local, **options)

    monkeypatch.setattr(type(memory), "get_file", seldom)
    assert content(remote.fetch("memory://set", tmp_path / "first")) == {"1.png": b"one"}
    monkeypatch.setattr(type(memory), "get_file", refuse)
    with pytest.raises(RemoteError, match="memory://set: OSError: no way, after 5 tries"):
        remote.fetch("memory://set", tmp_path / "second")


def refuse(self: fsspec.AbstractFileSystem, path: str, local: str, **options: object) -> None:
    raise OSError("no way")


def test_a_copy_that_was_cut_off_goes_on(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_memory(memory, {"1.png": b"one", "2.png": b"two"})
    read = type(memory).get_file
    copied: list[str] = []

    def cut_off(self: fsspec.AbstractFileSystem, path: str, local: str, **options: object) -> None:
        if copied:
            raise PermissionError(path)
        copied.append(path)
        read(self, path, local, **options)

    def count(self: fsspec.AbstractFileSystem, path: str, local: str, **options: object) -> None:
        copied.append(path)
        read(self, path, local, **options)

    monkeypatch.setattr(remote, "AT_A_TIME", 1)
    monkeypatch.setattr(type(memory), "get_file", cut_off)
    with pytest.raises(RemoteError, match="access denied"):
        remote.fetch("memory://set", tmp_path)
    monkeypatch.setattr(type(memory), "get_file", count)
    folder = remote.fetch("memory://set", tmp_path)
    assert copied == ["/set/1.png", "/set/2.png"]
    assert content(folder) == {"1.png": b"one", "2.png": b"two"}


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "a\\b.png"])
def test_no_name_leads_out_of_the_folder(
    name: str, memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {f"/set/{name}": {"name": f"/set/{name}", "size": 3, "type": "file"}}
    memory.pipe_file("/set/1.png", b"one")
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: listed)
    with pytest.raises(RemoteError, match="leads out of its folder"):
        remote.fetch("memory://set", tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hush-hush@example.org/set.zip",
        "https://example.org/set.zip?X-Amz-Signature=hush-hush",
        "zip::https://example.org/set.zip?access_token=hush-hush",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(RemoteError, match="credentials belong into the environment") as error:
        remote.check(address)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/set", r"gs needs a further package: pip install 'augment\[gcs\]'"),
        ("nonsense://bucket/set", "nonsense"),
    ],
)
def test_a_storage_without_its_package_is_named(
    address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RemoteError, match=message):
        remote.check(address)


def test_out_is_sent_only_when_the_work_is_done(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    with remote.outgoing(tmp_path / "here") as folder:
        assert folder == tmp_path / "here"
    with pytest.raises(KeyError), remote.outgoing("memory://made") as folder:
        assert folder is not None
        write(folder, {"1.png": b"one"})
        raise KeyError
    assert not memory.exists("/made")
    with remote.outgoing("memory://made") as folder:
        assert folder is not None
        write(folder, {"1.png": b"one"})
    assert memory.cat_file("/made/1.png") == b"one"
    with pytest.raises(RemoteError, match="not empty"), remote.outgoing("memory://made"):
        pass


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(folder: Path, texts: dict[str, bytes]) -> None:
    for name, data in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_memory(memory: fsspec.AbstractFileSystem, texts: dict[str, bytes]) -> None:
    for name, data in texts.items():
        memory.pipe_file(f"/set/{name}", data)


def test_a_list_of_what_was_sent_removes_nothing_elsewhere(tmp_path: Path) -> None:
    """Whoever may write to the destination could have made the list."""
    folder, destination = tmp_path / "set", tmp_path / "destination"
    write(folder, {"1.png": b"one"})
    write(destination, {"old.png": b"old"})
    write(tmp_path, {"thesis.tex": b"all of it"})
    (destination / remote.SENT).write_text(json.dumps(["old.png", "../thesis.tex"]))
    remote.send(folder, str(destination), overwrite=True)
    assert (tmp_path / "thesis.tex").read_bytes() == b"all of it"
    assert set(content(destination)) == {"1.png", remote.SENT}
    (destination / remote.SENT).write_text("{")
    with pytest.raises(RemoteError, match="is damaged"):
        remote.send(folder, str(destination), overwrite=True)
