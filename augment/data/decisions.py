"""Decisions of a person about single images, in a CSV file that git keeps.

``decisions.csv`` is text that may be edited by hand. Lines are added at its end and never changed;
the last line about an image counts. ``clean`` and ``write`` follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock

from augment.data import edited_csv, files
from augment.data.places import CACHE
from augment.errors import AugmentError

FILE = "decisions.csv"
ACTIONS = ("keep", "drop", "relabel", "repair")
UNDO = "undo"  # takes back an earlier decision


class DecisionError(AugmentError, ValueError):
    """A decision cannot be understood; for a file the message names the line."""


@dataclass(frozen=True)
class Decision:
    """A decision about the image ``id``; ``label`` is the new label of a "relabel".

    ``when`` is ISO 8601 in UTC. ``who``, ``when`` and ``note`` are for people; the code does not
    depend on them. Raises DecisionError without an id, for an unknown action, for a "relabel"
    without a label and for another action with a label.
    """

    id: str
    action: str
    label: str = ""
    who: str = ""
    when: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Check id, action and label."""
        if not self.id:
            raise DecisionError("no id")
        if self.action not in (*ACTIONS, UNDO):
            allowed = ", ".join((*ACTIONS, UNDO))
            raise DecisionError(f"unknown action {self.action!r}; allowed: {allowed}")
        if self.action == "relabel" and not self.label.strip():
            raise DecisionError("relabel needs a label")
        if self.action != "relabel" and self.label:
            raise DecisionError(f"{self.action} takes no label, found {self.label!r}")


COLUMNS = tuple(field.name for field in fields(Decision))
HEADER = edited_csv.line(COLUMNS) + "\n"


def load(path: Path) -> dict[str, Decision]:
    """The decision that counts for each image, by id; an empty dict where ``path`` does not exist.

    Raises HandwrittenError and DecisionError naming file and line.
    """
    try:
        return _standing(path, edited_csv.parse_edited_csv(path, path.read_bytes(), COLUMNS))
    except FileNotFoundError:
        return {}


def record(path: Path, decisions: Sequence[Decision]) -> None:
    """Add ``decisions`` at the end of ``path``, all of them or none.

    Waits for other threads and processes that record, so that no decision is lost. The existing
    text stays, and new lines keep its order of columns and its line ends. Raises like ``load`` when
    a line of the file is broken, and then writes nothing.
    """
    lock = path.parent / CACHE / f"{path.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock).acquire(poll_interval=0.01):
        before = (path.read_bytes() if path.exists() else b"") or HEADER.encode()
        sheet = edited_csv.parse_edited_csv(path, before, COLUMNS)
        _standing(path, sheet)
        rows = [asdict(decision) for decision in decisions]
        added = [edited_csv.line([row[name] for name in sheet.names]) for row in rows]
        gap = "" if before.endswith((b"\n", b"\r")) else sheet.end
        text = gap + "".join(line + sheet.end for line in added)
        files.write_bytes(path, before + text.encode())


def _standing(path: Path, sheet: edited_csv.Sheet) -> dict[str, Decision]:
    """The last decision about each image, unless it is an undo. Raises DecisionError."""
    standing: dict[str, Decision] = {}
    for number, cells in sheet.rows:
        tidy = {"id": cells["id"].strip(), "action": cells["action"].strip().lower()}
        try:
            decision = Decision(**cells | tidy)
        except DecisionError as error:
            raise DecisionError(f"{path}, line {number}: {error}") from None
        standing.pop(decision.id, None)
        if decision.action != UNDO:
            standing[decision.id] = decision
    return standing
