"""Sources made from a plan: each reader's own formats, with hostile names, damage and surprises."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ImageFont

from benchmarks.fuzz.plans import Entry, Plan

LONGEST = 255  # bytes of a name that a disk takes


class Source(NamedTuple):
    """A source, the names of the files that must be accounted for, and how many items at least."""

    where: str
    names: list[str]
    least: int = 0


def made(reader: str, plan: Plan, root: Path) -> Source:
    """The source of a plan, in the folder ``root``."""
    return MAKERS[reader](plan, root)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _damaged(data: bytes, plan: Plan) -> bytes:
    """``data`` with the plan's bytes changed and its end cut off."""
    changed = bytearray(data)
    for place, byte in plan.damage if data else ():
        changed[place * len(data) // 65536] = byte
    return bytes(changed if plan.cut is None else changed[: plan.cut * len(data) // 65536])


def _whole(plan: Plan) -> bool:
    return not plan.damage and plan.cut is None


def _on_disk(path: str) -> str | None:
    """The path as a disk takes it: without steps that leave the folder; None where it cannot be."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    try:
        short = all(len(os.fsencode(part)) <= LONGEST for part in parts)
    except UnicodeEncodeError:
        return None
    return "/".join(parts) if parts and short and "\0" not in path else None


def _place(root: Path, entry: Entry) -> None:
    """Make a file, a folder, a link, a device's link or a pipe; what cannot be is left out."""
    path = _on_disk(entry.path)
    if path is None:
        return
    target = root / path
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):  # a link or a pipe of an earlier entry, perhaps
            return
        if entry.kind == "folder":
            target.mkdir()
        elif entry.kind == "pipe":
            os.mkfifo(target)
        elif entry.kind == "file":
            target.write_bytes(entry.content)
        else:
            target.symlink_to({"link": "nowhere", "circle": ".", "device": "/dev/zero"}[entry.kind])


def _files(root: Path) -> list[str]:
    """All files, links and pipes below ``root``, relative to it; links are not entered."""
    return [
        os.path.relpath(os.path.join(folder, name), root)
        for folder, _, names in os.walk(root)
        for name in names
    ]


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """A row of each entry: names and labels where the columns say so, other cells in turn."""
    rows = []
    for place, entry in enumerate(plan.entries):
        row: dict[str, Any] = {}
        for column in plan.columns:
            plain = column.lower().replace("_", "")
            if plain in ("path", "filename", "id", "image"):
                row[column] = entry.root + entry.path
            elif plain in ("label", "class", "words"):
                row[column] = entry.label
            else:
                row[column] = plan.cells[place % len(plan.cells)]
        rows.append(row)
    return rows


def _table(plan: Plan) -> bytes:
    rows = _rows(plan)
    lines = [plan.mark.join(plan.columns), *(plan.mark.join(row.values()) for row in rows)]
    try:
        return "\r\n".join(lines).encode(plan.encoding)
    except UnicodeEncodeError:
        return _text("\n".join(lines))


def _parquet_table(plan: Plan, *, pictures: bool) -> bytes:
    rows = _rows(plan)
    columns: dict[str, pa.Array] = {}
    for column in plan.columns:
        cells = [row[column] for row in rows]
        texts = [cell.encode("utf-8", "replace").decode() for cell in cells]
        kinds: list[Any] = [
            texts, [None if n % 3 == 2 else n - 1 for n in range(len(cells))],
            [float(n) for n in range(len(cells))], [[cell] for cell in texts],
        ]  # fmt: skip
        columns[column] = pa.array(kinds[plan.form % 16 // 12 and plan.form % 4])
    if pictures:
        data = [entry.content if plan.form % 5 else entry.content or None for entry in plan.entries]
        struct = [
            {"bytes": content, "path": _text(entry.path).decode(errors="replace")}
            for content, entry in zip(data, plan.entries, strict=True)
        ]
        name = ("image", "img", "photo")[plan.form % 3]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns[name] = pa.array(struct, kind) if plan.form % 2 else pa.array(data, pa.binary())
    made_table = pa.table(columns)
    if plan.form % 7 == 0:
        names = {"info": {"features": {"label": {"names": ["a", "b"]}}}}
        made_table = made_table.replace_schema_metadata({"huggingface": json.dumps(names)})
    buffer = io.BytesIO()
    if plan.form == 13:
        with pa.ipc.new_stream(buffer, made_table.schema) as stream:
            stream.write_table(made_table)
    else:
        pq.write_table(made_table, buffer)
    return buffer.getvalue()


def _special(name: str, plan: Plan) -> bytes:
    """What a special file holds: a list of the entries in its format, or bytes that are none."""
    if name.endswith(".parquet") and plan.form % 4:
        return _parquet_table(plan, pictures=name.startswith("0"))
    if name.endswith(".csv"):
        return _table(plan)
    if name.endswith(".jsonl"):
        return b"\n".join(_text(json.dumps(row)) for row in _rows(plan))
    if name == "dataset.json":
        pairs = [[entry.root + entry.path, entry.label] for entry in plan.entries]
        return _text(json.dumps({"labels": pairs if plan.form % 4 else None}))
    if name.endswith(".txt"):
        return _list(plan)
    return (b"PAR1 and no more", b"", b"names: [a]\ntrain: x", b'{"annotations": []}')[
        plan.form % 4
    ]


def _list(plan: Plan) -> bytes:
    between = ("\t", " ", "\t", "")[plan.form % 4]
    return b"\n".join(_text(f"{e.root}{e.path}{between}{e.label}") for e in plan.entries)


def _folder(plan: Plan, root: Path) -> Source:
    """Files, folders and links on a disk, with lists among them."""
    for entry in plan.entries:
        _place(root, entry)
    for name in plan.extra:
        folder = ("", "a/", "train/")[plan.form % 3]
        _place(root, Entry("", folder + name, _damaged(_special(name, plan), plan), "", "file"))
    return Source(str(root), _files(root))


def _csv(plan: Plan, root: Path) -> Source:
    source = _folder(plan, root)
    _place(root, Entry("", "list.csv", _damaged(_table(plan), plan), "", "file"))
    if plan.form % 2:
        return Source(source.where, _files(root))
    return Source(str(root / "list.csv"), [])


def _ocr(plan: Plan, root: Path) -> Source:
    _folder(plan, root)
    name = ("train.txt", "rec_gt_train.txt", "labels.txt")[plan.form % 3]
    _place(root, Entry("", name, _damaged(_list(plan), plan), "", "file"))
    return Source(str(root), _files(root))


def _archive(plan: Plan, root: Path) -> Source:
    extra = [Entry("", name, _special(name, plan), "", "file") for name in plan.extra]
    entries = [*plan.entries, *extra]
    if plan.form % 2:
        path = root / "set.zip"
        path.write_bytes(_damaged(_zip(entries, plan), plan))
    else:
        path = root / ("set.tar", "set.tar.gz")[plan.form % 4 // 2]
        path.write_bytes(_damaged(_tar(entries, plan, path.suffix == ".gz"), plan))
    names = [
        _text(entry.root + entry.path).decode("utf-8", "replace")
        for entry in entries
        if entry.kind in ("file", "pipe")
    ]
    return Source(str(path), names if _whole(plan) else [])


def _zip(entries: Iterable[Entry], plan: Plan) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand twice
        for entry in entries:
            info = zipfile.ZipInfo("x")
            info.filename = _text(entry.root + entry.path).decode("utf-8", "replace") or "x"
            if entry.kind == "folder":
                info.filename += "/"
            kind = {"link": stat.S_IFLNK, "device": stat.S_IFCHR, "circle": stat.S_IFLNK}
            info.external_attr = kind.get(entry.kind, 0) << 16
            info.compress_type = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)[plan.form % 3 // 2]
            archive.writestr(info, b"" if entry.kind == "folder" else entry.content)
    return buffer.getvalue()


def _tar(entries: Iterable[Entry], plan: Plan, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    kinds = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "circle": tarfile.LNKTYPE}
    form = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)[plan.form % 8 // 4]
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as archive:
        for entry in entries:
            info = tarfile.TarInfo(_text(entry.root + entry.path).decode(errors="surrogateescape"))
            info.type = kinds.get(entry.kind, tarfile.REGTYPE)
            info.type = tarfile.CHRTYPE if entry.kind == "device" else info.type
            info.linkname = "/etc/passwd"
            info.size = len(entry.content) if info.isreg() else 0
            with contextlib.suppress(ValueError, UnicodeError):  # a name that no tar takes
                archive.addfile(info, io.BytesIO(entry.content))
    return gzip.compress(buffer.getvalue(), 1) if packed else buffer.getvalue()


def _webdataset(plan: Plan, root: Path) -> Source:
    members = []
    for place, entry in enumerate(plan.entries):
        stem = entry.path.rpartition(".")[0] or entry.path
        texts = (b"", _text(entry.label), json.dumps({"label": entry.label}).encode())
        ending = ("cls", "txt", "json", "mask.png", "")[(plan.form + place) % 5]
        members.append(entry)
        if ending:
            content = texts[1 + (ending == "json")]
            members.append(entry._replace(path=f"{stem}.{ending}", content=content, kind="file"))
    if plan.form % 2:
        for entry in plan.entries[:2]:
            _place(root, entry)
    (root / "train-000000.tar").write_bytes(_damaged(_tar(members, plan), plan))
    files = [name for name in _files(root) if not name.endswith(".tar")]
    return Source(
        str(root) if plan.form % 2 else str(root / "train-000000.tar"), files * (plan.form % 2)
    )


def _idx(plan: Plan, root: Path) -> Source:
    count = len(plan.entries)
    shape = [(count, 2, 3), (count, 2, 3, 3), (count, 0, 3), (count, 2, 3, 4), (2**31, 9, 9)]
    sizes = shape[plan.form % 8] if plan.form % 8 < 5 else shape[0]
    rng = np.random.default_rng(plan.form)
    pixels = rng.integers(0, 256, count * 2 * 3 * (3 if plan.form % 8 == 1 else 1), np.uint8)
    data = struct.pack(f">{1 + len(sizes)}I", 0x800 + len(sizes), *sizes) + pixels.tobytes()
    marks = bytes((ord(entry.label[:1] or "0") % 256) for entry in plan.entries)
    marks = struct.pack(">2I", 0x801, count) + marks
    folder = root / ("", "raw", "MNIST/raw")[plan.form % 3]
    folder.mkdir(parents=True, exist_ok=True)
    subset = ("", "emnist-letters-")[plan.form // 8]
    pack = gzip.compress if plan.form % 5 == 4 else bytes
    ending = ".gz" if plan.form % 5 == 4 else ""
    name = f"{subset}train-images-idx{len(sizes)}-ubyte{ending}"
    (folder / name).write_bytes(_damaged(pack(data), plan))
    (folder / f"{subset}train-labels-idx1-ubyte{ending}").write_bytes(pack(marks))
    if plan.form % 4 == 3:
        (folder / f"{subset}mapping.txt").write_bytes(
            b"\n".join(b"%d 6%d" % (n, n) for n in range(9))
        )
    for entry in plan.entries[:2]:
        _place(root, entry)
    return Source(str(root), _files(root), count if _whole(plan) else 0)


def _parquet(plan: Plan, root: Path) -> Source:
    data = _damaged(_parquet_table(plan, pictures=plan.form != 11), plan)
    name = ("train-00000.parquet", "0.parquet", "test/0.parquet")[plan.form % 3]
    name = "data-00000-of-00001.arrow" if plan.form == 13 else name
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(data)
    for entry in plan.entries[:2]:
        if entry.path != name:
            _place(root, entry)
    return Source(str(root), _files(root), len(plan.entries) if _whole(plan) else 0)


def _lmdb(plan: Plan, root: Path) -> Source:
    """Keys and values only are hostile: LMDB maps its file into memory and trusts it."""
    import lmdb

    folder = root / ("", "train", "test", "other")[plan.form % 4]
    with lmdb.open(str(folder), map_size=1 << 20, sync=False, lock=False) as environment:
        with environment.begin(write=True) as values:
            for number, entry in enumerate(plan.entries, start=1):
                if entry.kind != "device":
                    values.put(b"image-%09d" % number, entry.content)
                if entry.kind != "link":
                    values.put(b"label-%09d" % number, _text(entry.label))
            said = [b"%d" % len(plan.entries), b"-1", b"999999999", b"", b"x"]
            values.put(b"num-samples", said[plan.form % 8 if plan.form % 8 < 5 else 0])
    if plan.form == 15:
        (folder / "data.mdb").write_bytes(_damaged(b"\0" * 100, plan))
    for entry in plan.entries[:2]:
        _place(root, entry)
    return Source(str(root), _files(root))


def _builtin(plan: Plan, root: Path) -> Source:
    return Source("builtin:" + "".join(entry.root + entry.path for entry in plan.entries), [])


def _fonts(plan: Plan, root: Path) -> Source:
    """Files on a disk, and among them fonts, whole or damaged, and what only has their names."""
    for entry in plan.entries:
        _place(root, entry)
    font = ImageFont.load_default(10)
    assert isinstance(font, ImageFont.FreeTypeFont)
    whole: bytes = font.path.getvalue()  # type: ignore[union-attr]
    for name, data in (("a.ttf", _damaged(whole, plan)), ("b/a.otf", whole), ("c.ttc", b"ttcf")):
        if plan.form % 4 or name != "b/a.otf":
            _place(root, Entry("", name, data, "", "file"))
    return Source(str(root), _files(root))


MAKERS: dict[str, Callable[[Plan, Path], Source]] = {
    "archive": _archive,
    "builtin": _builtin,
    "csv": _csv,
    "fonts": _fonts,
    "idx": _idx,
    "image_folder": _folder,
    "lmdb": _lmdb,
    "ocr_list": _ocr,
    "parquet": _parquet,
    "webdataset": _webdataset,
}
