"""One example: a source is read and ingested in a sandbox, and what must hold is looked at."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from augment.data import images, table
from augment.data.places import INGESTED, REPORTS
from augment.errors import AugmentError
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings
from augment.readers import READERS, recognise
from augment.readers.base import SIDE_FILE, Item, is_junk_folder
from benchmarks.fuzz import sources
from benchmarks.fuzz.plans import Plan

SECONDS = 30  # of one example, at most; more is taken for a hang
_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
# Files that hold images, where the reader is recognised: their rows are the items.
_CONTAINERS = (
    ".parquet", ".arrow", ".tar", ".gz", ".mdb", "-ubyte", "mapping.txt", ".ttf", ".otf", ".ttc",
)  # fmt: skip
_TEXTS = (".txt", ".cls", ".json")  # the labels of a WebDataset's samples
_LISTS = {"os.listdir", "os.scandir"}
_SYSTEM = tuple(
    {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, Path(__file__).parents[2])}
    | {"/usr", "/lib", "/proc", "/sys"}
)


class Broken(AssertionError):
    """Something that must hold does not."""


class Hung(BaseException):
    """An example took too long."""


class Sandbox:
    """Folders of a source, of a project and of what lies outside both."""

    def __init__(self, root: Path):
        """Make the folders in ``root``; ``outside`` holds images that must never be read."""
        self.root = Path(os.path.realpath(root))
        self.source, self.project = self.root / "source", self.root / "project"
        self.tally: Counter[str] = Counter()
        self._canaries: set[bytes] = set()
        self._watching = False
        self._seen: list[str] = []
        for place, name in enumerate(("1.png", "a/1.png", "a/2.png", "b/1.png", "x.png")):
            data = images.encode(np.full((2, 9), place, np.uint8))
            self._canaries.add(data)
            for path in (self.root / "outside" / name, self.root / name):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        sys.addaudithook(self._heard)

    def trial(self, reader: str, plan: Plan) -> None:
        """Make the source of a plan, read it, ingest it. Raises Broken for what must not be."""
        for folder in (self.source, self.project):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        source = sources.made(reader, plan, self.source)
        self.tally["examples"] += 1
        outer = signal.signal(signal.SIGALRM, _hung)
        signal.alarm(SECONDS)
        try:
            with self._watched(), contextlib.redirect_stderr(io.StringIO()):
                self._read(reader, plan, source)
        except BaseException as error:
            error.add_note(f"{reader}: {plan}")
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, outer)

    def _read(self, reader: str, plan: Plan, source: sources.Source) -> None:
        spec: dict[str, Any] = {"name": reader}
        items: list[Item] | None = None
        try:
            name = recognise(source.where) if plan.automatic else reader
            spec = {"name": name, **(plan.options if name == reader else {})}
            listing = READERS.build(spec, source.where)()
            items = list(listing)
        except AugmentError as error:
            self._one_line(error)
            self.tally["stopped"] += 1
        else:
            texts = _TEXTS if spec["name"] == "webdataset" else ()
            reads = {*listing.reads, *(name for name in source.names if name.endswith(texts))}
            self._all_named({_plain(item.path) for item in items} | reads, source)
            if len(items) < source.least:
                raise Broken(f"{len(items)} items, {source.least} in the source")
            for item in items:
                if item.data in self._canaries:
                    raise Broken(f"{item.path!r} was read outside the source")
        try:
            settings = IngestSettings.model_validate(
                {"source": source.where, "reader": spec, "workers": 1, "max_rejected": 1.0}
            )
            report = ingest.run(settings, self.project)
        except AugmentError as error:
            self._one_line(error)
        else:
            self._adds_up(report, items)

    @staticmethod
    def _one_line(error: AugmentError) -> None:
        if not str(error).strip() or "\n" in str(error):
            raise Broken(f"not one line: {str(error)!r}")

    def _all_named(self, paths: set[str], source: sources.Source) -> None:
        """Each file of the source is among the ``paths`` or lies in a tool's folder, which is."""
        last = Counter(path.rpartition("/")[2] for path in paths)
        self.tally["files"] += len(source.names)
        for name in source.names:
            plain = _plain(name)
            above = plain.split("/")
            junk = next((part for part in above if is_junk_folder(part)), above[-1])
            if plain not in paths and not last[junk] and not plain.endswith(_CONTAINERS):
                raise Broken(f"{name!r} is neither kept nor rejected nor ignored")

    def _adds_up(self, report: dict[str, Any], items: list[Item] | None) -> None:
        if report["read"] != report["kept"] + report["rejected"]:
            raise Broken("read is not kept and rejected")
        if items is not None:
            side = sum(item.reason == SIDE_FILE for item in items)
            if (report["read"], report["ignored"]) != (len(items) - side, side):
                raise Broken(f"{len(items)} items, {side} ignored; reported: {report}")
        with open(self.project / REPORTS / "rejected.csv", encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        if len(lines) != report["rejected"] or not all(line["reason"] for line in lines):
            raise Broken(f"{len(lines)} lines of rejected.csv, {report['rejected']} rejected")
        batches = table.stream(self.project / INGESTED, ["id"])
        ids = [name for batch in batches for name in batch.column("id").to_pylist()]
        outside = {hashlib.sha256(data).hexdigest() for data in self._canaries}
        if len(ids) != report["kept"] or len(set(ids)) != len(ids) or outside & set(ids):
            raise Broken("the table does not hold what was kept")
        for count in ("kept", "rejected", "ignored"):
            self.tally[count] += report[count]

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Raise Broken where a file is opened, listed or changed that must not be."""
        self._seen.clear()
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
        if self._seen:
            raise Broken(f"left the sandbox: {self._seen[0]}")

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching or event not in ("open", *_WRITES, *_LISTS):
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        folder = os.getcwd()
        if event in _WRITES and isinstance(arguments[-1], int) and arguments[-1] >= 0:
            folder = os.readlink(f"/proc/self/fd/{arguments[-1]}")  # shutil.rmtree goes by it
        where = os.path.normpath(os.path.join(folder, os.fsdecode(path)))
        writes = event in _WRITES or event == "open" and bool(
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )  # fmt: skip
        allowed = [self.project] if writes else [self.project, self.source, *_SYSTEM]
        if not any(where == str(top) or where.startswith(f"{top}/") for top in allowed):
            self._seen.append(f"{event} {where!r}")


def _plain(path: str) -> str:
    """A path in the form in which an item has it: no empty steps, one separator, escapes."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts).partition("\0")[0].encode(errors="backslashreplace").decode()


def _hung(number: int, frame: object) -> None:
    raise Hung(f"more than {SECONDS} seconds")
