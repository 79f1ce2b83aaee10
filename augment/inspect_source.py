"""``augment inspect``: what a source holds and how it will be read, before any work.

It asks the readers that ``ingest`` asks. All items of a source that lists paths are counted; of one
whose reader brings the images themselves, the first ones. Sizes and modes come from the headers of
a sample that is spread evenly over the items.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from augment.data import images
from augment.data.table import SPLITS, classes_of
from augment.errors import AugmentError
from augment.ingest.chunks import chunked
from augment.ingest.ledger import Reasons
from augment.ingest.settings import IngestSettings
from augment.ingest.splits import Groups
from augment.ingest.unread import Unread
from augment.readers import READERS
from augment.readers.base import SIDE_FILE, Item, Listing, split_of
from augment.registry import Part
from augment.runtime import progress

# Chosen by hand: a look takes a second or two.
ITEMS = 100_000  # most items of a reader that brings the images themselves
SAMPLE = 256  # most images whose header is read
EXAMPLES = 2  # paths of a class
SHOWN = 20  # classes in words; JSON holds all
RARE = 10  # a class this many times smaller than the largest is named; as clean's check imbalance
FEW = 5  # most names in a sentence


class Opened(NamedTuple):
    """A source as ``ingest`` opens it: its reader, its listing, and the items as it names them."""

    reader: Mapping[str, Any]
    listing: Listing
    items: Iterator[Item]
    unread: Unread


class _Sizes:
    """Sizes and modes in a sample of the images, spread evenly over all of them."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str] | None] = []
        self.reasons = Reasons()
        self._stride = 1
        self._count = 0

    def offer(self, item: Item) -> None:
        """Look at the item, where it is its turn."""
        if self._count % self._stride == 0:
            self.rows.append(self._header(item))
            if len(self.rows) == SAMPLE:
                self.rows = self.rows[::2]
                self._stride *= 2
        self._count += 1

    def report(self) -> dict[str, Any]:
        """What the headers say: ranges of the sides, counts of modes, reasons of the unusable."""
        rows = [row for row in self.rows if row is not None]
        widths, heights, modes = zip(*rows, strict=True) if rows else ((), (), ())
        return {
            "images": len(rows),
            "width": {"min": min(widths, default=None), "max": max(widths, default=None)},
            "height": {"min": min(heights, default=None), "max": max(heights, default=None)},
            "modes": dict(Counter(modes).most_common()),
            "unusable": _reasons(self.reasons),
        }

    def _header(self, item: Item) -> tuple[int, int, str] | None:
        """Width, height and mode; None and a reason, as ingest says it, for what is unusable."""
        (([item], _),) = chunked([item])  # a pipe or a huge file is not opened
        reason = item.reason
        if not reason:
            sent = item.data if isinstance(item.data, bytes) else str(item.data)
            if header := images.header(sent):
                return header
            ((_, facts, reason),) = images.examine_many([sent])
            if facts is not None:
                return facts.width, facts.height, facts.mode
        self.reasons.note(reason, item.path)
        return None


def inspect(opened: Opened, settings: IngestSettings) -> dict[str, Any]:
    """What a source holds: reader, classes, splits, groups, sizes, and what looks wrong.

    It is ``settings.source``, or where that is null, ``settings.unlabelled``, without its classes.
    Nothing is written. Raises AugmentError where the reader refuses the source half way.
    """
    part = READERS.describe(opened.reader["name"])
    items: Iterable[Item] = opened.items
    if not part.facts.get("paths"):
        total = min(ITEMS, opened.listing.__length_hint__())
        items = progress.track(islice(items, ITEMS), "inspect", total)
    examples: dict[str, list[str]] = {}
    cells: Counter[tuple[str | None, str | None]] = Counter()  # by label and split
    reasons, groups, sizes, wrong = Reasons(), Groups(), _Sizes(), list[str]()
    seen = ignored = 0
    try:
        for item in items:
            seen += 1
            if item.reason == SIDE_FILE:
                ignored += 1
            elif item.reason:
                reasons.note(item.reason, item.path)
            else:
                cells[item.label, item.split] += 1
                if item.label is not None:
                    paths = examples.setdefault(item.label, [])
                    if len(paths) < EXAMPLES:
                        paths.append(item.path)
                if item.group is not None:
                    groups.note(item.group, item.split)
                sizes.offer(item)
    except AugmentError as error:  # what stops ingest as well
        wrong.append(str(error))
    remarks = list(getattr(opened.listing, "remarks", ()))
    opened.unread.reads(opened.listing.reads, remarks)
    by_label = Counter[str]()
    by_split = Counter[str | None]()
    for (label, split), count in cells.items():
        by_split[split] += count
        if label is not None:
            by_label[label] += count
    sample = sizes.report()
    if not wrong:
        wrong = [
            *_about_rejected(reasons, sizes, cells.total(), settings),
            *(_about_classes(by_label, cells, opened.unread) if settings.source else ()),
            *_about_splits(by_split),
        ]
    return {
        "source": settings.source or settings.unlabelled,
        "reader": dict(opened.reader),
        "why": _why(part, settings),
        "whole": seen < ITEMS or bool(part.facts.get("paths")),
        "images": cells.total(),
        "unlabelled": cells.total() - by_label.total(),
        "ignored": ignored,
        "rejected": _reasons(reasons),
        "classes": {
            label: {"images": by_label[label], "examples": examples[label]}
            for label in classes_of(by_label)
        },
        "splits": {split or "none": by_split[split] for split in (*SPLITS, None)},
        "groups": len(groups.splits),
        "sample": sample,
        "unread": opened.unread.patterns(),
        "remarks": remarks,
        "wrong": wrong,
    }


