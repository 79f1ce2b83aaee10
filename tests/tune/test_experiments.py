"""Trials as experiments of DVC's; nothing in the work tree changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from augment import new_project
from augment.tune import experiments
from augment.tune.base import TuneError


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_a_trial_is_an_experiment_that_dvc_shows(tmp_path: Path) -> None:
    """In a project that is a folder of a larger repository."""
    pytest.importorskip("dvc", reason="dvc is an extra")
    run(tmp_path, "git", "init", "-q")
    root = tmp_path / "project"
    new_project.init(root)
    assert "commit" in str(experiments.unready(root))
    run(tmp_path, "git", "add", ".")
    run(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    assert experiments.unready(root) is None
    before = (root / "params.yaml").read_text("utf-8")
    params = before.replace("recipe: infogan ", "recipe: vae ")
    (root / "params.yaml").write_text(before + "# not committed\n", "utf-8")
    experiments.save(root, "tune-1", params, {"gain": 0.25, "low": -0.5})
    assert run(root, "git", "status", "--short").split() == ["M", "params.yaml"]
    shown = json.loads(run(root, sys.executable, "-m", "dvc", "exp", "show", "--json"))
    (experiment,) = shown[1]["experiments"]
    assert experiment["name"] == "tune-1"
    data = experiment["revs"][0]["data"]
    (metrics,) = (value["data"] for name, value in data["metrics"].items() if "tune" in name)
    assert metrics == {"gain": 0.25, "low": -0.5}
    (values,) = (value["data"] for name, value in data["params"].items() if "params" in name)
    assert values["train"]["recipe"] == "vae"


def test_why_there_is_no_experiment(tmp_path: Path) -> None:
    assert "dvc init" in str(experiments.unready(tmp_path))
    with pytest.raises(TuneError, match="git rev-parse"):
        experiments.save(tmp_path, "tune-1", "", {})
