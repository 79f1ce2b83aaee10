"""Layouts as people have them: right labels, splits and counts, or a stop that says why.

Each test makes its input. ``docs/start/sources.md`` lists these layouts; test_sources.py names the
tests of each line.
"""

from __future__ import annotations

import itertools
import json
import tarfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.data import images
from augment.errors import AugmentError
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings
from augment.readers import recognise
from augment.readers.base import READERS, SIDE_FILE, Item
from augment.readers.beside import BESIDE

_NUMBERS = itertools.count()


def picture() -> bytes:
    """A picture unlike every other one."""
    rng = np.random.default_rng(next(_NUMBERS))
    return images.encode(rng.integers(0, 256, (5, 4), dtype=np.uint8))


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture())
    return root


def numbered(folder: str, count: int, pattern: str = "{}.png") -> list[str]:
    return [f"{folder}/{pattern.format(number)}" for number in range(count)]


def table(path: Path, rows: Iterable[Iterable[str]], mark: str = ",", code: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(mark.join(row) + "\r\n" for row in rows).encode(code))


def opened(source: Path, name: str | None = None, **options: Any) -> Any:
    spec = {"name": name or recognise(str(source)), **options}
    return READERS.build(spec, str(source))()


def read(source: Path, name: str | None = None, **options: Any) -> list[Item]:
    return [item for item in opened(source, name, **options) if item.reason != SIDE_FILE]


def counted(source: Path, name: str | None = None, **options: Any) -> Counter[Any]:
    """How many items there are of each label and split; all of them can be read."""
    items = read(source, name, **options)
    assert {item.reason for item in items} == {""}
    return Counter((item.label, item.split) for item in items)


def remarks(source: Path) -> str:
    listing = opened(source)
    list(listing)
    return "\n".join(listing.remarks)


def stops(source: Path, message: str, name: str | None = None, **options: Any) -> None:
    with pytest.raises(AugmentError, match=message) as error:
        opened(source, name, **options)
    assert "\n" not in str(error.value)


def run(root: Path, source: Path, **changes: Any) -> dict[str, Any]:
    options = {"source": str(source), "workers": 1, **changes}
    return ingest.run(IngestSettings.model_validate(options), root)


def zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder).as_posix())
    return target


def tarred(folder: Path) -> Path:
    target = folder.with_suffix(".tar")
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return target


def every_way(folder: Path) -> list[Path]:
    """The folder itself, and a zip and a tar of it."""
    return [folder, zipped(folder), tarred(folder)]


class TestSplitFolders:
    @pytest.mark.parametrize(
        "folders", ["train test", "images/train images/val", "train2017 val2017"]
    )
    def test_without_labels_stop(self, folders: str, tmp_path: Path) -> None:
        for folder in folders.split():
            fill(tmp_path / "in", *numbered(folder, 3))
        for source in every_way(tmp_path / "in"):
            stops(source, r"named like a split.*no file there lists labels.*split_names: classes")

    def test_are_classes_where_the_user_says_so(self, tmp_path: Path) -> None:
        fill(tmp_path / "in", *numbered("train", 3), *numbered("test", 2))
        for source in every_way(tmp_path / "in"):
            assert counted(source, split_names="classes") == {("train", None): 3, ("test", None): 2}

    def test_beside_a_class_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("train", 3), *numbered("car", 3))
        stops(tmp_path, "train: a folder named like a split is no class")
        assert counted(tmp_path, split_names="classes") == {("train", None): 3, ("car", None): 3}

    def test_may_be_passed_over(self, tmp_path: Path) -> None:
        fill(tmp_path, "train/a/1.png", "train/b/2.png", "test/a/3.png")
        assert counted(tmp_path, split_names="ignored") == {("a", None): 2, ("b", None): 1}

    def test_in_each_class_are_splits(self, tmp_path: Path) -> None:
        fill(tmp_path, "cat/train/1.png", "cat/test/2.png", "dog/train/3.png")
        assert counted(tmp_path) == {("cat", "train"): 1, ("cat", "test"): 1, ("dog", "train"): 1}

    def test_with_longer_names_are_splits(self, tmp_path: Path) -> None:
        fill(tmp_path, "train_images/a/1.png", "train_images/b/2.png", "test_images/a/3.png")
        assert counted(tmp_path) == {("a", "train"): 1, ("b", "train"): 1, ("a", "test"): 1}

    def test_as_an_unlabelled_source_need_no_label(self, tmp_path: Path) -> None:
        fill(tmp_path / "more", *numbered("train", 3), *numbered("test", 3))
        fill(tmp_path / "in", *numbered("a", 6), *numbered("b", 6))
        report = run(tmp_path, tmp_path / "in", unlabelled=str(tmp_path / "more"))
        assert (report["unlabelled"], sorted(report["classes"])) == (6, ["a", "b"])


