"""Which files of augment a stage's results follow from: computed from imports, not remembered.

``dvc.yaml`` of this repository lists them; a project of a user's depends on their digest, so that
after an upgrade ``dvc repro`` runs the stages whose code changed, and no others.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from augment import params
from augment.data import files
from augment.data.places import REPORTS
from augment.pipeline import STAGES
from augment.runtime import remote

PACKAGE = Path(__file__).parent
FILE = f"{REPORTS}/code.json"
SOURCE = "source"  # the key of the source's listing in it


def write_digests(root: Path) -> dict[str, str]:
    """Write ``reports/code.json``; returns its content.

    It holds the digest of each stage's code, that of the source's listing, and the profile, which
    stands there because DVC refuses a parameter that params.yaml leaves to its default. Raises
    ParamsError for a setting that is wrong, before any stage has run.
    """
    settings = params.load(root / "params.yaml")
    digests = {stage: digest(stage) for stage in STAGES}
    ingest = settings.ingest
    further = [domain.source for domain in ingest.domains.values()]
    further += [ingest.helpers.source] if ingest.helpers else []
    digests[SOURCE] = listing([ingest.source, ingest.unlabelled, *further], root)
    digests[params.PROFILE] = settings.profile
    files.write_json(root / FILE, digests)
    return digests


def listing(sources: Iterable[str | None], root: Path) -> str:
    """SHA-256 of the names, sizes and times of all files of the sources, without reading them.

    DVC would read every byte of them, and stop at a link that leads nowhere, which ``ingest``
    rejects like any missing file. Links are followed, but never in a circle. Files that lie
    elsewhere count by the marks that their storage keeps.
    """
    total = hashlib.sha256()
    for source in filter(None, sources):
        if remote.is_remote(source):
            marks = remote.listing(source)
            total.update(json.dumps([source, marks], sort_keys=True).encode() + b"\0")
            continue
        path = os.path.join(root, Path(source).expanduser())
        for line in (source, *_lines(path, "", (os.path.realpath(path),))):
            total.update(os.fsencode(line) + b"\0")
    return total.hexdigest()


def _lines(path: str, name: str, above: tuple[str, ...]) -> Iterator[str]:
    """A line for the file ``name`` at ``path``, or one for each file below that folder.

    ``above`` are the real paths of a folder and its parents.
    """
    try:
        if not os.path.isdir(path):
            status = os.stat(path)
            yield f"{name} {status.st_size} {status.st_mtime_ns}"
            return
        with os.scandir(path) as entries:
            inner = sorted((entry.name, entry.is_symlink()) for entry in entries)
    except OSError as error:  # a link that leads nowhere, perhaps
        yield f"{name} {error.strerror}"
        return
    for last, is_link in inner:
        below = os.path.join(path, last)
        real = os.path.realpath(below) if is_link else os.path.join(above[-1], last)
        if real not in above:
            yield from _lines(below, f"{name}/{last}", (*above, real))


def write_dependencies(path: Path) -> None:
    """Bring the code that each stage of a ``dvc.yaml`` lists up to date; the rest stays."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("      - augment/"):
            continue
        lines.append(line)
        if match := re.fullmatch(r" +- stages/(\w+)\.py", line):
            lines += [f"      - {dependency}" for dependency in dependencies(match[1])]
    files.write_text(path, "\n".join(lines) + "\n")


def digest(stage: str) -> str:
    """SHA-256 of the files that ``stage`` follows from: their names and bytes."""
    total = hashlib.sha256()
    for path in sorted(files_of(stage)):
        total.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def dependencies(stage: str) -> list[str]:
    """The shortest list of folders and files that holds what ``stage`` follows from.

    Paths are relative to the folder of the package's own folder, as in ``dvc.yaml``. The stage's
    own folder is listed whole, and so is every folder of which all files count.
    """
    needed = files_of(stage)
    home = PACKAGE / stage

    def listed(folder: Path) -> Iterator[Path]:
        for path in sorted(_content(folder)):
            inside = {file for file in _all_files(path) if file in needed}
            if path == home or (inside and inside == _all_files(path)):
                yield path
            elif inside:
                yield from listed(path)

    return [path.relative_to(PACKAGE.parent).as_posix() for path in listed(PACKAGE)]


def files_of(stage: str) -> set[Path]:
    """The files that ``augment.STAGE.run`` imports, at once or later, and what lies beside them.

    A package's parts count with it, since it imports them to register them. Files that are no
    Python count where a module of their folder does: the page's template, its style. The package's
    own ``__init__`` holds names for users and nothing that a stage follows from.
    """
    modules = _modules()
    waiting, reached = [f"augment.{stage}.run"], set[str]()
    while waiting:
        module = waiting.pop()
        if module not in reached and module != "augment":
            reached.add(module)
            waiting += [*_imports(module), module.rpartition(".")[0]]
    paths = {modules[module] for module in reached}
    beside = {file for path in paths for file in path.parent.iterdir() if _is_data(file)}
    return paths | beside


def _content(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _all_files(path)]


def _all_files(path: Path) -> set[Path]:
    """The file itself, or every module and data file under a folder."""
    if path.is_file():
        return {path} if path.suffix == ".py" or _is_data(path) else set()
    return {file for child in path.iterdir() for file in _all_files(child)}


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix in (".html", ".css", ".js")


@cache
def _modules() -> Mapping[str, Path]:
    """Every module of the package by its dotted name."""
    named = {}
    for path in PACKAGE.rglob("*.py"):
        steps = path.relative_to(PACKAGE.parent).with_suffix("").parts
        named[".".join(steps).removesuffix(".__init__")] = path
    return named


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules of this package that import statements anywhere in ``module`` name."""
    tree = ast.parse(_modules()[module].read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(names & _modules().keys())


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements of a module. Expressions, which are most of a tree, hold no import."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())


if __name__ == "__main__":
    write_dependencies(PACKAGE.parent / "dvc.yaml")
