"""Accepted candidates, kept as they are made, so that a killed synthesis goes on where it was.

Each class has parts, a few thousand accepted candidates each: a sample table, the features that
later candidates are compared with, and how far the search for them was. A part appears at once or
not at all. A request that ends before its first part is full leaves nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from augment.classifiers.classifier import Floats
from augment.data import files, table
from augment.data.places import CACHE

KEPT = 8192  # accepted candidates of a part: some seconds of work, and a few MiB of memory


@dataclass(frozen=True)
class Place:
    """How far the search for a class's samples is: candidates seen, accepted, rejected by reason.

    ``chunk`` is the number of the generator's next chunk.
    """

    chunk: int = 0
    seen: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class KeptPart(NamedTuple):
    """Rows with their images, features (N, F), how many each chunk gave, and where it ended."""

    rows: list[table.Row]
    features: Floats
    lengths: list[int]
    place: Place


class Journal:
    """The parts of one request, in .augment/synth under a name of all that decides its samples."""

    def __init__(self, root: Path, *facts: object):
        """A request of a project, told from others by ``facts``, whose bytes or text are hashed."""
        total = hashlib.sha256()
        for fact in facts:
            data = fact if isinstance(fact, bytes | memoryview) else str(fact).encode()
            total.update(hashlib.sha256(data).digest())
        self.folder = root / CACHE / "synth" / total.hexdigest()[:16]

    def parts(self, label: str) -> Iterator[KeptPart]:
        """What is kept of a class, in order."""
        for folder, lengths, place in self._in_order(label):
            features = np.load(folder / "features.npy")
            yield KeptPart(list(table.rows(folder)), features, lengths, place)

    def place(self, label: str) -> Place:
        """Where the parts of a class end."""
        places = [place for *_, place in self._in_order(label)]
        return places[-1] if places else Place()

    def keep(self, label: str, part: KeptPart) -> None:
        """Add a part to a class."""
        folder = self._of(label) / f"{part.place.accepted:012d}"
        with table.TableWriter(temporary := files.temporary_beside(folder)) as out:
            for row in part.rows:
                out.add(row)
        np.save(temporary / "features.npy", part.features)
        state = {"lengths": part.lengths, "place": vars(part.place)}
        files.write_json(temporary / "place.json", state)
        files.publish(temporary, folder)

    def remove(self) -> None:
        """Forget everything: the request is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, label: str) -> Path:
        return self.folder / hashlib.sha256(label.encode()).hexdigest()[:16]

    def _in_order(self, label: str) -> Iterator[tuple[Path, list[int], Place]]:
        """The parts from the first one on; none behind a gap, which another run may leave."""
        accepted = 0
        for folder in sorted(self._of(label).glob("[0-9]" * 12)):
            state = files.read_json(folder / "place.json")
            lengths, place = state["lengths"], Place(**state["place"])
            if place.accepted - sum(lengths) != accepted:
                return
            accepted = place.accepted
            yield folder, lengths, place
