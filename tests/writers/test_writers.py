"""Writers: each format's bytes, its way back through the reader, odd labels, determinism."""

from __future__ import annotations

import csv
import importlib
import json
import re
import struct
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augment.data import files, images, table
from augment.data.provenance import FILE, recorded
from augment.readers.base import READERS
from augment.registry import PartError
from augment.writers import names
from augment.writers.base import WRITERS, WriterError

CARRIED = ("id", "label", "split", "group", "origin", *(f.name for f in table.PROVENANCE))
PNG = images.encode(np.zeros((4, 4), np.uint8))


def sample(number: int, label: str | None, split: str = "train", **facts: Any) -> table.Row:
    pixels = np.full((6, 5), number % 256, np.uint8)
    row = dict.fromkeys(table.COLUMNS)
    return {
        **row,
        "id": f"{number:064x}",
        "image": {"bytes": images.encode(pixels), "path": f"{number}.png"},
        "label": label,
        "split": split,
        "origin": "real",
        "width": 5,
        "height": 6,
        "mode": "L",
        **facts,
    }


def synthetic(number: int, label: str) -> table.Row:
    return sample(
        number,
        label,
        origin="synthetic",
        generator="f" * 64,
        seed=2**62 + 1,
        index=number,
        codes=[0.5, -0.25],
        truncation=None if number % 2 else 0.5,
        label_probability=0.75,
        nearest_real="ab",
        nearest_distance=0.125,
    )


def mixed(labels: Iterable[str] = ("a", "10", "2")) -> list[table.Row]:
    """Splits in turn, then synthetic samples; of the real ones one is of a group, one adopted."""
    real = [
        sample(3 * n + k, label, split, group="w1" if n == k == 0 else None)
        for n, label in enumerate(labels)
        for k, split in enumerate(("test", "train", "valid"))
    ]
    real[1] |= {"label_source": "inferred", "label_probability": 0.96875}
    return [*real, *(synthetic(100 + n, label) for n, label in enumerate(labels))]


def read(name: str, folder: Path) -> list[dict[str, Any]]:
    """What the reader of the same name gives, as rows."""
    rows = []
    for item in READERS.build(name)(str(folder)):
        if item.reason == "side file":
            continue
        assert item.reason == ""
        data = item.data if isinstance(item.data, bytes) else item.data.read_bytes()
        columns = {"label": item.label, "split": item.split, "group": item.group, **item.facts}
        rows.append({"bytes": data, **{key: columns.get(key) for key in CARRIED}})
    return sorted(rows, key=lambda row: row["id"])


def written(rows: Iterable[table.Row]) -> list[dict[str, Any]]:
    carried = [
        {"bytes": row["image"]["bytes"], **{key: row[key] for key in CARRIED}} for row in rows
    ]
    return sorted(carried, key=lambda row: row["id"])


