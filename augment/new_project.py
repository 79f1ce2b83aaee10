"""``augment init``: a new project folder from the repository's own files."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from augment import readers
from augment.data import decisions, files
from augment.errors import AugmentError

BUILTIN = "builtin:"
FILES = ("params.yaml", "dvc.yaml", ".dvcignore")
IGNORED = """/.augment/
/data/
/models/
/synthetic/
__pycache__/
"""


class ProjectError(AugmentError):
    """A folder that cannot become a project."""


def init(folder: Path, source: str | None = None) -> list[str]:
    """Make ``folder`` a project that reads ``source``; gives what could not be set up, and why.

    Copies params.yaml, dvc.yaml, .dvcignore and stages/, makes a decisions.csv without decisions
    where there is none, and starts git and DVC where they are not started. Raises ProjectError
    when ``folder`` has one of the others already, AugmentError when nothing can read ``source``.
    """
    taken = [name for name in (*FILES, "stages") if (folder / name).exists()]
    if taken:
        raise ProjectError(f"{folder} has a {taken[0]} already; choose a new folder")
    if source is not None:
        if not source.strip():
            raise ProjectError("--data: blank, names no images")
        if not source.startswith(BUILTIN):
            source = str(Path(source).expanduser().resolve())
        readers.recognise(source)
    template = _template()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        template / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in FILES:
        text = (template / name).read_text(encoding="utf-8")
        files.write_text(folder / name, _adapted(name, text, source))
    if not (folder / decisions.FILE).exists():
        files.write_text(folder / decisions.FILE, decisions.HEADER)
    if not (folder / ".gitignore").exists():
        files.write_text(folder / ".gitignore", IGNORED)
    remarks = [] if _inside_git(folder) else _run(["git", "init", "-q"], folder)
    if (folder / ".dvc").exists():
        return remarks
    if not has_dvc():
        hint = "dvc is not installed (pip install 'augment[dvc]'); the stages run without it"
        return [*remarks, hint]
    dvc = [sys.executable, "-m", "dvc"]
    if (folder / ".git").exists():
        kind = []
    else:
        kind = ["--subdir"] if _inside_git(folder) else ["--no-scm"]
    remarks += _run([*dvc, "init", "-q", *kind], folder)
    return remarks + _run([*dvc, "config", "core.analytics", "false"], folder)


def has_dvc() -> bool:
    """Whether ``dvc repro`` can run here."""
    return importlib.util.find_spec("dvc") is not None


def _template() -> Path:
    packaged = Path(__file__).parent / "template"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


def _adapted(name: str, text: str, source: str | None) -> str:
    """The template for a project of its own: no dependencies on augment's code, its own source."""
    if name == "dvc.yaml":
        text = re.sub(r"(?m)^( *- augment/|#).*\n", "", text)
        if source and not source.startswith(BUILTIN):
            first = "      - stages/ingest.py\n"
            text = text.replace(first, first + "      - ${ingest.source}\n")
    if name == "params.yaml" and source:
        line = f"  source: {json.dumps(source, ensure_ascii=False)}"
        text = re.sub(r"(?m)^  source: .*$", lambda _: line, text)
        text = text.replace("test: 0.333", "test: 0.2")  # the demo's, where a third is held out
    return text


def _inside_git(folder: Path) -> bool:
    here = folder.resolve()
    return any((above / ".git").exists() for above in (here, *here.parents))


def _run(command: list[str], folder: Path) -> list[str]:
    """Run a tool in ``folder``; what it says if it fails."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return [f"{command[0]} is not installed; the stages run without it"]
    except subprocess.CalledProcessError as error:
        return [f"{' '.join(command[-2:])} failed: {' '.join(error.stderr.split())}"]
    return []
