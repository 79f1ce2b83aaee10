"""How the folders of a source are laid out: splits, classes, masks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from augment.readers.base import is_side_file, split_of_folder

Folders = tuple[str, ...]
SplitNames = Literal["splits", "classes", "ignored"]
HOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "data", "files"})
_MASKS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation"}
    | {"segmentations", "segmentationclass", "segmentationobject", "groundtruth"}
)


class Tree(Protocol):
    """Files that can be read in any order; ``name`` says where they lie."""

    @property
    def name(self) -> str:
        """The source, for messages."""

    def walk(self) -> Iterator[tuple[Folders, list[str]]]:
        """Each folder that holds files, in natural order, with the names of its files."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""

    def fetch(self, path: str) -> tuple[bytes | Path, str]:
        """The data of an image, or empty data and the reason."""

    def raw(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A text file, opened for its bytes. Raises AugmentError where it cannot be read."""


class Options(NamedTuple):
    """What the user says about a tree."""

    split_names: SplitNames = "splits"
    tables: bool = True
    labelled: bool = True


class Layout(NamedTuple):
    """The meaning of the folders of a path."""

    depth: int  # number of outer folders that hold all others
    splits: bool  # whether the next folder is a split
    inner: int = 0  # number of folders such as ``images`` that follow every split
    below: bool = False  # whether the folders in a class are splits

    def place(self, folders: Folders) -> tuple[str | None, str]:
        """Split and label of the images in a folder; None and blank where no folder names them."""
        rest = folders[self.depth :]
        split = None
        if self.splits and rest:
            split, rest = split_of_folder(rest[0]), rest[1 + self.inner :]
        if self.below and len(rest) > 1:
            split = split_of_folder(rest[1])
        return split, rest[0] if rest else ""


def layout_of(folders: Collection[Folders], split_names: SplitNames = "splits") -> Layout:
    """The layout of a tree whose images lie in ``folders``.

    Folders are splits when all of them are named like splits, unless ``split_names`` says that they
    are classes. Folders in every class are splits as well when all of them are named so.
    """
    depth = 0
    while True:
        rests = [folder[depth:] for folder in folders]
        tops = {rest[0] for rest in rests if rest}
        nested = [len(rest) > 1 for rest in rests]
        named = split_names != "classes"
        if named and tops and all(map(split_of_folder, tops)):
            return Layout(depth, splits=True, inner=_holders([rest[1:] for rest in rests if rest]))
        if len(tops) != 1 or not all(nested):
            below = (
                named and any(nested) and all(len(r) > 1 and split_of_folder(r[1]) for r in rests)
            )
            return Layout(depth, splits=False, below=below)
        depth += 1


def _holders(rests: Collection[Folders]) -> int:
    """How many folders such as ``images`` stand first in all of these paths, and hold folders."""
    count = 0
    while all(
        len(rest) > count + 1 and plain_name(rest[count]) in HOLDERS for rest in rests
    ) and 1 == len({rest[count] for rest in rests}):
        count += 1
    return count


def has_images(names: Iterable[str]) -> bool:
    """Whether any of these files may be an image, by its name."""
    return not all(is_side_file(name) for name in names)


def is_below(folders: Folders, tops: Collection[Folders]) -> bool:
    """Whether a folder is one of ``tops`` or lies below one."""
    return any(folders[: len(top)] == top for top in tops)


def joined(folders: Folders, name: str) -> str:
    """The path of the file ``name`` in ``folders``."""
    return "/".join((*folders, name))


def masks_of(holding: Collection[Folders]) -> set[Folders]:
    """Folders of masks: named ``ground_truth``, or like masks beside folders that hold all images.

    A folder ``mask`` beside ``no_mask`` is a class.
    """
    inside: dict[Folders, set[str]] = defaultdict(set)
    for folders in holding:
        for place, name in enumerate(folders):
            inside[folders[:place]].add(name)
    masks = set()
    for parent, names in inside.items():
        others = [name for name in names if plain_name(name) not in _MASKS]
        plain = others and all(plain_name(n) in HOLDERS or split_of_folder(n) for n in others)
        for name in names:
            if others and plain_name(name) == "groundtruth" or plain and plain_name(name) in _MASKS:
                masks.add((*parent, name))
    return masks


def plain_name(name: str) -> str:
    """The letters of ``name`` in lower case."""
    return re.sub(r"[\W\d_]", "", name.casefold())