class TestColumnsOfClasses:
    """``_classes.csv`` of Roboflow: a column of 0 and 1 for each class, in each split's folder."""

    def make(self, root: Path, *more: str) -> Path:
        for split, count in (("train", 6), ("valid", 2)):
            fill(root, *numbered(split, count))
            rows = [f"{n}.png, {int(n % 3 == 0)}, {int(n % 3 == 1)}, {int(n % 3 == 2)}"
                    for n in range(count)]  # fmt: skip
            lines = ["filename, cat, dog, big bird", *rows, *(more if split == "train" else ())]
            (root / split / "_classes.csv").write_text("\n".join(lines))
        return root

    def test_are_read(self, tmp_path: Path) -> None:
        for source in every_way(self.make(tmp_path / "in")):
            assert counted(source) == {
                ("cat", "train"): 2, ("dog", "train"): 2, ("big bird", "train"): 2,
                ("cat", "valid"): 1, ("dog", "valid"): 1,
            }  # fmt: skip
            assert "the 1 in one of 3 columns the label: ' cat', ' dog', ' big bird'" in remarks(
                source
            )

    def test_in_one_file(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        labels = counted(tmp_path / "train/_classes.csv")
        assert labels == {("cat", None): 2, ("dog", None): 2, ("big bird", None): 2}

    def test_a_row_with_several_or_none_is_rejected(self, tmp_path: Path) -> None:
        rows = ["a.png, 1, 1, 0", "b.png, 0, 0, 0", "c.png, 1, 0"]
        self.make(tmp_path / "in", *rows[:2])
        fill(tmp_path / "in", "train/a.png", "train/b.png")
        reasons = {item.path: item.reason for item in read(tmp_path / "in") if item.reason}
        assert reasons == {
            "train/a.png": "1 in the columns of several classes",
            "train/b.png": "1 in the column of no class",
        }
        report = run(tmp_path, tmp_path / "in", max_rejected=0.5)
        assert (report["kept"], report["rejected"]) == (8, 2)

    def test_marks_of_several_things_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 6))
        rows = [(f"{n}.png", "1", str(n % 2), "1") for n in range(6)]
        table(tmp_path / "attributes.csv", [("id", "young", "smiling", "hat"), *rows])
        stops(tmp_path, "attributes.csv .*'young', 'smiling', 'hat' hold 0 and 1.* only 0 of 6")

    def test_that_contradict_the_folders_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("page1", 4), *numbered("page2", 4))
        rows = [(f"page{p}/{n}.png", str(n % 2), str(1 - n % 2)) for p in (1, 2) for n in range(4)]
        table(tmp_path / "_classes.csv", [("filename", "cat", "dog"), *rows])
        stops(tmp_path, "folders and _classes.csv disagree: 'page1' and 'dog' for one image")


class TestListsFromElsewhere:
    """Names that begin with folders of the machine on which the list was made."""

    def write(self, root: Path, outer: str, kind: str, count: int = 8) -> Path:
        fill(root, *(f"train/{n}.png" for n in range(8)))
        names = [f"{outer}train/{n}.png" for n in range(count)]
        names = [name.replace("/", "\\") for name in names] if "\\" in outer else names
        pairs = [(name, ["house", "New York"][n % 2]) for n, name in enumerate(names)]
        if kind == "ocr_list":
            lines = [f"{name}\t{word}" for name, word in pairs]
            (root / "rec_gt_train.txt").write_text("\n\n".join(lines))
        else:
            table(root / "train.csv", [("path", "label"), *pairs])
        return root

    @pytest.mark.parametrize("kind", ["ocr_list", "csv"])
    @pytest.mark.parametrize(
        "outer", ["train_data/rec/", "/home/me/data/", "C:\\data\\", "./", "x\\", ""]
    )
    def test_are_found(self, outer: str, kind: str, tmp_path: Path) -> None:
        source = self.write(tmp_path / "in", outer, kind)
        assert recognise(str(source)) == kind
        assert counted(source) == {("house", "train"): 4, ("New York", "train"): 4}
        assert all(item.data.is_file() for item in read(source))  # type: ignore[union-attr]
        said = "before its names is not here, and is left out" in remarks(source)
        assert said == (outer not in ("", "./"))
        assert run(tmp_path, source)["rejected"] == 0

    @pytest.mark.parametrize("kind", ["ocr_list", "csv"])
    def test_an_absolute_path_is_never_followed(self, kind: str, tmp_path: Path) -> None:
        fill(tmp_path / "elsewhere", *(f"train/{n}.png" for n in range(9)))
        outer = f"{tmp_path}/elsewhere/"
        source = self.write(tmp_path / "in", outer, kind)
        assert all(str(item.data).startswith(str(source)) for item in read(source))
        self.write(tmp_path / "in", outer, kind, count=9)  # one of them is not in the source
        listed = [item for item in read(source) if item.path.startswith(outer)]
        assert [item.reason for item in listed] == ["path leaves its folder"] * 9

    @pytest.mark.parametrize("kind", ["ocr_list", "csv"])
    def test_a_path_upwards_is_refused(self, kind: str, tmp_path: Path) -> None:
        source = self.write(tmp_path / "in", "../", kind)
        listed = [item for item in read(source) if item.path.startswith("..")]
        assert [item.reason for item in listed] == ["path leaves its folder"] * 8

    def test_images_that_no_list_names_are_rejected(self, tmp_path: Path) -> None:
        source = self.write(tmp_path / "in", "", "ocr_list")
        fill(source, "train/more.png", "test/t.png")
        (source / "notes.md").write_text("x")
        items = [item for item in read(source) if item.reason or item.label is None]
        assert [(item.path, item.label, item.reason) for item in items] == [
            ("test/t.png", None, ""), ("train/more.png", "", "not in rec_gt_train.txt"),
        ]  # fmt: skip

    def test_images_that_no_table_lists_are_rejected(self, tmp_path: Path) -> None:
        source = self.write(tmp_path / "in", "", "csv")
        fill(source, "train/more.png", "test/t.png")
        (source / "notes.md").write_text("x")
        items = [item for item in opened(source) if item.reason or item.label is None]
        assert [(item.path, item.label, item.reason) for item in items] == [
            ("notes.md", None, SIDE_FILE), ("test/t.png", None, ""),
            ("train/more.png", "", "not in train.csv"),
        ]  # fmt: skip


