"""``augment tune`` on digits: trials end to end, without a look at a test image."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment import cli, pipeline
from augment.data import table
from augment.params import ParamsError
from augment.tune import run
from augment.tune.base import TuneError
from augment.tune.run import Request, tune

COMMENTED = """\
# tuned by nobody yet
ingest: {source: 'builtin:digits'}
train:  # as small as it goes
  recipe: vae  # or infogan
  generator: {name: dcgan, width: 8}
  batch: 16       # of the test
  labeller: {steps: 60}
  device: cpu
synth: {probability: 0.0, copy_quantile: 0.0, per_class: 4, device: cpu}
score: {steps: 60, uplift: {seeds: 2, steps: 20, policies: [affine, elastic]}, device: cpu}
"""
QUICK = {"trial_minutes": 0.005, "minutes": 9.0, "dvc": False}
KNOBS = ("dose", "train.batch=8,16")


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory, digits_table: Callable[..., Path]) -> Path:
    """A project whose test images are no images: whoever decodes one fails."""
    root = tmp_path_factory.mktemp("tuned")
    (root / "params.yaml").write_text(COMMENTED)
    with table.TableWriter(root / "data/clean") as out:
        for row in table.rows(digits_table(root / "whole", per_class=20)):
            if row["split"] == "test":
                row["image"]["bytes"] = b"none"
            out.add(row)
    return root


@pytest.fixture(scope="module")
def tuned(blind: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    tune(Request(**QUICK, trials=1, knobs=KNOBS), root=blind)
    report, lines = tune(Request(**QUICK, trials=2, knobs=KNOBS), root=blind)
    return report, lines


def test_trials_are_judged_and_go_on_from_call_to_call(
    blind: Path, tuned: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    report, lines = tuned
    assert report["counts"] == {"finished": 3, "pruned": 0, "stopped": 0, "running": 0}
    first, *others = report["trials"]
    assert first["values"] == {"dose": 1.0, "train.batch": "16"}
    for trial in report["trials"]:
        assert trial["low"] <= trial["gain"] <= trial["high"]
        assert trial["gain"] == pytest.approx(trial["after"] - trial["before"])
        assert 0 < trial["samples"] and trial["steps"] > 0
    assert len({trial["before"] for trial in report["trials"]}) == 1
    assert report["best"]["low"] == max(trial["low"] for trial in report["trials"])
    assert lines["train.steps"] == report["best"]["steps"]
    assert json.loads((blind / "reports/tune.json").read_text())["best"] == report["best"]
    page = (blind / "reports/tune.html").read_text("utf-8")
    assert "<h2>Best settings</h2>" in page and "train.steps" in page and "data:image/png" in page
    assert "http://" not in page and "https://" not in page


def test_nothing_that_a_stage_declares_is_touched(
    blind: Path, tuned: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert {path.name for path in blind.iterdir()} == {
        ".augment", "data", "params.yaml", "reports", "whole"
    }  # fmt: skip
    assert {path.name for path in (blind / "reports").iterdir()} == {"tune.html", "tune.json"}
    assert [path.name for path in (blind / "data").iterdir()] == ["clean"]
    left = Path(tuned[0]["study"]) / "trial-0"  # what is over keeps its picture and its reports
    assert sorted(path.name for path in left.iterdir()) == ["reports", "samples.png"]


def test_a_trial_sees_no_row_of_test(
    blind: Path, tuned: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """The images of test cannot be decoded at all, and yet all went well."""
    seen = table.frame(Path(tuned[0]["study"]).parent / "data/clean", ["split"])
    assert seen["split"].value_counts().to_dict() == {"train": 120, "valid": 40}


def test_applying_keeps_comments(
    blind: Path, tuned: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(COMMENTED)
    lines = {
        **tuned[1],
        "train.batch": 8,
        "score.uplift.doses": [2.5],
        "train.rate.autoencoder": 0.1,
    }
    assert run.apply_to(path, lines) == f"{path}: {len(lines)} settings written"
    text = path.read_text()
    assert "# tuned by nobody yet\n" in text and "  batch: 8        # of the test\n" in text
    assert "  recipe: vae  # or infogan\n" in text and "train:  # as small as it goes\n" in text
    settings = pipeline.load(root=tmp_path)
    assert (settings.train.steps, settings.train.batch) == (lines["train.steps"], 8)
    assert settings.score.uplift.doses == [2.5] and settings.score.uplift.seeds == 2
    with pytest.raises(ParamsError, match=r"train\.batch"):
        run.apply_to(path, {"train.batch": 0})
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (("height",), "known: width, rate.autoencoder, dose, or"),
        (("score.steps=1:9",), "only keys of train and of synth"),
        (("train.batch=9:1",), "LOW must be below HIGH"),
        (("train.ema=a:b",), "LOW and HIGH are numbers"),
        (("train.ema=0.5",), "expected KEY=LOW:HIGH"),
        (("train.batch=8,16,8",), "stands there twice"),
        (("width", "train.generator.width=8:16"), "train.generator.width is tuned twice"),
    ],
)
def test_wrong_knobs_are_said_before_any_work(
    blind: Path, knobs: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TuneError, match=message):
        tune(Request(**QUICK, knobs=knobs), root=blind)


def test_wrong_keys_and_values_are_said_before_any_work(blind: Path) -> None:
    for knob, key in (("train.emma=0.1:0.9", "train.emma"), ("train.ema=0.5:1.5", "train.ema")):
        with pytest.raises(ParamsError, match=key):
            tune(Request(**QUICK, knobs=(knob,)), root=blind)


def test_trials_of_a_study_take_equally_long(
    blind: Path, tuned: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    with pytest.raises(TuneError, match=r"this study's trials take 0\.005"):
        tune(Request(minutes=1, trial_minutes=0.5, knobs=KNOBS), root=blind)


def test_without_optuna_the_command_says_what_to_install(
    blind: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.chdir(blind)
    with pytest.raises(SystemExit, match="1"):
        cli.main(["tune"])
    assert "pip install 'augment[tune]'" in capsys.readouterr().err


def test_the_settings_of_every_recipe_have_knobs() -> None:
    from augment.params import Params
    from augment.train.recipes import RECIPES
    from augment.tune.knobs import default_knobs

    for recipe in RECIPES:
        tree = {"ingest": {"source": ""}, "train": {"recipe": recipe}}
        settings = Params.model_validate(tree)
        knobs = {knob.name: knob for knob in default_knobs(settings, 200, 10, 200)}
        assert {"dose"} <= knobs.keys() and any(name.startswith("rate.") for name in knobs)
        for knob in knobs.values():  # each end is a setting that can be written and read
            for value in knob.choices or (knob.low, knob.high):
                for key, new in knob.changes(value).items():
                    assert yaml.safe_load(yaml.safe_dump(new)) == new, key
        lines = {key: new for knob in knobs.values() for key, new in knob.changes(knob.now).items()}
        widths = [new for key, new in lines.items() if key.endswith(".width")]
        assert all(isinstance(width, int) for width in widths)
