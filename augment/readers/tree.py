"""Trees of images, on disk or in an archive: class folders, split folders, ``metadata.csv``.

The label is the first folder of a path, after any folders that hold all others and after a split
folder. Where a folder holds ``metadata.csv`` with a column ``file_name`` (the imagefolder layout of
Hugging Face), its rows describe the images below that folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol, TextIO

from augment.data.table import natural
from augment.readers import csv
from augment.readers.base import SIDE_FILE, Item, Listing, described, is_side_file, locate, split_of

METADATA = "metadata.csv"
FILE_NAME = "file_name"
UNLISTED = "not in metadata.csv"

Folders = tuple[str, ...]


class Tree(Protocol):
    """Files that can be read in any order."""

    def walk(self) -> Iterator[tuple[Folders, list[str]]]:
        """Each folder that holds files, in natural order, with the names of its files."""

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        """The data of an image, or empty data and the reason."""

    def text(self, path: str) -> AbstractContextManager[TextIO]:
        """A text file, opened for the csv module."""


class Layout(NamedTuple):
    """The meaning of the folders of a path."""

    depth: int  # number of outer folders that hold all others
    splits: bool  # whether the next folder is a split

    def place(self, folders: Folders) -> tuple[str | None, str]:
        """Split and label of the images in a folder; None and blank where no folder names them."""
        rest = folders[self.depth :]
        split = None
        if self.splits and rest:
            split, rest = split_of(rest[0]), rest[1:]
        return split, rest[0] if rest else ""


def layout_of(folders: Collection[Folders]) -> Layout:
    """The layout of a tree whose images lie in ``folders``.

    Folders are splits when all of them are named like splits and at least one has folders inside.
    So a set with the classes ``train`` and ``car``, or ``train`` and ``test``, keeps its classes.
    """
    depth = 0
    while True:
        rests = [folder[depth:] for folder in folders]
        tops = {rest[0] if rest else "" for rest in rests}
        nested = [len(rest) > 1 for rest in rests]
        if any(nested) and all(split_of(top) for top in tops):
            return Layout(depth, splits=True)
        if len(tops) != 1 or not all(nested):
            return Layout(depth, splits=False)
        depth += 1


def has_images(names: Iterable[str]) -> bool:
    """Whether any of these files may be an image, by its name."""
    return not all(is_side_file(name) for name in names)


def items(tree: Tree) -> Listing:
    """The items of a tree: the rows of its metadata in order, then all files without a row.

    Raises AugmentError for metadata that is no CSV in UTF-8.
    """
    holding: list[Folders] = []
    listing: list[Folders] = []
    count = 0
    for folders, names in tree.walk():
        count += len(names)
        if has_images(names):
            holding.append(folders)
        if METADATA in names:
            with tree.text(joined(folders, METADATA)) as file:
                if FILE_NAME in csv.header(file, joined(folders, METADATA)):
                    listing.append(folders)
    found = Listing(_items(tree, layout_of(holding), listing), count)
    found.reads = [joined(folders, METADATA) for folders in listing]
    return found


def _items(tree: Tree, layout: Layout, listing: list[Folders]) -> Iterator[Item]:
    """The items; ``listing`` are the folders whose metadata lists images."""
    listed: set[str] = set()
    for folders in listing:
        with tree.text(joined(folders, METADATA)) as file:
            for path, reason, row in listed_files(file, folders):
                listed.add(path)
                data, reason = (b"", reason) if reason else tree.fetch(path)
                yield item_at(path, data, reason, layout, row)
    for folders, names in tree.walk():
        unlisted = UNLISTED if is_below(folders, listing) else ""
        split, label = layout.place(folders)
        prefix = joined(folders, "")
        for name in sorted(names, key=natural):
            path = prefix + name
            if is_side_file(name):
                yield Item(path, b"", None, reason=SIDE_FILE)
            elif path not in listed:
                data, reason = (b"", unlisted) if unlisted else tree.fetch(path)
                yield Item(path, data, label, split, reason=reason)


def item_at(
    path: str, data: bytes | Path, reason: str, layout: Layout, row: Mapping[str, Any]
) -> Item:
    """The item at ``path``, described by its folders and then by its row in the metadata."""
    split, label = layout.place(tuple(path.split("/")[:-1]))
    return described(Item(path, data, label, split, reason=reason), row)


def is_below(folders: Folders, listing: Collection[Folders]) -> bool:
    """Whether a folder is a ``listing`` folder or lies below one."""
    return any(folders[: len(top)] == top for top in listing)


def joined(folders: Folders, name: str) -> str:
    """The path of the file ``name`` in ``folders``."""
    return "/".join((*folders, name))


def listed_files(file: TextIO, folders: Folders) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each row of a metadata file after its image's path and a reason not to read it, or none."""
    for row in csv.rows(file, joined(folders, METADATA)):
        name = row[FILE_NAME] or ""
        _, reason = locate(Path(), name)
        yield name if reason else joined(folders, PurePosixPath(name).as_posix()), reason, row