class TestBeside:
    """What lies beside the files that a reader reads is counted, and images are named."""

    @pytest.mark.parametrize("kind", ["parquet", "idx", "webdataset", "lmdb"])
    def test_other_files_are_ignored_and_images_rejected(self, kind: str, tmp_path: Path) -> None:
        source = tmp_path / "in"
        fill(source, "cat/1.png", "2.JPG")
        (source / "notes.md").write_text("x")
        if kind == "parquet":
            made = pa.table({"image": [picture(), picture()], "label": ["a", "b"]})
            pq.write_table(made, source / "0.parquet")
        elif kind == "idx":
            (source / "train-images-idx3-ubyte").write_bytes(
                bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9])
            )
            (source / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))
        elif kind == "lmdb":
            lmdb = pytest.importorskip("lmdb")
            with lmdb.open(str(source)) as environment, environment.begin(write=True) as values:
                for number in (b"000000001", b"000000002"):
                    values.put(b"image-" + number, picture())
                    values.put(b"label-" + number, number[-1:])
                values.put(b"num-samples", b"2")
        else:
            fill(tmp_path / "shard", "1.png", "2.png")
            for number in "12":
                (tmp_path / f"shard/{number}.cls").write_text(number)
            tarred(tmp_path / "shard").rename(source / "0.tar")
        items = list(opened(source, kind))
        assert len([item for item in items if not item.reason]) == 2
        reasons = {item.path: item.reason for item in items if item.reason}
        assert reasons.pop("lock.mdb", SIDE_FILE) == SIDE_FILE
        assert reasons == {
            "notes.md": SIDE_FILE, "cat/1.png": BESIDE, "2.JPG": BESIDE,
        }  # fmt: skip
        with pytest.raises(AugmentError, match=BESIDE):
            run(tmp_path, source, reader=kind)


