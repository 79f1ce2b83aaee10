"""The train stage: resuming, troubles, what it leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment import params
from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import fit_classifier
from augment.data import arrays, files, table
from augment.data.files import finite
from augment.data.images import decode
from augment.models.generator import Generator
from augment.registry import PartError
from augment.runtime import checkpoint
from augment.train import assemble, watch
from augment.train import run as train
from augment.train.settings import TrainSettings

SMALL = {
    "model": {"name": "infogan", "noise": 16, "classifier": "d2d"},
    "generator": {"name": "resnet", "width": 8},
    "discriminator": {"name": "resnet", "width": 8},
    "penalties": [{"name": "r1", "weight": 0.05}, {"name": "r2", "weight": 0.05}],
    "steps": 40,
    "every": 10,
    "batch": 16,
    "labeller": {"steps": 20},
    "device": "cpu",
}
SCRIPT = "from augment import pipeline; pipeline.run('train')"


def settings(root: Path, **changes: object) -> TrainSettings:
    groups = {"ingest": {"source": "builtin:digits"}, "train": SMALL | changes}
    (root / "params.yaml").write_text(yaml.safe_dump(groups))
    return params.load(root / "params.yaml").train


@pytest.fixture
def root(tmp_path: Path, digits_table) -> Path:
    digits_table(tmp_path / "data/clean")
    return tmp_path


def test_leaves_generator_labeller_report_and_pictures(root: Path) -> None:
    report = train.run(settings(root), root)
    assert json.loads((root / "reports/train.json").read_text()) == finite(report)
    assert report["steps"] == 40
    assert report["best"]["step"] in (10, 20, 30, 40)
    assert [row["step"] for row in report["history"]] == [10, 20, 30, 40]
    best = min(row["kid"] for row in report["history"])
    assert report["best"]["kid"] == best
    frames = sorted(path.name for path in (root / "reports/progress").glob("*.png"))
    assert frames == [f"step-{step:08d}.png" for step in (10, 20, 30, 40)]
    assert (root / "reports/progress/training.gif").read_bytes().startswith(b"GIF89a")
    assert decode((root / "reports/progress" / frames[0]).read_bytes()).mode == "RGB"
    generator = Generator.load(root / "models/generator", device="cpu")
    assert generator.classes == report["classes"]
    assert report["generator"] == generator.digest
    files = {path.name for path in (root / "models/generator").iterdir()}
    assert files == {
        "generator.json",
        "generator.safetensors",
        "head.json",
        "head.safetensors",
        "labeller.json",
        "labeller.safetensors",
    }


def test_the_labeller_sees_all_classes_equally_often(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    even: list[bool] = []

    def note(*arguments: Any, **options: Any) -> Classifier:
        even.append(options.get("even", False))
        return fit(*arguments, **options)

    fit = fit_classifier
    monkeypatch.setattr(train, "fit_classifier", note)
    train.run(settings(root), root)
    assert even == [True]


def test_killed_run_ends_bit_identical(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    (whole / "data").symlink_to(root / "data")
    train.run(settings(whole), whole)
    settings(root)
    environment = os.environ | {"DVCLIVE_TEST": "0"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=root, env=environment)
    deadline = time.monotonic() + 120
    while not list(root.glob(".augment/train/*/steps/step-0000002*")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "models/generator").exists()
    train.run(params.load(root / "params.yaml").train, root)
    for name in ("models/generator", "reports"):
        assert files.digest_of_folder(root / name) == files.digest_of_folder(whole / name), name


EVEN = {"rate": {"schedule": "constant"}}


@pytest.mark.parametrize(
    "more", [{}, {"discriminator_steps": 2, "ada": {}, "on_trouble": "rollback"}]
)
def test_a_longer_run_goes_on_and_ends_bit_identical(
    root: Path,
    more: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    (whole / "data").symlink_to(root / "data")
    train.run(settings(whole, **EVEN | more), whole)
    train.run(settings(root, steps=20, **EVEN | more), root)
    assert "goes on" not in capsys.readouterr().err
    train.run(settings(root, **EVEN | more), root)
    assert "train: goes on from step 20\n" in capsys.readouterr().err
    for name in ("models/generator", "reports"):
        assert files.digest_of_folder(root / name) == files.digest_of_folder(whole / name), name
    assert len(list((root / ".augment/train").iterdir())) == 1


@pytest.mark.parametrize(("recipe", "follows_none"), [("cgan", True), ("cartoongan", False)])
def test_a_model_may_follow_the_length_of_its_run(recipe: str, follows_none: bool) -> None:
    """A share of the run in which it warms up is not that of a longer one."""
    resolved = assemble.resolved_settings(TrainSettings.model_validate({"recipe": recipe, **EVEN}))
    assert train.follows_no_length(resolved) == follows_none


def remarks(capsys: pytest.CaptureFixture[str]) -> str:
    """What runs said, but for what they are about to do and what that costs."""
    lines = capsys.readouterr().err.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match("train: (infogan:|about )", line))


def test_a_run_that_may_not_go_on_says_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(**changes: object) -> str:
        report = train.run(settings(root, **changes), root)
        steps = report["settings"]["steps"]
        due = {*range(10, steps + 1, 10), steps}
        assert [row["step"] for row in report["history"]] == sorted(due)
        return remarks(capsys)

    linear = {"rate": {"schedule": "linear"}}
    assert said(steps=10, **linear) == ""
    assert (
        said(steps=20, **linear) == "train: settings changed (train.steps 10 -> 20): begun anew\n"
    )
    assert (
        said(steps=20, seed=1, **linear)
        == "train: settings changed (train.seed 0 -> 1): begun anew\n"
    )
    noisy = {**EVEN, "instance_noise": {"std": 0.1}}
    assert "train.rate.schedule" in said(steps=10, **noisy)
    assert said(steps=20, **noisy).endswith("(train.steps 10 -> 20): begun anew\n")
    assert "begun anew" in said(steps=20, **EVEN)
    assert said(steps=10, **EVEN).endswith("settings changed (train.steps 20 -> 10): begun anew\n")
    assert said(steps=15, **EVEN) == "train: goes on from step 10\n"
    assert said(steps=15, **EVEN) == ""
    assert "15 is no multiple of train.every 10: begun anew" in said(steps=20, **EVEN)


def test_other_images_begin_anew_and_are_named(
    root: Path, digits_table, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(settings(root, steps=10, **EVEN), root)
    digits_table(root / "other", invert_test=True)
    files.publish(root / "other", root / "data/clean")
    train.run(settings(root, steps=10, **EVEN), root)
    assert remarks(capsys) == "train: settings changed (images): begun anew\n"


def test_stale_checkpoints_are_not_resumed(root: Path) -> None:
    train.run(settings(root, steps=10), root)
    report = train.run(settings(root, steps=20, seed=1), root)
    assert [row["step"] for row in report["history"]] == [10, 20]
    assert len(list((root / ".augment/train").iterdir())) == 2


def test_only_the_train_split_trains(root: Path, tmp_path: Path, digits_table) -> None:
    """Other test images, same generator: nothing but train (and valid, to choose) is read."""
    first = train.run(settings(root), root)["generator"]
    other = tmp_path / "other"
    digits_table(other / "data/clean", invert_test=True)
    assert train.run(settings(other), other)["generator"] == first


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"rate": {"generator": 1e30, "discriminator": 1e30}}, "diverged"),
        (
            {
                "rate": {"generator": 1e-12, "discriminator": 2e-3},
                "penalties": [],
                "loss": "non_saturating",
                "augment": [],
                "steps": 400,
                "every": 40,
                "model": {"name": "cgan", "noise": 16},
            },
            "discriminator_won|mode_collapse",
        ),
    ],
)
def test_trouble_is_named(root: Path, changes: dict[str, object], name: str) -> None:
    with pytest.raises(watch.TrainingTrouble, match=name) as caught:
        train.run(settings(root, **changes), root)
    assert "step" in str(caught.value)
    with pytest.raises(watch.TrainingTrouble, match=name):  # again: it does not slip past
        train.run(settings(root, **changes), root)


@pytest.mark.parametrize("key", ["loss", "generator", "model"])
def test_wrong_part_is_found_before_any_work(root: Path, key: str) -> None:
    with pytest.raises(PartError, match="unknown"):
        train.run(settings(root, **{key: "nonsense"}), root)
    assert not (root / ".augment").exists()


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(table.TableError, match="data/clean"):
        train.run(settings(tmp_path), tmp_path)


def test_a_set_that_is_mapped_trains_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its batches, the labeller and all that is measured."""
    in_memory = train.run(settings(root), root)
    assert "mapped" not in capsys.readouterr().err
    shutil.rmtree(root / ".augment")
    monkeypatch.setattr(arrays, "LARGE", 0)
    mapped = train.run(settings(root), root)
    assert "GiB of pixels are mapped from .augment/pixels" in capsys.readouterr().err
    assert mapped == in_memory


