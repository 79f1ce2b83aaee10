"""Ingest: read a source, reject what is unusable with its reason, split, write the sample table.

Original bytes are kept, but for images of 16 bits or floats whose white only the whole set shows
(augment.data.levels): these are stored with eight bits. A label is the class name as the source has
it, with its spaces and slashes, in Unicode's composed form (NFC) and without blanks at its end; a
blank label counts as none. An id is the SHA-256 of an image's bytes; a later item with the same
bytes gets the SHA-256 of bytes and path. Files that are no candidates for an image (dot files,
texts, tables beside the images) are counted as ignored; all others are read, and
read = kept + rejected.
"""

from __future__ import annotations

import csv
import functools
import gc
import itertools
import operator
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from augment.data import files, images, table
from augment.data.places import INGESTED, REPORTS
from augment.errors import AugmentError, visible
from augment.ingest import splits
from augment.ingest.chunks import chunked, look_ahead
from augment.ingest.ledger import Examined, IngestError, Ledger, Lines, Reasons, two_classes
from augment.ingest.pages import each_page
from augment.ingest.settings import IngestSettings
from augment.ingest.unread import Unread
from augment.readers import recognise
from augment.readers.base import NOT_UTF8, READERS, SIDE_FILE, Item, Listing, one_form
from augment.readers.builtin import PREFIX
from augment.runtime import progress, remote, workers
from augment.settings import PartSpec


class _Source(NamedTuple):
    name: str  # as in the settings
    reader: dict[str, Any]
    open: Callable[[], Listing]
    labelled: bool
    unread: Unread
    domain: str | None = None