class TestMetadata:
    def split_set(self, root: Path) -> dict[str, list[tuple[str, str]]]:
        lines = {}
        for split, count in (("train", 4), ("test", 2)):
            lines[split] = [(f"{c}{n}.png", c) for c in "ab" for n in range(count)]
            fill(root, *(f"{split}/{name}" for name, _ in lines[split]))
        return lines

    EXPECTED = {("a", "train"): 4, ("b", "train"): 4, ("a", "test"): 2, ("b", "test"): 2}

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
    def test_in_each_split(self, kind: str, tmp_path: Path) -> None:
        root = tmp_path / "in"
        for split, lines in self.split_set(root).items():
            if kind == "csv":
                table(root / split / "metadata.csv", [("file_name", "label"), *lines])
            elif kind == "parquet":
                names, labels = zip(*lines, strict=True)
                made = pa.table({"file_name": names, "label": labels})
                pq.write_table(made, root / split / "metadata.parquet")
            else:
                rows = [json.dumps({"file_name": name, "label": label}) for name, label in lines]
                (root / split / "metadata.jsonl").write_text("\n".join(rows))
        for source in every_way(root):
            assert counted(source) == self.EXPECTED

    def test_above_the_splits(self, tmp_path: Path) -> None:
        root = tmp_path / "in"
        rows = [
            (f"{split}/{name}", label)
            for split, lines in self.split_set(root).items()
            for name, label in lines
        ]
        table(root / "metadata.csv", [("file_name", "label"), *rows])
        for source in every_way(root):
            assert counted(source) == self.EXPECTED

    def test_as_json_lines_in_one_folder(self, tmp_path: Path) -> None:
        fill(tmp_path, "1.png", "2.png", "x/3.png")
        rows = [{"file_name": "1.png", "label": 0}, {"label": "ü", "file_name": "2.png"}]
        rows += [{"file_name": "x/3.png", "label": "ü"}]
        (tmp_path / "metadata.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
        assert counted(tmp_path) == {("0", None): 1, ("ü", None): 2}

    @pytest.mark.parametrize("line", ['{"file_name": "1.png"', "[1]", "[" * 100000])
    def test_that_is_damaged_names_the_line(self, line: str, tmp_path: Path) -> None:
        fill(tmp_path, "1.png")
        (tmp_path / "metadata.jsonl").write_text(
            f'{{"file_name": "1.png", "label": "a"}}\n{line}\n'
        )
        stops(tmp_path, "metadata.jsonl: line 2: no JSON")

    def test_as_parquet(self, tmp_path: Path) -> None:
        fill(tmp_path / "in", "1.png", "x/2.png", "x/3.png", "4.png")
        made = pa.table({
            "file_name": ["1.png", "x/2.png", "x/3.png", "../4.png"], "label": [0, 1, -1, 0],
            "split": ["train", "test", "test", "train"], "boxes": [[1.0], [], None, []],
        })  # fmt: skip
        names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
        made = made.replace_schema_metadata({b"huggingface": json.dumps(names).encode()})
        pq.write_table(made, tmp_path / "in/metadata.parquet")
        for source in every_way(tmp_path / "in"):
            items = {item.path: item for item in read(source)}
            expected = {
                "1.png": ("cat", "train"),
                "x/2.png": ("dog", "test"),
                "x/3.png": ("", "test"),
            }
            assert {path: items[path][2:4] for path in expected} == expected
            assert items["../4.png"].reason == "path leaves its folder"
            assert items["4.png"].reason == "not in metadata.parquet"

    def test_that_is_no_parquet_names_itself(self, tmp_path: Path) -> None:
        fill(tmp_path / "in", *numbered("a", 2), *numbered("b", 2))
        (tmp_path / "in/metadata.parquet").write_bytes(b"PAR1 and no more")
        for source in every_way(tmp_path / "in"):
            stops(source, "metadata.parquet: no Parquet file, or damaged")

    def test_tests_without_a_row_are_unlabelled(self, tmp_path: Path) -> None:
        lines = self.split_set(tmp_path)
        table(tmp_path / "train/metadata.csv", [("file_name", "label"), *lines["train"]])
        assert counted(tmp_path) == {("a", "train"): 4, ("b", "train"): 4, (None, None): 4}

    def test_beside_a_folder_that_none_lists(self, tmp_path: Path) -> None:
        for split, lines in self.split_set(tmp_path).items():
            table(tmp_path / split / "metadata.csv", [("file_name", "label"), *lines])
        fill(tmp_path, "extra/1.png")
        items = read(tmp_path)
        assert Counter((i.label, i.split) for i in items if not i.reason) == self.EXPECTED
        assert [i.path for i in items if i.reason == "not in metadata.csv"] == ["extra/1.png"]


class TestDatasetJson:
    def make(self, root: Path) -> Path:
        pairs = [[f"{n // 5:05d}/img{n:08d}.png", n % 3] for n in range(15)]
        fill(root, *(name for name, _ in pairs))
        (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
        return root

    def test_brings_the_labels(self, tmp_path: Path) -> None:
        for source in every_way(self.make(tmp_path / "in")):
            items = read(source)
            assert {item.path[-6:-4]: item.label for item in items} == {
                f"{n:02d}": str(n % 3) for n in range(15)
            }

    @pytest.mark.parametrize("text", ["{", "[]", '{"labels": [1]}', "null", '{"labels": null}'])
    def test_that_is_none_names_itself(self, text: str, tmp_path: Path) -> None:
        self.make(tmp_path)
        (tmp_path / "dataset.json").write_text(text)
        stops(tmp_path, "dataset.json: pairs of file and class")

    def test_of_another_kind_is_passed_over(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("a", 2), *numbered("b", 2))
        (tmp_path / "dataset.json").write_text('{"title": "x"}')
        assert counted(tmp_path) == {("a", None): 2, ("b", None): 2}
        assert "dataset.json is not read" in remarks(tmp_path)


class TestCompetition:
    def make(self, root: Path, folder: str = "train_images") -> Path:
        rows = [(f"{c}{n:03x}", c) for c in "abc" for n in range(6)]
        fill(root, *(f"{folder}/{name}.png" for name, _ in rows))
        fill(root, *numbered("test_images", 5, "t{}.png"))
        table(root / "train.csv", [("id_code", "diagnosis"), *rows])
        sent = [("id_code", "diagnosis"), *((f"t{n}", "ab"[n % 2]) for n in range(5))]
        table(root / "sample_submission.csv", sent)
        return root

    def test_is_read_and_tests_are_unlabelled(self, tmp_path: Path) -> None:
        for source in every_way(self.make(tmp_path / "in")):
            labels = counted(source)
            assert labels == {(c, "train"): 6 for c in "abc"} | {(None, None): 5}
            assert "train.csv: column 'id_code' names the files, 'diagnosis' the label" in remarks(
                source
            )
        report = run(tmp_path, tmp_path / "in")
        assert (report["unlabelled"], sum(report["splits"].values())) == (5, 23)
        assert report["remarks"][0].startswith("train.csv: column 'id_code'")

    def test_with_endings_and_one_folder(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 6))
        table(
            tmp_path / "train.csv", [("image", "y")] + [(f"{n}.png", "ab"[n % 2]) for n in range(6)]
        )
        assert counted(tmp_path) == {("a", "train"): 3, ("b", "train"): 3}

    def test_an_image_that_is_not_listed_is_rejected(self, tmp_path: Path) -> None:
        fill(self.make(tmp_path), "train_images/more.png")
        reasons = {item.path: item.reason for item in read(tmp_path) if item.reason}
        assert reasons == {"train_images/more.png": "not in train.csv"}

    def test_a_table_for_each_split(self, tmp_path: Path) -> None:
        for split, count in (("train", 4), ("val", 2)):
            rows = [(f"{split}{n}.png", "ab"[n % 2]) for n in range(count)]
            fill(tmp_path, *(f"all/{name}" for name, _ in rows))
            table(tmp_path / f"{split}.csv", [("path", "label"), *rows])
        assert counted(tmp_path) == {
            (c, s): n for c in "ab" for s, n in (("train", 2), ("valid", 1))
        }

    def test_two_columns_that_may_be_the_label_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 8))
        rows = [(str(n), "ab"[n % 2], "xy"[n // 4]) for n in range(8)]
        table(tmp_path / "train.csv", [("id", "colour", "shape"), *rows])
        stops(tmp_path, "'colour', 'shape' may be the label: set ingest.source .*label: colour")
        labels = counted(tmp_path / "train.csv", "csv", label="shape")
        assert {label for label, _ in labels} == {"x", "y"}

    def test_numbers_of_classes_that_are_names_too(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 6))
        table(tmp_path / "x.csv", [("id", "kind")] + [(str(n), str(n % 2)) for n in range(6)])
        assert counted(tmp_path) == {("0", None): 3, ("1", None): 3}

    def test_a_column_twice_stops(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 2))
        rows = [("path", "label", "label"), ("images/0.png", "a", "b"), ("images/1.png", "b", "a")]
        table(tmp_path / "x.csv", rows)
        stops(tmp_path / "x.csv", "x.csv: column 'label' stands twice")

    def test_captions_are_no_labels(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 3))
        table(tmp_path / "x.csv", [("id", "kind")] + [(str(n), f"text {n}") for n in range(3)])
        stops(tmp_path, "no column 'label'; columns: id, kind; none has few distinct values")

    def test_tests_beside_class_folders_are_unlabelled(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("train/a", 2), *numbered("train/b", 2), *numbered("test", 3))
        assert counted(tmp_path) == {("a", "train"): 2, ("b", "train"): 2, (None, None): 3}
        assert "images of test that lie in no class are unlabelled" in remarks(tmp_path)

    def test_two_tables_of_the_same_images_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 4))
        for name in ("one", "two"):
            table(
                tmp_path / f"{name}.csv",
                [("id", "label")] + [(str(n), "ab"[n % 2]) for n in range(4)],
            )
        stops(tmp_path, r"one.csv and two.csv list the images: set ingest.source")

    def test_a_table_that_contradicts_the_folders_stops(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("page1", 4), *numbered("page2", 4))
        rows = [(f"page{p}/{n}.png", "ab"[n % 2]) for p in (1, 2) for n in range(4)]
        table(tmp_path / "labels.csv", [("file", "label"), *rows])
        stops(tmp_path, "folders and labels.csv disagree: 'page1' and 'a' for one image")
        assert {label for label, _ in counted(tmp_path, tables=False)} == {"page1", "page2"}
        assert {label for label, _ in counted(tmp_path / "labels.csv")} == {"a", "b"}

    def test_a_table_that_agrees_with_the_folders_is_said(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("a", 4), *numbered("b", 4))
        rows = [(f"{label}/{n}.png", label) for label in "ab" for n in range(4)]
        table(tmp_path / "labels.csv", [("file", "label"), *rows])
        assert counted(tmp_path) == {("a", None): 4, ("b", None): 4}
        assert "labels.csv is not read: the folders name the classes" in remarks(tmp_path)

    def test_a_name_in_two_folders_is_rejected(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("x", 3), "y/0.png")
        table(tmp_path / "x.csv", [("id", "label"), ("0", "a"), ("1", "a"), ("2", "b")])
        items = read(tmp_path / "x.csv")
        assert [item.reason for item in items] == ["several files of this name", "", ""]


