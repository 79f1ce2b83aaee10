"""Trees of images, on disk or in an archive: class folders, split folders, sheets of labels.

The label is the first folder of a path, after any folders that hold all others and after a split
folder. Where a folder holds ``metadata.csv`` or ``metadata.jsonl`` with ``file_name`` (the
imagefolder layout of Hugging Face) or StyleGAN2-ADA's ``dataset.json``, its rows describe the
images below that folder. Where no folder names a class, a CSV does that lists the images.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers import sheets
from augment.readers.base import (
    BOXES,
    MISSING,
    SIDE_FILE,
    Item,
    Listing,
    described,
    is_side_file,
    locate,
    one_form,
    split_of_folder,
)
from augment.readers.sheets import Columns, Row, Unclear, Written

Folders = tuple[str, ...]
SplitNames = Literal["splits", "classes", "ignored"]

SEVERAL = "several files of this name"
_METADATA = ("metadata.csv", "metadata.jsonl", sheets.DATASET)  # the first of a folder is taken
_HOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "data", "files"})
_MASKS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation"}
    | {"segmentations", "segmentationclass", "segmentationobject", "groundtruth"}
)
LISTS = (".csv", ".tsv", ".jsonl", ".json", ".txt", ".xml", ".yaml", ".yml")
_FEW = 10  # lists of a kind in a folder; more of them belong to single images; chosen by hand
_MANY = 200  # lists that are remembered, at most; chosen by hand
_PEEK = 1 << 16  # bytes of a list that tell boxes
_BATCH = re.compile(r"\d{5}$")  # StyleGAN2-ADA's folders, of 1,000 images each
_YOLO = re.compile(rb"\d+( -?\d+(\.\d+)?(e-?\d+)?){4,}\s")
_HOW = (
    "put the images of each class into a folder of its name, or list them in a metadata.csv with "
    "the columns file_name and label"
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
        len(rest) > count + 1 and _plain(rest[count]) in _HOLDERS for rest in rests
    ) and 1 == len({rest[count] for rest in rests}):
        count += 1
    return count


def has_images(names: Iterable[str]) -> bool:
    """Whether any of these files may be an image, by its name."""
    return not all(is_side_file(name) for name in names)


class LabelSheet(NamedTuple):
    """A list of images with their labels."""

    folders: Folders
    name: str
    written: Written
    header: tuple[str, ...]
    columns: Columns
    every: bool  # whether all columns count, as in metadata.csv
    file_share: float  # share of its first names that are files
    loose: bool  # whether they are found only without a folder or an ending

    @property
    def path(self) -> str:
        """Where it lies."""
        return joined(self.folders, self.name)

    @property
    def split(self) -> str | None:
        """The split in its name, as in ``train.csv``."""
        return split_of_folder(self.name.rpartition(".")[0])


class ReadingPlan:
    """How a tree is read: its layout, its sheets, the folders of masks, and remarks in words."""

    def __init__(self, tree: Tree, options: Options):
        """Look through ``tree``.

        Raises AugmentError for a sheet that cannot be read, and where labels are wanted and neither
        folders nor sheets say them for certain.
        """
        self.remarks: list[str] = []
        self.count = 0
        self._tree = tree
        self._options = options
        self._files = SourceFiles(tree)
        holding: dict[Folders, int] = {}
        lists: dict[Folders, list[str]] = defaultdict(list)
        kept = 0
        for folders, names in tree.walk():
            self.count += len(names)
            if number := sum(not is_side_file(name) for name in names):
                holding[folders] = number
            for name in _few_lists(names):
                if name in _METADATA or kept < _MANY:
                    lists[folders].append(name)
                    kept += 1
        self.masks = _masks(holding)
        images = [folders for folders in holding if not is_below(folders, self.masks)]
        if self.masks:
            number = sum(n for folders, n in holding.items() if is_below(folders, self.masks))
            places = ", ".join(sorted({"/".join(folders) for folders in self.masks}))
            self.remarks.append(f"{places}: {number} masks are no images of a class: not read")
        self.layout = layout_of(images, options.split_names)
        self._problems: dict[str, str] = {}
        self._labels = {self.layout.place(folders)[1] for folders in images} - {""}
        self.sheets = self._metadata(lists) if options.tables else []
        if options.labelled:
            self._settle(images, lists)
        if self.sheets and any(map(split_of_folder, self._doubtful)):
            self.layout = self.layout._replace(splits=True)
            self._labels = {self.layout.place(folders)[1] for folders in images} - {""}
        self._say(images)

    @property
    def classes_named(self) -> bool:
        """Whether the folders name classes: two or more, none of them like a split."""
        return len(self._labels) > 1 and not self._doubtful

    @property
    def _doubtful(self) -> list[str]:
        """Labels that are named like a split, or like the folder of all images."""
        if self._options.split_names == "classes":
            return []
        splits = [label for label in self._labels if split_of_folder(label)]
        return sorted(splits) or (
            sorted(self._labels) if all(_plain(name) in _HOLDERS for name in self._labels) else []
        )

    def rows(self) -> Iterator[tuple[str, str, Row]]:
        """Each row of the sheets after its image's path and a reason not to read it, or none."""
        for sheet in self.sheets:
            for path, reason, row in listed(self._tree, self._files, sheet, self.remarks):
                if sheet.split and not sheet.every and self.place(path)[0] is None:
                    row.setdefault("split", sheet.split)
                yield path, reason, row

    def item(self, path: str, data: bytes | Path, reason: str, row: Row) -> Item:
        """The item at ``path``, described by its folders and then by its row in a sheet."""
        split, label = self.place(path)
        return described(Item(path, data, label, split, reason=reason), row)

    def unlisted(self, path: str) -> Item:
        """The item at ``path``, which no sheet lists, still without its data."""
        folders = tuple(path.split("/")[:-1])
        if is_side_file(path.rpartition("/")[2]) or is_below(folders, self.masks):
            return Item(path, b"", None, reason=SIDE_FILE)
        split, label = self.place(path)
        over = [sheet for sheet in self.sheets if folders[: len(sheet.folders)] == sheet.folders]
        if not over and not (self.sheets and not self._labels):
            if split == "test" and not label and self.classes_named:
                return Item(path, b"", None)
            return Item(path, b"", label, split)
        if "test" in map(split_of_folder, folders) and (not label or self._doubtful):
            return Item(path, b"", None)
        names = " or ".join(dict.fromkeys(sheet.name for sheet in over or self.sheets))
        return Item(path, b"", label, split, reason=f"not in {names}")

    def place(self, path: str) -> tuple[str | None, str]:
        """Split and label that the folders of ``path`` name."""
        split, label = self.layout.place(tuple(path.split("/")[:-1]))
        return (None if self._options.split_names == "ignored" else split), label

    def _metadata(self, lists: dict[Folders, list[str]]) -> list[LabelSheet]:
        """The sheets that say by their name and their columns that they describe images."""
        metadata_sheets = []
        for folders, names in lists.items():
            present = [name for name in _METADATA if name in names]
            for other in present[1:]:
                self._problems[joined(folders, other)] = f"{present[0]} beside it is read"
            for name in present[:1]:
                try:
                    sheet = self._sheet(folders, name, every=True)
                except AugmentError as error:
                    foreign = name == sheets.DATASET and not all(map(_BATCH.match, self._labels))
                    if not isinstance(error, Unclear) and not foreign:
                        raise
                    self._problems[joined(folders, name)] = str(error)
                    continue
                if sheet is not None:
                    metadata_sheets.append(sheet)
        return metadata_sheets

    def _sheet(self, folders: Folders, name: str, *, every: bool) -> LabelSheet | None:
        """The sheet ``name``, or None where it does not list images by their ``file_name``.

        Raises Unclear where its columns are not clear.
        """
        where = joined(folders, name)
        expected_columns = Columns(sheets.FILE_NAME if every else "path", "label", "split", "group")
        if every and sheets.FILE_NAME not in _header(self._tree, where):
            self._problems[where] = f"has no column {sheets.FILE_NAME}"
            return None
        if every and self.classes_named:  # the folders speak, unless there is a column label
            named = "label" in _header(self._tree, where)
            expected_columns = expected_columns if named else expected_columns._replace(label=None)
        sheet = sheet_of(self._tree, self._files, folders, name, expected_columns)
        if not every and 2 * sheet.file_share < 1:
            raise Unclear(f"{sheet.columns.path!r} names no files that exist here")
        return sheet

    def _settle(self, images: list[Folders], lists: dict[Folders, list[str]]) -> None:
        """Find the sheets without which no label is known. Raises AugmentError where none is."""
        labelling = [sheet for sheet in self.sheets if sheet.columns.label is not None]
        if labelling:
            return
        usable = self._candidates(images, lists) if self._options.tables else []
        if self.classes_named:
            self._compare(usable)
            for folders, names in itertools.islice(lists.items(), _FEW):
                for path in (joined(folders, name) for name in names):
                    if kind := self._boxes(path):
                        self._problems[path] = kind
            return
        if usable:
            self._choose(usable)
            return
        reasons = self._unread(lists)
        source = self._tree.name
        splits = [label for label in self._doubtful if split_of_folder(label)]
        if splits or self.layout.splits and not self._labels - set(self._doubtful):
            names = splits or self._at(self.layout.depth, images)
            what = f"{_listed(names)}: named like a split, so no class, and no folder in it is one"
            if splits:
                what = f"{_listed(names)}: a folder named like a split is no class"
            raise AugmentError(
                f"{source}: {what}; {reasons or f'no file there lists labels: {_HOW}'}. Where "
                f"these are classes, set ingest.reader: {{name: ..., split_names: classes}}"
            )
        if reasons and len(self._labels) < 2 or self._doubtful and self.masks:
            raise AugmentError(f"{source}: no folder names a class; {reasons}")

    def _candidates(
        self, images: list[Folders], lists: dict[Folders, list[str]]
    ) -> list[LabelSheet]:
        """The CSVs at or above folders of images whose columns are clear."""
        candidates = []
        for folders, names in lists.items():
            if not any(place[: len(folders)] == folders for place in images):
                continue
            for name in names:
                has_problem = joined(folders, name) in self._problems
                if has_problem or not name.lower().endswith(sheets.SUFFIXES):
                    continue
                if "submission" in name.lower():
                    self._problems[joined(folders, name)] = "a submission, not labels"
                    continue
                try:
                    sheet = self._sheet(folders, name, every=False)
                except AugmentError as error:
                    self._problems[joined(folders, name)] = str(error)
                    continue
                candidates += [sheet] if sheet is not None else []
        return candidates

    def _choose(self, usable: list[LabelSheet]) -> None:
        """Take all sheets of different folders or splits. Raises AugmentError for rivals."""
        for (folders, split), count in Counter((s.folders, s.split) for s in usable).items():
            rivals = [s.path for s in usable if s.folders == folders]
            if count > 1 or split is None and len(rivals) > 1:
                raise AugmentError(
                    f"{self._tree.name}: {' and '.join(rivals)} list the images: set ingest.source "
                    f"to the one that holds the labels"
                )
        self.sheets += usable

    def _compare(self, usable: list[LabelSheet]) -> None:
        """Raise AugmentError where a sheet has other labels than the folders have."""
        for sheet in usable:
            first = itertools.islice(listed(self._tree, self._files, sheet, []), 1000)
            pairs = [(self.place(path)[1], one_form(str(row["label"]))) for path, _, row in first]
            pairs = [(one_form(folder), label) for folder, label in pairs]
            same = sum(folder == label for folder, label in pairs)
            if sheets.is_usual(sheet.columns.label) and 2 * same < len(pairs):
                folder, label = next(pair for pair in pairs if pair[0] != pair[1])
                raise AugmentError(
                    f"{self._tree.name}: folders and {sheet.path} disagree: {folder!r} and "
                    f"{label!r} for one image. For the folders set ingest.reader: {{name: ..., "
                    f"tables: false}}; for the table set ingest.source to it"
                )
            self._problems[sheet.path] = "the folders name the classes"

    def _unread(self, lists: dict[Folders, list[str]]) -> str:
        """What lies there and may hold labels, and why it is not read; blank for nothing."""
        if self.masks:
            return f"{_listed(['/'.join(folders) for folders in self.masks])}: masks: {BOXES}"
        for folders, names in lists.items():
            for name in names:
                if kind := self._boxes(joined(folders, name)):
                    return f"{joined(folders, name)}: {kind}: {BOXES}"
        first = list(self._problems.items())[:3]
        return "; ".join(f"{path} cannot be read: {why}" for path, why in first)

    def _boxes(self, path: str) -> str:
        """The format of a file that holds boxes or outlines; blank for any other file."""
        suffix = path[path.rfind(".") :].lower()
        if suffix in sheets.SUFFIXES:
            return ""
        try:
            with self._tree.raw(path) as file:
                start = file.read(_PEEK)
        except AugmentError:
            return ""
        if suffix == ".txt" and _YOLO.match(start):
            return "boxes (YOLO)"
        if suffix in (".yaml", ".yml") and b"names:" in start and b"train:" in start:
            return "boxes (YOLO)"
        if suffix in (".json", ".jsonl") and re.search(rb'"(annotations|bbox|shapes)"', start):
            return "boxes (COCO)"
        return "boxes (Pascal VOC)" if suffix == ".xml" and b"<object" in start else ""

    @staticmethod
    def _at(level: int, images: Iterable[Folders]) -> list[str]:
        return sorted({folders[level] for folders in images if len(folders) > level})

    def _say(self, images: list[Folders]) -> None:
        """Put into words where labels and splits come from."""
        for sheet in self.sheets:
            self.remarks += said(sheet)
        if all(sheet.columns.label is None for sheet in self.sheets) and self._labels:
            names = sorted(set(map(one_form, self._labels)), key=natural)
            self.remarks.append(f"{len(names)} folders are classes: {_listed(names)}")
        level = self.layout.depth + self.layout.below
        if self.layout.splits or self.layout.below:
            splits = self._at(level, images)
            splits = [name for name in splits if split_of_folder(name)]
            kept = (
                "splits, which are passed over"
                if self._options.split_names == "ignored"
                else "splits"
            )
            self.remarks.append(f"folders {_listed(splits)} are {kept}")
        if self.classes_named and ("test", "") in map(self.layout.place, images):
            self.remarks.append("images of test that lie in no class are unlabelled")
        for path, why in list(self._problems.items())[:5]:
            self.remarks.append(f"{path} is not read: {why}")