def in_words(report: Mapping[str, Any]) -> str:
    """The report of ``inspect`` as lines for a terminal."""
    classes, sample, splits = report["classes"], report["sample"], report["splits"]
    defaults = READERS.describe(report["reader"]["name"]).options
    changed = {
        option: report["reader"][option]
        for option, default in defaults.items()
        if report["reader"][option] != default
    }
    reader = report["reader"]["name"] + (f" {changed}" if changed else "")
    lines = [f"source    {report['source']}", f"reader    {reader}: {report['why']}"]
    part = "" if report["whole"] else f", of the first {ITEMS:,} that were looked at"
    lines.append(f"images    {report['images']:,}{part}; {report['unlabelled']:,} without a label")
    lines.append(f"classes   {len(classes):,}")
    for label in list(classes)[:SHOWN]:
        entry = classes[label]
        lines.append(f"  {label!r}  {entry['images']:,}  {', '.join(entry['examples'])}")
    if len(classes) > SHOWN:
        lines.append(f"  and {len(classes) - SHOWN:,} more (--json lists all)")
    named = [f"{split} {count:,}" for split, count in splits.items() if count and split != "none"]
    lines.append(f"splits    {', '.join(named) or 'none in the source: ingest.split cuts them'}")
    lines.append(f"groups    {report['groups']:,}" if report["groups"] else "groups    none")
    if sample["images"]:
        width, height = (
            f"{sides['min']}"
            if sides["min"] == sides["max"]
            else f"{sides['min']} to {sides['max']}"
            for sides in (sample["width"], sample["height"])
        )
        modes = ", ".join(f"{mode} {count}" for mode, count in sample["modes"].items())
        lines.append(f"sizes     {width} x {height} pixels, in a sample of {sample['images']}")
        lines.append(f"modes     {modes}, in the sample")
    lines.append(f"ignored   {report['ignored']:,} files that are no images")
    lines += [f"rejected  {line}" for line in _listed(report["rejected"])]
    lines += [f"unread    {name}" for name in report["unread"]]
    lines += [f"remark    {remark}" for remark in report["remarks"]]
    lines += [f"wrong     {problem}" for problem in report["wrong"]]
    return "\n".join(lines)


def _why(part: Part, settings: IngestSettings) -> str:
    if settings.reader != "auto":
        return "ingest.reader names it"
    if part.facts.get("fallback"):
        return "no other reader recognises it"
    return f"it is recognised as {part.summary[:1].lower()}{part.summary[1:]}"


def _about_rejected(
    reasons: Reasons, sizes: _Sizes, usable: int, settings: IngestSettings
) -> Iterator[str]:
    """What stops ingest or will lose images: paths that are rejected, images that are unusable."""
    rejected = reasons.counts.total()
    if rejected > settings.max_rejected * (usable + rejected):
        yield (
            f"{reasons.words()}: {rejected:,} of {usable + rejected:,} images rejected, more than "
            f"ingest.max_rejected = {settings.max_rejected:g}"
        )
    if sizes.reasons.counts:
        bad = len([row for row in sizes.rows if row is None])
        yield f"{sizes.reasons.words()}: {bad} of {len(sizes.rows)} images in the sample unusable"


def _about_classes(
    by_label: Counter[str], cells: Mapping[tuple[str | None, str | None], int], unread: Unread
) -> Iterator[str]:
    """Classes that are too few, too small, named oddly, or absent from a split."""
    labels = classes_of(by_label)
    if len(labels) < 2:
        problem = f"one class only, {labels[0]!r}" if labels else "no labelled image"
        yield f"{problem}; {unread.sentence() or 'at least two classes are needed'}"
        return
    like_splits = [label for label in labels if split_of(label)]
    if like_splits:
        yield f"classes are named like splits: {_some(like_splits)}; {unread.sentence()}".rstrip(
            "; "
        )
    spellings: dict[str, list[str]] = {}
    for label in labels:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
        spellings.setdefault(" ".join(plain.split()), []).append(label)
    for same in spellings.values():
        if len(same) > 1:
            yield f"labels differ by case, width or space only: {_some(same)}"
    largest = max(by_label.values())
    rare = [label for label in labels if by_label[label] * RARE < largest]
    if rare:
        yield f"less than 1/{RARE} of the {largest:,} images of the largest class: {_some(rare)}"
    single = [label for label in labels if by_label[label] < len(SPLITS)]
    if single:
        yield f"fewer than {len(SPLITS)} images, too few for three splits: {_some(single)}"
    splits = {split for _, split in cells}
    for split in SPLITS if None not in splits else ():
        absent = [label for label in labels if not cells.get((label, split))]
        if split in splits and absent:
            yield f"{split} lacks classes: {_some(absent)}"


def _about_splits(by_split: Mapping[str | None, int]) -> Iterator[str]:
    splits = set(by_split)
    if splits == {"train", "test"}:
        yield "train and test, and no valid: ingest cuts valid from train (ingest.split.valid)"
    elif splits == {"train", "valid"}:
        yield "no test split: gains cannot be measured"
    elif splits and splits <= {"valid", "test"}:
        yield f"no train split, only {_some(sorted(filter(None, splits)))}"


def _reasons(reasons: Reasons) -> dict[str, dict[str, Any]]:
    return {
        reason: {"images": count, "first": reasons.first[reason]}
        for reason, count in reasons.counts.most_common()
    }


def _listed(rejected: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for reason, entry in rejected.items():
        yield f"{reason} {entry['images']:,} ({entry['first']})"


def _some(labels: list[str]) -> str:
    more = f" and {len(labels) - FEW:,} more" if len(labels) > FEW else ""
    return ", ".join(map(repr, labels[:FEW])) + more
