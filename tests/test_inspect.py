"""``augment inspect``: what it says of a source is what ingest then does."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from augment import cli, inspect_source, new_project, pipeline
from augment.data import images
from augment.errors import AugmentError
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings

runner = CliRunner()


def png(value: int, size: tuple[int, int] = (5, 4)) -> bytes:
    return images.encode(np.random.default_rng(value).integers(0, 256, size, dtype=np.uint8))


def write(path: Path, value: int, size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(value, size))


def fill(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    for place, (folder, count) in enumerate(counts.items()):
        for number in range(count):
            write(root / folder / f"{number}.png", start + 1000 * place + number)
    return root


def agrees(report: dict[str, Any], root: Path, source: Path) -> dict[str, Any]:
    """Ingest the same source; the counts must be equal. Returns its report."""
    done = ingest.run(IngestSettings(source=str(source), workers=1, max_rejected=0.9), root)
    assert report["images"] + sum(r["images"] for r in report["rejected"].values()) == done["read"]
    assert report["ignored"] == done["ignored"]
    assert list(report["classes"]) == list(done["classes"])
    assert {name: entry["images"] for name, entry in report["classes"].items()} == {
        name: sum(splits.values()) for name, splits in done["classes"].items()
    }
    return done


def test_a_sound_folder(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"a": 5, "b": 4, "10": 3, "9": 3})
    report = pipeline.inspect(str(source))
    agrees(report, tmp_path, source)
    assert (report["reader"]["name"], report["why"]) == (
        "image_folder",
        "no other reader recognises it",
    )
    assert report["classes"] == {
        "9": {"images": 3, "examples": ["9/0.png", "9/1.png"]},
        "10": {"images": 3, "examples": ["10/0.png", "10/1.png"]},
        "a": {"images": 5, "examples": ["a/0.png", "a/1.png"]},
        "b": {"images": 4, "examples": ["b/0.png", "b/1.png"]},
    }
    assert report["splits"] == {"train": 0, "valid": 0, "test": 0, "none": 15}
    assert report["sample"] == {
        "images": 15,
        "width": {"min": 4, "max": 4},
        "height": {"min": 5, "max": 5},
        "modes": {"L": 15},
        "unusable": {},
    }
    assert report["whole"] and report["wrong"] == report["unread"] == []
    assert report["remarks"] == ["4 folders are classes: 9, 10, a, b"]


def test_what_lies_unread_and_what_looks_wrong(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"only": 6})
    for name in ("train_list.txt", "labels.xml", "data.yaml", "README.md", "notes.txt"):
        (source / name).write_text("x\n")
    report = pipeline.inspect(str(source))
    assert report["unread"] == ["labels.xml", "data.yaml", "train_list.txt"]
    (problem,) = report["wrong"]
    assert problem.startswith("one class only, 'only'; labels.xml, data.yaml, train_list.txt lie")
    with pytest.raises(AugmentError, match="one class only, 'only'; labels.xml"):
        ingest.run(IngestSettings(source=str(source), workers=1), tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels.csv", "no folder names a class; labels.csv cannot be read: no column 'path'"),
        ("metadata.jsonl", "metadata.jsonl: line 1: no JSON"),
    ],
)
def test_a_table_that_cannot_be_read_stops_both(name: str, message: str, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"only": 6})
    (source / name).write_text("x\n")
    with pytest.raises(AugmentError, match=message):
        pipeline.inspect(str(source))
    with pytest.raises(AugmentError, match=message):
        ingest.run(IngestSettings(source=str(source), workers=1), tmp_path)


def test_a_metadata_file_that_is_read_is_not_unread(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"x": 6})
    lines = [f"x/{number}.png,{'ab'[number % 2]}" for number in range(6)]
    (source / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    report = pipeline.inspect(str(source))
    agrees(report, tmp_path, source)
    assert list(report["classes"]) == ["a", "b"] and report["unread"] == report["wrong"] == []


def test_splits_groups_and_a_missing_valid(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    lines = ["path,label,split,group"]
    for number in range(24):
        write(tmp_path / f"in/{number}.png", number)
        split = "test" if number % 6 > 3 else "train"
        lines.append(f"{number}.png,{'ab'[number % 2]},{split},w{number % 6}")
    (tmp_path / "in/list.csv").write_text("\n".join(lines))
    report = pipeline.inspect(str(tmp_path / "in"))
    done = agrees(report, tmp_path, tmp_path / "in")
    assert report["reader"]["name"] == "csv" and "CSV" in report["why"]
    assert report["splits"] == {"train": 16, "valid": 0, "test": 8, "none": 0}
    assert report["groups"] == done["groups"] == 6
    assert report["wrong"] == [
        "train and test, and no valid: ingest cuts valid from train (ingest.split.valid)"
    ]
    lines.append("0.png,a,test,w0")
    (tmp_path / "in/list.csv").write_text("\n".join(lines))
    assert (
        "group 'w0' stands in train and in test"
        in pipeline.inspect(str(tmp_path / "in"))["wrong"][0]
    )


def test_odd_classes_are_named(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"train": 40, "test": 3, "Ä": 3, "ä": 3, "few": 2})
    with pytest.raises(AugmentError, match="test, train: a folder named like a split is no class"):
        pipeline.inspect(str(source))
    lines = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
    (source / "list.csv").write_text("\n".join(["path,label", *lines]))
    wrong = pipeline.inspect(str(source))["wrong"]
    assert wrong == [
        "classes are named like splits: 'test', 'train'",
        "labels differ by case, width or space only: 'Ä', 'ä'",
        "less than 1/10 of the 40 images of the largest class: 'few', 'test', 'Ä', 'ä'",
        "fewer than 3 images, too few for three splits: 'few'",
    ]


def test_sizes_and_modes_come_from_headers_and_reasons_from_ingest(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"a": 5, "b": 5})
    write(source / "a/wide.png", 99, (10, 30))
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn
    Image.new("RGB", (7, 9)).save(source / "b/turned.jpg", exif=turned)
    (source / "b/page.svg").write_text("<svg/>")
    (source / "b/empty.png").write_bytes(b"")
    (source / "b/gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "b/pipe.png")  # must not be waited for
    report = pipeline.inspect(str(source))
    sample = report["sample"]
    assert (sample["images"], sample["modes"]) == (12, {"L": 11, "RGB": 1})
    assert (sample["width"], sample["height"]) == ({"min": 4, "max": 30}, {"min": 5, "max": 10})
    done = ingest.run(IngestSettings(source=str(source), workers=1, max_rejected=0.9), tmp_path)
    assert {r: e["images"] for r, e in sample["unusable"].items()} == done["reasons"]
    assert (done["width"], done["height"]) == (sample["width"], sample["height"])
    assert report["wrong"][0].endswith("4 of 16 images in the sample unusable")


def test_the_sample_is_bounded_and_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_source, "SAMPLE", 8)
    source = fill(tmp_path / "in", {"a": 40, "b": 40})
    write(source / "b/79.png", 5, (50, 50))
    sample = pipeline.inspect(str(source))["sample"]
    assert 4 <= sample["images"] <= 8
    assert sample == pipeline.inspect(str(source))["sample"]


def test_readers_that_bring_their_images_are_looked_at_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = pipeline.inspect("builtin:digits")
    assert (report["images"], len(report["classes"]), report["whole"]) == (1797, 10, True)
    assert report["sample"]["width"] == {"min": 8, "max": 8}
    monkeypatch.setattr(inspect_source, "ITEMS", 100)
    report = pipeline.inspect("builtin:digits")
    assert (report["images"], report["whole"]) == (100, False)
    assert "100, of the first 100 that were looked at" in inspect_source.in_words(report)


def test_an_archive(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"a": 5, "b": 4})
    (source / "labels.csv").write_text("x")
    (source / "data.yaml").write_text("x")
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "zip", source))
    report = pipeline.inspect(str(archive))
    agrees(report, tmp_path, archive)
    assert report["reader"]["name"] == "archive" and report["unread"] == ["data.yaml"]
    assert report["remarks"][-1].startswith("labels.csv is not read: no column 'path'")


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fill(tmp_path / "in", {"a": 5, "b": 4})
    (source / "labels.csv").write_text("x")
    (source / "data.yaml").write_text("x")
    told = runner.invoke(cli.app, ["inspect", str(source)])
    assert told.exit_code == 0 and told.stderr == ""
    for line in (
        "reader    image_folder: no other reader recognises it",
        "classes   2\n  'a'  5  a/0.png, a/1.png\n  'b'  4  b/0.png, b/1.png",
        "splits    none in the source: ingest.split cuts them",
        "sizes     4 x 5 pixels, in a sample of 9",
        "unread    data.yaml",
        "remark    labels.csv is not read: no column 'path'",
    ):
        assert line in told.stdout
    as_json = runner.invoke(cli.app, ["inspect", str(source), "--json"])
    assert json.loads(as_json.stdout) == pipeline.inspect(str(source))
    made = runner.invoke(cli.app, ["init", str(tmp_path / "mine"), "--data", str(source)])
    assert made.exit_code == 0 and told.stdout in made.stdout and "is ready" in made.stdout
    monkeypatch.chdir(tmp_path / "mine")
    in_project = runner.invoke(cli.app, ["inspect"])
    assert in_project.stdout == told.stdout


def test_init_says_what_will_stop_ingest(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,kind\n")
    made = runner.invoke(
        cli.app, ["init", str(tmp_path / "mine"), "--data", str(tmp_path / "list.csv")]
    )
    assert made.exit_code == 0 and "is ready" in made.stdout
    assert "warning: ingest will stop:" in made.stderr
    assert "no column 'path'; columns: file, kind" in made.stderr


def test_a_project_in_which_the_reader_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", {"a": 5, "b": 4})
    lines = [f"{path.relative_to(source)},{path.parent.name}" for path in source.rglob("*.png")]
    (source / "list.csv").write_text("\n".join(["file,kind", *sorted(lines)]))
    new_project.init(tmp_path / "mine", str(source / "list.csv"))
    settings = (tmp_path / "mine/params.yaml").read_text()
    line = "  reader: {name: csv, path: file, label: kind}\n  split:"
    (tmp_path / "mine/params.yaml").write_text(settings.replace("  split:", line, 1))
    report = pipeline.inspect(root=tmp_path / "mine")
    assert report["why"] == "ingest.reader names it" and report["reader"]["path"] == "file"
    assert (report["images"], list(report["classes"])) == (9, ["a", "b"])
    assert "csv {'path': 'file', 'label': 'kind'}: " in inspect_source.in_words(report)


MANY = 20_000  # files; 100,000 take under two seconds on a machine that does nothing else
LONGER = 4  # times as long as ``yardstick`` takes, at most: the slowest format takes 1.6 times


def yardstick() -> float:
    """Seconds of this processor for a million entries of a dictionary."""
    start = time.process_time()
    dict(zip(map(str, range(1_000_000)), range(1_000_000), strict=True))
    return time.process_time() - start


class TestSpeed:
    def folder(self, root: Path, flat: bool) -> list[str]:
        """``MANY`` files in 20 folders, or in one, which share the bytes of a few."""
        names = []
        for number in range(MANY):
            label, name = f"c{number % 20}", f"{number}.png"
            path = root / (name if flat else f"{label}/{name}")
            if number < 20:
                write(path, number)
            else:
                os.link(names[number % 20], path)
            names.append(str(path))
        return [f"{Path(name).relative_to(root)},c{n % 20}" for n, name in enumerate(names)]

    def make(self, root: Path, kind: str) -> Path:
        if kind == "parquet":
            picture = {"bytes": png(0), "path": "1.png"}
            labels = [f"c{number % 20}" for number in range(MANY)]
            pq.write_table(
                pa.table({"image": [picture] * MANY, "label": labels}), root / "a.parquet"
            )
            return root / "a.parquet"
        lines = self.folder(root, flat=kind != "folder")
        if kind != "folder":
            head = "file_name,label" if kind == "metadata.csv" else "path,label"
            (root / kind).write_text("\n".join([head, *lines]))
        return root

    @pytest.mark.parametrize("kind", ["folder", "list.csv", "metadata.csv", "parquet"])
    def test_many_files_are_looked_at_in_a_moment(self, kind: str, tmp_path: Path) -> None:
        source = self.make(tmp_path, kind)
        pipeline.inspect("builtin:digits")  # loads what is loaded once
        start = time.process_time()
        report = pipeline.inspect(str(source))
        seconds = time.process_time() - start
        assert seconds < LONGER * yardstick()
        assert (report["images"], len(report["classes"])) == (MANY, 20)