class SourceFiles:
    """Finds the file that a sheet means by a name."""

    def __init__(self, tree: Tree):
        """Nothing is looked at before the first question."""
        self._tree = tree
        self._by_name: dict[str, list[str]] | None = None

    def find(
        self, folders: Folders, name: str, *, loose: bool, split: str | None = None
    ) -> tuple[str, str]:
        """The path of the file that a sheet in ``folders`` calls ``name``, and "" or a reason.

        Backslashes count as separators, and another Unicode form as the same name, where no file
        has the name as it is. A ``loose`` name may lack outer folders and the ending; among several
        files the one in a folder of ``split`` is meant.
        """
        first = ""
        for form in _forms(name):
            if why := locate(Path(), form)[1]:
                return (name, why) if not first else (first, MISSING)
            path = joined(folders, PurePosixPath(form).as_posix())
            first = first or path
            if self._tree.has(path):
                return path, ""
        if loose:
            tail = "/" + _composed(PurePosixPath(form).as_posix())
            above = joined(folders, "")
            paths = [
                path
                for path in self._index().get(tail.rpartition("/")[2], ())
                if path.startswith(above) and _ends("/" + _composed(path), tail)
            ]
            if len(paths) > 1 and split is not None:
                in_split = [p for p in paths if split in map(split_of_folder, p.split("/")[:-1])]
                paths = in_split if len(in_split) == 1 else paths
            if paths:
                return paths[0], SEVERAL if len(paths) > 1 else ""
        return first, MISSING

    def _index(self) -> dict[str, list[str]]:
        """The images by their names with and without an ending, in Unicode's composed form."""
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for folders, names in self._tree.walk():
                for name in names:
                    if not is_side_file(name):
                        path = joined(folders, name)
                        name = _composed(name)
                        for key in {name, name.rpartition(".")[0] or name}:
                            self._by_name[key].append(path)
        return self._by_name


