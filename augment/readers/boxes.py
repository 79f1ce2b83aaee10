"""Boxes and outlines of objects, as sets for detection have them: told, and not read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from augment.readers import sheets

_YOLO = re.compile(rb"\d+( -?\d+(\.\d+)?(e-?\d+)?){4,}\s")
_YOLO_CLASS = re.compile(rb"(?m)^(\d+) ")
_VOC_CLASS = re.compile(rb"<object\b[^<]*(?:<(?!name>)[^<]*)*<name>([^<]*)<")
_COCO_CLASS = re.compile(rb'"name"\s*:\s*"([^"]*)"')


def kind_of(path: str, start: bytes) -> str:
    """The format of a file of boxes that begins with ``start``; blank for any other file."""
    suffix = path[path.rfind(".") :].lower()
    if suffix in sheets.SUFFIXES:
        return ""
    if suffix == ".txt" and _YOLO.match(start):
        return "boxes (YOLO)"
    if suffix in (".yaml", ".yml") and b"names:" in start and b"train:" in start:
        return "boxes (YOLO)"
    if suffix in (".json", ".jsonl") and re.search(rb'"(annotations|bbox|shapes)"', start):
        return "boxes (COCO)"
    return "boxes (Pascal VOC)" if suffix == ".xml" and b"<object" in start else ""


def classes_in(path: str, start: bytes) -> set[str]:
    """The names or numbers of the classes that the beginning of a file of boxes speaks of."""
    suffix = path[path.rfind(".") :].lower()
    pattern = {".txt": _YOLO_CLASS, ".xml": _VOC_CLASS, ".json": _COCO_CLASS}.get(suffix)
    if pattern is None or not kind_of(path, start):
        return set()
    return {name.decode(errors="replace").strip() for name in pattern.findall(start)}


def disagree(by_label: Mapping[str, set[str]], overall: set[str]) -> str:
    """Why boxes do not say the same classes as the folders; blank where they do.

    ``by_label`` are the classes of the boxes in each class folder, ``overall`` those of one file.
    They agree where the boxes of each folder are of one class, no two folders share it, and names,
    where boxes have some, are the folders' own; or where one list has a class for each folder.
    """
    folded = {name.casefold() for name in overall}
    if (
        overall
        and not any(by_label.values())
        and {label.casefold() for label in by_label} <= folded
    ):
        return ""
    several = next((label for label, names in by_label.items() if len(names) > 1), None)
    if several is not None:
        names = ", ".join(sorted(by_label[several])[:5])
        return f"the boxes in {several!r} are of the classes {names}"
    single = {label: next(iter(names)) for label, names in by_label.items() if names}
    if len(set(single.values())) < len(single):
        return "the boxes of several folders are of one class"
    other = [f"{n!r} in {label!r}" for label, n in single.items() if not _same(label, n)]
    if other:
        return f"the boxes are called {', '.join(other[:5])}"
    return "the boxes name other classes" if overall and not single else ""


def _same(label: str, name: str) -> bool:
    return name.isdecimal() or name.casefold() == label.casefold()
