"""Lists as trainers of text recognition write them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from augment.data import images, provenance
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers.base import (
    READERS,
    SIDE_FILE,
    SPLITS,
    Item,
    Listing,
    described,
    files_in,
    is_side_file,
    locate,
    split_of,
)
from augment.readers.beside import unlisted
from augment.readers.folder import Disk
from augment.readers.label_sheets import SourceFiles, about_outer, outer_folders, without
from augment.readers.layout import joined, layout_of

_WORDS = {*SPLITS, "rec", "gt", "list", "label", "labels"}
NO_TAB = "line without a tab"
_ENDINGS = "|".join(re.escape(suffix) for suffix in images.SUFFIXES)
_SPACE = re.compile(rf"(?:(?<=\S)(?:{_ENDINGS}))( +)", re.IGNORECASE)
_SAMPLE = 1000  # lines from which folders that are not there are told; chosen by hand
_LINE = 1 << 16  # bytes of the first line that recognition reads, at most


def _recognises(source: str) -> bool:
    path = Path(source)
    return path.is_dir() and bool(_lists(path))


@READERS.register("ocr_list", recognises=_recognises, paths=True)
def ocr_list(source: str, *, label_in_name: str | None = None) -> Listing:
    """PaddleOCR's lists (``train.txt``, ``rec_gt_train.txt``) of ``relative/path<TAB>label``.

    Paths are relative to the folder of the lists and must not leave it; folders before them that
    are not there are left out where all paths exist without them. Images that no list names are
    rejected, or unlabelled in a folder such as ``test``. A space may stand for the tab where one
    place alone is right: behind an image's ending. ``label_in_name``, a regular
    expression such as ``(.+)_[0-9]+``, reads no list: its first group is the label in the name of
    each image in the folder, without the ending, as generators of text name their files. Raises
    AugmentError before the first item when there is no list, a list is not UTF-8, or the expression
    is none with a group.
    """
    folder = Path(source)
    if label_in_name is not None:
        return _named(folder, label_in_name)
    lists = _lists(folder) if folder.is_dir() else []
    if not lists:
        raise AugmentError(f"{source}: no list such as train.txt there")
    counts = _counts(lists)
    rows = provenance.rows(folder, counts)
    spaces = sum("\t" not in line for path in lists for line in _lines(path))
    remarks = (
        [f"{spaces} lines have no tab: a space behind the path stands for it"] if spaces else []
    )
    names = _Names(folder)
    outer = {path: names.outer(path) for path in lists}
    remarks += itertools.chain.from_iterable(about_outer(p.name, outer[p]) for p in lists)
    listed = {names.item(line, outer[path])[0] for path in lists for line in _lines(path)}
    listed.update(path.name for path in lists)
    beside = list(unlisted(names.disk, listed, " or ".join(path.name for path in lists)))
    items = (
        described(_item(names, line, outer[path], split), row)
        for path in lists
        for split in [_split(path)]
        for line, row in zip(_lines(path), rows[split], strict=False)
    )
    listing = Listing(itertools.chain(items, beside), counts.total() + len(beside), remarks)
    listing.reads = [path.name for path in lists]
    return listing


class _Names:
    """What the lines of lists in a folder name."""

    def __init__(self, folder: Path):
        """``folder`` holds the lists."""
        self.disk = Disk(folder)
        self._files = SourceFiles(self.disk)

    def outer(self, path: Path) -> str:
        """The folders before the names of a list that are not there, from its first lines."""
        first = [self._parts(line)[0] for line in itertools.islice(_lines(path), _SAMPLE)]
        return outer_folders(first, self._is_file)

    def item(self, line: str, outer: str) -> tuple[str, str, str]:
        """Path, label and reason of a line."""
        name, label, reason = self._parts(line, outer)
        path, why = self._files.place((), without(name, outer))
        return path, label, reason or why

    def _is_file(self, name: str) -> bool:
        return not self._files.find((), name, loose=False)[1]

    def _parts(self, line: str, outer: str = "") -> tuple[str, str, str]:
        name, tab, label = line.partition("\t")
        if tab:
            return name, label, ""
        name, label = _at_space(line, lambda name: self._is_file(without(name, outer)))
        return name, label, "" if label else NO_TAB


def _item(names: _Names, line: str, outer: str, split: str | None) -> Item:
    path, label, reason = names.item(line, outer)
    return Item(path, b"" if reason else names.disk.fetch(path)[0], label, split, reason=reason)


def _lists(folder: Path) -> list[Path]:
    """The text files that are named like a list, by their first line as well."""
    texts = files_in(folder, lambda name: name.endswith(".txt"))
    return [path for path in texts if _WORDS.issuperset(_words(path)) and _is_list(path)]


def _words(path: Path) -> list[str]:
    return re.split(r"[-_.]", path.stem.lower())


def _split(path: Path) -> str | None:
    return next(filter(None, map(split_of, _words(path))), None)


def _is_list(path: Path) -> bool:
    """Whether the first line holds a tab, or a space behind the path of a file that exists."""
    with open(path, "rb") as file:
        line = file.readline(_LINE)
    if b"\t" in line:
        return True
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        return False
    name, label = _at_space(text, lambda name: _exists(path.parent, name))
    return bool(label) and _exists(path.parent, name)


def _counts(lists: list[Path]) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for path in lists:
        try:
            counts[_split(path)] += sum(1 for _ in _lines(path))
        except UnicodeDecodeError as error:
            raise AugmentError(f"{path}: not UTF-8: {error}") from None
    return counts


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\r\n")


def _at_space(line: str, is_file: Callable[[str], bool]) -> tuple[str, str]:
    """Path and label of a line without a tab; no label where no place, or more than one, fits.

    A place fits behind an image's ending. Of several the one whose file exists is taken.
    """
    pairs = [(line[: hit.start(1)], line[hit.end() :].strip()) for hit in _SPACE.finditer(line)]
    pairs = [pair for pair in pairs if pair[1]]
    if len(pairs) > 1:
        pairs = [pair for pair in pairs if is_file(pair[0])]
    return pairs[0] if len(pairs) == 1 else (line, "")


def _exists(folder: Path, name: str) -> bool:
    """Whether ``name``, or ``name`` without some of its outer folders, is a file in ``folder``."""
    parts = re.split(r"[/\\]", name)
    tails = ("/".join(parts[place:]) for place in range(len(parts)))
    return any(not locate(folder, tail)[1] and Disk(folder).has(tail) for tail in tails)


def _named(folder: Path, rule: str) -> Listing:
    """The images of a folder and of those in it, labelled by their names; folders may be splits."""
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise AugmentError(f"option label_in_name: {rule!r}: {error}") from None
    if not pattern.groups:
        raise AugmentError(f"option label_in_name: {rule!r} has no group, such as in (.+)_[0-9]+")
    if not folder.is_dir():
        raise AugmentError(f"{folder}: no such folder")
    disk = Disk(folder)
    folders_of = {
        joined(folders, name): folders for folders, names in disk.walk() for name in names
    }
    layout = layout_of(set(folders_of.values()))
    items = (
        _by_name(path, disk, pattern, layout.place(folders_of[path])[0])
        for path in sorted(folders_of, key=natural)
    )
    return Listing(items, len(folders_of))


def _by_name(path: str, disk: Disk, pattern: re.Pattern[str], split: str | None) -> Item:
    if is_side_file(path.rpartition("/")[2]):
        return Item(path, b"", None, reason=SIDE_FILE)
    match = pattern.fullmatch(PurePosixPath(path).stem)
    if match is None:
        return Item(path, b"", "", split, reason=f"name is not {pattern.pattern}")
    return Item(path, disk.fetch(path)[0], match[1] or "", split)
