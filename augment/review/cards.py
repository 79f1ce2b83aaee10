"""The card of one image: its pictures, the pictures to compare them with, and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from augment.data.decisions import Decision
from augment.review.pictures import TYPICAL, Pictures
from augment.review.queue import FlaggedImage, Queue

BESIDE = 3  # kept images of its cluster


@dataclass(frozen=True)
class Shot:
    """A picture: its address below the page's own, and its caption."""

    address: str
    caption: str


@dataclass(frozen=True)
class Group:
    """Pictures to compare with, under a title; ``label`` is their class, "" for several."""

    title: str
    label: str
    addresses: Sequence[str]


@dataclass(frozen=True)
class Card:
    """An image of the queue with all that the page shows of it."""

    item: FlaggedImage
    shots: Sequence[Shot]
    groups: Sequence[Group]
    words: Sequence[str]
    together: int  # images that its cluster decides at once; 1 without a cluster
    decision: Decision | None


def card(
    queue: Queue, pictures: Pictures, section: str, name: str, decision: Decision | None
) -> Card:
    """The card of the image ``name`` as ``section`` shows it. Raises KeyError for an unknown id."""
    item = queue.items[name]
    shots = [
        Shot(f"image/{place}/{shown}", caption)
        for place, shown, caption in pictures.of(item, section)
    ]
    groups = [_typical(queue, "typical", item.label)]
    if item.suggested != item.label:
        groups.append(_typical(queue, "suggested", item.suggested))
    beside = queue.kept.get(item.cluster, ())[:BESIDE]
    groups.append(Group("kept of its cluster", "", [f"image/ingested/{kept}" for kept in beside]))
    return Card(
        item,
        shots,
        [group for group in groups if group.addresses],
        _words(item, section),
        len(queue.together(name)),
        decision,
    )


def _typical(queue: Queue, title: str, label: str) -> Group:
    count = min(TYPICAL, len(queue.examples.get(label, ())))
    place = queue.classes.index(label) if count else 0
    return Group(title, label, [f"typical/{place}/{rank}" for rank in range(count)])


def _words(item: FlaggedImage, section: str) -> list[str]:
    """The facts in a few words; the measure of this section comes first."""
    words = []
    if section in item.measures:
        words.append(f"measure {item.measures[section]:.3g}")
    if item.origin == "synthetic":
        if item.probability is not None:
            words.append(f"label probability {item.probability:.3f}")
        if item.distance is not None:
            words.append(f"distance {item.distance:.3g}")
    else:
        words += [_spaced(name) for name in item.reasons if name != section]
        words += [item.split, item.path]
    return [word for word in words if word]


def _spaced(name: str) -> str:
    return name.replace("_", " ")
