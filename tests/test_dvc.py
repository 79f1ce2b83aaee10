"""dvc.yaml is true: a stage depends on the code it runs and the settings it reads, on nothing less.

A wrong list gives old results under new code or new settings, in silence.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

from augment import new_project, params, pipeline, stage_code
from augment.data import images
from augment.data.places import REPORTS
from augment.readers import builtin

REPOSITORY = Path(__file__).parent.parent
DVC: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
STAGES = list(pipeline.STAGES)
SHORT = ["train.steps=2", "train.every=2", "train.labeller.steps=2", "score.steps=3",
         "score.scores=[labels, memorisation]"]  # fmt: skip
# All settings are loaded and checked first; no stage's result follows from another's settings.
LOADED_BY = """
import os, sys
from pathlib import Path
from augment import pipeline
stage, root, *overrides = sys.argv[1:]
pipeline.load(overrides, Path(root))
before = set(sys.modules)
pipeline.run(stage, overrides, Path(root))
mine = (name for name in set(sys.modules) - before if name.startswith("augment."))
print(*(sys.modules[name].__file__ for name in mine), sep=os.pathsep)
"""


def paths(entries: list[Any]) -> list[str]:
    """The paths of a stage's outs, each of which may carry flags."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_code_that_its_run_imports(stage: str) -> None:
    """What to do where this fails: ``python -m augment.stage_code`` writes the lists."""
    listed = [path for path in DVC[stage]["deps"] if path.startswith("augment/")]
    assert listed == stage_code.dependencies(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_settings_that_its_run_reads(stage: str) -> None:
    runner = import_module(f"augment.{stage}.run").run
    first = next(iter(inspect.signature(runner).parameters))
    group = get_type_hints(runner)[first]
    assert group is params.Params.model_fields[stage].annotation
    shared = ["profile"] if "profile" in group.model_fields else []
    assert DVC[stage]["params"] == [*shared, stage]


def test_the_lists_hold_what_was_missing_before() -> None:
    for stage in ("synth", "score"):
        assert "augment/vision/lookalikes.py" in DVC[stage]["deps"]
    assert {"augment/train", "augment/vision/label_graph.py", "augment/vision/kernel_distance.py",
            "augment/vision/factors.py"} <= set(DVC["train"]["deps"])  # fmt: skip
    assert "augment/models" in DVC["codes"]["deps"]
    assert not any(dep == "augment/params.py" for stage in DVC.values() for dep in stage["deps"])


def test_the_stage_code_sees_lazy_imports_parts_and_the_page() -> None:
    files = {stage: {path.relative_to(stage_code.PACKAGE).as_posix() for path in
                     stage_code.files_of(stage)} for stage in STAGES}  # fmt: skip
    assert "clean/out_of_fold.py" in files["clean"]  # imported in a function
    assert {"models/acgan.py", "models/penalties.py"} <= files["train"]  # found by name
    assert {"report/page.html", "report/page.css", "report/page.js"} <= files["report"]
    assert all("__init__.py" not in names for names in files.values())  # names for users
    assert not any(name.startswith("models") for name in files["clean"] | files["score"])


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "score"])
def test_whatever_a_run_imports_is_counted(stage: str, project: Path, tmp_path: Path) -> None:
    """Imports are read from the source; here a run tells which modules it loaded."""
    root = tmp_path / "copy"
    shutil.copytree(project, root)
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BY, stage, str(root), *SHORT],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {Path(line) for line in done.stdout.splitlines()[-1].split(os.pathsep)}
    assert stage_code.PACKAGE / stage / "run.py" in loaded | stage_code.files_of(stage)
    assert loaded <= stage_code.files_of(stage)


def test_what_a_stage_reads_of_others_is_among_its_dependencies() -> None:
    """Names of places in a stage's own folder are what it writes or what it depends on."""
    outs = {stage: {*paths(DVC[stage].get("outs", [])), *paths(DVC[stage].get("metrics", [])),
                    *paths(DVC[stage].get("plots", []))} for stage in STAGES}  # fmt: skip
    for stage in STAGES:
        declared = outs[stage] | set(DVC[stage]["deps"])
        folder = stage_code.PACKAGE / stage
        text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
        for place in re.findall(r"root / ([A-Z]+)\b", text):
            value = getattr(import_module("augment.data.places"), place, None)
            if value in (None, REPORTS, ".augment"):
                continue
            assert value in declared, (stage, value)


def changed_code(status: str) -> set[str]:
    """The stages that DVC, which tells its ``status``, would run because of their code."""
    return {
        stage
        for stage, reasons in json.loads(status).items()
        for reason in reasons
        if isinstance(reason, dict) and stage_code.FILE in reason.get("changed deps", {})
    }


@pytest.mark.slow
def test_an_upgrade_touches_exactly_the_stages_whose_code_changed(
    whole: Path, tmp_path: Path, dvc: Callable[..., str]
) -> None:
    assert json.loads(dvc(whole, "status", "--json")) == {"code": ["always changed"]}
    newer = tmp_path / "newer"
    cases = {
        "": set(),  # another version number alone changes no result
        "vision/lookalikes.py": {"synth", "score"},
        "train/settings.py": {"train"},  # a default of the train stage
        "write/gates.py": {"write", "report"},
        "errors.py": set(STAGES),
    }
    for name, stages in cases.items():
        shutil.rmtree(newer, ignore_errors=True)
        shutil.copytree(stage_code.PACKAGE, newer / "augment")
        init = newer / "augment/__init__.py"
        init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
        if name:
            path = newer / "augment" / name
            path.write_text(path.read_text() + "\n# another version\n")
        dvc(whole, "repro", "--single-item", "code", package=newer)
        assert changed_code(dvc(whole, "status", "--json")) == stages, name


