"""Each trial as an experiment of DVC's: ``dvc exp show`` lists it, ``dvc exp apply`` takes it up.

``dvc exp save`` keeps the state of a work tree. A trial changes nothing in the user's, so it is
saved in a clone of the repository, in which only params.yaml differs, and fetched from there:
https://dvc.org/doc/command-reference/exp/save.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augment.data import files
from augment.tune.base import TuneError

FOLDER = "tune"  # in an experiment: the trial's metrics
METRICS = f"{FOLDER}/metrics.json"
DVC_YAML = f"{FOLDER}/dvc.yaml"  # lists them, and no stage: DVC would ask for the stages' outs


def in_use(root: Path) -> bool:
    """Whether ``root`` is a project of DVC's."""
    return (root / ".dvc").is_dir()


def unready(root: Path) -> str | None:
    """Why no experiment can be saved for the project in ``root``; None where it can."""
    if not in_use(root):
        return "DVC is not started here (dvc init)"
    try:
        _git(root, "rev-parse", "--verify", "HEAD:./.dvc/config")
    except TuneError:
        return "git has no commit yet that holds .dvc/config (git add . && git commit)"
    return None


def save(root: Path, name: str, params: str, metrics: Mapping[str, Any]) -> None:
    """Keep a trial as the experiment ``name``: HEAD with ``params`` in params.yaml, and metrics.

    Nothing but a reference below refs/exps is added to the repository. Raises TuneError with what
    git or DVC said.
    """
    top = Path(_git(root, "rev-parse", "--show-toplevel"))
    prefix = _git(root, "rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="augment-tune-") as folder:
        clone = Path(folder) / "clone"
        _git(root, "clone", "-q", "--shared", "--no-tags", str(top), str(clone))
        for key in ("user.name", "user.email"):
            _git(clone, "config", key, _git(root, "config", "--default", "augment", key))
        here = clone / prefix
        files.write_text(here / "params.yaml", params)
        files.write_json(here / METRICS, metrics)
        files.write_text(here / DVC_YAML, f"metrics:\n  - {Path(METRICS).name}\n")
        command = [sys.executable, "-m", "dvc", "exp", "save", "-q", "-n", name]
        _run([*command, "-I", FOLDER, DVC_YAML], here)
        refs = _git(clone, "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}")
        _git(root, "fetch", "-q", "--no-tags", str(clone), f"+{refs}:{refs}")


def _git(folder: Path, *words: str) -> str:
    return _run(["git", *words], folder)


def _run(command: list[str], folder: Path) -> str:
    """What a tool prints. Raises TuneError where it fails or is not there."""
    quiet = {"DVC_NO_ANALYTICS": "1", "DVC_EXP_AUTO_PUSH": "false"}
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True,
            env={**os.environ, **quiet},
        )  # fmt: skip
    except FileNotFoundError:
        raise TuneError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or f"exit code {error.returncode}"
        raise TuneError(f"{' '.join(command[-6:])}: {said}") from None
    return done.stdout.strip()