@pytest.mark.parametrize("name", WRITERS.names())
class TestEveryWriter:
    def test_has_a_reader(self, name: str) -> None:
        assert name in READERS.names()
        assert WRITERS.describe(name).summary

    def test_round_trip(self, name: str, tmp_path: Path) -> None:
        WRITERS.build(name)(iter(mixed()), tmp_path / "out")
        assert read(name, tmp_path / "out") == written(mixed())

    def test_odd_labels_come_back(self, name: str, tmp_path: Path) -> None:
        labels = ["a/b", "..", ".hidden", "CON", "a", "A", "字" * 300, "é", " 7 ", "NA", "x,\"'|"]
        WRITERS.build(name)(iter(mixed(labels)), tmp_path / "out")
        assert read(name, tmp_path / "out") == written(mixed(labels))

    def test_same_samples_same_bytes(self, name: str, tmp_path: Path) -> None:
        for place in ("one", "two"):
            WRITERS.build(name)(iter(mixed()), tmp_path / place)
        assert files.digest_of_folder(tmp_path / "one") == files.digest_of_folder(tmp_path / "two")

    def test_leaves_nothing_but_its_files(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        WRITERS.build(name)(iter(mixed()), tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]

    def test_refuses_a_folder_in_use(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("x")
        for place in (tmp_path, tmp_path / "mine.txt"):
            with pytest.raises(WriterError, match="not an empty folder"):
                WRITERS.build(name)(iter(mixed()), place)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_streams(self, name: str, tmp_path: Path) -> None:
        """No more samples are held than fill a row group."""
        alive = 0

        class Counted(bytes):
            def __del__(self) -> None:
                nonlocal alive
                alive -= 1

        def rows() -> Iterator[table.Row]:
            nonlocal alive
            most = 0
            for number in range(1200):
                alive += 1
                yield sample(number, "a", image={"bytes": Counted(PNG), "path": ""})
                most = max(most, alive)
            assert most <= table.ROWS + 2

        WRITERS.build(name)(rows(), tmp_path / "out")

    def test_unknown_option(self, name: str) -> None:
        with pytest.raises(PartError, match="unknown option 'colour'"):
            WRITERS.build({"name": name, "colour": 1})

    def test_samples_that_do_not_fit(self, name: str, tmp_path: Path) -> None:
        if name == "parquet":
            pytest.skip("the sample table holds them")
        with pytest.raises(WriterError, match="no label"):
            WRITERS.build(name)([sample(1, None)], tmp_path / "out")
        with pytest.raises(WriterError, match="split 'dev'; allowed: train, valid, test"):
            WRITERS.build(name)([sample(1, "a", "dev")], tmp_path / "out2")


@given(labels=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=20))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_folder_names_are_safe_and_different(labels: list[str]) -> None:
    folders = names.Folders(taken="metadata.csv")
    names_by_label = {label: folders.of(label) for label in labels}
    assert names_by_label == {label: folders.of(label) for label in labels}
    assert len({name.casefold() for name in names_by_label.values()}) == len(names_by_label)
    for name in names_by_label.values():
        assert PurePosixPath(name).parts == (name,)
        assert len(name.encode()) <= 100
        assert not set(name) & set('<>:"/\\|?*\0\n\r\t')
        assert not name.startswith((".", " ", "__")) and not name.endswith((".", " "))
        assert not re.match(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)", name.lower())
        assert name.lower() != "metadata.csv"


@pytest.mark.parametrize("label", ["7", "class 7", "字", "a-b_c.d", "A(1)"])
def test_a_safe_label_is_its_folder(label: str) -> None:
    assert names.Folders(taken="metadata.csv").of(label) == label


@pytest.mark.parametrize(
    ("label", "start"),
    [
        ("a/b", "a_b-"),
        ("..", "label-"),
        ("../x", "x-"),
        ("con.txt", "_con.txt-"),
        ("metadata.csv", "metadata.csv-"),
        ("METADATA.csv", "METADATA.csv-"),
        ("__x", "x-"),
    ],
)
def test_other_labels_are_told_apart_by_a_digest(label: str, start: str) -> None:
    name = names.Folders(taken="metadata.csv").of(label)
    assert name.startswith(start) and len(name) == len(start) + 8


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("BMP", ".bmp"), ("TIFF", ".tif")]
    + [("WEBP", ".webp"), ("PPM", ".ppm")],
)
def test_suffix_follows_the_bytes(form: str, suffix: str, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "x", form)
    assert names.suffix((tmp_path / "x").read_bytes()) == suffix
    assert suffix in images.SUFFIXES


def test_suffix_of_something_else() -> None:
    with pytest.raises(WriterError, match="not a known image format"):
        names.suffix(b"<svg/>")


def test_image_folder_is_what_hugging_face_reads(tmp_path: Path) -> None:
    WRITERS.build("image_folder")(mixed(["a", "x/y"]), tmp_path)
    with open(tmp_path / "train/metadata.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file_name", *table.FACTS]
    assert [row["label"] for row in rows] == ["a", "x/y", "a", "x/y"]
    assert [row["file_name"] for row in rows[::2]] == ["a/000000.png", "a/000001.png"]
    assert all((tmp_path / "train" / row["file_name"]).is_file() for row in rows)
    # texts never leave a column empty in one split and full in another
    texts = ("group", "generator", "codes", "nearest_real")
    assert [rows[0][name] for name in texts] == [" "] * 4
    assert [rows[0][name] for name in ("seed", "truncation")] == [""] * 2
    assert json.loads(rows[2]["codes"]) == [0.5, -0.25]


