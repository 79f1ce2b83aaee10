"""The ledger of an ingest: it writes each item as a row or as a rejection, and counts them all."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from augment.data import levels, table
from augment.data.images import Facts
from augment.errors import AugmentError, visible
from augment.ingest import splits
from augment.ingest.settings import IngestSettings
from augment.ingest.unread import Unread
from augment.readers.base import SIDE_FILE, Item
from augment.runtime import seeding

Examined = tuple[bytes, Facts | None, str]  # an element of images.examine_many's result

_BATCH_BYTES = 32 << 20  # bytes of images in one row group; chosen by hand
TWICE = "the bytes of an image before it"  # why a helper is refused
_PROVENANCE = tuple(field.name for field in table.PROVENANCE)


class IngestError(AugmentError, ValueError):
    """The source cannot be used, or too many of its images were rejected."""


class Reasons:
    """Why items were rejected: how often for each reason, and the first one of each."""

    def __init__(self) -> None:
        """Nothing is rejected yet."""
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def note(self, reason: str, path: str) -> None:
        """Count a rejected item."""
        self.counts[reason] += 1
        self.first.setdefault(reason, path)

    def words(self) -> str:
        """All reasons, the commonest first, each with its number and the first path of it."""
        return ", ".join(
            f"{reason} {count} ({visible(self.first[reason])})"
            for reason, count in self.counts.most_common()
        )


class Lines(Protocol):
    """A csv.writer, or anything else with its method ``writerow``."""

    def writerow(self, row: Sequence[str], /) -> object:
        """Write a line."""


class Ledger:
    """Enters each item as kept, rejected or ignored, and settles the splits at the end.

    For each kept image some 150 bytes stay in memory: its hash, class, split and a digest of its
    id.
    """

    def __init__(self, settings: IngestSettings, writer: table.TableWriter, rejections: Lines):
        """Send rows to ``writer``; path, label and reason of rejected items to ``rejections``."""
        self.last = ""
        self.classes: dict[str, int] = {}
        self._on_splits: list[str] = []  # remarks about splits that were cut
        self._settings = settings
        self._writer = writer
        self._rejections = rejections
        self._ignored = 0
        self._reasons = Reasons()
        self._foreign_reasons = Reasons()
        self.domains: dict[str, Counter[str]] = {name: Counter() for name in settings.domains}
        self.helpers: Counter[str] = Counter()
        self._modes: Counter[str] = Counter()
        self._widths: Counter[int] = Counter()
        self._heights: Counter[int] = Counter()
        self._groups = splits.Groups()
        self._keys = array("d")
        self._classes = array("i")
        self._source_splits = array("b")
        self._written = array("b")
        self._levels: dict[str, levels.Levels] = {}
        self._kinds = array("b")
        self._paged = 0
        self._export = False
        self._ids: set[bytes] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0

    def enter(self, chunk: Sequence[Item], examined: Sequence[Examined]) -> None:
        """Enter the items of a chunk, in order.

        ``examined`` holds an entry for each item without a reason, in the same order. Raises
        SplitError when the source has a group in two splits.
        """
        results = iter(examined)
        for item in chunk:
            data, facts, reason = (b"", None, item.reason) if item.reason else next(results)
            if facts is not None and item.domain == table.HELPERS and _short(facts.id) in self._ids:
                facts, reason = None, TWICE
            if facts is not None:
                self._keep(item, item.data if isinstance(item.data, bytes) else data, facts)
            elif reason == SIDE_FILE:
                self._ignored += 1
            else:
                reasons = self._reasons if item.domain is None else self._foreign_reasons
                reasons.note(reason, item.path)
                self._rejections.writerow((item.path, item.label or "", reason))
        self.last = chunk[-1].path

    def flush(self) -> None:
        """Write the rows that are waiting."""
        if self._rows:
            self._writer.add_batch(_batch(self._rows))
            self._rows, self._size = [], 0

    def judge(self, source: str, unread: Unread) -> None:
        """Raise IngestError when too much was rejected or fewer than two classes are left.

        What is rejected of a domain or of helpers does not count: a font may lack any character. A
        domain that keeps no image is an error, and so are helpers of whom none is kept.
        """
        rejected = self._reasons.counts.total()
        read = len(self._keys) - self._foreign() + rejected
        most = self._settings.max_rejected
        if rejected / read > most:
            raise IngestError(
                f"{source}: {self._reasons.words()}: {rejected} of {read} images rejected, more "
                f"than max_rejected = {most}; see reports/rejected.csv"
            )
        further = {f"domains.{name}": counts for name, counts in self.domains.items()}
        if self._settings.helpers:
            further[table.HELPERS] = self.helpers
        for name, counts in further.items():
            if not counts:
                why = self._foreign_reasons.words()
                raise IngestError(f"ingest.{name}: no image with a label is kept: {why}")
        classes = set(self.classes).union(*self.domains.values())
        two_classes(source, classes, self._reasons, unread)

    def written(self) -> NDArray[np.int8]:
        """The split with which each row was written: indices (N,) into table.SPLITS."""
        return np.frombuffer(self._written, np.int8)

    def rescaled(self) -> tuple[NDArray[np.int8], list[tuple[float, float] | None]]:
        """The kind of each row's levels (N,), and black and white of each kind that needs them."""
        ends = [None if kind.as_stored() else kind.ends() for kind in self._levels.values()]
        return np.frombuffer(self._kinds, np.int8), ends

    def remarks(self) -> list[str]:
        """What was decided about levels, pages, helpers and settled splits, in words."""
        remarks = [remark for kind in self._levels.values() for remark in kind.remarks()]
        remarks += self._on_splits
        if self._paged:
            remarks.append(
                f"{self._paged} files have several pages: the first is read; "
                "ingest.pages: all reads every one"
            )
        shared = table.classes_of(
            set(self.helpers) & set(self.classes).union(*self.domains.values())
        )
        if shared:
            remarks.append(
                f"ingest.helpers has classes that are named like the set's: "
                f"{', '.join(map(repr, shared[:8]))}; they are kept apart from these"
            )
        return remarks

    def settled(self) -> NDArray[np.int8]:
        """The final split of each row: indices (N,) into table.SPLITS.

        A source that names only train is taken to name no split at all; where it names train and
        test, valid is cut from train, which ``remarks`` say then. An export stays as it is.
        """
        keys = np.frombuffer(self._keys, np.float64)
        classes = np.frombuffer(self._classes, np.int32)
        source_splits = np.frombuffer(self._source_splits, np.int8)
        shares = self._settings.split
        if not self._export and shares.valid and splits.lacks_valid(classes, source_splits):
            final = splits.cut_valid(keys, classes, source_splits, valid=shares.valid)
            moved = int(((source_splits == splits.TRAIN) & (final == splits.VALID)).sum())
            self._on_splits.append(
                f"the source has train and test, and no valid: {moved} of "
                f"{int((source_splits == splits.TRAIN).sum())} train images became valid "
                f"(ingest.split.valid = {shares.valid:g})"
            )
            return final
        if not self._export and source_splits.max(initial=splits.OPEN) <= splits.TRAIN:
            source_splits = np.full_like(source_splits, splits.OPEN)
        return splits.settle(keys, classes, source_splits, valid=shares.valid, test=shares.test)

    def report(self, final: NDArray[np.int8]) -> dict[str, Any]:
        """All counts: read = kept + rejected; kept is the sum of the splits, domains and helpers.

        But for these, all counts are of the set's own images.
        """
        classes = np.frombuffer(self._classes, np.int32)
        named = classes != splits.OPEN
        counts = np.zeros((len(self.classes), len(table.SPLITS)), np.int64)
        np.add.at(counts, (classes[named], final[named]), 1)
        foreign = self._foreign()
        reasons = self._reasons.counts + self._foreign_reasons.counts
        kept, rejected = len(classes), reasons.total()
        by_split = np.bincount(final, minlength=len(table.SPLITS))
        by_split[splits.TRAIN] -= foreign  # where all of them are
        return {
            "read": kept + rejected,
            "kept": kept,
            "rejected": rejected,
            "ignored": self._ignored,
            "reasons": dict(reasons.most_common()),
            "splits": _by_split(by_split),
            "unlabelled": int((~named).sum()) - foreign,
            "domains": {name: _in_order(counts) for name, counts in self.domains.items()},
            "helpers": _in_order(self.helpers),
            "groups": len(self._groups.splits),
            "width": _range(self._widths),
            "height": _range(self._heights),
            "modes": dict(self._modes.most_common()),
            "levels": {name: kind.report() for name, kind in sorted(self._levels.items())},
            "several_pages": self._paged,
            "classes": {
                label: _by_split(counts[self.classes[label]])
                for label in table.classes_of(self.classes)
            },
        }

    def _foreign(self) -> int:
        """How many kept images are not the set's own."""
        return sum(counts.total() for counts in (*self.domains.values(), self.helpers))

    def _keep(self, item: Item, data: bytes, facts: Facts) -> None:
        """Count a good image and queue its row; ``data`` are the encoded bytes."""
        kind = facts.kind if item.domain is None else f"{item.domain}: {facts.kind}"
        self._levels.setdefault(kind, levels.Levels(facts.kind)).note(facts)
        self._kinds.append(list(self._levels).index(kind))
        self._paged += facts.pages > 1
        domain = item.domain
        if domain is None:
            if item.group is not None:
                self._groups.note(item.group, item.split)
            self._modes[facts.mode] += 1
            self._widths[facts.width] += 1
            self._heights[facts.height] += 1
        else:
            if item.group is not None:  # never that of a group of the set's own
                item = item._replace(group=f"{domain}: {item.group}")
            counts = self.helpers if domain == table.HELPERS else self.domains[domain]
            counts[item.label or ""] += 1
        split = self._place(item, facts.id)
        carried = item.facts
        self._export = self._export or bool(carried)
        row = (
            self._unique_id(carried.get("id", facts.id), item.path, data),
            data,
            item.path,
            item.label,
            split,
            item.group,
            carried.get("origin", "real"),
            facts.width,
            facts.height,
            facts.mode,
            item.domain,
            carried,
        )
        self._rows.append(row)
        self._size += len(data)
        if len(self._rows) == table.ROWS or self._size > _BATCH_BYTES:
            self.flush()

    def _place(self, item: Item, digest: str) -> str:
        """Record key, class and source split of an item; return the split it gets for now.

        An image of a domain has a key that none of the set has, and no class: it stays in train.
        """
        shares = self._settings.split
        word = digest if item.group is None else item.group
        if item.domain is not None:
            item, word = item._replace(label=None), f"{item.domain}\0{word}"
        key = seeding.unit(self._settings.seed, "split", word)
        number = source_split = splits.OPEN
        split = splits.TRAIN
        if item.label is not None:
            number = self.classes.setdefault(item.label, len(self.classes))
            split = splits.by_hash(key, shares.valid, shares.test)
        if item.split is not None:
            split = source_split = table.SPLITS.index(item.split)
        self._keys.append(key)
        self._classes.append(number)
        self._source_splits.append(source_split)
        self._written.append(split)
        return table.SPLITS[split]

    def _unique_id(self, id: str, path: str, data: bytes) -> str:
        """``id``; for an id that an earlier item has, the SHA-256 of ``data`` and ``path``."""
        while (short := _short(id)) in self._ids:
            data += b"\0" + path.encode()
            id = hashlib.sha256(data).hexdigest()
        self._ids.add(short)
        return id


