"""Ingest: what is kept, what is rejected and why, splits, groups, the unlabelled, stops."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
import struct
import sys
import zlib
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from augment.data import files, images, table
from augment.data.places import INGESTED
from augment.errors import AugmentError
from augment.ingest import chunks
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings
from augment.readers import base
from augment.readers.base import MAX_BYTES
from augment.runtime import workers


def png(value: int, size: tuple[int, int] = (5, 4)) -> bytes:
    """A picture unlike every other one of another ``value``."""
    return images.encode(np.random.default_rng(value).integers(0, 256, size, dtype=np.uint8))


def fill(
    root: Path, *, per_class: int = 6, classes: tuple[str, ...] = ("a", "b"), start: int = 0
) -> Path:
    for place, label in enumerate(classes):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(start + place * per_class, start + (place + 1) * per_class):
            (root / label / f"{number}.png").write_bytes(png(number))
    return root


def run(root: Path, source: Path | str | None, **changes: Any) -> dict[str, Any]:
    options = {"source": source and str(source), "workers": 1, **changes}
    return ingest.run(IngestSettings.model_validate(options), root)


def rows(root: Path) -> pd.DataFrame:
    table.validate(root / INGESTED)
    frame = pd.DataFrame(list(table.rows(root / INGESTED)))
    frame["path"] = [image["path"] for image in frame["image"]]
    frame["bytes"] = [image["bytes"] for image in frame["image"]]
    return frame


def rejected(root: Path) -> dict[str, str]:
    with open(root / "reports/rejected.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert not lines or set(lines[0]) == {"path", "label", "reason"}
    return {line["path"]: line["reason"] for line in lines}


def adds_up(report: dict[str, Any], root: Path) -> None:
    assert report["read"] == report["kept"] + report["rejected"]
    assert report["kept"] == sum(report["splits"].values()) == table.count(root / INGESTED)
    assert report["rejected"] == sum(report["reasons"].values()) == len(rejected(root))
    labelled = sum(sum(splits.values()) for splits in report["classes"].values())
    assert labelled + report["unlabelled"] == report["kept"]
    assert json.loads((root / "reports/ingest.json").read_text()) == report


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5) * 12)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # shown after a quarter turn


def bomb() -> bytes:
    """A PNG that claims 60,000 × 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")]
    )


BAD: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "empty file"),
    "cut.png": (png(1, (40, 40))[:300], "truncated or damaged"),
    "cut.jpg": (saved(GREY.resize((64, 64)), "JPEG")[:400], "truncated or damaged"),
    "text.png": (b"this is no picture", "not an image: text"),
    "page.svg": (b"<svg/>", "not an image: SVG"),
    "bomb.png": (bomb(), "3600 megapixels: more than 268, the most that is read"),
    "moving.gif": (
        saved(GREY, "GIF", save_all=True, append_images=[GREY.rotate(90)]),
        "animated",
    ),
    "nan.tif": (
        saved(Image.fromarray(np.full((4, 5), np.nan, np.float32)), "TIFF"),
        "holds NaN or infinite levels",
    ),
}
GOOD: dict[str, tuple[bytes, tuple[int, int], str]] = {
    "sixteen.png": (saved(Image.fromarray(np.full((4, 5), 40000, np.uint16))), (5, 4), "I;16"),
    "one.png": (saved(GREY.convert("1")), (5, 4), "1"),
    "palette.png": (saved(GREY.convert("P")), (5, 4), "P"),
    "cmyk.jpg": (saved(GREY.convert("CMYK"), "JPEG"), (5, 4), "CMYK"),
    "alpha.png": (saved(GREY.convert("RGBA")), (5, 4), "RGBA"),
    "turned.jpg": (saved(GREY, "JPEG", exif=TURNED), (4, 5), "L"),
    "still.gif": (saved(GREY, "GIF"), (5, 4), "P"),
}


