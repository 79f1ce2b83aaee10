"""Comparisons from end to end on small digits, with steps that are few, not with time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from augment import cli
from augment.compare import bench, run, workspace
from augment.compare.workspace import CompareError
from augment.data import images, table
from augment.data.arrays import load_arrays
from augment.report.terminal import NARROW, compare_in_words
from augment.score.settings import ScoreSettings
from augment.train import loop, pace
from augment.train.settings import TrainSettings

SETTINGS: dict[str, Any] = {
    "ingest": {"source": "builtin:digits"},
    "train": {
        "recipe": "vae",
        "generator": {"width": 8},
        "discriminator": {"width": 8},
        "batch": 16,
        "labeller": {"steps": 5},
        "device": "cpu",
    },
    "codes": {"device": "cpu"},
    "synth": {"probability": 0.0, "copy_quantile": 0.0, "device": "cpu"},
    "score": {"steps": 5, "device": "cpu", "uplift": {"steps": 3, "seeds": 2}},
}
MINUTES = 0.0005
NAMES = ["vae", "acgan:generator.width=8:discriminator.width=8"]


@pytest.fixture
def root(
    tmp_path: Path, digits_table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project of digits that are cleaned, with settings of seconds."""
    digits_table(tmp_path / "data/clean", per_class=10)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SETTINGS, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("augment.compare.samples.SAMPLES", 100)
    return tmp_path


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of which test images are read."""
    read: list[Path] = []
    load = run.load_arrays

    def noting(folder: Path, **options: Any) -> Any:
        assert options["split"] == "test"
        read.append(folder)
        return load(folder, **options)

    monkeypatch.setattr(run, "load_arrays", noting)
    return read


def exit_code(*arguments: str) -> int:
    """That of the command line; its output goes to the capture of the test."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    return int(stop.value.code or 0)