class TestRefused:
    def test_yolo(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            fill(tmp_path, *numbered(f"images/{split}", 2))
            (tmp_path / "labels" / split).mkdir(parents=True)
            (tmp_path / "labels" / split / "0.txt").write_text("0 0.5 0.5 0.25 0.1\n")
        stops(tmp_path, r"labels/train/0.txt: boxes \(YOLO\): this is a set for detection")

    def test_yolo_in_each_split(self, tmp_path: Path) -> None:
        for split in ("train", "valid"):
            fill(tmp_path, *numbered(f"{split}/images", 2))
            (tmp_path / split / "labels").mkdir()
            (tmp_path / split / "labels/0.txt").write_text("0 0.5 0.5 0.25 0.1\n")
        stops(tmp_path, r"train/labels/0.txt: boxes \(YOLO\)")

    @pytest.mark.parametrize("folders", ["train2017 val2017", "images", "train"])
    def test_coco(self, folders: str, tmp_path: Path) -> None:
        for folder in folders.split():
            fill(tmp_path / "in", *numbered(folder, 2))
        notes = {"images": [], "annotations": [{"bbox": [1, 2, 3, 4]}], "categories": []}
        (tmp_path / "in/annotations").mkdir()
        (tmp_path / "in/annotations/instances.json").write_text(json.dumps(notes))
        for source in every_way(tmp_path / "in"):
            stops(
                source, r"annotations/instances.json: boxes \(COCO\): .* one label for each image"
            )

    def test_boxes_beside_class_folders_are_said(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("cat", 2), *numbered("dog", 2))
        (tmp_path / "cat/0.txt").write_text("0 0.5 0.5 0.25 0.1\n")
        assert "cat/0.txt is not read: boxes (YOLO)" in remarks(tmp_path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("cat/1.txt", "0 0.5 0.5 0.25 0.1\n1 0.5 0.5 0.1 0.1\n"),  # two classes in one image
            ("dog/1.txt", "0 0.5 0.5 0.25 0.1\n"),  # one class in two folders
            ("cat/2.xml", "<annotation><object><name>dog</name></object></annotation>"),
            ("a.json", '{"annotations": [{"bbox": [1]}], "categories": [{"name": "wheel"}]}'),
        ],
    )
    def test_boxes_that_contradict_class_folders_stop(
        self, name: str, text: str, tmp_path: Path
    ) -> None:
        fill(tmp_path / "in", *numbered("cat", 3), *numbered("dog", 3))
        (tmp_path / "in/cat/0.txt").write_text("0 0.5 0.5 0.25 0.1\n")
        (tmp_path / "in" / name).write_text(text)
        if not name.endswith(".txt"):
            (tmp_path / "in/cat/0.txt").unlink()
        for source in every_way(tmp_path / "in"):
            why = r"folders cat, dog hold images, and .*: the boxes .*tables: false"
            reader = "archive" if source.suffix else None  # a tar with texts is a WebDataset
            stops(source, why, reader)
            assert counted(source, reader, tables=False) == {("cat", None): 3, ("dog", None): 3}
            if recognise(str(source)) == "webdataset":
                assert "boxes (YOLO), no label" in {item.reason for item in read(source)}
                assert {item.label for item in read(source) if not item.reason} == {""}

    @pytest.mark.parametrize("kind", ["txt", "xml", "json"])
    def test_boxes_that_agree_with_class_folders_are_said(self, kind: str, tmp_path: Path) -> None:
        names = ("cat", "dog")
        for place, name in enumerate(names):
            fill(tmp_path, *numbered(name, 3))
            for number in range(3 * (kind != "json")):
                box = f"{place} 0.5 0.5 0.25 0.1\n"
                if kind == "xml":
                    box = f"<annotation><object><name>{name}</name></object></annotation>"
                (tmp_path / name / f"{number}.{kind}").write_text(box)
        if kind == "json":
            notes = {"categories": [{"name": name} for name in names], "annotations": []}
            (tmp_path / "instances.json").write_text(json.dumps(notes))
        assert counted(tmp_path) == {("cat", None): 3, ("dog", None): 3}
        assert "is not read: boxes" in remarks(tmp_path)

    def test_pascal_voc(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("JPEGImages", 2))
        (tmp_path / "Annotations").mkdir()
        (tmp_path / "Annotations/0.xml").write_text("<annotation><object/></annotation>")
        stops(tmp_path, r"Annotations/0.xml: boxes \(Pascal VOC\)")

    def test_a_table_of_boxes(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("images", 4))
        rows = [(f"{n}.png", "cat", "1", "2", "3", "4") for n in range(4)]
        head = ("filename", "class", "xmin", "ymin", "xmax", "ymax")
        table(tmp_path / "_annotations.csv", [head, *rows])
        stops(tmp_path, "'xmin', 'ymin', 'xmax', 'ymax' hold boxes or masks")

    @pytest.mark.parametrize("folders", ["images masks", "train/images train/masks"])
    def test_masks(self, folders: str, tmp_path: Path) -> None:
        for folder in folders.split():
            fill(tmp_path / "in", *numbered(folder, 3))
        for source in every_way(tmp_path / "in"):
            stops(source, "masks: masks: this is a set for detection or segmentation")

    def test_ground_truth_beside_splits(self, tmp_path: Path) -> None:
        for folder in ("train", "test", "ground_truth"):
            fill(tmp_path, *numbered(folder, 3))
        stops(tmp_path, "test, train: named like a split.*ground_truth: masks")

    def test_faces_with_and_without_a_mask_are_classes(self, tmp_path: Path) -> None:
        fill(tmp_path, *numbered("mask", 3), *numbered("no_mask", 3))
        assert counted(tmp_path) == {("mask", None): 3, ("no_mask", None): 3}