class TestOddImages:
    def test_bad_ones_are_rejected_while_the_rest_goes_on(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        for name, (data, _) in BAD.items():
            (source / "a" / name).write_bytes(data)
        (source / "a/gone.png").symlink_to(tmp_path / "nowhere")
        os.mkfifo(source / "a/pipe.png")  # must not be waited for
        (source / "stray.png").write_bytes(png(99))
        (source / "README.md").write_text("no image")
        with open(source / "a/huge.png", "wb") as file:
            file.truncate(MAX_BYTES + 1)
        report = run(tmp_path, source, max_rejected=0.9)
        assert rejected(tmp_path) == {f"a/{name}": reason for name, (_, reason) in BAD.items()} | {
            "a/gone.png": "missing file",
            "a/pipe.png": "unreadable file",
            "a/huge.png": "file too large",
            "stray.png": "blank label",
        }
        adds_up(report, tmp_path)
        assert (report["read"], report["kept"], report["ignored"]) == (24, 12, 1)

    def test_good_ones_are_kept_as_they_are(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        for name, (data, _, _) in GOOD.items():
            (source / "a" / name).write_bytes(data)
        report = run(tmp_path, source)
        assert rejected(tmp_path) == {}
        adds_up(report, tmp_path)
        kept = rows(tmp_path).set_index("path")
        for name, (data, size, mode) in GOOD.items():
            row = kept.loc[f"a/{name}"]
            assert (row["bytes"], (row["width"], row["height"]), row["mode"]) == (data, size, mode)
            assert row["id"] == hashlib.sha256(data).hexdigest()
        assert report["modes"] == {"L": 13, "P": 2, "I;16": 1, "1": 1, "CMYK": 1, "RGBA": 1}
        assert (report["width"], report["height"]) == ({"min": 4, "max": 5}, {"min": 4, "max": 5})

    def test_a_list_may_name_what_is_not_there(self, tmp_path: Path) -> None:
        fill(tmp_path / "in")
        lines = [f"a/{n}.png,a" for n in range(6)] + [f"b/{n}.png,b" for n in range(6, 12)]
        lines += ["a/99.png,a", "../x.png,a", "/x.png,b", "a,b", "a/0.png,", "a/0.png/x,a"]
        (tmp_path / "in/list.csv").write_text("\n".join(["path,label", *lines]))
        report = run(tmp_path, tmp_path / "in/list.csv", max_rejected=0.5)
        assert rejected(tmp_path) == {
            "a/99.png": "missing file",
            "../x.png": "path leaves its folder",
            "/x.png": "path leaves its folder",
            "a": "unreadable file",
            "a/0.png": "blank label",
            "a/0.png/x": "missing file",
        }
        adds_up(report, tmp_path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        (source / "a/0.png").chmod(0)
        run(tmp_path, source, max_rejected=0.5)
        assert rejected(tmp_path) == {"a/0.png": "unreadable file"}

    def test_names_that_are_no_text(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        odd = os.fsencode(source) + b"/\xff"
        os.mkdir(odd)
        Path(os.fsdecode(odd + b"/1.png")).write_bytes(png(50))
        Path(os.fsdecode(os.fsencode(source) + b"/a/\xfe.png")).write_bytes(png(51))
        report = run(tmp_path, source, max_rejected=0.5)
        assert rejected(tmp_path) == {"\\udcff/1.png": "label is not UTF-8"}
        assert "a/\\udcfe.png" in set(rows(tmp_path)["path"])
        adds_up(report, tmp_path)


class TestLabels:
    def through(self, root: Path, labels: list[str]) -> None:
        (root / "in").mkdir(parents=True)
        with open(root / "in/list.csv", "w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["path", "label"])
            for number, label in enumerate(labels):
                (root / f"in/{number}.png").write_bytes(png(number))
                lines.writerow([f"{number}.png", label])
        report = run(root, root / "in/list.csv")
        labels_by_path = rows(root).set_index("path")["label"]
        names = [base.one_form(label) for label in labels]
        assert [labels_by_path[f"{number}.png"] for number in range(len(labels))] == names
        assert set(report["classes"]) == set(names)
        assert report["renamed"] == sum(map(str.__ne__, labels, names))
        assert set((root / "data").iterdir()) == {root / INGESTED}

    def test_odd_ones_are_names_like_any_other(self, tmp_path: Path) -> None:
        self.through(
            tmp_path,
            ["a b", "a/b", "..", "../../x", ".hidden", "字", "ع", "x" * 300, "CON", "'\"\\,;|\n\t."]
            + [" a", "a ", "nan", "None", "10", "010", "-1", "👍"],
        )

    @settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
                str.strip
            ),
            min_size=2,
            max_size=5,
            unique_by=base.one_form,
        )
    )
    def test_any_text_is_a_name(
        self, tmp_path_factory: pytest.TempPathFactory, labels: list[str]
    ) -> None:
        self.through(tmp_path_factory.mktemp("labels"), labels)

    @pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000"])
    def test_a_blank_one_is_none(self, blank: str, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        lines = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
        lines[0] = f'{lines[0].split(",")[0]},"{blank}"'
        (source / "list.csv").write_text("\n".join(["path,label", *lines]))
        report = run(tmp_path, source, reader="csv", max_rejected=0.2)
        assert report["reasons"] == {"blank label": 1}


class TestIds:
    def test_equal_bytes_get_ids_of_their_own(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        for name in ("a/x.png", "b/y.png"):
            (source / name).write_bytes(png(0))
        lines = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
        (source / "list.csv").write_text("\n".join(["path,label", *sorted(lines), "a/0.png,b"]))
        run(tmp_path, source, reader="csv")
        kept = rows(tmp_path)
        same = kept[kept["bytes"] == png(0)]
        assert len(same) == 4 and same["id"].is_unique
        assert len(set(same["split"])) == 1
        plain = hashlib.sha256(png(0)).hexdigest()
        second = hashlib.sha256(png(0) + b"\0a/x.png").hexdigest()
        assert list(same["id"])[:2] == [plain, second]
        twice = hashlib.sha256(png(0) + b"\0a/0.png").hexdigest()
        assert list(same["id"])[3] == twice


class TestSplits:
    def test_stay_when_images_are_added(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=60)
        run(tmp_path, source)
        before = rows(tmp_path).set_index("id")["split"]
        fill(source, per_class=60, classes=("a",), start=1000)
        fill(source, classes=("new",), start=2000)
        run(tmp_path, source)
        after = rows(tmp_path).set_index("id")["split"]
        assert len(after) == 186
        pd.testing.assert_series_equal(after[before.index], before)

    def test_follow_the_seed(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=30)
        splits = []
        for seed in (0, 0, 1):
            run(tmp_path, source, seed=seed)
            splits.append(list(rows(tmp_path)["split"]))
        assert splits[0] == splits[1] != splits[2]

    def test_small_classes_have_each_split(self, tmp_path: Path) -> None:
        classes = tuple(f"c{number}" for number in range(12))
        report = run(tmp_path, fill(tmp_path / "in", per_class=3, classes=classes))
        assert all(sorted(c.values()) == [1, 1, 1] for c in report["classes"].values())
        kept = rows(tmp_path)
        assert all((kept["bytes"].map(lambda b: hashlib.sha256(b).hexdigest())) == kept["id"])
        counted = Counter(zip(kept["label"], kept["split"], strict=True))
        assert counted == {
            (label, split): 1 for label in classes for split in ("train", "valid", "test")
        }

    def test_given_ones_are_kept(self, tmp_path: Path) -> None:
        for split, count in (("train", 5), ("validation", 2), ("test", 4)):
            fill(tmp_path / "in" / split, per_class=count)
        report = run(tmp_path, tmp_path / "in")
        assert report["splits"] == {"train": 10, "valid": 4, "test": 8}
        for path, split in rows(tmp_path)[["path", "split"]].itertuples(index=False):
            assert path.split("/")[0].startswith(split)

    def test_valid_is_cut_from_train_where_only_train_and_test_are_given(
        self, tmp_path: Path
    ) -> None:
        fill(tmp_path / "in/train", per_class=60)
        fill(tmp_path / "in/test", per_class=10, start=500)
        report = run(tmp_path, tmp_path / "in")
        before = rows(tmp_path).set_index("path")["split"]
        cut = report["splits"]["valid"]
        assert report["splits"] == {"train": 120 - cut, "valid": cut, "test": 20} and 4 <= cut <= 25
        read_as = ["2 folders are classes: a, b", "folders test, train are splits"]
        assert report["remarks"] == [
            *read_as,
            f"the source has train and test, and no valid: {cut} of 120 train images became valid "
            "(ingest.split.valid = 0.1)",
        ]
        assert all(path.startswith("test/") == (split == "test") for path, split in before.items())
        adds_up(report, tmp_path)
        fill(tmp_path / "in/train", per_class=60, classes=("a",), start=1000)
        run(tmp_path, tmp_path / "in")
        pd.testing.assert_series_equal(
            rows(tmp_path).set_index("path")["split"][before.index], before
        )
        report = run(tmp_path, tmp_path / "in", split={"valid": 0})
        assert report["splits"] == {"train": 180, "valid": 0, "test": 20}
        assert report["remarks"] == read_as

    def test_a_group_is_cut_as_one_and_copies_of_test_images_stay(self, tmp_path: Path) -> None:
        lines = ["path,label,split,group"]
        for number in range(90):
            (tmp_path / f"{number}.png").write_bytes(png(number))
            split, group = ("test", "") if number < 10 else ("train", f"w{number % 20}")
            lines.append(f"{number}.png,{'ab'[number % 2]},{split},{group}")
        lines += ["0.png,a,train,"]  # the bytes of a test image
        (tmp_path / "list.csv").write_text("\n".join(lines))
        run(tmp_path, tmp_path / "list.csv")
        kept = rows(tmp_path)  # validated: no group straddles
        assert set(kept["split"]) == {"train", "valid", "test"}
        assert sorted(kept[kept["path"] == "0.png"]["split"]) == ["test", "train"]
        assert set(kept[kept["split"] == "test"]["path"]) == {f"{n}.png" for n in range(10)}

    def test_train_alone_is_no_split(self, tmp_path: Path) -> None:
        fill(tmp_path / "in/train", per_class=20)
        report = run(tmp_path, tmp_path / "in")
        assert all(report["splits"].values())
        report = run(tmp_path, tmp_path / "in", split={"valid": 0, "test": 0})
        assert report["splits"] == {"train": 40, "valid": 0, "test": 0}

    def test_shares_must_leave_something(self, tmp_path: Path) -> None:
        with pytest.raises(AugmentError, match="ingest.split"):
            run(tmp_path, fill(tmp_path / "in"), split={"valid": 0.5, "test": 0.5})


class TestGroups:
    def test_by_pattern_never_straddle(self, tmp_path: Path) -> None:
        source = tmp_path / "in"
        for number in range(120):
            path = source / "ab"[number % 2] / f"w{number % 15}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number))
        report = run(tmp_path, source, group=r"/(w\d+)_")
        kept = rows(tmp_path)  # validated: no group straddles
        assert report["groups"] == kept["group"].nunique() == 15
        assert set(kept["group"]) == {f"w{number}" for number in range(15)}
        assert all(report["splits"].values())

    def test_a_pattern_without_a_group_is_taken_whole(self, tmp_path: Path) -> None:
        run(tmp_path, fill(tmp_path / "in"), group=r"[13579]\.png")
        kept = rows(tmp_path)
        assert kept.set_index("path")["group"].to_dict()["a/3.png"] == "3.png"
        assert kept["group"].isna().sum() == 6

    def test_a_column_comes_before_the_pattern(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        lines = [f"a/{n}.png,a,w{n}" for n in range(6)] + [f"b/{n}.png,b," for n in range(6, 12)]
        (source / "list.csv").write_text("\n".join(["path,label,group", *lines]))
        run(tmp_path, source / "list.csv", group="^.")
        assert set(rows(tmp_path)["group"]) == {*(f"w{n}" for n in range(6)), "b"}

    def test_an_image_without_a_split_follows_its_group(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        lines = ["path,label,split,group"]
        for n in range(12):
            lines.append(
                f"{'ab'[n // 6]}/{n}.png,{'ab'[n // 6]},{'test' if n > 9 else ''},w{n % 6}"
            )
        (source / "list.csv").write_text("\n".join(lines))
        run(tmp_path, source / "list.csv")
        kept = rows(tmp_path)
        assert set(kept[kept["group"].isin(["w4", "w5"])]["split"]) == {"test"}

    def test_splits_of_the_source_that_break_a_group_stop_it(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            fill(tmp_path / "in" / split)
        with pytest.raises(AugmentError, match="group '0.png' stands in test and in train"):
            run(tmp_path, tmp_path / "in", group=r"\d+.png")
        assert not (tmp_path / INGESTED).exists()

    def test_a_pattern_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(AugmentError, match=r"ingest.group: '\(' is no regular expression"):
            run(tmp_path, fill(tmp_path / "in"), group="(")


class TestUnlabelled:
    def test_is_carried_through_without_labels(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        (tmp_path / "more").mkdir()
        for number in range(100, 110):
            (tmp_path / f"more/{number}.png").write_bytes(png(number))
        (tmp_path / "more/bad.png").write_bytes(b"")
        report = run(tmp_path, source, unlabelled=str(tmp_path / "more"), max_rejected=0.1)
        kept = rows(tmp_path)
        assert report["unlabelled"] == kept["label"].isna().sum() == 10
        assert set(kept[kept["label"].isna()]["split"]) == {"train"}
        assert set(report["classes"]) == {"a", "b"}
        assert rejected(tmp_path) == {"bad.png": "empty file"}
        adds_up(report, tmp_path)

    def test_any_reader_will_do_and_its_labels_do_not_count(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            fill(tmp_path / "more" / split, classes=("x",), start=100)
        (tmp_path / "list.csv").write_text("path\nmore/train/x/100.png\nmore/train/x/101.png\n")
        for more, count in (("more", 12), ("list.csv", 2), ("builtin:digits", 1797)):
            where = more if more.startswith("builtin") else str(tmp_path / more)
            report = run(tmp_path, fill(tmp_path / "in"), unlabelled=where)
            kept = rows(tmp_path)
            assert report["unlabelled"] == count
            assert set(kept[kept["label"].isna()]["split"]) == {"train"}

    def test_a_copy_of_a_test_image_does_not_reach_train(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=20)
        run(tmp_path, source, unlabelled=str(source))
        kept = rows(tmp_path)
        assert (kept.groupby("bytes")["split"].nunique() == 1).all()
        assert set(kept["split"]) == {"train", "valid", "test"}


class TestStops:
    def stops(self, root: Path, message: str, source: Path | str, **changes: Any) -> None:
        with pytest.raises(AugmentError, match=message) as error:
            run(root, source, **changes)
        assert "\n" not in str(error.value)
        assert not (root / INGESTED).exists()
        assert not (root / "reports/ingest.json").exists()
        data = root / "data"
        assert not data.exists() or not list(data.iterdir())

    def test_no_source(self, tmp_path: Path) -> None:
        self.stops(tmp_path, "gone: no such file or folder", tmp_path / "gone")

    def test_a_blank_source_is_not_the_folder_of_the_project(self, tmp_path: Path) -> None:
        fill(tmp_path / "in")
        self.stops(tmp_path, "ingest.source: blank", "")
        self.stops(tmp_path, "ingest.unlabelled: blank", tmp_path / "in", unlabelled=" ")

    def test_no_image(self, tmp_path: Path) -> None:
        (tmp_path / "in/a").mkdir(parents=True)
        (tmp_path / "in/a/notes.txt").write_text("x")
        self.stops(tmp_path, "in: no image found", tmp_path / "in")

    def test_no_unlabelled_image(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        more = str(tmp_path / "more")
        self.stops(tmp_path, "more: no image found", fill(tmp_path / "in"), unlabelled=more)

    def test_one_class(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=("only",))
        self.stops(tmp_path, "one class only, 'only'", source)

    def test_one_class_is_found_before_any_image_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(images, "examine_many", None)
        self.stops(tmp_path, "one class only", fill(tmp_path / "in", classes=("only",)))

    def test_one_class_left(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=30, classes=("only",))
        (source / "b").mkdir()
        (source / "b/1.png").write_bytes(b"")
        self.stops(tmp_path, "one class only, 'only'", source)

    @pytest.mark.parametrize("name", ["labels.xml", "data.yaml", "train_list.txt"])
    def test_a_table_of_labels_that_lies_unread_is_named(self, name: str, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=("only",))
        (source / name).write_text("file;kind\n")
        message = f"in: one class only, 'only'; {name} lies there unread: where the labels stand in"
        self.stops(tmp_path, message, source)
        for path in (source / "only").iterdir():
            path.unlink()
        self.stops(tmp_path, f"in: no image found; {name} lies there unread", source)

    def test_a_table_of_labels_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=("only",))
        (source / "labels.csv").write_text("file;kind\n")
        message = "in: no folder names a class; labels.csv cannot be read: no column 'path'"
        self.stops(tmp_path, message, source)
        for path in (source / "only").iterdir():
            path.unlink()
        self.stops(tmp_path, "in: no image found; labels.csv lies there unread", source)
        (source / "metadata.jsonl").write_text("file;kind\n")
        self.stops(tmp_path, "in/metadata.jsonl: line 1: no JSON", source)

    def test_many_texts_of_boxes_are_one_line(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=("only",))
        (source / "labels").mkdir()
        for number in range(5):
            (source / f"labels/{number}.txt").write_text("0\n")
        self.stops(tmp_path, r"labels/\*.txt \(5 files\) lie there unread", source)
        for number in range(5):
            (source / f"labels/{number}.txt").write_text("0 0.5 0.5 1 1\n")
        self.stops(tmp_path, r"in: no folder names a class; labels/0.txt: boxes \(YOLO\)", source)

    def test_what_is_read_is_not_called_unread(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=(".",))
        lines = [f"{number}.png,same" for number in range(6)]
        (source / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
        self.stops(tmp_path, "one class only, 'same'; at least two classes are needed", source)

    def test_rejected_rows_are_written_before_a_stop(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", classes=(".",))
        message = r"in: blank label 6 \(0.png\): no labelled image; at least two classes are needed"
        self.stops(tmp_path, message, source)
        assert rejected(tmp_path) == {f"{number}.png": "blank label" for number in range(6)}
        other = fill(tmp_path / "other")
        lines = [f"a/{n}.png,a,w1,train" for n in range(6)] + ["b/6.png,,,", "b/7.png,b,w1,test"]
        (other / "list.csv").write_text("\n".join(["path,label,group,split", *lines]))
        self.stops(tmp_path, "group 'w1' stands in train and in test", other)
        unlisted = {f"b/{number}.png": "not in list.csv" for number in range(8, 12)}
        assert rejected(tmp_path) == {"b/6.png": "blank label", **unlisted}

    def test_no_class_folders(self, tmp_path: Path) -> None:
        self.stops(tmp_path, "no labelled image", fill(tmp_path / "in", classes=(".",)))

    def test_wrong_parts(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        self.stops(tmp_path, "unknown reader 'folder'; known: archive", source, reader="folder")
        wrong = {"name": "csv", "columns": 1}
        self.stops(tmp_path, "unknown option 'columns'", source, reader=wrong)

    def test_too_much_rejected(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=10)
        for number in range(3):
            (source / f"a/x{number}.png").write_bytes(b"")
        (source / "a/y.png").write_bytes(b"no")
        message = (
            r"in: empty file 3 \(a/x0.png\), not an image: text 1 \(a/y.png\): "
            r"4 of 24 images rejected, more than max_rejected = 0.05; see reports/rejected.csv"
        )
        self.stops(tmp_path, message, source)
        assert len(rejected(tmp_path)) == 4

    @pytest.mark.parametrize(("most", "fine"), [(0.05, True), (0.0499, False), (0.0, False)])
    def test_the_bound_itself_is_allowed(self, most: float, fine: bool, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=10)
        (source / "a/0.png").write_bytes(b"")  # one of twenty
        if fine:
            assert run(tmp_path, source, max_rejected=most)["rejected"] == 1
        else:
            self.stops(tmp_path, "1 of 20 images rejected", source, max_rejected=most)

    def test_a_table_from_before_stays(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in")
        run(tmp_path, source)
        before = files.digest_of_folder(tmp_path / INGESTED)
        for path in (source / "a").iterdir():
            path.write_bytes(b"")
        with pytest.raises(AugmentError, match="rejected"):
            run(tmp_path, source)
        assert files.digest_of_folder(tmp_path / INGESTED) == before


class TestRuns:
    def test_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "in", per_class=7, classes=("a", "b", "c"))
        (source / "a/bad.png").write_bytes(b"")
        digests = []
        for place in ("one", "two"):
            run(tmp_path / place, source)
            digests.append(files.digest_of_folder(tmp_path / place))
        assert digests[0] == digests[1]

    def test_processes_change_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = fill(tmp_path / "in", per_class=40, classes=("a", "b", "c"))
        (source / "b/bad.png").write_bytes(b"")
        run(tmp_path / "one", source)
        monkeypatch.setattr(chunks, "CHUNK", 7)
        monkeypatch.setattr(chunks, "MANY", 10)
        monkeypatch.setattr(workers, "INLINE", 10)
        run(tmp_path / "two", source, workers=2)
        assert files.digest_of_folder(tmp_path / "one") == files.digest_of_folder(tmp_path / "two")

    def test_small_sets_start_no_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "ProcessPoolExecutor", None)
        assert run(tmp_path, "builtin:digits", workers=2)["kept"] == 1797

    def test_a_program_without_a_file_starts_no_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
        with workers.pool(2, 10**6) as executor:
            assert executor is None

    def test_a_process_that_dies_is_told_plainly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dead(*_: Any, **__: Any) -> Any:
            raise BrokenProcessPool

        monkeypatch.setattr(images, "examine_many", dead)
        with pytest.raises(AugmentError, match="a worker process died"):
            run(tmp_path, fill(tmp_path / "in"))
        assert not (tmp_path / INGESTED).exists()

    def test_chunks_and_row_groups_weigh_little(self, tmp_path: Path) -> None:
        weighed = list(
            chunks.chunked(
                base.Item(str(n), bytes(size), "a")
                for n, size in enumerate([1, 3 << 20, 2 << 20, 5 << 20, *[1] * 600])
            )
        )
        assert [len(chunk) for chunk, _ in weighed] == [2, 1, 1, 256, 256, 88]
        assert [size for _, size in weighed][:3] == [(3 << 20) + 1, 2 << 20, 5 << 20]

    def test_relative_sources_lie_in_the_project(self, tmp_path: Path) -> None:
        fill(tmp_path / "in")
        report = run(tmp_path, "in")
        assert report["source"] == "in"
        assert report["reader"] == {
            "name": "image_folder", "split_names": "splits", "tables": True, "labelled": True,
        }  # fmt: skip

    def test_an_export_comes_back_as_it_was(self, tmp_path: Path) -> None:
        run(tmp_path / "one", fill(tmp_path / "in"), unlabelled=str(fill(tmp_path / "more")))
        run(tmp_path / "two", tmp_path / "one" / INGESTED)
        assert files.digest_of_folder(tmp_path / "one" / INGESTED) == files.digest_of_folder(
            tmp_path / "two" / INGESTED
        )

    def test_files_have_plain_rights(self, tmp_path: Path) -> None:
        run(tmp_path, fill(tmp_path / "in"))
        for name in ("reports/rejected.csv", "reports/ingest.json"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o644
        assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
            "ingest.json", "rejected.csv",
        ]  # fmt: skip


class TestDomains:
    def test_their_images_keep_label_and_stay_in_train(self, tmp_path: Path) -> None:
        """Half of the set is held out; of the domain nothing is, and it shifts no count."""
        source, fonts = fill(tmp_path / "in"), fill(tmp_path / "fonts", start=50, per_class=20)
        (fonts / "a/50.png").write_bytes(b"no image")
        split = {"valid": 0.25, "test": 0.25}
        report = run(
            tmp_path, source, domains={"font": str(fonts)}, split=split, group="[0-9]+",
            max_rejected=0,
        )  # fmt: skip
        alone = run(tmp_path / "alone", source, split=split, group="[0-9]+")
        for key in ("splits", "classes", "unlabelled", "groups", "modes", "width", "height"):
            assert report[key] == alone[key], key
        assert report["domains"] == {"font": {"a": 19, "b": 20}}
        assert (report["read"], report["kept"], report["rejected"]) == (52, 51, 1)
        frame = table.frame(tmp_path / INGESTED, domain="font")
        assert (frame["split"] == "train").all() and dict(frame["label"].value_counts()) == {
            "a": 19, "b": 20,
        }  # fmt: skip
        assert frame["group"].str.startswith("font: ").all()
        assert len(rows(tmp_path)) == 12
        assert rows(tmp_path)["id"].tolist() == rows(tmp_path / "alone")["id"].tolist()

    def test_no_label_of_its_own_is_needed(self, tmp_path: Path) -> None:
        """The domain names the classes, its reader's options may stand beside its source."""
        fonts, scans = fill(tmp_path / "fonts"), fill(tmp_path / "scans", start=50)
        domain = {
            "source": str(fonts),
            "reader": {"name": "image_folder", "split_names": "classes"},
        }
        report = run(tmp_path, None, unlabelled=str(scans), domains={"font": domain})
        assert report["splits"] == {"train": 12, "valid": 0, "test": 0}
        assert (report["unlabelled"], report["classes"]) == (12, {})
        assert report["domains"] == {"font": {"a": 6, "b": 6}}
        assert rows(tmp_path)["label"].isna().all()
        reader = report["settings"]["domains"]["font"]["reader"]
        assert reader["split_names"] == "classes" and "tables" in reader

    def test_mistakes_name_their_key(self, tmp_path: Path) -> None:
        fonts, scans = fill(tmp_path / "fonts", classes=("a",)), fill(tmp_path / "scans")
        bad = tmp_path / "bad" / "a"
        bad.mkdir(parents=True)
        (bad / "0.png").write_bytes(b"no image")
        (tmp_path / "bad/b").mkdir()
        with pytest.raises(AugmentError, match=r"ingest\.domains\.font: blank, names no images"):
            run(tmp_path, scans, domains={"font": " "})
        with pytest.raises(AugmentError, match=r"ingest\.domains\.font: no image with a label is"):
            run(tmp_path, scans, domains={"font": str(tmp_path / "bad")})
        with pytest.raises(AugmentError, match="one class only, 'a'"):
            run(tmp_path, None, unlabelled=str(scans), domains={"font": str(fonts)})
        with pytest.raises(ValueError, match="source: null needs unlabelled images"):
            run(tmp_path, None, domains={"font": str(fonts)})
        with pytest.raises(ValueError, match=r"domains\.helpers: images of other classes are"):
            run(tmp_path, scans, domains={"helpers": str(fonts)})
        with pytest.raises(AugmentError, match=r"ingest\.helpers: no image with a label is kept"):
            run(tmp_path, scans, helpers=str(tmp_path / "bad"))
        again = r"ingest\.helpers: .*: the bytes of an image before it 12 \("
        with pytest.raises(AugmentError, match=again):
            run(tmp_path, scans, helpers=str(scans))