def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recipes that are trained from now on."""
    names: list[str] = []
    work = bench.train.run

    def noting(settings: TrainSettings, folder: Path, **options: Any) -> Any:
        names.append(settings.recipe)
        return work(settings, folder, **options)

    monkeypatch.setattr(bench.train, "run", noting)
    return names


def test_recipes_are_ranked_and_a_fault_is_a_row(
    root: Path, looks: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    names = [*NAMES, "pix2pix"]
    report, winner = run.compare(names, minutes=MINUTES)
    first, second, failed = report["rows"]
    assert {first["name"], second["name"]} == {*NAMES} and report["winner"] == first["name"]
    assert winner.name == first["name"] and report["line"] == winner.line()
    assert failed["name"] == "pix2pix" and "ingest.domains names none" in failed["error"]
    for row in (first, second):
        assert row["error"] is None and row["steps"] >= 1 and row["samples"] == 640
        assert row["low"] <= row["gain"] <= row["high"]
        assert np.isclose(row["accuracy"] - report["classic"], row["gain"])
        shares = ("taught", "coverage", "near_copies", "label_accuracy", "accepted")
        assert all(0 <= row[key] <= 1 for key in shares)
        assert row["seconds_per_thousand"] > 0
        assert (row["bits"] is None) == (row["name"] != "vae")
    assert report["images"] == {"train": 60, "unlabelled": 0, "valid": 20, "held_out": 0}
    assert report["test"]["images"] == 20 and len(looks) == report["looks_at_test"] == 1
    assert json.loads(Path(run.FILE).read_text()) == json.loads(json.dumps(report))
    page = Path(report["page"]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3  # real images and two recipes
    assert "http" not in page.replace("http-equiv", "")
    assert all(name in page for name in names)

    names_again = trained(monkeypatch)
    again, _ = run.compare(names, minutes=MINUTES)
    assert names_again == ["pix2pix"] and again == report  # what was measured stays
    assert len(looks) == 1
    assert f"{NAMES[0]}: measured before" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed in the second recipe after its first checkpoint."""
    monkeypatch.setattr(bench.train.pace, "seconds_a_step", lambda *_: MINUTES * 60 / 8)
    saved: list[int] = []
    write = loop.checkpoint.write_step

    def stopping(folder: Path, step: int, *state: Any) -> None:
        write(folder, step, *state)
        saved.append(step)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.checkpoint, "write_step", stopping)
    command = ["compare", *NAMES, "--minutes", str(MINUTES)]
    assert exit_code(*command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert saved == [4, 8, 4]
    assert exit_code(*command, "--json") == 0
    said = capsys.readouterr()
    assert saved == [4, 8, 4, 8] and "goes on from step 4" in said.err
    assert {row["steps"] for row in json.loads(said.out)["rows"]} == {8}


def test_apply_and_the_board(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("compare", NAMES[1], "--minutes", str(MINUTES), "--apply") == 0
    said = capsys.readouterr()
    text = Path("params.yaml").read_text()
    assert "  recipe: acgan\n" in text and "  generator: {width: 8}\n" in text
    assert "train: {recipe: acgan, generator: {width: 8}" in " ".join(said.out.split())
    assert all(title in said.out for title in NARROW.values())
    assert exit_code("show", run.FILE) == 0
    assert capsys.readouterr().out == said.out


def test_nothing_can_be_compared(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CompareError, match=r"compare.html says why"):
        run.compare(["pix2pix", "cyclegan"], minutes=MINUTES)
    report = json.loads(Path(run.FILE).read_text())
    assert report["winner"] is None and len(report["rows"]) == 2
    assert compare_in_words(report) == ["The table says why, recipe by recipe."]
    for arguments, code, message in (
        (["--minutes", "0"], 2, "above 0, found 0"),
        (["--minutes", "nan"], 2, "above 0, found nan"),
        (["--minutes", "inf", "vae"], 1, "above 0, found inf"),
        (["vea"], 1, "unknown recipe 'vea'"),
    ):
        assert exit_code("compare", *arguments) == code
        said = " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert message in said and "Traceback" not in said
    for shard in table.shards(root / "data/clean"):
        shard.unlink()
    with pytest.raises(CompareError, match="no images there yet; run augment ingest and augment"):
        run.compare([], minutes=1)


def test_the_workspace_holds_no_test_image(tmp_path: Path, digits_table: Any) -> None:
    digits_table(tmp_path / "data/clean", per_class=10)
    here = workspace.prepare(tmp_path, ScoreSettings())
    assert (len(here.train), len(here.valid), here.cut) == (60, 20, 0)
    assert table.count(here.home / "data/clean") == 80
    room = here.room("a")
    assert len(load_arrays(room / "data/clean", split="test")) == 0
    assert table.count(room / "data/clean") == 80


def test_of_very_many_valid_images_a_sample_is_judged(
    tmp_path: Path, digits_table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    digits_table(tmp_path / "data/clean", per_class=100)
    here = workspace.prepare(tmp_path, ScoreSettings(images=150))
    assert np.bincount(here.valid.labels).tolist() == [15] * 10
    said = "compare: judged on 150 of 200 valid images (score.images)\n"
    assert said in capsys.readouterr().err
    assert table.count(here.home / "data/clean", split="valid") == 200


def test_valid_images_are_held_out_evenly_where_there_are_none(tmp_path: Path) -> None:
    """Three of ten in each class; a group goes whole; images without a label stay in train."""
    with table.TableWriter(tmp_path / "data/clean") as out:
        for place in range(50):
            pixels = np.full((8, 8), place, np.uint8)
            label = None if place >= 40 else "ab"[place % 2]
            out.add(
                {
                    "id": f"{place:02}", "image": {"bytes": images.encode(pixels), "path": ""},
                    "label": label, "split": "test" if 30 <= place < 40 else "train",
                    "group": f"g{place // 2 % 5}" if label == "a" else None, "origin": "real",
                    "width": 8, "height": 8, "mode": "L",
                }
            )  # fmt: skip
    here = workspace.prepare(tmp_path, ScoreSettings())
    facts = table.frame(here.home / "data/clean", ["id", "label", "group", "split"])
    counts = facts.groupby(["label", "split"]).size()
    assert counts["b", "valid"] in (4, 5)  # 30 % of 15
    assert facts.dropna(subset=["group"]).groupby("group")["split"].nunique().max() == 1
    assert 3 <= counts["a", "valid"] <= 6 and here.cut == len(here.valid)
    assert len(here.unlabelled) == 10 and "test" not in set(facts["split"])
    again = workspace.prepare(tmp_path, ScoreSettings())
    assert (again.home, again.valid.ids) == (here.home, here.valid.ids)


def test_steps_for_so_much_time_are_measured_often_enough() -> None:
    settings = TrainSettings(every=250)
    assert (pace.lasting(settings, 100).length, pace.lasting(settings, 100).every) == (100, 50)
    assert pace.lasting(settings, 4000).every == 250
    assert pace.lasting(settings, 1).every == 1
