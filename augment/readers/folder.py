"""A folder of images on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from augment.data.table import natural
from augment.errors import AugmentError, visible
from augment.readers import tree
from augment.readers.base import READERS, Listing, is_junk_folder
from augment.readers.layout import Folders, Options, SplitNames


def _recognises(source: str) -> bool:
    return Path(source).is_dir()


@READERS.register("image_folder", recognises=_recognises, fallback=True, paths=True)
def image_folder(
    source: str,
    *,
    split_names: SplitNames = "splits",
    tables: bool = True,
    labelled: bool = True,
) -> Listing:
    """A folder for each class, perhaps inside train, valid and test folders; reads metadata.csv.

    Deeper folders belong to their class. ``split_names`` says what folders named like splits are:
    ``splits``, ``classes``, or ``ignored``, which cuts splits anew. ``tables`` is whether tables of
    labels beside the images are read. Links to files and folders are followed, but never in a
    circle. Raises AugmentError when ``source`` is no folder, and where nothing says the labels for
    certain.
    """
    if not Path(source).is_dir():
        raise AugmentError(f"{source}: no such folder")
    return tree.items(Disk(Path(source)), Options(split_names, tables, labelled))


class Disk:
    """The files below a folder."""

    def __init__(self, root: Path):
        """``root`` is the folder."""
        self.root = root

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def walk(self) -> Iterator[tuple[Folders, list[str]]]:
        """Each folder with its files; see _walk."""
        yield from _walk(str(self.root), (), (os.path.realpath(self.root),))

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        try:
            return os.path.isfile(f"{self.root}/{path}")
        except ValueError:  # a name that no system takes
            return False

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        """The path, unread."""
        return Path(f"{self.root}/{path}"), ""

    @contextmanager
    def raw(self, path: str) -> Iterator[BinaryIO]:
        """A file, opened for its bytes. Raises AugmentError where it cannot be read."""
        where = f"{self.root}/{path}"
        if not os.path.isfile(where):  # a pipe would be waited for, and a device has no end
            raise AugmentError(f"{visible(where)}: no file")
        try:
            file = open(where, "rb")
        except OSError as error:
            raise AugmentError(f"{visible(where)}: {error.strerror}") from None
        with file:
            yield file


def _walk(
    folder: str, folders: Folders, above: tuple[str, ...]
) -> Iterator[tuple[Folders, list[str]]]:
    """This folder, if it has files, then the folders in it.

    ``above`` are the real paths of this folder and its parents. A folder that is not entered stands
    among the files: a tool's folder becomes a side file; a folder that leads in a circle or may not
    be read becomes an unreadable file.
    """
    files: list[str] = []
    inner: list[tuple[str, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir() or is_junk_folder(entry.name):
                files.append(entry.name)
                continue
            real = os.path.join(above[-1], entry.name)
            real = os.path.realpath(real) if entry.is_symlink() else real
            if real in above or not os.access(entry.path, os.R_OK | os.X_OK):
                files.append(entry.name)
            else:
                inner.append((entry.name, real))
    if files:
        yield folders, files
    for name, real in sorted(inner, key=lambda pair: natural(pair[0])):
        yield from _walk(os.path.join(folder, name), (*folders, name), (*above, real))
