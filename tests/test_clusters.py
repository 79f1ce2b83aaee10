"""What runs augment elsewhere: the container's recipe, the SLURM script, Ray's environment."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
CLUSTER = REPOSITORY / "docs/guides/cluster"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what they are told, long ones on one line."""
    text = (REPOSITORY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def copied(instructions: list[tuple[str, str]]) -> set[str]:
    every = (rest.split()[:-1] for word, rest in instructions if word == "COPY")
    return {name for names in every for name in names if not name.startswith(("-", "/"))}


def test_the_container_has_all_that_the_wheel_is_built_of(
    instructions: list[tuple[str, str]],
) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    here = copied(instructions)
    assert needed | {"pyproject.toml", "LICENSE"} <= here
    assert all((REPOSITORY / name).exists() for name in here)
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in here} <= set(ignored) and ignored[0] == "*"
    extras = next(rest for word, rest in instructions if rest.startswith("EXTRAS="))
    named = extras.partition("=")[2].strip('"').split(",")
    assert set(named) <= set(project["project"]["optional-dependencies"])


def test_the_container_runs_as_no_root_and_holds_no_address_or_secret(
    instructions: list[tuple[str, str]],
) -> None:
    last = len(instructions) - 1 - [word for word, _ in instructions][::-1].index("FROM")
    users = [rest for word, rest in instructions[last:] if word == "USER"]
    assert users and users[-1] not in ("root", "0")
    after = [word for word, _ in instructions][-3:]
    assert "USER" in after and "RUN" not in after
    environment = " ".join(rest for word, rest in instructions[last:] if word == "ENV")
    assert "HOME=/tmp" in environment and "USER=" in environment  # for a user without a name
    text = (REPOSITORY / "Dockerfile").read_text()
    assert not re.search(r"https?://|--(extra-)?index|(?i:token|password|secret)", text)
    allowed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    low, high = re.findall(r"3\.(\d+)", allowed["requires-python"])
    for image in (rest for word, rest in instructions if word == "FROM"):
        version = re.match(r"python:3\.(\d+)-slim", image)
        assert version and int(low) <= int(version[1]) < int(high)


def test_the_slurm_script_starts_a_process_a_gpu(tmp_path: Path) -> None:
    """Run with an ``srun`` that only says what it was told."""
    script = CLUSTER / "train.sbatch"
    options = dict(re.findall(r"(?m)^#SBATCH --([\w-]+)=(\S+)$", script.read_text()))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$AUGMENT_LOG: $*"\n')
    srun.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["sh", script], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "json: augment train\n")


def test_ray_takes_the_environment_of_a_job() -> None:
    ray = pytest.importorskip("ray.runtime_env", reason="ray is not installed")
    environment = yaml.safe_load((CLUSTER / "runtime_env.yaml").read_text())
    working = environment.pop("working_dir")
    assert (REPOSITORY / working).is_dir()
    assert dict(ray.RuntimeEnv(**environment)) == environment