def run(settings: IngestSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Ingest the sources of the settings into ``data/ingested``; returns the report.

    ``reports/rejected.csv`` (path, label, reason) is written even if too much is rejected.
    Raises PartError and IngestError for the settings, AugmentError for a source that a reader
    refuses, IngestError when there is no image, one class only, a group that the source's own
    splits break, or a greater share than ``max_rejected`` rejected; then no table is written.
    """
    pattern = _pattern(settings.group)
    if settings.split.valid + settings.split.test >= 1:
        raise IngestError("ingest.split: valid and test leave nothing to train")
    sources = _sources(settings, root)
    opened = [source.open() for source in sources]
    renamed: Counter[str] = Counter()
    streams = map(_named, sources, opened, itertools.repeat(pattern), itertools.repeat(renamed))
    if settings.pages == "all":
        streams = map(each_page, streams)
    chunks, count = look_ahead(chunked(itertools.chain.from_iterable(streams)))
    destination = root / INGESTED
    draft = files.temporary_beside(destination)
    try:
        with workers.pool(settings.workers, count) as executor:
            with (
                _rejections(root / REPORTS / "rejected.csv") as rejections,
                table.TableWriter(draft / "table") as writer,
            ):
                for source in sources:
                    _survey(source, pattern, rejections)  # while the processes start
                ledger = Ledger(settings, writer, rejections)
                total = sum(map(operator.length_hint, opened))
                examine = functools.partial(images.examine_many, max_pixels=settings.max_pixels)
                _fill(ledger, chunks, executor, examine, total)
        remarks = [remark for listing in opened for remark in listing.remarks]
        remarks += _on_names(renamed, ledger.classes)
        _say(remarks)
        ledger.judge(sources[0].name, sources[0].unread)
        final = ledger.settled()
        counts = ledger.report(final)
        remarks += _say([*ledger.remarks(), *_on_splits(counts["classes"])])
        _publish(draft / "table", destination, ledger.written(), final, *ledger.rescaled())
    finally:
        shutil.rmtree(draft)
    report = {
        "source": settings.source,
        "reader": sources[0].reader,
        **counts,
        "renamed": sum(renamed.values()),
        "remarks": [_escaped(remark) for remark in remarks],
        "settings": settings.resolved(),
    }
    files.write_json(root / REPORTS / "ingest.json", report)
    return report


def opened(
    settings: IngestSettings, root: Path = Path(".")
) -> tuple[dict[str, Any], Listing, Iterator[Item], Unread]:
    """The first source as ``run`` reads it: reader, listing, items, and what lies unread.

    Raises what ``run`` raises before any work.
    """
    source = _sources(settings, root)[0]
    listing = source.open()
    return (
        source.reader,
        listing,
        _named(source, listing, _pattern(settings.group), Counter()),
        source.unread,
    )


def _pattern(group: str | None) -> re.Pattern[str] | None:
    try:
        return None if group is None else re.compile(group)
    except re.error as error:
        raise IngestError(f"ingest.group: {group!r} is no regular expression: {error}") from None


def _sources(settings: IngestSettings, root: Path) -> list[_Source]:
    """The labelled source, the unlabelled one, those of domains and helpers, as far as named."""
    named: list[tuple[str, str | None, PartSpec]] = [
        ("source", settings.source, settings.reader),
        ("unlabelled", settings.unlabelled, "auto"),
        *((f"domains.{name}", it.source, it.reader) for name, it in settings.domains.items()),
    ]
    if settings.helpers:  # last: an image of theirs that the set has is refused
        named.append((table.HELPERS, settings.helpers.source, settings.helpers.reader))
    return [
        _source(key, name, reader, settings.encoding, root)
        for key, name, reader in named
        if name is not None
    ]


def _source(key: str, name: str, reader: PartSpec, encoding: str | None, root: Path) -> _Source:
    """The source that ``ingest.KEY`` names, relative to ``root``."""
    labelled = key != "unlabelled"
    if not name.strip():
        raise IngestError(f"ingest.{key}: blank, names no images")
    if remote.is_remote(name):
        where = str(remote.fetch(name, root / remote.FOLDER))
    else:
        where = name if name.startswith(PREFIX) else str(root / Path(name).expanduser())
    resolved = READERS.resolve(recognise(where) if reader == "auto" else reader)
    if not labelled and "labelled" in resolved:
        resolved["labelled"] = False
    if encoding is not None and "encoding" in resolved:
        resolved["encoding"] = resolved["encoding"] or encoding
    elif encoding is not None and key == "source":
        raise IngestError(f"ingest.encoding: the reader {resolved['name']} takes no encoding")
    further = key == table.HELPERS or key.startswith("domains.")
    domain = key.removeprefix("domains.") if further else None
    return _Source(name, resolved, READERS.build(resolved, where), labelled, Unread(), domain)


def _named(
    source: _Source,
    items: Iterable[Item],
    pattern: re.Pattern[str] | None,
    renamed: Counter[str],
) -> Iterator[Item]:
    """The items with their groups, and with a reason where the label is blank or not UTF-8.

    Labels are brought to one form; ``renamed`` counts those that had another.
    Raises IngestError at the end of a source without any image.
    """
    any_image = False
    for item in items:
        if item.reason == SIDE_FILE:
            source.unread.note(item.path)
        else:
            any_image = True
        if not source.labelled:
            item = item._replace(label=None, split=None)
        if source.domain is not None:
            lacks = "no label" if item.label is None and not item.reason else item.reason
            item = item._replace(domain=source.domain, split=None, reason=lacks)
        if item.label and (form := one_form(item.label)) not in ("", item.label):
            renamed[item.label] += 1
            item = item._replace(label=form)
        if pattern is not None and item.group is None and (match := pattern.search(item.path)):
            item = item._replace(group=match[1] if pattern.groups else match[0])
        if not item.reason and item.label is not None and not item.label.strip():
            item = item._replace(reason="blank label")
        texts = (item.path, item.label or "", item.group or "")
        yield item if all(map(str.isascii, texts)) else _in_utf8(item)
    source.unread.reads(getattr(items, "reads", ()), getattr(items, "remarks", ()))
    if not any_image:
        cause = source.unread.sentence()
        raise IngestError(f"{source.name}: no image found" + (f"; {cause}" if cause else ""))


def _say(remarks: list[str]) -> list[str]:
    """``remarks``, printed on stderr."""
    for remark in remarks:
        progress.say(f"ingest: {visible(remark)}")
    return remarks


def _on_names(renamed: Counter[str], classes: Iterable[str]) -> list[str]:
    """What was done to names of classes, and which are still alike, in words."""
    remarks = []
    if renamed:
        names = ", ".join(repr(one_form(label)) for label in list(renamed)[:8])
        remarks.append(
            f"{sum(renamed.values())} labels had another Unicode form or blanks at their end and "
            f"are brought to one form: {names}"
        )
    alike: dict[str, list[str]] = {}
    for label in table.classes_of(classes):
        alike.setdefault(_folded(label), []).append(label)
    same = [" and ".join(map(repr, labels)) for labels in alike.values() if len(labels) > 1]
    if same:
        remarks.append(f"classes differ by case, width or space only: {', '.join(same[:8])}")
    return remarks


def _folded(label: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _on_splits(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Which classes cannot be learned, as no image of theirs is in train, and what to do."""
    absent = [label for label, counts in classes.items() if not counts["train"]]
    if not absent:
        return []
    names = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
    return [
        f"no image in train of: {names}. Training will stop at that: move some of their images "
        f"into train, or cut splits anew with ingest.reader: {{name: ..., split_names: ignored}}"
    ]


def _in_utf8(item: Item) -> Item:
    """``item`` with escapes in a path that is not UTF-8; rejected for such a label or group."""
    for text in filter(None, (item.label, item.group)):
        if text != _escaped(text):
            item = item._replace(reason=item.reason or NOT_UTF8)
    return item._replace(path=_escaped(item.path))


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _survey(source: _Source, pattern: re.Pattern[str] | None, rejections: Lines) -> None:
    """Look through a source that lists paths, so that its mistakes show before any work.

    Where that stops the run, what the reader itself rejects is sent to ``rejections``.
    """
    if not READERS.describe(source.reader["name"]).facts.get("paths"):
        return
    try:
        _look(source, pattern)
    except AugmentError:
        with suppress(AugmentError):  # the same one again
            for item in _named(source, source.open(), pattern, Counter()):
                if item.reason not in ("", SIDE_FILE):
                    rejections.writerow((item.path, item.label or "", item.reason))
        raise


def _look(source: _Source, pattern: re.Pattern[str] | None) -> None:
    """Raise what is wrong; ends at the second class or, with groups, at the end of the source."""
    labels: set[str] = set()
    reasons, groups = Reasons(), splits.Groups()
    for item in _named(source, source.open(), pattern, Counter()):
        if item.reason:
            if item.reason != SIDE_FILE:
                reasons.note(item.reason, item.path)
            continue
        if item.group is not None:
            groups.note(item.group, item.split)
        if item.label is not None:
            labels.add(item.label)
        if len(labels) > 1 and not groups.splits:
            return
    if source.labelled and source.domain is None:
        two_classes(source.name, labels, reasons, source.unread)


def _fill(
    ledger: Ledger,
    chunks: Iterable[list[Item]],
    executor: Executor | None,
    examine: Callable[[list[bytes | str]], list[Examined]],
    total: int,
) -> None:
    """Read, hash and decode the items, in ``executor`` or here, and enter them into ``ledger``."""
    work = ((chunk, [_sent(item.data) for item in chunk if not item.reason]) for chunk in chunks)
    gc.freeze()  # or the collector would search all imported modules again and again
    with progress.bar() as display:
        task = display.add_task("ingest", total=total, note="")
        try:
            for chunk, examined in workers.mapped(examine, work, executor):
                ledger.enter(chunk, examined)
                display.advance(task, len(chunk))
        except BrokenProcessPool:
            raise IngestError(
                f"a worker process died after {ledger.last!r}: out of memory, perhaps, or called "
                f"by a script without the guard if __name__ == '__main__'"
            ) from None
        finally:
            gc.unfreeze()
    ledger.flush()


def _sent(data: bytes | Path) -> bytes | str:
    return data if isinstance(data, bytes) else str(data)  # a Path is slow to send


@contextmanager
def _rejections(path: Path) -> Iterator[Lines]:
    """A writer of lines for ``path``, a file that appears whole, before an AugmentError too."""
    draft = files.temporary_beside(path)
    try:
        with open(
            draft / path.name, "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(("path", "label", "reason"))
            stop = None
            try:
                yield lines
            except AugmentError as error:
                stop = error
        (draft / path.name).replace(path)
        if stop is not None:
            raise stop
    finally:
        shutil.rmtree(draft)


def _publish(
    draft: Path,
    destination: Path,
    written: NDArray[np.int8],
    final: NDArray[np.int8],
    kinds: NDArray[np.int8],
    ends: Sequence[tuple[float, float] | None],
) -> None:
    """Publish the draft, copied where final splits differ or levels (``kinds``) need other ends."""
    if (written == final).all() and not any(ends):
        files.publish(draft, destination)
        return
    names = np.array(table.SPLITS)
    done = 0
    with table.TableWriter(destination, overwrite=True) as writer:
        for shard in table.shards(draft):
            with files.open_parquet(shard) as file:
                for place in range(file.num_row_groups):
                    rows = file.read_row_group(place).combine_chunks()
                    span = slice(done, done + len(rows))
                    split = pa.array(names[final[span]], pa.string())
                    rows = rows.set_column(rows.schema.get_field_index("split"), "split", split)
                    row_ends = [ends[kind] for kind in kinds[span]]
                    rows = _rescaled(rows, row_ends) if any(row_ends) else rows
                    for batch in rows.to_batches():
                        writer.add_batch(batch)
                    done += len(rows)


def _rescaled(rows: pa.Table, ends: Sequence[tuple[float, float] | None]) -> pa.Table:
    """The rows with images of eight bits where there are other ends (black, white) for them."""
    encoded, modes = rows["image"].to_pylist(), rows["mode"].to_pylist()
    for place, pair in enumerate(ends):
        if pair is not None:
            encoded[place]["bytes"] = images.rescaled(encoded[place]["bytes"], *pair)
            modes[place] = images.mode(encoded[place]["bytes"])
    for name, values in (("image", encoded), ("mode", modes)):
        field = rows.schema.field(name)
        column = pa.array(values, field.type)
        rows = rows.set_column(rows.schema.get_field_index(name), field, column)
    return rows
