"""The whole pipeline: twice the same bytes, through DVC, from several sources."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from augment import dataset, new_project, params, pipeline, stage_code
from augment.data import decisions, files, table
from augment.data.places import (
    ADOPTED,
    AUGMENTED,
    CLEAN,
    GENERATOR,
    INGESTED,
    QUARANTINE,
    STAGE_NAMES,
    SYNTHETIC,
)
from augment.readers import builtin
from augment.runtime import workers
from augment.train import assemble
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings

REPOSITORY = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}


def test_params_yaml_of_the_repository_is_whole() -> None:
    settings = pipeline.load(root=REPOSITORY)
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    assert list(tree) == ["profile", *pipeline.STAGES]
    assert list(params.Params.model_fields) == ["profile", "precision", "runtime", *pipeline.STAGES]
    assert list(pipeline.STAGES) == list(STAGE_NAMES)
    assert settings.ingest.source == "builtin:mnist-few"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as ``augment init`` makes it; not to be changed."""
    root = tmp_path_factory.mktemp("fresh") / "mine"
    assert new_project.init(root, "builtin:digits") == []
    return root


def test_a_project_of_its_own_has_none_of_the_demo_s_settings(fresh: Path) -> None:
    """What suits ten labels a class would leave others without a valid split."""
    settings = pipeline.load(root=fresh)
    assert "demo" not in (fresh / "params.yaml").read_text()
    assert (settings.ingest.split.valid, settings.ingest.split.test) == (0.1, 0.2)
    assert (settings.train.model, settings.train.steps) == ({"name": "infogan"}, "auto")
    assert (settings.score.uplift.doses, settings.score.uplift.steps) == ([0.5, 1.0], None)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_project_of_its_own_takes_every_recipe(recipe: str, fresh: Path) -> None:
    """No option in its params.yaml belongs to one model alone."""
    settings = pipeline.load([f"train.recipe={recipe}"], fresh).train
    model = {"name": settings.model} if isinstance(settings.model, str) else settings.model
    resolved = TrainSettings(recipe=recipe).resolved()["model"]
    assert model["name"] == resolved["name"]


def test_parts_are_checked_once_for_the_same_settings(
    tmp_path: Path, small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path)
    checked: list[int] = []
    monkeypatch.setattr(assemble, "check_rates", lambda train: checked.append(train.seed))
    for seed in (1, 1, 2, 2):
        pipeline.load([f"train.seed={seed}"], tmp_path)
    assert checked == [1, 2]
    for _ in range(2):  # what is wrong is never noted as checked
        with pytest.raises(params.ParamsError, match="train.loss: unknown"):
            pipeline.load(["train.loss=nothing"], tmp_path)
    (tmp_path / pipeline.CHECKED).write_text("damaged")
    assert pipeline.load([], tmp_path).ingest.source == "builtin:digits"


def test_a_rate_is_of_a_phase_that_the_model_has(tmp_path: Path, small) -> None:
    small(tmp_path)
    message = (
        r"train\.rate\.generatr: unknown key; known: default, .* 'infogan': discriminator, gen"
    )
    with pytest.raises(params.ParamsError, match=message):
        pipeline.load(["train.rate.generatr=3"], tmp_path)
    with pytest.raises(params.ParamsError, match="phases of 'vae': autoencoder"):
        pipeline.load(["train.model={name: vae}", "train.rate={generator: 1e-3}"], tmp_path)
    changes = ["train.model={name: vae}", "train.rate={autoencoder: 1e-3}"]
    assert pipeline.load(changes, tmp_path).train.rate.of("autoencoder") == 1e-3


def test_dvc_yaml_names_stages_and_places() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    assert list(stages) == list(pipeline.STAGES)
    outs = {
        next(iter(out)) if isinstance(out, dict) else out
        for stage in stages.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    }
    places = {
        INGESTED, CLEAN, QUARANTINE, GENERATOR,
        ADOPTED, SYNTHETIC, AUGMENTED,
    }  # fmt: skip
    assert places <= outs
    assert {f"reports/{name}.json" for name in stages} <= outs
    for name, stage in stages.items():
        assert stage["cmd"] == f"python stages/{name}.py"
        for dep in stage["deps"]:
            produced = any(dep == out or dep.startswith(f"{out}/") for out in outs)
            assert produced or (REPOSITORY / dep).exists(), dep
    follow = [name for name, stage in stages.items() if decisions.FILE in stage["deps"]]
    assert follow == ["clean", "write"]


