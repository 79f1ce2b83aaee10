"""Trees of images, on disk or in an archive: class folders, split folders, sheets of labels.

The label is the first folder of a path, after any folders that hold all others and after a split
folder. Where a folder holds ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet`` with
``file_name`` (the imagefolder layout of Hugging Face) or StyleGAN2-ADA's ``dataset.json``, its rows
describe the images below that folder. Where no folder names a class, a CSV does that lists the
images.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from augment.data.table import natural
from augment.errors import AugmentError, visible
from augment.readers import boxes, sheets
from augment.readers.base import (
    BOXES,
    SIDE_FILE,
    Item,
    Listing,
    described,
    is_side_file,
    one_form,
    split_of_folder,
)
from augment.readers.columns import Columns, Unclear, is_usual
from augment.readers.label_sheets import (
    LabelSheet,
    SourceFiles,
    header_of,
    listed_in_words,
    listed_rows,
    said,
    sheet_of,
)
from augment.readers.layout import (
    HOLDERS,
    Folders,
    Options,
    Tree,
    is_below,
    joined,
    layout_of,
    masks_of,
    plain_name,
)
from augment.readers.sheets import Row

# The first of a folder is taken.
_METADATA = ("metadata.csv", "metadata.jsonl", sheets.METADATA, sheets.DATASET)
LISTS = (".csv", ".tsv", ".jsonl", ".json", ".txt", ".xml", ".yaml", ".yml")
_FEW = 10  # lists of a kind in a folder; more of them belong to single images; chosen by hand
_MANY = 200  # lists that are remembered, at most; chosen by hand
_BOXED = 20  # files of boxes that are looked at in a folder; chosen by hand
_PEEK = 1 << 16  # bytes of a list that tell boxes
_BATCH = re.compile(r"\d{5}$")  # StyleGAN2-ADA's folders, of 1,000 images each
_HOW = (
    "put the images of each class into a folder of its name, or list them in a metadata.csv with "
    "the columns file_name and label"
)


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
        self.masks = masks_of(holding)
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
            sorted(self._labels)
            if all(plain_name(name) in HOLDERS for name in self._labels)
            else []
        )

    def rows(self) -> Iterator[tuple[str, str, Row]]:
        """Each row of the sheets after its image's path and a reason not to read it, or none."""
        for sheet in self.sheets:
            for path, reason, row in listed_rows(self._tree, self._files, sheet, self.remarks):
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
        if every and sheets.FILE_NAME not in header_of(self._tree, where):
            self._problems[where] = f"has no column {sheets.FILE_NAME}"
            return None
        if every and self.classes_named:  # the folders speak, unless there is a column label
            named = "label" in header_of(self._tree, where)
            expected_columns = expected_columns if named else expected_columns._replace(label=None)
        sheet = sheet_of(self._tree, self._files, folders, name, expected_columns)
        if not every and 2 * sheet.file_share < 1:
            raise Unclear(f"{sheet.columns.path!r} names no files that exist here")
        return sheet

    def _settle(self, images: list[Folders], lists: dict[Folders, list[str]]) -> None:
        """Find the sheets without which no label is known. Raises AugmentError where none is."""
        if any(sheet.columns.names_labels for sheet in self.sheets):
            return
        usable = self._candidates(images, lists) if self._options.tables else []
        if self.classes_named:
            self._compare(usable)
            for folders, names in itertools.islice(lists.items(), _FEW):
                for path in (joined(folders, name) for name in names):
                    if kind := boxes.kind_of(path, self._start(path)):
                        self._problems[path] = kind
                        if self._options.tables:
                            self._compare_boxes(path, kind)
            return
        if usable:
            self._choose(usable)
            return
        reasons = self._unread(lists)
        source = self._tree.name
        splits = [label for label in self._doubtful if split_of_folder(label)]
        if splits or self.layout.splits and not self._labels - set(self._doubtful):
            names = splits or self._at(self.layout.depth, images)
            why = "named like a split, so no class, and no folder in it is one"
            if splits:
                why = "a folder named like a split is no class"
            what = f"{listed_in_words(names)}: {why}"
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
            first = itertools.islice(listed_rows(self._tree, self._files, sheet, []), 1000)
            pairs = [(self.place(path)[1], one_form(str(row["label"]))) for path, _, row in first]
            pairs = [(one_form(folder), label) for folder, label in pairs]
            same = sum(folder == label for folder, label in pairs)
            speaks = sheet.columns.classes or is_usual(sheet.columns.label)
            if speaks and 2 * same < len(pairs):
                folder, label = next(pair for pair in pairs if pair[0] != pair[1])
                raise AugmentError(
                    f"{self._tree.name}: folders and {sheet.path} disagree: {folder!r} and "
                    f"{label!r} for one image. For the folders set ingest.reader: {{name: ..., "
                    f"tables: false}}; for the table set ingest.source to it"
                )
            self._problems[sheet.path] = "the folders name the classes"

    def _compare_boxes(self, path: str, kind: str) -> None:
        """Raise AugmentError where boxes beside class folders do not say the folders' classes."""
        suffix = path[path.rfind(".") :]
        names_by_label: dict[str, set[str]] = {label: set() for label in self._labels}
        for folders, names in self._tree.walk():
            label = self.layout.place(folders)[1]
            files = [joined(folders, name) for name in names if name.endswith(suffix)]
            for file in files[:_BOXED] if label in names_by_label else []:
                names_by_label[label] |= boxes.classes_in(file, self._start(file))
        overall = boxes.classes_in(path, self._start(path))
        if why := boxes.disagree(names_by_label, overall):
            raise AugmentError(
                f"{self._tree.name}: folders {listed_in_words(sorted(self._labels, key=natural))} "
                f"hold images, and {visible(path)} holds {kind}: {why}; {BOXES}. Where the "
                f"folders are the classes, set ingest.reader: {{name: ..., tables: false}}"
            )

    def _start(self, path: str) -> bytes:
        """The first bytes of a file; none where it cannot be read."""
        try:
            with self._tree.raw(path) as file:
                return file.read(_PEEK)
        except AugmentError:
            return b""

    def _unread(self, lists: dict[Folders, list[str]]) -> str:
        """What lies there and may hold labels, and why it is not read; blank for nothing."""
        if self.masks:
            return (
                f"{listed_in_words(['/'.join(folders) for folders in self.masks])}: masks: {BOXES}"
            )
        for folders, names in lists.items():
            for name in names:
                path = joined(folders, name)
                if kind := boxes.kind_of(path, self._start(path)):
                    return f"{visible(path)}: {kind}: {BOXES}"
        first = list(self._problems.items())[:3]
        return "; ".join(f"{visible(path)} cannot be read: {why}" for path, why in first)

    @staticmethod
    def _at(level: int, images: Iterable[Folders]) -> list[str]:
        return sorted({folders[level] for folders in images if len(folders) > level})

    def _say(self, images: list[Folders]) -> None:
        """Put into words where labels and splits come from."""
        for sheet in self.sheets:
            self.remarks += said(sheet)
        if self._labels and not any(sheet.columns.names_labels for sheet in self.sheets):
            names = sorted(set(map(one_form, self._labels)), key=natural)
            self.remarks.append(f"{len(names)} folders are classes: {listed_in_words(names)}")
        level = self.layout.depth + self.layout.below
        if self.layout.splits or self.layout.below:
            splits = self._at(level, images)
            splits = [name for name in splits if split_of_folder(name)]
            kept = (
                "splits, which are passed over"
                if self._options.split_names == "ignored"
                else "splits"
            )
            self.remarks.append(f"folders {listed_in_words(splits)} are {kept}")
        if self.classes_named and ("test", "") in map(self.layout.place, images):
            self.remarks.append("images of test that lie in no class are unlabelled")
        for path, why in list(self._problems.items())[:5]:
            self.remarks.append(f"{path} is not read: {why}")


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


def may_list(name: str) -> bool:
    """Whether a file of this name may list labels."""
    return name in _METADATA or name.lower().endswith(LISTS)


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
