"""Files that lie beside the images, may hold their labels, and are not read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from augment.data.table import natural
from augment.errors import visible
from augment.readers.base import SPLITS

_TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xml", ".yaml", ".yml")
_BOXES = frozenset({"label", "labels", "annotation", "annotations", "gt"})  # folders of texts
_TEXTS = _BOXES | {*SPLITS, "list", "lists", "rec", "classes", "mapping", "names"}
_NAMED = 3  # most names in a sentence; chosen by hand


class Unread:
    """Which such files there are; those of a folder and an ending are counted together."""

    def __init__(self) -> None:
        """No file is known yet."""
        self._paths: dict[tuple[str, str], set[str]] = {}
        self._read: set[str] = set()

    def note(self, path: str) -> None:
        """Remember a side file, where its name says that it may hold labels."""
        if may_hold_labels(path):
            pure = PurePosixPath(path)
            self._paths.setdefault((str(pure.parent), pure.suffix.lower()), set()).add(path)

    def reads(self, paths: Iterable[str], remarks: Iterable[str]) -> None:
        """Forget files that the reader does read, or that its remarks speak of already."""
        said = " ".join(remarks)
        for names in self._paths.values():
            names -= {*paths, *(path for path in names if _mentions(said, path))}

    def patterns(self) -> list[str]:
        """Each file by its path, several of a folder and an ending as ``labels/*.txt (20 files)``.

        Tables come first, those that lie higher up before others.
        """
        entries = sorted(
            ((folder, suffix, names) for (folder, suffix), names in self._paths.items() if names),
            key=lambda entry: (_rank(entry[1]), entry[0].count("/"), natural(entry[0])),
        )
        return [
            visible(line)
            for folder, suffix, names in entries
            for line in (
                sorted(names, key=natural)
                if len(names) <= _NAMED
                else [f"{PurePosixPath(folder) / '*'}{suffix} ({len(names)} files)"]
            )
        ]

    def sentence(self) -> str:
        """What to do about them; empty where there is none."""
        names = self.patterns()
        if not names:
            return ""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        verb = "lies" if len(names) == 1 and "*" not in names[0] else "lie"
        return (
            f"{', '.join(names[:_NAMED])}{more} {verb} there unread: where the labels stand in "
            "it, name it as ingest.source (docs: Sources says what can be read)"
        )


def may_hold_labels(path: str) -> bool:
    """Whether the name of a side file is that of a table, or of a text about labels."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    if pure.name.startswith("."):
        return False
    if suffix == ".txt":
        words = re.split(r"[-_. ]", pure.stem.lower())
        return not _TEXTS.isdisjoint(words) or pure.parent.name.lower() in _BOXES
    return suffix in _TABLES


def _mentions(text: str, path: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){re.escape(PurePosixPath(path).name)}(?![\w-])", text))


def _rank(suffix: str) -> int:
    return _TABLES.index(suffix) if suffix in _TABLES else len(_TABLES)
