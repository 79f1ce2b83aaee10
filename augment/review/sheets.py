"""Review without a browser: contact sheets with numbers, and a CSV beside them to fill in."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from augment.data import contact_sheets, decisions, edited_csv, files, images
from augment.data.decisions import Decision, DecisionError
from augment.review import author
from augment.review.pictures import Pictures
from augment.review.queue import COPIES, MADE, FlaggedImage, Queue, ReviewError, load
from augment.runtime import progress

LIST = "review.csv"
COLUMNS = ("number", "sheet", "id", "check", "measure", "label", "suggested_label", "action",
           "new_label")  # fmt: skip

_ACROSS, _DOWN = 10, 8  # images on a sheet
_SIDE = 96  # pixels of an image there


def sheet(root: Path, out: Path) -> Mapping[str, int]:
    """Draw all images of the queue into the new folder ``out``; returns the counts by check.

    ``review.csv`` lists each image with its number on the sheets, and the decision that there is
    already. Raises ReviewError where ``out`` holds anything, AugmentError like queue.load.
    """
    if out.exists() and any(out.iterdir()):
        raise ReviewError(f"{out} is not empty; name another folder with --out")
    queue, pictures = load(root), Pictures(root)
    standing = decisions.load(root / decisions.FILE)
    lines = [edited_csv.line(COLUMNS)]
    temporary = files.temporary_beside(out)
    try:
        total = sum(map(len, queue.sections.values()))
        with progress.bar() as display:
            task = display.add_task("review", total=total, note="")
            for check, file, ids in _sheets(queue):
                tiles = [_tile(queue.items[name], pictures, check) for _, name in ids]
                captions = [_caption(number, queue.items[name]) for number, name in ids]
                picture = contact_sheets.captioned(tiles, captions, _ACROSS)
                files.write_bytes(temporary / file, images.encode(picture))
                for number, name in ids:
                    cells = _cells(queue.items[name], check, standing.get(name))
                    lines.append(edited_csv.line([str(number), file, *cells]))
                display.advance(task, len(ids))
        files.write_text(temporary / LIST, "".join(f"{line}\r\n" for line in lines))
        files.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {name: len(ids) for name, ids in queue.sections.items()}


def read(root: Path, path: Path) -> Mapping[str, int]:
    """Record the decisions that were filled in below ``action``; returns the counts by action.

    A line without an action says nothing; what stands already is not recorded again. Raises
    ReviewError and HandwrittenError naming the line, and then nothing is recorded.
    """
    queue, standing = load(root), decisions.load(root / decisions.FILE)
    read_back: dict[str, tuple[int, Decision]] = {}
    for number, cells in edited_csv.parse_edited_csv(path, _content(path), COLUMNS).rows:
        if not cells["action"].strip():
            if cells["new_label"].strip():
                raise ReviewError(f"{path}, line {number}: new_label without the action relabel")
            continue
        try:
            decision = _decision(cells)
            queue.allow(decision)
        except (DecisionError, ReviewError) as error:
            raise ReviewError(f"{path}, line {number}: {error}") from None
        line, first = read_back.setdefault(decision.id, (number, decision))
        if (decision.action, decision.label) != (first.action, first.label):
            raise ReviewError(
                f"{path}, line {number}: {decision.action}, but line {line} says {first.action} "
                "of the same image"
            )
    who, when = author.now()
    new = [
        replace(decision, who=who, when=when)
        for _, decision in read_back.values()
        if not _stands(decision, standing.get(decision.id))
    ]
    decisions.record(root / decisions.FILE, new)
    return Counter(decision.action for decision in new)


def _sheets(queue: Queue) -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    """Check, file name and numbered ids of each sheet; numbers start with 1 for each check."""
    each = _ACROSS * _DOWN
    for check, ids in queue.sections.items():
        numbered = list(enumerate(ids, 1))
        for start in range(0, len(ids), each):
            name = f"{re.sub(r'[^a-z0-9_]', '_', check)}-{start // each + 1:03d}.png"
            yield check, name, numbered[start : start + each]


def _tile(item: FlaggedImage, pictures: Pictures, check: str) -> images.Pixels:
    """The image, or two side by side: before and after a repair, synthetic and nearest real."""
    tiles = [pictures.tile(place, name, _SIDE) for place, name, _ in pictures.of(item, check)]
    return np.concatenate(tiles, axis=2)


def _caption(number: int, item: FlaggedImage) -> str:
    change = f" > {item.suggested}" if item.suggested else ""
    return f"{number}: {item.label}{change}"


def _cells(item: FlaggedImage, check: str, decision: Decision | None) -> list[str]:
    measure = {MADE: item.probability, COPIES: item.distance}.get(check, item.measures.get(check))
    said = ["", ""] if decision is None else [decision.action, decision.label]
    shown = "" if measure is None else f"{measure:.6g}"
    return [item.id, check, shown, item.label, item.suggested, *said]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ReviewError(f"{path}: no such file; make it with augment review --sheet") from None


def _decision(cells: Mapping[str, str]) -> Decision:
    action = cells["action"].strip().lower()
    return Decision(cells["id"].strip(), action, cells["new_label"], note=cells["check"])


def _stands(decision: Decision, standing: Decision | None) -> bool:
    if standing is None:
        return decision.action == decisions.UNDO
    return (decision.action, decision.label) == (standing.action, standing.label)
