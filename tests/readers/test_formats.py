"""Formats as people have them on their disks: read right, or refused with the reason."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from augment.data import images, table
from augment.errors import AugmentError
from augment.ingest.run import run
from augment.ingest.settings import IngestSettings
from augment.readers import as_table, recognise
from augment.readers.base import READERS, SIDE_FILE, Item, Listing
from augment.readers.ocr import NO_TAB
from augment.readers.parquet import ONLY_PATH
from augment.readers.webdataset import BEHIND_A_DOT


def png(value: int = 0) -> bytes:
    return images.encode(np.full((4, 3), value, np.uint8))


def opened(source: Path, **options: object) -> Listing:
    name = recognise(str(source))
    listing: Listing = READERS.build({"name": name, **options}, str(source))()
    return listing


def kept(items: Iterable[Item]) -> list[tuple[str | None, str | None]]:
    return [(item.label, item.split) for item in items if not item.reason]


def reasons(items: Iterable[Item]) -> list[str]:
    return [item.reason for item in items if item.reason]


def ingest(root: Path, **settings: Any) -> dict[str, Any]:
    return run(IngestSettings(workers=1, **settings), root)


def write_zip(path: Path, names: Iterable[bytes], extra: bool = False) -> Path:
    """A zip as Windows writes it: names in raw bytes without the UTF-8 flag."""
    stand_ins = {}
    with zipfile.ZipFile(path, "w") as archive:
        for place, raw in enumerate(names):
            stand_in = "".join("abcdefghij"[int(d)] for d in str(place)).rjust(len(raw), "_")
            info = zipfile.ZipInfo(stand_in)
            if extra:
                name = raw.decode("gbk").encode()
                field = struct.pack("<BL", 1, zlib.crc32(raw)) + name
                info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, png(place))
            stand_ins[stand_in.encode()] = raw
    data = path.read_bytes()
    for stand_in, raw in stand_ins.items():
        data = data.replace(stand_in, raw)
    path.write_bytes(data)
    return path


class TestNamesInArchives:
    @pytest.mark.parametrize(
        ("encoding", "labels"),
        [
            ("gbk", ["汉字", "图像"]),
            ("big5", ["漢字", "圖像"]),
            ("cp932", ["ソース", "表示"]),  # both with a backslash as second byte
            ("cp437", ["été", "über"]),
        ],
    )
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_an_encoding_is_asked_for_and_used(
        self, encoding: str, labels: list[str], kind: str, tmp_path: Path
    ) -> None:
        names = [f"{label}/{n}.png".encode(encoding) for label in labels for n in range(2)]
        if kind == "zip":
            path = write_zip(tmp_path / "set.zip", names)
        else:
            path = tmp_path / "set.tar"
            with tarfile.open(path, "w", encoding=encoding, format=tarfile.GNU_FORMAT) as archive:
                for name in names:
                    member = tarfile.TarInfo(name.decode(encoding))
                    member.size = len(png())
                    archive.addfile(member, io.BytesIO(png()))
        with pytest.raises(AugmentError) as caught:
            opened(path)
        assert "names of 4 members" in str(caught.value)
        assert f"{encoding} ('{labels[0]}/0.png', '{labels[0]}/1.png'" in str(caught.value)
        assert "ingest.encoding" in str(caught.value)
        label_split_pairs = kept(opened(path, encoding=encoding))
        assert sorted(label_split_pairs) == sorted(
            (label, None) for label in labels for _ in range(2)
        )

    def test_the_unicode_field_and_the_flag_need_no_setting(self, tmp_path: Path) -> None:
        names = [f"{label}/{n}.png".encode("gbk") for label in ("汉字", "图像") for n in (0, 1)]
        path = write_zip(tmp_path / "field.zip", names, extra=True)
        assert sorted(kept(opened(path))) == [("图像", None)] * 2 + [("汉字", None)] * 2
        with zipfile.ZipFile(tmp_path / "flag.zip", "w") as archive:
            archive.writestr("汉字/0.png", png())
        assert kept(opened(tmp_path / "flag.zip", encoding="cp437")) == [("汉字", None)]

    def test_an_unknown_or_a_wrong_encoding_is_refused(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "set.zip", ["汉字/1.png".encode("gbk")])
        with pytest.raises(AugmentError, match="'klingon' is not known"):
            opened(path, encoding="klingon")
        with pytest.raises(AugmentError, match="are not utf-8; .*gbk"):
            opened(path, encoding="utf-8")
        with tarfile.open(tmp_path / "set.tar", "w") as archive:
            archive.addfile(tarfile.TarInfo("a/123.png"))
        with pytest.raises(AugmentError, match="utf-16"):  # an odd number of bytes
            opened(tmp_path / "set.tar", encoding="utf-16")

    def test_the_setting_reaches_the_reader(self, tmp_path: Path) -> None:
        names = [f"{label}/{n}.png".encode("gbk") for label in ("汉字", "图像") for n in (0, 1)]
        names = [name.replace(b".png", b"%d.png" % n) for n, name in enumerate(names)]
        write_zip(tmp_path / "set.zip", names)
        report = ingest(tmp_path, source="set.zip", encoding="gbk")
        assert {label: sum(counts.values()) for label, counts in report["classes"].items()} == {
            "汉字": 2,
            "图像": 2,
        }
        (tmp_path / "folder" / "a").mkdir(parents=True)
        (tmp_path / "folder" / "a" / "1.png").write_bytes(png())
        with pytest.raises(AugmentError, match="ingest.encoding: the reader image_folder takes no"):
            ingest(tmp_path, source="folder", encoding="gbk")


def tiff(pages: list[np.ndarray]) -> bytes:
    first, *others = map(Image.fromarray, pages)
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=others)
    return buffer.getvalue()


def deep_png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels.astype(">u2"))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def deep_tiff(pixels: np.ndarray, form: str) -> bytes:
    """A TIFF of 16 bits a channel, of either byte order."""
    order, start = (">", b"MM\0*") if form.endswith("MM") else ("<", b"II*\0")
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    bits = 8 + 2 + 12 * 9 + 4  # where the depths stand, and then the pixels
    tags = {
        256: width, 257: height, 258: bits, 259: 1, 262: 2, 273: bits + 2 * channels,
        277: channels, 278: height, 279: len(data),
    }  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, value)
        for tag, value in tags.items()
    )
    head = start + struct.pack(f"{order}IH", 8, len(tags)) + entries + b"\0\0\0\0"
    return head + struct.pack(f"{order}{channels}H", *[16] * channels) + data


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def brightness(root: Path) -> dict[str, list[int]]:
    """The levels of each ingested image, by path, as any later stage decodes it."""
    levels_by_path = {}
    for batch in table.stream(root / "data" / "ingested", ["image", "mode"]):
        for row in batch.to_pylist():
            pixels = images.pixels(row["image"]["bytes"], row["mode"])
            levels_by_path[row["image"]["path"]] = sorted(set(pixels.ravel().tolist()))
    return levels_by_path


def write_shard(path: Path, keys: Iterable[str], mode: Any = "w") -> None:
    """For each key an image and its class, the number of the key modulo 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for place, key in enumerate(keys):
            for name, data in ((f"{key}.png", png(place)), (f"{key}.cls", b"%d" % (place % 3))):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