def sheet_of(
    tree: Tree,
    files: SourceFiles,
    folders: Folders,
    name: str,
    expected_columns: Columns,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> LabelSheet:
    """The sheet ``name`` in ``folders``, after a look at its first rows.

    Raises AugmentError where it cannot be read, and Unclear where its columns are not clear.
    """
    path = joined(folders, name)
    where = f"{tree.name}/{path}"
    every = expected_columns.path == sheets.FILE_NAME
    written = sheets.how_written(lambda: tree.raw(path), where, delimiter, encoding)
    names = sheets.header(lambda: tree.raw(path), where, written)
    first = sheets.sample(lambda: tree.raw(path), where, written)

    def is_file(value: str, loose: bool = not every) -> bool:
        return files.find(folders, value, loose=loose)[1] in ("", SEVERAL)

    columns = sheets.guessed(names, first, is_file, expected_columns)
    file_share = sheets.share(first, columns.path, is_file)
    loose = file_share > sheets.share(first, columns.path, lambda value: is_file(value, False))
    return LabelSheet(folders, name, written, tuple(names), columns, every, file_share, loose)


def said(sheet: LabelSheet) -> list[str]:
    """How a sheet is read, in words."""
    remarks = [f"{sheet.path}: {sheets.said(sheet.columns, sheet.written)}"]
    if sheet.loose:
        remarks.append(f"{sheet.path}: its names lack a folder or an ending: found by name")
    return remarks


def _header(tree: Tree, path: str) -> list[str]:
    written = sheets.how_written(lambda: tree.raw(path), f"{tree.name}/{path}")
    names = sheets.header(lambda: tree.raw(path), f"{tree.name}/{path}", written)
    return [name.strip().casefold() for name in names if name]


def listed(
    tree: Tree, files: SourceFiles, sheet: LabelSheet, remarks: list[str]
) -> Iterator[tuple[str, str, Row]]:
    """Each row of a sheet after its image's path and a reason not to read it, or none."""
    joins = 0
    columns = sheet.columns
    for row in sheets.rows(
        lambda: tree.raw(sheet.path), f"{tree.name}/{sheet.path}", sheet.written
    ):
        if row.get(None):
            row = sheets.whole(row, columns, sheet.header, sheet.written.delimiter)
            joins += None not in row
        cell = row.get(columns.path)
        name = "" if cell is None else str(cell)
        if sheet.loose or "\\" in name or not name.isascii():
            path, reason = files.find(sheet.folders, name, loose=sheet.loose, split=sheet.split)
            reason = "" if reason == MISSING else reason
        else:  # no other file can be meant
            reason = locate(Path(), name)[1]
            path = name if reason else joined(sheet.folders, PurePosixPath(name).as_posix())
        if row.pop(None, None):
            reason = reason or sheets.EXTRA
        values: dict[str, Any] = row if sheet.every else {}
        for target, column in zip(("label", "split", "group"), columns[1:], strict=True):
            if column is not None and column in row:
                values[target] = row[column]
        yield path, reason, values
    if joins:
        remarks.append(
            f"{sheet.path}: {joins} rows have {sheet.written.delimiter!r} in the label: kept so"
        )


def items(tree: Tree, options: Options) -> Listing:
    """The items of a tree: the rows of its sheets in order, then all files without a row.

    Raises AugmentError for a sheet that cannot be read, and where labels are wanted and neither
    folders nor sheets say them for certain.
    """
    plan = ReadingPlan(tree, options)
    listing = Listing(_items(tree, plan), plan.count, plan.remarks)
    listing.reads = [sheet.path for sheet in plan.sheets]
    return listing


def _items(tree: Tree, plan: ReadingPlan) -> Iterator[Item]:
    """The rows of the plan's sheets, then the files that have none; images with their data."""
    seen: set[str] = set()
    for path, reason, row in plan.rows():
        seen.add(path)
        data, reason = (b"", reason) if reason else tree.fetch(path)
        yield plan.item(path, data, reason, row)
    for folders, names in tree.walk():
        for name in sorted(names, key=natural):
            path = joined(folders, name)
            if path in seen and not is_side_file(name):
                continue
            item = plan.unlisted(path)
            if not item.reason:
                data, reason = tree.fetch(path)
                item = item._replace(data=data, reason=reason)
            yield item


def is_below(folders: Folders, tops: Collection[Folders]) -> bool:
    """Whether a folder is one of ``tops`` or lies below one."""
    return any(folders[: len(top)] == top for top in tops)


def joined(folders: Folders, name: str) -> str:
    """The path of the file ``name`` in ``folders``."""
    return "/".join((*folders, name))


def _forms(name: str) -> Iterator[str]:
    """``name``, then with slashes for backslashes, and both in Unicode's two forms."""
    for form in dict.fromkeys((name, name.replace("\\", "/"))):
        yield form
        if not form.isascii():
            yield unicodedata.normalize("NFC", form)
            yield unicodedata.normalize("NFD", form)


def _ends(path: str, tail: str) -> bool:
    """Whether ``path``, with or without its ending, ends with ``tail``."""
    return path.endswith(tail) or path.rpartition(".")[0].endswith(tail)


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _masks(holding: Collection[Folders]) -> set[Folders]:
    """Folders of masks: named ``ground_truth``, or like masks beside folders that hold all images.

    A folder ``mask`` beside ``no_mask`` is a class.
    """
    inside: dict[Folders, set[str]] = defaultdict(set)
    for folders in holding:
        for place, name in enumerate(folders):
            inside[folders[:place]].add(name)
    masks = set()
    for parent, names in inside.items():
        others = [name for name in names if _plain(name) not in _MASKS]
        plain = others and all(_plain(n) in _HOLDERS or split_of_folder(n) for n in others)
        for name in names:
            if others and _plain(name) == "groundtruth" or plain and _plain(name) in _MASKS:
                masks.add((*parent, name))
    return masks


def _few_lists(names: Iterable[str]) -> list[str]:
    """The files that may list labels: all metadata, of each other kind a few."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    kept = []
    for name in sorted(names):
        suffix = name[max(name.rfind("."), 0) :].lower()
        if name in _METADATA:
            kept.append(name)
        elif suffix in LISTS and not name.startswith("."):
            by_kind[suffix].append(name)
    for suffix, lists in by_kind.items():
        kept += lists if suffix in sheets.SUFFIXES and len(lists) <= _FEW else lists[:1]
    return kept


def _plain(name: str) -> str:
    return re.sub(r"[\W\d_]", "", name.casefold())


def _listed(names: Collection[str]) -> str:
    names = list(names)
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
