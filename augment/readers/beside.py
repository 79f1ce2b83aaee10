"""What lies in the folder of a source beside the files that its reader reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from augment.data import images, provenance
from augment.data.table import natural
from augment.readers.base import SIDE_FILE, Item, is_side_file, split_of_folder
from augment.readers.folder import Disk
from augment.readers.layout import joined

BESIDE = "an image beside the files that are read"


def others(source: Path, read: Iterable[Path]) -> list[Item]:
    """The files of the folder ``source`` that are not ``read``: images rejected, others ignored."""
    if not source.is_dir():
        return []
    read_paths = {f"{source}/{provenance.FILE}", *map(str, read)}
    return [
        Item(
            path, b"", None, reason=BESIDE if path.lower().endswith(images.SUFFIXES) else SIDE_FILE
        )
        for folders, names in Disk(source).walk()
        for path in sorted((joined(folders, name) for name in names), key=natural)
        if f"{source}/{path}" not in read_paths
    ]


def unlisted(disk: Disk, listed: Collection[str], lists: str) -> Iterator[Item]:
    """The files of a folder that its ``lists`` do not name.

    Images are rejected, or unlabelled in a folder such as ``test``; other files are ignored.
    """
    for folders, names in disk.walk():
        held_out = "test" in map(split_of_folder, folders)
        unlisted_names = [name for name in names if joined(folders, name) not in listed]
        for name in sorted(unlisted_names, key=natural):
            path = joined(folders, name)
            if is_side_file(name):
                yield Item(path, b"", None, reason=SIDE_FILE)
            elif held_out:
                yield Item(path, disk.fetch(path)[0], None)
            else:
                yield Item(path, b"", "", reason=f"not in {lists}")