class TestDefects:
    def make(self, root: Path) -> Path:
        fill(root, *numbered("train/good", 6), *numbered("test/good", 3))
        fill(root, *numbered("test/crack", 4), *numbered("ground_truth/crack", 4, "{}_mask.png"))
        return root

    def test_good_and_defects_are_classes(self, tmp_path: Path) -> None:
        for source in every_way(self.make(tmp_path / "bottle")):
            assert counted(source) == {
                ("good", "train"): 6, ("good", "test"): 3, ("crack", "test"): 4,
            }  # fmt: skip
            assert "ground_truth: 4 masks are no images of a class: not read" in remarks(source)

    def test_train_without_defects_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = run(tmp_path, self.make(tmp_path / "in"))
        message = "no image in train of: crack. Training will stop at that"
        assert message in report["remarks"][-1] and message in capsys.readouterr().err
        assert report["ignored"] == 4
        ignoring = {"name": "image_folder", "split_names": "ignored"}
        report = run(tmp_path, tmp_path / "in", reader=ignoring)
        assert report["classes"]["crack"]["train"] > 0


class TestTablesOfWindows:
    ROWS = [(f"bilder/{c[0]}_{n}.png", c) for c in ("Größe", "Öl", "Maß") for n in range(3)]

    @pytest.mark.parametrize(
        ("mark", "code", "head", "slash"),
        [
            (";", "utf-8-sig", ("path", "label"), "\\"),
            (",", "utf-8-sig", ("path", "label"), "/"),
            (";", "utf-8", ("path", "label"), "/"),
            (",", "utf-8", ("path", "label"), "\\"),
            ("\t", "utf-16", ("path", "label"), "/"),
            (",", "cp1252", ("path", "label"), "/"),
            (",", "utf-8", ("Path", "LABEL"), "/"),
        ],
    )
    def test_are_read(
        self, mark: str, code: str, head: tuple[str, str], slash: str, tmp_path: Path
    ) -> None:
        fill(tmp_path, *(name for name, _ in self.ROWS))
        rows = [head, *((name.replace("/", slash), label) for name, label in self.ROWS)]
        table(tmp_path / "labels.csv", rows, mark, code)
        for source in (tmp_path, tmp_path / "labels.csv"):
            assert counted(source) == {("Größe", None): 3, ("Öl", None): 3, ("Maß", None): 3}
        if code in ("utf-16", "cp1252"):
            assert f"read as {code}" in remarks(tmp_path)

    def test_in_another_encoding_stop(self, tmp_path: Path) -> None:
        fill(tmp_path, "1.png", "2.png")
        rows = [("path", "label"), ("1.png", "中"), ("2.png", "大")]
        table(tmp_path / "labels.csv", rows, code="gbk")
        stops(tmp_path / "labels.csv", r"labels.csv: no text in UTF-8.*encoding: \.\.\.")
        assert counted(tmp_path / "labels.csv", encoding="gbk") == {
            ("中", None): 1,
            ("大", None): 1,
        }
        stops(tmp_path / "labels.csv", "'gkb' is no encoding", encoding="gkb")

    def test_words_with_commas(self, tmp_path: Path) -> None:
        words = ["Tel", "1,000", "Enough Wiener", "Tel"]
        fill(tmp_path, *(f"{n}.jpg" for n in range(4)))
        table(
            tmp_path / "labels.csv",
            [("filename", "words")] + [(f"{n}.jpg", w) for n, w in enumerate(words)],
        )
        assert [item.label for item in read(tmp_path)] == words
        assert "1 rows have ',' in the label" in remarks(tmp_path)

    def test_cells_in_excess_elsewhere_are_rejected(self, tmp_path: Path) -> None:
        fill(tmp_path, "1.png", "2.png")
        table(tmp_path / "l.csv", [("label", "path"), ("a", "1.png"), ("b", "c", "2.png")])
        assert [item.reason for item in read(tmp_path / "l.csv")] == ["", "more cells than columns"]

    def test_a_column_that_was_asked_for_and_lacks_stops(self, tmp_path: Path) -> None:
        fill(tmp_path, "1.png", "2.png")
        table(tmp_path / "l.csv", [("path", "label"), ("1.png", "a"), ("2.png", "b")])
        for option in ("path", "label", "split", "group"):
            stops(tmp_path / "l.csv", "no column 'fold'; columns: path, label", **{option: "fold"})

    def test_split_folders_are_splits(self, tmp_path: Path) -> None:
        rows = [(f"{split}/{n}.png", "ab"[n % 2]) for split in ("train", "test") for n in range(4)]
        fill(tmp_path, *(name for name, _ in rows))
        table(tmp_path / "labels.csv", [("path", "label"), *rows])
        expected = {(c, split): 2 for c in "ab" for split in ("train", "test")}
        for source in (tmp_path, tmp_path / "labels.csv"):
            assert counted(source) == expected

    def test_a_file_with_a_backslash_in_its_name_stays(self, tmp_path: Path) -> None:
        fill(tmp_path, "a\\1.png", "a/1.png")
        table(tmp_path / "l.csv", [("path", "label"), ("a\\1.png", "x")])
        assert [item.path for item in read(tmp_path / "l.csv")] == ["a\\1.png"]

    def test_backslashes_do_not_climb_out(self, tmp_path: Path) -> None:
        table(tmp_path / "l.csv", [("path", "label"), ("..\\1.png", "x"), ("\\1.png", "x")])
        data = [item.data for item in read(tmp_path / "l.csv")]
        assert data == [tmp_path / "..\\1.png", tmp_path / "\\1.png"]  # names without a folder

    def test_archives_of_windows(self, tmp_path: Path) -> None:
        names = [f"set\\{split}\\{c}\\1.png" for split in ("train", "test") for c in "ab"]
        with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
            archive.writestr("set\\", b"")
            for name in names:
                archive.writestr(name, picture())
        with tarfile.open(tmp_path / "s.tar", "w") as tar:
            for name in names:
                path = fill(tmp_path / "files", "x.png") / "x.png"
                tar.add(path, name)
        expected = {(c, split): 1 for c in "ab" for split in ("train", "test")}
        for kind in ("zip", "tar"):
            assert counted(tmp_path / f"s.{kind}") == expected