class TestKeysOfWebDataset:
    def labels(self, items: Iterable[Item]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for item in items:
            if not item.reason:
                counts[item.label or ""] = counts.get(item.label or "", 0) + 1
        return counts

    @pytest.mark.parametrize("key", ["scan 1.5 page.{:03d}", "v1.0/{:06d}", "{:06d}"])
    @pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
    def test_all_keys_alike_are_read(self, key: str, suffix: str, tmp_path: Path) -> None:
        for shard in range(2):
            mode = "w" if suffix == "tar" else "w:gz"
            keys = [key.format(10 * shard + place) for place in range(9)]
            write_shard(tmp_path / f"train-{shard:05d}.{suffix}", keys, mode)
        assert recognise(str(tmp_path)) == "webdataset"
        listing = opened(tmp_path)
        assert len(listing.remarks) == key.startswith("scan")
        items = list(listing)
        assert self.labels(items) == {"0": 6, "1": 6, "2": 6}
        assert {item.split for item in items} == {"train"}
        assert reasons(items) == []

    def test_a_dot_in_some_keys_is_a_reason(self, tmp_path: Path) -> None:
        keys = [f"scan1.5_{n:04d}" if n % 5 == 4 else f"scan_{n:04d}" for n in range(60)]
        write_shard(tmp_path / "train-000000.tar", keys)
        items = list(opened(tmp_path))
        assert self.labels(items) == {"0": 16, "1": 16, "2": 16}
        rejected = [item for item in items if item.reason and item.reason != SIDE_FILE]
        assert len(rejected) == 12
        assert {item.reason for item in rejected} == {BEHIND_A_DOT}
        assert rejected[0].path == "train-000000.tar/scan1.5_0004.png"
        assert self.labels(opened(tmp_path, key="last")) == {"0": 20, "1": 20, "2": 20}

    def test_a_further_picture_of_a_sample_is_a_side_file(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for name, data in (("1.mask.png", png()), ("1.png", png(9)), ("1.cls", b"5")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        items = list(opened(tmp_path))
        assert kept(items) == [("5", None)]
        assert reasons(items) == [SIDE_FILE]


def idx(pixels: np.ndarray, labels: Iterable[int]) -> tuple[bytes, bytes]:
    marks = bytes(labels)
    head = struct.pack(f">{1 + pixels.ndim}I", 0x800 + pixels.ndim, *pixels.shape)
    return head + pixels.astype(np.uint8).tobytes(), struct.pack(">2I", 0x801, len(marks)) + marks


class TestIdx:
    @pytest.mark.parametrize(
        "form",
        ["{f}", "MNIST/raw/{f}", "raw/{f}", "gzip/{f}", "{f}/{f}", "dots", "half dots", "both"],
    )
    def test_wherever_the_files_lie(self, form: str, tmp_path: Path) -> None:
        files = {}
        for part, count in (("train", 9), ("t10k", 3)):
            pixels = np.arange(count * 6).reshape(count, 2, 3)
            marks = [place % 3 for place in range(count)]
            for kind, data in zip(("images-idx3", "labels-idx1"), idx(pixels, marks), strict=True):
                name = f"{part}-{kind}-ubyte"
                if form == "dots":
                    files[name.replace("-", ".")] = data
                elif form == "half dots":
                    files[name.replace("-idx", ".idx")] = data
                elif form == "both":
                    files |= {f"{name}/{name}": data, name.replace("-idx", ".idx"): data}
                else:
                    files[form.format(f=name)] = data
        write_files(tmp_path, files)
        (tmp_path / "other").mkdir(exist_ok=True)
        assert recognise(str(tmp_path)) == "idx"
        expected = [(str(n % 3), "train") for n in range(9)] + [(str(n), "test") for n in range(3)]
        assert sorted(kept(opened(tmp_path))) == sorted((a, b) for a, b in expected)

    def test_two_sets_are_not_guessed(self, tmp_path: Path) -> None:
        data, marks = idx(np.zeros((1, 2, 3)), [0])
        for name in ("MNIST", "KMNIST"):
            raw = tmp_path / name / "raw"
            write_files(raw, {"train-images-idx3-ubyte": data, "train-labels-idx1-ubyte": marks})
        with pytest.raises(AugmentError, match="KMNIST/raw, MNIST/raw: name one of these"):
            opened(tmp_path)

    def emnist(self, root: Path, mapping: bool = True) -> Path:
        data, marks = idx(np.arange(12).reshape(2, 2, 3), [1, 2])
        files = {
            "emnist-letters-train-images-idx3-ubyte": data,
            "emnist-letters-train-labels-idx1-ubyte": marks,
        }
        if mapping:
            files["emnist-letters-mapping.txt"] = b"1 65 97\n2 66 98\n"
        return write_files(root, files)

    def test_emnist_is_upright_and_mapped(self, tmp_path: Path) -> None:
        listing = opened(self.emnist(tmp_path))
        assert "upright" in listing.remarks[1] and "mapping.txt" in listing.remarks[0]
        items = list(listing)
        assert [item.label for item in items] == ["A", "B"]
        assert isinstance(items[0].data, bytes)
        assert images.pixels(items[0].data, "L").tolist() == [[0, 3], [1, 4], [2, 5]]

    def test_options_turn_it_off(self, tmp_path: Path) -> None:
        listing = opened(self.emnist(tmp_path), mapping=False, transpose=False)
        assert listing.remarks == []
        items = list(listing)
        assert [item.label for item in items] == ["1", "2"]
        assert isinstance(items[0].data, bytes)
        assert images.pixels(items[0].data, "L").tolist() == [[0, 1, 2], [3, 4, 5]]

    def test_emnist_without_its_mapping_says_so(self, tmp_path: Path) -> None:
        listing = opened(self.emnist(tmp_path, mapping=False))
        assert "no emnist-letters-mapping.txt" in listing.remarks[0]
        assert [item.label for item in listing] == ["1", "2"]


class TestTextLists:
    words = ("house", "tree", "New York")

    def pictures(self, root: Path) -> list[tuple[str, str]]:
        pairs = [(f"train/word_{n:02d}.png", self.words[n % 3]) for n in range(9)]
        write_files(root, {name: png(n) for n, (name, _) in enumerate(pairs)})
        return pairs

    @pytest.mark.parametrize("kind", ["space", "mixed", "tab", "spaces"])
    def test_spaces_for_tabs(self, kind: str, tmp_path: Path) -> None:
        lines = []
        for n, (name, word) in enumerate(self.pictures(tmp_path)):
            between = {"space": " ", "spaces": "  ", "tab": "\t"}.get(kind, "\t" if n % 4 else " ")
            lines.append(f"{name}{between}{word}")
        (tmp_path / "rec_gt_train.txt").write_text("\n\n".join(lines) + "\n")
        assert recognise(str(tmp_path)) == "ocr_list"
        listing = opened(tmp_path)
        assert bool(listing.remarks) == (kind != "tab")
        items = list(listing)
        assert [item.label for item in items] == [word for word in self.words] * 3
        assert {item.split for item in items} == {"train"}
        assert all(isinstance(item.data, Path) and item.data.is_file() for item in items)

    def test_what_is_ambiguous_is_rejected(self, tmp_path: Path) -> None:
        write_files(tmp_path, {"a.png": png(), "b c.png": png(1), "b c.png x.png": png(2)})
        lines = ["a.png one", "b c.png two", "b c.png x.png three", "no image here", "a.png"]
        (tmp_path / "labels.txt").write_text("\n".join(lines))
        items = list(opened(tmp_path))
        assert [(item.path, item.label) for item in items[:2]] == [
            ("a.png", "one"),
            ("b c.png", "two"),
        ]
        assert [item.reason for item in items[2:5]] == [NO_TAB] * 3
        assert [(i.path, i.reason) for i in items[5:]] == [("b c.png x.png", "not in labels.txt")]

    def test_labels_in_names_by_a_rule(self, tmp_path: Path) -> None:
        files = {f"{word}_{n}.png": png(n) for n, word in enumerate(self.words * 2)}
        write_files(tmp_path, files | {"cover.png": png(9), "labels.txt": b"unused"})
        options = {"name": "ocr_list", "label_in_name": "(.+)_[0-9]+"}
        items = list(READERS.build(options, str(tmp_path))())
        assert sorted(kept(items)) == sorted((word, None) for word in self.words * 2)
        assert sorted(reasons(items)) == ["name is not (.+)_[0-9]+", SIDE_FILE]
        write_files(tmp_path, {"test/more/oak_7.png": png(7), "test/x_8.png": png(8)})
        deeper = [i for i in READERS.build(options, str(tmp_path))() if i.path.startswith("test/")]
        assert [(i.path, i.label, i.reason) for i in deeper] == [
            ("test/more/oak_7.png", "oak", ""),
            ("test/x_8.png", "x", ""),
        ]
        for rule, message in (("(", "label_in_name: '\\('"), ("x", "has no group")):
            with pytest.raises(AugmentError, match=message):
                READERS.build({**options, "label_in_name": rule}, str(tmp_path))()

    def test_a_generators_list(self, tmp_path: Path) -> None:
        names = [f"{n}.png" for n in range(6)]
        write_files(tmp_path, {name: png(n) for n, name in enumerate(names)})
        lines = [f"{name} {self.words[n % 3]}\n" for n, name in enumerate(names)]
        (tmp_path / "labels.txt").write_text("".join(lines))
        assert kept(opened(tmp_path)) == [(word, None) for word in self.words * 2]


def cells(n: int) -> dict[str, Any]:
    return {"bytes": png(n), "path": None}


def features(**names: list[str]) -> dict[bytes, bytes]:
    """The metadata in which Hugging Face's datasets keeps the names of classes."""
    kinds = {
        name: {"names": class_names, "_type": "ClassLabel"} for name, class_names in names.items()
    }
    return {b"huggingface": json.dumps({"info": {"features": kinds}}).encode()}


COARSE, FINE = ["animal", "plant"], ["cat", "dog", "rose"]


class TestTables:
    def frame(self, metadata: bool = True, **columns: list[Any]) -> pa.Table:
        data = {"img": [cells(n) for n in range(3)], **columns}
        arrow_table = pa.table(data)
        names = features(coarse_label=COARSE, fine_label=FINE) if metadata else None
        return arrow_table.replace_schema_metadata(names)

    def test_the_columns_are_found_and_said(self, tmp_path: Path) -> None:
        made = self.frame(coarse_label=[0, 0, 1], fine_label=[0, 1, 2])
        pq.write_table(made, tmp_path / "train-00000.parquet")
        listing = opened(tmp_path)
        assert [("img" in remark, "fine_label" in remark) for remark in listing.remarks] == [
            (True, False),
            (False, True),
        ]
        assert kept(listing) == [(name, "train") for name in FINE]
        listing = opened(tmp_path, label="coarse_label")
        assert kept(listing) == [(COARSE[n], "train") for n in (0, 0, 1)]

    def test_what_was_read_does_not_stay_in_memory(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0)
        images = pa.array([noise.bytes(1 << 18) for _ in range(64)])
        made = pa.table({"image": images, "label": ["a", "b"] * 32})
        pq.write_table(made, tmp_path / "a.parquet", row_group_size=1)
        del images, made
        before, most = pa.total_allocated_bytes(), 0
        for _ in opened(tmp_path):
            most = max(most, pa.total_allocated_bytes() - before)
        assert 0 < most < 12 << 20  # a batch has 8 MiB

    def test_two_that_are_alike_are_not_guessed(self, tmp_path: Path) -> None:
        made = self.frame(False, class_a=["x", "y", "x"], class_b=["p", "q", "q"])
        pq.write_table(made, tmp_path / "a.parquet")
        with pytest.raises(AugmentError, match="labels in class_a or class_b. Set the reader"):
            opened(tmp_path)
        assert kept(opened(tmp_path, label="class_b")) == [("p", None), ("q", None), ("q", None)]
        pq.write_table(made.append_column("mask", made["img"]), tmp_path / "a.parquet")
        with pytest.raises(
            AugmentError, match="images in img or mask. Set the reader option image"
        ):
            opened(tmp_path, label="class_b")

    def test_one_column_that_speaks_of_a_label_is_it(self, tmp_path: Path) -> None:
        pq.write_table(
            self.frame(False, n=[1, 2, 3], labels=["a", "b", "c"]), tmp_path / "a.parquet"
        )
        assert kept(opened(tmp_path)) == [("a", None), ("b", None), ("c", None)]

    @pytest.mark.parametrize("splits", [("train", "test"), ("",)])
    def test_save_to_disk(self, splits: tuple[str, ...], tmp_path: Path) -> None:
        made = self.frame(coarse_label=[0, 0, 1], fine_label=[0, 1, -1])
        for split in splits:
            folder = tmp_path / split
            folder.mkdir(exist_ok=True)
            (folder / "state.json").write_text('{"_data_files": [{"filename": "../../etc"}]}')
            (folder / "cache-12.arrow").write_bytes(b"no data")
            path = folder / "data-00000-of-00001.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
                stream.write_table(made)
        assert recognise(str(tmp_path)) == "parquet"
        expected = [(name, split or None) for split in splits for name in ("cat", "dog", "")]
        assert sorted(map(repr, kept(opened(tmp_path)))) == sorted(map(repr, expected))

    def test_damaged_arrow_is_told_in_one_line(self, tmp_path: Path) -> None:
        made = self.frame(False, label=["a", "b", "c"])
        path = tmp_path / "data-00000-of-00001.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
            stream.write_table(made)
        whole = path.read_bytes()
        for length in range(0, len(whole), 8):
            path.write_bytes(whole[:length])
            with pytest.raises(AugmentError) as caught:
                list(opened(tmp_path))
            assert "\n" not in str(caught.value) and str(path) in str(caught.value)

    def test_a_path_is_no_image(self, tmp_path: Path) -> None:
        made = pa.table({"image": [{"bytes": None, "path": "/etc/passwd"}], "label": ["a"]})
        path = tmp_path / "a.parquet"
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(made.cast(pa.schema([("image", kind), ("label", pa.string())])), path)
        assert reasons(opened(tmp_path)) == [ONLY_PATH]


class TestLevels:
    @pytest.mark.parametrize(
        ("kind", "scale", "white"), [(np.uint16, 16, 4080), (np.float32, 1 / 255, 1)]
    )
    def test_the_set_decides_what_white_is(
        self, kind: type, scale: float, white: float, tmp_path: Path
    ) -> None:
        files = {}
        for place, (low, high) in enumerate([(10, 255), (10, 100), (60, 240), (0, 200)]):
            pixels = np.array([[low, high], [high, low]]).astype(kind) * kind(scale)
            files[f"{'ab'[place % 2]}/{place}.tif"] = tiff([pixels.astype(kind)])
        source = write_files(tmp_path / "set", files)
        report = ingest(tmp_path, source="set")
        assert report["kept"] == 4
        (levels,) = report["levels"].values()
        assert levels["high"] == pytest.approx(white)
        levels_by_path = brightness(tmp_path)
        assert levels_by_path["b/1.tif"] == [10, 100]
        assert levels_by_path["a/0.tif"] == [10, 254 if kind is np.uint16 else 255]
        loaded = as_table(str(source)).to_pylist()
        assert {row["image"]["path"]: row["mode"] for row in loaded} == dict.fromkeys(files, "L")
        assert images.pixels(loaded[0]["image"]["bytes"], "L").max() == levels_by_path["a/0.tif"][1]

    @pytest.mark.parametrize("form", ["png", "png alpha", "png grey alpha", "tiff", "tiff MM"])
    @pytest.mark.parametrize(("scale", "white"), [(16, 4080), (257, 65535)])
    def test_the_set_decides_in_colour_too(
        self, form: str, scale: int, white: int, tmp_path: Path
    ) -> None:
        channels = {"png grey alpha": 1}.get(form, 3)
        files = {}
        for place, level in enumerate([255, 100, 240, 200]):
            pixels = np.full((3, 2, channels), level * scale)
            pixels[0] = np.arange(2 * channels).reshape(2, channels) * scale
            if "alpha" in form:
                pixels = np.concatenate([pixels, np.full((3, 2, 1), 65535)], axis=2)
            made = deep_tiff(pixels, form) if "tiff" in form else deep_png(pixels)
            files[f"{'ab'[place % 2]}/{place}.{form[:4].strip()}"] = made
        source = write_files(tmp_path / "set", files)
        report = ingest(tmp_path, source="set")
        assert report["kept"] == 4
        (kind,) = report["levels"]
        assert kind.endswith("16 bits in colour") and report["levels"][kind]["high"] == white
        expected = {*range(2 * channels), 100}
        (levels,) = (v for path, v in brightness(tmp_path).items() if path.startswith("b/1."))
        assert {*levels} - {255} == expected  # a kept alpha is 255
        (row,) = (r for r in as_table(str(source)).to_pylist() if r["image"]["path"][:4] == "b/1.")
        assert {*images.pixels(row["image"]["bytes"], "RGB").ravel().tolist()} == expected
        said = [remark for remark in report["remarks"] if "is white" in remark]
        assert len(said) == (scale == 16)

    def test_ids_are_those_of_the_files_and_pages_and_sidecars_are_said(
        self, tmp_path: Path
    ) -> None:
        grey = [np.full((2, 2), level, np.uint8) for level in (40, 90, 200)]
        files = {
            "a/pages.tif": tiff(grey[:2]),
            "b/one.tif": tiff(grey[2:]),
            "b/IMG_1.AAE": b"<plist/>",
            "b/IMG_1.MOV": b"\0\0\0\x14ftypqt  ",
            "b/IMG_1.xmp": b"<x/>",
            "b/Icon\r": b"",
        }
        write_files(tmp_path / "set", files)
        report = ingest(tmp_path, source="set")
        assert (report["kept"], report["ignored"], report["several_pages"]) == (2, 4, 1)
        assert brightness(tmp_path) == {"a/pages.tif": [40], "b/one.tif": [200]}
        report = ingest(tmp_path, source="set", pages="all")
        assert (report["kept"], report["groups"]) == (3, 1)
        assert brightness(tmp_path) == {
            "a/pages.tif#page=1": [40],
            "a/pages.tif#page=2": [90],
            "b/one.tif": [200],
        }

    def test_the_limit_of_pixels_is_a_setting(self, tmp_path: Path) -> None:
        write_files(tmp_path / "set", {f"{c}/1.png": png(i) for i, c in enumerate("ab")})
        with pytest.raises(AugmentError, match="1 megapixels: raise ingest.max_pixels 2"):
            ingest(tmp_path, source="set", max_pixels=11)
        assert ingest(tmp_path, source="set", max_pixels=12)["kept"] == 2