def _short(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=8).digest()


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {label: counts[label] for label in table.classes_of(counts)}


def two_classes(source: str, labels: Collection[str], reasons: Reasons, unread: Unread) -> None:
    """Raise IngestError for fewer than two labels, with the likeliest cause."""
    if len(labels) < 2:
        problem = f"one class only, {next(iter(labels))!r}" if labels else "no labelled image"
        rejected = f"{reasons.words()}: " if reasons.counts else ""
        cause = unread.sentence() or "at least two classes are needed"
        raise IngestError(f"{source}: {rejected}{problem}; {cause}")


def _batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows as Ledger._keep queues them, in Arrow. Raises IngestError for damaged provenance."""
    (ids, data, paths, labels, places, groups, origins, widths, heights, modes, domains, facts) = (
        zip(*rows, strict=True)
    )
    encoded = pa.StructArray.from_arrays(
        [pa.array(data, pa.binary()), pa.array(paths, pa.string())], fields=list(table.IMAGE)
    )
    columns = {
        "id": ids,
        "image": encoded,
        "label": labels,
        "split": places,
        "group": groups,
        "origin": origins,
        "width": widths,
        "height": heights,
        "mode": modes,
        "domain": domains,
    }
    if any(facts):
        columns |= {name: [row_facts.get(name) for row_facts in facts] for name in _PROVENANCE}
    fields = [table.SCHEMA.field(name) for name in columns]
    try:
        arrays = [
            value if isinstance(value, pa.Array) else pa.array(value, field.type)
            for field, value in zip(fields, columns.values(), strict=True)
        ]
    except (pa.ArrowException, OverflowError) as error:
        raise IngestError(f"{paths[0]} and what follows: damaged provenance: {error}") from None
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _by_split(counts: NDArray[np.int64]) -> dict[str, int]:
    return {name: int(count) for name, count in zip(table.SPLITS, counts, strict=True)}


def _range(counts: Mapping[int, int]) -> dict[str, int | None]:
    return {"min": min(counts, default=None), "max": max(counts, default=None)}
