"""``augment init``: a new project folder, or an old one brought up to date with this version."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from augment import params, readers, stage_code
from augment.data import decisions, files
from augment.errors import AugmentError
from augment.runtime import remote

BUILTIN = "builtin:"
FILES = ("params.yaml", "dvc.yaml", ".dvcignore")
OLD = ".old"  # ends the name of a file that a renewal replaced
IGNORED = """/.augment/
/data/
/models/
/synthetic/
__pycache__/
"""


_CODE_STAGE = f"""stages:
  code:
    cmd: python stages/code.py
    always_changed: true
    outs:
      - {stage_code.FILE}:
          cache: false

"""


class ProjectError(AugmentError):
    """A folder that cannot become a project."""


def init(folder: Path, source: str | None = None) -> list[str]:
    """Make ``folder`` a project that reads ``source``; returns remarks for the user.

    Copies params.yaml, dvc.yaml, .dvcignore and stages/, makes a decisions.csv without decisions
    where there is none, and starts git and DVC where they are not started. A project made by an
    older version is renewed instead (see ``renew``). Raises ProjectError when ``folder`` has some
    of these files and is no project, AugmentError when nothing can read ``source``.
    """
    taken = [name for name in (*FILES, "stages") if (folder / name).exists()]
    if {"params.yaml", "dvc.yaml", "stages"} <= set(taken):
        if source is not None:
            raise ProjectError(
                f"{folder} is a project already; to read other images, set ingest.source in its "
                "params.yaml"
            )
        return renew(folder)
    if taken:
        raise ProjectError(f"{folder} has a {taken[0]} already; choose a new folder")
    if source is not None:
        if not source.strip():
            raise ProjectError("--data: blank, names no images")
        if remote.is_remote(source):
            remote.check(source)
        else:
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


def renew(folder: Path) -> list[str]:
    """Bring dvc.yaml, .dvcignore and stages/ of a project to this version; returns remarks.

    params.yaml and decisions.csv stay as they are. A file that differs is kept beside its
    successor under a name that ends in ``.old``.
    """
    remarks = []
    try:
        params.load(folder / "params.yaml")
    except params.ParamsError as error:
        remarks = [f"params.yaml needs a change before the next run: {error}"]
    template = _template()
    names = [*FILES[1:], *(f"stages/{path.name}" for path in (template / "stages").glob("*.py"))]
    for name in sorted(names):
        path, text = folder / name, (template / name).read_text(encoding="utf-8")
        text = _adapted(name, text)
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if before == text:
            continue
        if before is not None:
            files.write_text(path.with_name(path.name + OLD), before)
            remarks.append(f"{name} is renewed; the former one is {name}{OLD}")
        else:
            remarks.append(f"{name} is new")
        files.write_text(path, text)
    return remarks


def has_dvc() -> bool:
    """Whether ``dvc repro`` can run here."""
    return importlib.util.find_spec("dvc") is not None


def _template() -> Path:
    packaged = Path(__file__).parent / "template"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


def _adapted(name: str, text: str, source: str | None = None) -> str:
    """The template for a project of its own: the stage ``code`` for lists of code, its own source.

    That stage always runs, which takes a second, and writes the digest of each stage's code, the
    profile, and the digest of the names, sizes and times of the source's files; a stage runs again
    where its own digest, or the profile that it follows, has changed, and ingest where the
    source's has.
    """
    if name == "dvc.yaml":
        text = re.sub(r"(?m)^( *- augment/|#).*\n", "", text)
        stage = r"(?ms)^  (?P<stage>\w+):\n    cmd: .*?\n    params:\n"
        text = re.sub(stage, _with_digests, text).replace("stages:\n", _CODE_STAGE, 1)
        text = text.replace("\n      - profile\n", "\n          - profile\n")
    if name == "params.yaml" and source:
        line = f"  source: {json.dumps(source, ensure_ascii=False)}"
        text = re.sub(r"(?m)^  source: .*$", lambda _: line, text)
        text = re.sub(r"(?m)^( *\w+: ).*# of the demo; elsewhere: ", r"\1", text)
    return text


def _with_digests(match: re.Match[str]) -> str:
    """The head of a stage in dvc.yaml, with the digests that it follows from."""
    keys = [match["stage"], *([stage_code.SOURCE] if match["stage"] == "ingest" else [])]
    return match[0] + "".join(
        [f"      - {stage_code.FILE}:\n", *(f"          - {key}\n" for key in keys)]
    )


def _inside_git(folder: Path) -> bool:
    here = folder.resolve()
    return any((above / ".git").exists() for above in (here, *here.parents))


def _run(command: list[str], folder: Path) -> list[str]:
    """Run a tool in ``folder``; returns a remark where it fails or is not installed."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return [f"{command[0]} is not installed; the stages run without it"]
    except subprocess.CalledProcessError as error:
        return [f"{' '.join(command[-2:])} failed: {' '.join(error.stderr.split())}"]
    return []