def test_webdataset_shards(tmp_path: Path) -> None:
    rows = [sample(n, "a", "train" if n < 5 else "test") for n in range(6)]
    WRITERS.build({"name": "webdataset", "per_shard": 2})(rows, tmp_path)
    shards = sorted(path.name for path in tmp_path.iterdir())
    assert shards == ["test-000000.tar", *(f"train-00000{n}.tar" for n in range(3))]
    with tarfile.open(tmp_path / "train-000001.tar") as shard:
        members = shard.getmembers()
        assert [member.name.partition(".")[2] for member in members] == ["png", "json"] * 2
        assert [member.name[:9] for member in members[::2]] == ["000000002", "000000003"]
        assert {
            (member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members
        } == {(0, 0, 0, "", 0o644)}
        assert json.load(shard.extractfile(members[1]))["id"] == rows[2]["id"]
    with pytest.raises(PartError, match="per_shard"):
        WRITERS.build({"name": "webdataset", "per_shard": 0})


def test_idx_bytes(tmp_path: Path) -> None:
    WRITERS.build("idx")([sample(7, "b"), sample(8, "10"), sample(9, "2")], tmp_path)
    pixels = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    assert pixels[:16] == struct.pack(">IIII", 2051, 3, 6, 5)
    assert pixels[16:] == bytes([7] * 30 + [8] * 30 + [9] * 30)
    labels = (tmp_path / "train-labels-idx1-ubyte").read_bytes()
    assert labels == struct.pack(">II", 2049, 3) + bytes([2, 1, 0])
    assert json.loads((tmp_path / "classes.json").read_text()) == ["2", "10", "b"]


def test_idx_says_what_it_cannot_hold(tmp_path: Path) -> None:
    colour = images.encode(np.zeros((6, 5, 3), np.uint8))
    with pytest.raises(WriterError, match="RGB; idx holds grey"):
        WRITERS.build("idx")([sample(1, "a", image={"bytes": colour})], tmp_path / "colour")
    with pytest.raises(WriterError, match="4 × 4 pixels among 5 × 6"):
        WRITERS.build("idx")(
            [sample(1, "a"), sample(2, "a", image={"bytes": PNG})], tmp_path / "sizes"
        )
    rows = [sample(n, str(n)) for n in range(257)]
    WRITERS.build("idx")(rows[:256], tmp_path / "most")
    with pytest.raises(WriterError, match="more than 256 classes"):
        WRITERS.build("idx")(rows, tmp_path / "many")


def test_ocr_list(tmp_path: Path) -> None:
    rows = [sample(1, "b a"), sample(2, "字b", "test")]
    WRITERS.build("ocr_list")(rows, tmp_path)
    assert (tmp_path / "train.txt").read_bytes() == b"images/train/000000.png\tb a\n"
    assert (tmp_path / "test.txt").read_text("utf-8") == "images/test/000000.png\t字b\n"
    assert (tmp_path / "dict.txt").read_text("utf-8") == "a\nb\n字\n"
    assert (tmp_path / "images/test/000000.png").read_bytes() == rows[1]["image"]["bytes"]


@pytest.mark.parametrize("label", ["a\tb", "a\nb", "a\r", "a\u2028b"])
def test_ocr_list_says_what_it_cannot_hold(label: str, tmp_path: Path) -> None:
    with pytest.raises(WriterError, match="no tabs and no line breaks"):
        WRITERS.build("ocr_list")([sample(1, label)], tmp_path)


def test_lmdb_keys(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    rows = [sample(1, "a"), sample(2, "字")]
    WRITERS.build("lmdb")(rows, tmp_path)
    with (
        lmdb.open(str(tmp_path / "train"), readonly=True, lock=False) as environment,
        environment.begin() as values,
    ):
        stored = {bytes(key): bytes(value) for key, value in values.cursor()}
    assert stored == {
        b"num-samples": b"2",
        b"image-000000001": rows[0]["image"]["bytes"],
        b"image-000000002": rows[1]["image"]["bytes"],
        b"label-000000001": b"a",
        b"label-000000002": "字".encode(),
    }


def test_lmdb_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lmdb")
    monkeypatch.setattr("augment.writers.lmdb.SPACE", 1 << 16)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    rows = [sample(n, "a", image={"bytes": images.encode(noise)}) for n in range(300)]
    WRITERS.build("lmdb")(rows, tmp_path / "out")
    assert read("lmdb", tmp_path / "out") == written(rows)


def test_lmdb_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(WriterError, match=r"install augment\[lmdb\]"):
        WRITERS.build("lmdb")(mixed(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_provenance_stands_split_by_split(tmp_path: Path) -> None:
    rows = [sample(n, "a", ("test", "train", "valid")[n % 3]) for n in range(3100)]
    assert list(recorded(iter(rows), tmp_path / FILE)) == rows
    written = pq.read_table(tmp_path / FILE)
    assert tuple(written.schema.names) == table.FACTS
    order = {"train": 0, "valid": 1, "test": 2}
    expected = sorted(rows, key=lambda row: order[row["split"]])
    assert written["id"].to_pylist() == [row["id"] for row in expected]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_provenance_of_nothing_and_of_a_broken_stream(tmp_path: Path) -> None:
    assert list(recorded([], tmp_path / FILE)) == []
    assert pq.read_table(tmp_path / FILE).num_rows == 0
    stream = recorded(mixed(), tmp_path / "other.parquet")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
