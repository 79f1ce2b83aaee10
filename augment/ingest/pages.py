"""Pages: a TIFF of several pages becomes an image for each page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from augment.data import images
from augment.ingest.chunks import weigh
from augment.readers.base import Item

_BEGINNING = 4  # bytes


def each_page(items: Iterable[Item]) -> Iterator[Item]:
    """The items, a TIFF of several pages as one for each page: ``path#page=2``.

    Pages of a file are a group, unless the item has one, so that they do not straddle splits.
    """
    for item in items:
        reason = weigh(item)[1]
        if reason:
            yield item._replace(reason=reason)
            continue
        data = item.data
        if not isinstance(data, bytes):
            with open(data, "rb") as file:
                beginning = file.read(_BEGINNING)
                if images.is_tiff(beginning):
                    data = beginning + file.read()
        if not isinstance(data, bytes) or not images.is_tiff(data):
            yield item
            continue
        try:
            for number, page in enumerate(images.pages(data), start=1):
                if page is data:
                    yield item
                    continue
                path = f"{item.path}#page={number}"
                yield item._replace(path=path, data=page, group=item.group or item.path)
        except images.ImageError as error:
            yield item._replace(reason=str(error))