def test_the_labeller_learns_from_a_sample_of_more_images(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default number stands in no digest: a run from before there was one goes on."""
    sizes: list[int] = []

    def note(pixels: Any, *rest: Any, **options: Any) -> Classifier:
        sizes.append(len(pixels))
        return fit_classifier(pixels, *rest, **options)

    monkeypatch.setattr(train, "fit_classifier", note)
    assert "images" not in assemble.resolved_settings(settings(root))["labeller"]
    train.run(settings(root, steps=10), root)
    assert "labeller learns" not in capsys.readouterr().err
    assert "sampled" not in files.read_json(root / "reports/train.json")
    whole, labeller = sizes[0], {"steps": 20, "images": 100}
    report = train.run(settings(root, steps=10, labeller=labeller), root)
    said = f"train: the labeller learns from 100 of {whole:,} images (train.labeller.images)\n"
    assert said in capsys.readouterr().err
    assert sizes == [whole, 100] and report["settings"]["labeller"]["images"] == 100
    assert report["sampled"] == {"labeller": {"images": 100, "of": whole}}
    again = train.run(settings(root, steps=10, labeller=labeller), root)
    assert len(sizes) == 2 and again == report  # the labeller is there; what it learned from, too


def test_runs_without_dvclive(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dvclive.live", None)
    train.run(settings(root, steps=10), root)
    assert not (root / "reports/dvclive").exists()
    assert (root / "models/generator/generator.safetensors").exists()


def test_checkpoint_of_other_data_is_refused_by_its_key(root: Path) -> None:
    train.run(settings(root, steps=10), root)
    (home,) = (root / ".augment/train").iterdir()
    (state,) = checkpoint.steps(home / "steps")
    assert state.name == "step-00000010"