class TestNames:
    def test_two_unicode_forms_are_one_class(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for split, form, count in (("train", "NFC", 4), ("test", "NFD", 2)):
            for name in ("가", "é", "plain"):
                fill(
                    tmp_path / "in",
                    *numbered(f"{split}/{unicodedata.normalize(form, name)}", count),
                )
        report = run(tmp_path, tmp_path / "in", split={"valid": 0.0})
        assert report["classes"] == {
            name: {"train": 4, "valid": 0, "test": 2} for name in ("plain", "é", "가")
        }
        assert report["renamed"] == 4
        assert "ingest: 4 labels had another Unicode form" in capsys.readouterr().err

    def test_blanks_at_the_end_and_case(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fill(
            tmp_path / "in",
            *numbered("a", 3),
            *numbered("a ", 3),
            *numbered("B", 3),
            *numbered("b", 3),
        )
        report = run(tmp_path, tmp_path / "in")
        assert {label: sum(n.values()) for label, n in report["classes"].items()} == {
            "a": 6, "B": 3, "b": 3,
        }  # fmt: skip
        assert report["renamed"] == 3
        assert "classes differ by case, width or space only: 'B' and 'b'" in capsys.readouterr().err

    def test_a_list_in_the_other_form_finds_its_files(self, tmp_path: Path) -> None:
        fill(tmp_path, unicodedata.normalize("NFD", "é.png"), "2.png")
        table(tmp_path / "l.csv", [("path", "label"), ("é.png", "a"), ("2.png", "b")])
        assert all(item.data.exists() for item in read(tmp_path / "l.csv"))  # type: ignore[union-attr]