@pytest.mark.slow
def test_settings_touch_exactly_the_stages_that_read_them(
    whole: Path, dvc: Callable[..., str]
) -> None:
    def changed(**groups: Any) -> set[str]:
        tree = yaml.safe_load((whole / "params.yaml").read_text())
        for name, value in groups.items():
            tree[name] = {**tree.get(name, {}), **value} if isinstance(value, dict) else value
        before = (whole / "params.yaml").read_text()
        (whole / "params.yaml").write_text(yaml.safe_dump(tree))
        dvc(whole, "repro", "--single-item", "code")
        status = json.loads(dvc(whole, "status", "--json"))
        (whole / "params.yaml").write_text(before)
        return set(status) - {"code"}

    assert changed(train={"steps": 7}) == {"train"}
    assert changed(write={"licence": "mit"}) == {"write"}
    assert changed(profile="natural") == {"clean", "train", "adopt", "score"}


def test_an_old_project_is_renewed_and_its_settings_stay(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    new_project.init(root, "builtin:digits")
    fresh = (root / "dvc.yaml").read_text()
    settings = "# mine\n" + (root / "params.yaml").read_text().replace(
        "per_class: 200", "per_class: 7"
    )
    (root / "params.yaml").write_text(settings)
    (root / "dvc.yaml").write_text("stages: {}  # of an older version\n")
    (root / "stages/code.py").unlink()
    remarks = new_project.init(root)
    assert (root / "dvc.yaml").read_text() == fresh
    assert (root / "dvc.yaml.old").read_text() == "stages: {}  # of an older version\n"
    assert (root / "stages/code.py").exists() and (root / "params.yaml").read_text() == settings
    assert remarks == [
        "dvc.yaml is renewed; the former one is dvc.yaml.old",
        "stages/code.py is new",
    ]
    assert new_project.init(root) == []


def test_a_renewed_project_still_reads_its_own_images(tmp_path: Path) -> None:
    (tmp_path / "images/a").mkdir(parents=True)
    (tmp_path / "images/b").mkdir()
    for label in "ab":
        (tmp_path / "images" / label / "1.png").write_bytes(b"")
    root = tmp_path / "mine"
    new_project.init(root, str(tmp_path / "images"))
    fresh = (root / "dvc.yaml").read_text()
    assert {stage_code.FILE: ["ingest", stage_code.SOURCE]} in yaml.safe_load(fresh)["stages"][
        "ingest"
    ]["params"]
    old = (root / "params.yaml").read_text().replace("clean:\n", "clean:\n  profile: glyph\n")
    (root / "params.yaml").write_text(old)  # as versions before 0.2 had it
    (root / "dvc.yaml").write_text("")
    first, *_ = new_project.init(root)
    assert first.startswith("params.yaml needs a change") and "clean.profile" in first
    assert (root / "dvc.yaml").read_text() == fresh and (root / "params.yaml").read_text() == old
    with pytest.raises(new_project.ProjectError, match="set ingest.source"):
        new_project.init(root, "builtin:digits")


def linked_images(folder: Path) -> Path:
    """Two classes of links to images elsewhere; one link leads nowhere, one in a circle."""
    for place, (pixels, label) in enumerate(zip(builtin.digits()[0][:80], "ab" * 40, strict=True)):
        (folder / "set" / label).mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.png").write_bytes(images.encode(pixels))
        (folder / "set" / label / f"{place}.png").symlink_to(folder / f"{place}.png")
    (folder / "set/a/gone.png").symlink_to(folder / "nowhere.png")
    (folder / "set/b/round").symlink_to(folder / "set")
    return folder / "set"


@pytest.mark.slow
def test_a_dead_link_stops_dvc_no_more_than_ingest(tmp_path: Path, dvc: Callable[..., str]) -> None:
    source = linked_images(tmp_path / "images")
    root = tmp_path / "mine"
    assert new_project.init(root, str(source)) == []
    dvc(root, "repro", "ingest")
    by_dvc = (root / "reports/ingest.json").read_text()
    assert json.loads(by_dvc)["reasons"] == {"missing file": 1, "unreadable file": 1}
    assert json.loads(by_dvc)["kept"] == 80
    shutil.rmtree(root / "data/ingested")
    pipeline.run("ingest", root=root)
    assert (root / "reports/ingest.json").read_text() == by_dvc
    dvc(root, "repro", "ingest")
    assert json.loads(dvc(root, "status", "--json", "ingest")) == {}
    (source / "b/more.png").write_bytes(images.encode(builtin.digits()[0][80]))
    dvc(root, "repro", "ingest")
    assert json.loads((root / "reports/ingest.json").read_text())["kept"] == 81


def test_the_listing_of_a_source_sees_every_change_of_a_file(tmp_path: Path) -> None:
    source = linked_images(tmp_path / "images")
    seen = [stage_code.listing([str(source), None], tmp_path)]

    def changed() -> bool:
        seen.append(stage_code.listing([str(source), None], tmp_path))
        return seen[-1] not in seen[:-1]

    assert not changed()
    (tmp_path / "images/0.png").write_bytes(b"other")  # what a link leads to
    assert changed()
    (source / "a/0.png").rename(source / "a/00.png")
    assert changed()
    os.utime(source / "b/1.png", ns=(0, 0))
    assert changed()
    (tmp_path / "images/nowhere.png").write_bytes(b"there now")
    assert changed()
    relative = stage_code.listing(["images/set"], tmp_path)
    (tmp_path / "images").rename(tmp_path / "moved")
    (tmp_path / "else").mkdir()
    assert stage_code.listing(["images/set"], tmp_path / "else") != relative
    assert stage_code.listing(["builtin:digits"], tmp_path) == stage_code.listing(
        ["builtin:digits"], tmp_path / "else"
    )
