"""Tasks of bounded number and weight from a stream of items."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator

from augment.readers.base import MAX_BYTES, MISSING, TOO_LARGE, UNREADABLE, Item

_CHUNK = 256  # items a task
_CHUNK_BYTES = 4 << 20
_MANY = 2048  # items, or
_HEAVY = 32 << 20  # bytes of items, for which processes are started


def chunked(items: Iterable[Item]) -> Iterator[tuple[list[Item], int]]:
    """Tasks of bounded number and weight, with their weight in bytes."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        weight, reason = _weigh(item)
        if chunk and (len(chunk) == _CHUNK or size + weight > _CHUNK_BYTES):
            yield chunk, size
            chunk, size = [], 0
        chunk.append(item._replace(reason=reason) if reason else item)
        size += weight
    if chunk:
        yield chunk, size


def look_ahead(chunks: Iterator[tuple[list[Item], int]]) -> tuple[Iterator[list[Item]], int]:
    """The chunks, and how many items there are, counted only as far as many."""
    first: list[list[Item]] = []
    count = weight = 0
    for chunk, size in chunks:
        first.append(chunk)
        count, weight = count + len(chunk), weight + size
        if count >= _MANY or weight >= _HEAVY:
            count = _MANY
            break
    return itertools.chain(first, (chunk for chunk, _ in chunks)), count


def _weigh(item: Item) -> tuple[int, str]:
    """The bytes that an item will take, and the reason why it is not read."""
    if item.reason:
        return 0, item.reason
    if isinstance(item.data, bytes):
        size = len(item.data)
    else:
        try:
            status = os.stat(item.data)
        except (FileNotFoundError, NotADirectoryError):
            return 0, MISSING
        except (OSError, ValueError):  # a name that the system does not take
            return 0, UNREADABLE
        if not stat.S_ISREG(status.st_mode):
            return 0, UNREADABLE
        size = status.st_size
    return (0, TOO_LARGE) if size > MAX_BYTES else (size, "")
