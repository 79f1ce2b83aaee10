"""Readers: each turns one kind of source into a stream of items, a path or bytes at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from augment.registry import Registry

READERS = Registry("reader")


class Item(NamedTuple):
    """One image as a reader found it, before it is decoded.

    ``path`` says where it came from, relative to the source, with forward slashes. ``data`` is the
    encoded image or the file that holds it; ``reason`` says why it cannot be read. ``facts`` holds
    columns of the sample table that an augmented set carries back (origin, provenance, id).
    """

    path: str
    data: bytes | Path
    label: str | None
    split: str | None = None
    group: str | None = None
    reason: str = ""
    facts: Mapping[str, Any] = MappingProxyType({})
