"""A stream of items, cut into chunks: each is a task for a worker."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator

from augment.readers.base import MAX_BYTES, MISSING, TOO_LARGE, UNREADABLE, Item

# Chosen by hand; they change speed, never a result.
CHUNK = 256  # items in a chunk, at most
CHUNK_BYTES = 4 << 20  # bytes in a chunk of several items, at most
MANY = 2048  # from this many items on, or
HEAVY = 32 << 20  # from this many bytes on, processes are started


def chunked(items: Iterable[Item]) -> Iterator[tuple[list[Item], int]]:
    """Chunks of up to 256 items and 4 MiB (a larger item comes alone), and the bytes of each."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        weight, reason = weigh(item)
        if chunk and (len(chunk) == CHUNK or size + weight > CHUNK_BYTES):
            yield chunk, size
            chunk, size = [], 0
        chunk.append(item._replace(reason=reason) if reason else item)
        size += weight
    if chunk:
        yield chunk, size


def look_ahead(chunks: Iterator[tuple[list[Item], int]]) -> tuple[Iterator[list[Item]], int]:
    """All chunks, and the number of items.

    Counting stops at 2,048 items or 32 MiB; then the number is 2,048.
    """
    first: list[list[Item]] = []
    count = weight = 0
    for chunk, size in chunks:
        first.append(chunk)
        count, weight = count + len(chunk), weight + size
        if count >= MANY or weight >= HEAVY:
            count = MANY
            break
    return itertools.chain(first, (chunk for chunk, _ in chunks)), count


def weigh(item: Item) -> tuple[int, str]:
    """The bytes that an item will take in memory; a reason where it must not be read."""
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