def test_every_stage_again_on_ray_gives_the_same_bytes(
    project: Path, tmp_path: Path, small, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    small(again)
    monkeypatch.setattr(workers, "INLINE", 0)
    try:
        for stage in pipeline.STAGES:
            pipeline.run(stage, ["runtime=ray"], again)
        import ray

        assert ray.is_initialized()
        ray.shutdown()
    finally:
        workers.use("processes")
    by_dvc = (".gitignore", Path(stage_code.FILE).name)
    for folder in ("data", "models", "reports"):
        first, second = ({
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted((root / folder).rglob("*"))
            if path.is_file() and path.parent.name != "shown" and path.name not in by_dvc
        } for root in (project, again))  # fmt: skip
        assert first.keys() == second.keys()
        for name in first:
            assert first[name] == second[name], name


def test_what_leaves_is_what_came_and_what_was_made(project: Path) -> None:
    clean = table.frame(project / "data/clean")
    made = table.frame(project / "data/synthetic")
    whole = table.frame(project / "data/augmented")
    assert set(whole["id"]) == set(clean["id"]) | set(made["id"])
    assert len(whole) == len(clean) + len(made)
    held_out = whole[whole["split"] != "train"]
    assert (held_out["origin"] == "real").all()
    loaded = dataset.load(project / "data/augmented", split="train")
    assert loaded.classes == [str(digit) for digit in range(10)]
    image, label = loaded[0]
    assert image.size == (8, 8) and 0 <= label < 10


def test_score_has_the_names_that_others_read(project: Path) -> None:
    score = json.loads((project / "reports/score.json").read_text())
    keys = """fid kid precision recall density coverage label_accuracy diversity
    duplicate_fraction near_copy_fraction authenticity floor per_class uplift""".split()
    assert set(keys) <= set(score)
    assert {"fid", "kid"} <= set(score["floor"])
    assert set(score["per_class"]) == {str(digit) for digit in range(10)}
    assert {"classic", "written", "gain", "seeds"} <= set(score["uplift"])


@pytest.mark.slow
def test_through_dvc(project: Path, whole: Path, dvc: Callable[..., str]) -> None:
    """dvc repro; again does nothing; a deleted output comes back with the same bytes."""
    first = project.with_suffix(".done").read_text()
    assert first.count("Running stage") == len(pipeline.STAGES) + 1
    before = files.digest_of_folder(whole / "data/synthetic")
    again = dvc(whole, "repro")
    assert again.count("Running stage") == 1  # code, which looks whether augment changed
    shutil.rmtree(whole / "data/synthetic")
    shutil.rmtree(whole / ".dvc/cache")
    dvc(whole, "repro")
    assert files.digest_of_folder(whole / "data/synthetic") == before
    assert "label_accuracy" in dvc(whole, "metrics", "show")


@pytest.mark.slow
def test_a_decision_runs_clean_and_what_follows(whole: Path, dvc: Callable[..., str]) -> None:
    assert json.loads(dvc(whole, "status", "--json")) == {"code": ["always changed"]}
    decisions.record(whole / decisions.FILE, [decisions.Decision("gone", "drop")])
    ran = re.findall(r"Running stage '(\w+)'", dvc(whole, "repro"))
    assert ran == [
        "code",
        "clean",
        "write",
        "report",
    ]  # they tell of it, and data/clean is as it was
    assert json.loads((whole / "reports/clean.json").read_text())["decisions"]["elsewhere"] == 1


@pytest.mark.slow
def test_a_failed_gate_stops_dvc_and_leaves_the_last_set(whole: Path) -> None:
    root = whole

    def repro(*gates: str) -> subprocess.CompletedProcess[str]:
        tree = yaml.safe_load((root / "params.yaml").read_text())
        tree["write"]["gates"] = list(gates)
        (root / "params.yaml").write_text(yaml.safe_dump(tree))
        return subprocess.run(
            ["dvc", "repro", "--single-item", "write"], cwd=root,
            env=ENVIRONMENT, capture_output=True, text=True,
        )  # fmt: skip

    done = repro()
    assert done.returncode == 0, done.stderr + done.stdout
    report = root / "reports/write.json"
    before = files.digest_of_folder(root / "data"), report.read_bytes()
    lock = (root / "dvc.lock").read_bytes()
    done = repro("label_accuracy > 1", "fid >= 0")
    assert done.returncode != 0
    said = done.stderr.splitlines()
    assert any("1 of 2 gates failed" in line for line in said)
    assert any(line.startswith("label_accuracy") and "failed" in line for line in said)
    assert (files.digest_of_folder(root / "data"), report.read_bytes()) == before
    page = (root / "reports/index.html").read_text()
    assert "Where one fails nothing is written." in page
    assert (root / "dvc.lock").read_bytes() == lock
    assert repro("fid >= 0").returncode == 0


@pytest.fixture(scope="module")
def sixteen_bit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sixteen")
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        path = folder / str(label) / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((image * 4095).astype(np.uint16)).save(path)
    return folder


@pytest.fixture(scope="module")
def idx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real MNIST digits in MNIST's own format, written byte by byte here."""
    import gzip

    folder = tmp_path_factory.mktemp("idx")
    pixels, labels = builtin.mnist5k()
    for name, places in (("train", slice(0, None, 12)), ("t10k", slice(1, None, 40))):
        images, marks = pixels[places], labels[places].astype(np.uint8)
        sizes = b"".join(n.to_bytes(4, "big") for n in (len(images), 28, 28))
        head = (2051).to_bytes(4, "big") + sizes
        with gzip.open(folder / f"{name}-images-idx3-ubyte.gz", "wb") as file:
            file.write(head + images.tobytes())
        head = (2049).to_bytes(4, "big") + len(marks).to_bytes(4, "big")
        with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(head + marks.tobytes())
    return folder


@pytest.mark.parametrize(("name", "side"), [("sixteen_bit", 8), ("idx", 28)])
def test_another_source_needs_only_its_name(
    name: str, side: int, request: pytest.FixtureRequest, tmp_path: Path, small
) -> None:
    source = request.getfixturevalue(name)
    small(tmp_path)
    changes = [f"ingest.source={source}", "train.steps=4", "train.every=2", "score.steps=2"]
    changes += ["synth.per_class=1", "synth.probability=0", "synth.max_candidates=10000"]
    changes += ["train.labeller.steps=30", "synth.copy_quantile=0"]
    for stage in pipeline.STAGES:
        pipeline.run(stage, changes, tmp_path)
    facts = table.frame(tmp_path / "data/augmented")
    assert set(facts["width"]) == set(facts["height"]) == {side}
    assert (facts["origin"] == "synthetic").sum() == 10
    assert set(facts["label"]) == {str(digit) for digit in range(10)}
    if name == "idx":
        assert (facts["split"] == "test").sum() == 125  # MNIST's own test files
