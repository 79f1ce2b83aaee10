"""Readers: each turns one kind of source into a stream of items.

Calling a reader checks its source as far as possible before the first item. Facts at registration:
``recognises(source)`` is a cheap look at a source; ``paths`` marks a reader that only lists paths,
which is fast; ``fallback`` marks a reader for sources that no other reader recognises.
"""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

from augment.data import images, table
from augment.data.levels import Levels
from augment.errors import AugmentError
from augment.readers import (  # noqa: F401  (they register themselves)
    archive,
    builtin,
    csv,
    folder,
    fonts,
    idx,
    lmdb,
    ocr,
    parquet,
    webdataset,
)
from augment.readers.base import READERS, SIDE_FILE, Item
from augment.registry import Part

__all__ = ["READERS", "Item", "as_table", "recognise"]


def recognise(source: str) -> str:
    """The name of the reader for ``source``.

    Raises AugmentError when the source does not exist, and when no reader or several readers
    recognise it.
    """
    parts = [READERS.describe(name) for name in READERS.names()]
    matching = [part for part in parts if _recognises(part, source)]
    first = [part.name for part in matching if not part.facts.get("fallback")]
    names = first or [part.name for part in matching]
    if len(names) == 1:
        return names[0]
    if names:
        raise AugmentError(f"{source}: read it as {' or '.join(names)}? Set ingest.reader")
    if not os.path.exists(source):
        raise AugmentError(f"{source}: no such file or folder")
    raise AugmentError(f"{source}: not recognised; known readers: {', '.join(READERS.names())}")


def _recognises(part: Part, source: str) -> bool:
    try:
        return bool(part.facts["recognises"](source))
    except (OSError, ValueError):  # a name that no system takes, or a folder that may not be read
        return False


def as_table(source: str) -> pa.Table:
    """All samples of a source in one sample table: of a set by ``write``, or of any other set.

    Samples of another set get the SHA-256 of their bytes as id, the origin real, and train where
    they have no split. Raises AugmentError for an image that cannot be used.
    """
    rows: list[dict[str, Any]] = []
    kinds: dict[str, Levels] = {}
    for item in READERS.build(recognise(source), source)():
        if item.reason == SIDE_FILE:
            continue
        read, facts, reason = b"", None, item.reason
        if not reason and item.label is not None and not item.label.strip():
            reason = "blank label"
        if not reason:
            sent = item.data if isinstance(item.data, bytes) else str(item.data)
            ((read, facts, reason),) = images.examine_many([sent])
        if facts is None:
            raise AugmentError(f"{source}: {item.path}: {reason}")
        kinds.setdefault(facts.kind, Levels(facts.kind)).note(facts)
        rows.append(
            {
                **facts._asdict(),
                "image": {"bytes": read or item.data, "path": item.path},
                "label": item.label,
                "split": item.split or "train",
                "group": item.group,
                "origin": "real",
                **item.facts,
            }
        )
    for row in rows:
        if not (kind := kinds[row["kind"]]).as_stored():
            row["image"]["bytes"] = images.rescaled(row["image"]["bytes"], *kind.ends())
            row["mode"] = images.mode(row["image"]["bytes"])
    return pa.Table.from_pylist(rows, schema=table.SCHEMA)
