"""The README and the documentation are true: commands and code run, settings are valid, links lead.

The commands of every ``sh`` block run through the command line in a project in which every stage
has run. Where a command needs minutes or a network, a stand-in does the work (STAND_INS says why):
its options and its settings are checked all the same.
"""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from augment import cli, new_project, params, pipeline
from augment.compare.entries import entries
from augment.compare.lines import Line
from augment.compare.page import PAGE
from augment.data import images, table
from augment.data.arrays import load_arrays
from augment.readers import builtin
from augment.score.scores.base import SCORES
from augment.settings import Settings
from augment.tune.page import Findings
from augment.tune.run import Request
from tests import test_elsewhere as elsewhere

REPOSITORY = Path(__file__).parent.parent
README = REPOSITORY / "README.md"
PAGES = (README, REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
KILOBYTES = 8  # of the README
PHONE = {"width": 390, "height": 844}

STAND_INS = {  # commands whose work is not done here, and why
    "init": "test_commands_of_a_new_user makes a project",
    "ingest": "the fixture `project` has run it",
    "clean": "fits models for half a minute; the fixture `project` has run it",
    "train": "minutes; the fixture `project` has run it",
    "adopt": "fits classifiers; the fixture `project` has run it",
    "score": "fits classifiers; the fixture `project` has run it",
    "uplift": "an hour; tests/score has its own",
    "compare": "minutes for each recipe; tests/compare has its own",
    "tune": "an hour; tests/tune has its own",
    "translate": "needs a generator that starts from images; tests/synth has its own",
    "review": "waits for a browser; tests/review opens the page",
}
QUICK = {"--n": "20"}  # instead of thousands of samples
NAMED_CODE = "slant="  # a code earns a name in a longer training than the fixture's
UNINSTALLED = {"datasets": "Hugging Face's library is no dependency"}
ELSEWHERE = {"Global"}  # the first key of other programs' settings


def blocks(language: str, pages: tuple[Path, ...] = PAGES) -> list[str]:
    fence = rf"(?ms)^```{language}\n(.*?)^```"
    return [block for page in pages for block in re.findall(fence, page.read_text("utf-8"))]


def commands(pages: tuple[Path, ...] = PAGES) -> list[list[str]]:
    """Each line of the ``sh`` blocks as words, without what the shell does with its output."""
    lines = [line for block in blocks("sh", pages) for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines if line.strip()]
    return [words[: words.index(">")] if ">" in words else words for words in split]


@pytest.fixture(scope="module")
def copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixture ``project`` that commands may change."""
    return Path(shutil.copytree(project, tmp_path_factory.mktemp("documents") / "copy"))


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_one_that_exists(command: list[str]) -> None:
    program, *rest = command
    if program == "make":
        assert re.search(rf"(?m)^{rest[0]}:", (REPOSITORY / "Makefile").read_text())
    elif program == "pip":
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        assert rest[0] == "install" and len(rest) == 2
        extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", rest[1])
        assert extras, rest
        assert set((extras[1] or "all").split(",")) <= set(project["optional-dependencies"])
    elif program == "dvc":  # tests/test_pipeline.py runs it
        stages = rest[0] in ("repro", "commit") and set(rest[1:]) <= set(pipeline.STAGES)
        assert stages or command in elsewhere.DVC, "tests/test_elsewhere.py runs these"
    elif program == "python":
        assert rest[0] == "-m" and importlib.util.find_spec(rest[1])
        paths = [word for word in rest[2:] if "/" in word and not word.startswith("-")]
        assert all((REPOSITORY / path).exists() for path in paths if rest[1] == "pytest")
    else:
        assert program == "augment" or command == ["cd", "my-glyphs"], command


@pytest.mark.parametrize(
    "command",
    list(dict.fromkeys(tuple(words[1:]) for words in commands() if words[0] == "augment")),
    ids=" ".join,
)
def test_every_command_of_augment_runs(
    command: tuple[str, ...],
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3: fsspec.AbstractFileSystem,
) -> None:
    monkeypatch.chdir(copy)
    monkeypatch.setenv("HOME", str(tmp_path))
    for place, pixels in enumerate(builtin.digits()[0][:4]):
        path = tmp_path / "glyphs" / "ab"[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode(pixels))
    name, *options = command
    if name in STAND_INS or command == ("synth",):
        stand_in(monkeypatch, copy)
    options = [QUICK.get(before, word) for before, word in pairwise(["", *options])]
    if any(word.startswith(NAMED_CODE) for word in options):
        codes = {"names": {"slant": {"code": 0, "sign": 1, "spearman": 0.9}}}
        path = copy / "models/codes.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | codes))
    if "--class" in options or options == ["data/clean"]:
        options += [] if "--out" in options else ["--out", str(tmp_path / "made")]
    result = CliRunner().invoke(cli.app, [name, *options])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"


def stand_in(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Replace the work of all stages by its report; settings are checked as ever."""

    def report(stage: str, overrides: list[str]) -> Any:
        pipeline.load(overrides)
        return json.loads((root / f"reports/{stage}.json").read_text())

    def prove(settings: params.Params) -> Any:
        return json.loads((root / "reports/score.json").read_text())["uplift"]

    def compare(names: list[str], *, minutes: float, overrides: list[str]) -> Any:
        images = load_arrays(root / "data/clean", split="train", origin="real")
        first = entries(names, overrides, root, images)[0]
        rows = [Line(first.name, first.line(), error="not trained here").as_dict()]
        return {"winner": None, "minutes": minutes, "rows": rows, "page": PAGE}, first

    def tune(request: Request, overrides: list[str]) -> Any:
        pipeline.load(overrides)
        return Findings([], [], {}, None, {}, "not tuned here", "").as_dict(), {}

    monkeypatch.setattr("augment.tune.run.tune", tune)
    monkeypatch.setattr(pipeline, "run", report)
    monkeypatch.setattr("augment.score.run.prove", prove)
    monkeypatch.setattr("augment.compare.run.compare", compare)
    monkeypatch.setattr("augment.synth.translate.translate", lambda *_, **__: {})
    monkeypatch.setattr(new_project, "init", lambda folder, data: [])
    monkeypatch.setattr("augment.review.server.serve", lambda *_, **__: None)


def test_commands_of_a_new_user(
    project: Path, digits_table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    monkeypatch.setenv("HOME", str(tmp_path))
    for row in table.rows(digits_table(tmp_path / "table")):
        path = tmp_path / "glyphs" / row["label"] / f"{row['id'][:12]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["image"]["bytes"])
    init = next(command for command in commands((README,)) if command[:2] == ["augment", "init"])
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(cli.app, init[1:])
    assert result.exit_code == 0, result.output
    made = tmp_path / "my-glyphs"
    monkeypatch.chdir(made)
    assert params.load().ingest.source == str(tmp_path / "glyphs")
    assert "          - source\n" in (made / "dvc.yaml").read_text()
    assert not re.search(r"augment/|#", (made / "dvc.yaml").read_text())
    assert (made / ".dvc/config").exists() and (made / ".git").exists()
    for stage in ("ingest", "clean"):
        assert runner.invoke(cli.app, [stage]).exit_code == 0
    sheet = pd.read_csv(made / "reports/clean.csv", dtype=str, keep_default_na=False)
    out = sheet[sheet["verdict"] != "keep"]
    assert table.count(made / "data/clean") == 200 - len(out) >= 198
    blamed = {name for reasons in out["reasons"] for name in reasons.split(";")}
    assert blamed <= {"outlier", "wrong_label"}  # what models find odd in real digits; no page
    again = runner.invoke(cli.app, ["init", str(made), "--data", str(tmp_path / "glyphs")])
    assert again.exit_code == 1
    monkeypatch.chdir(project)
    for command in commands((README,)):
        if command[:2] in (["augment", "show"], ["augment", "synth"]):
            words = ["60" if word == "5000" else word for word in command[1:]]
            result = runner.invoke(cli.app, [*words, "--out", str(tmp_path / command[1])])
            assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "synth").rglob("*.png"))) == 60
    assert images.decode((tmp_path / "show").read_bytes()).mode == "RGB"


# --- code and settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [block for block in blocks("python") if not block.startswith("# augment/")]
)
def test_python_runs(code: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile(code, "documentation", "exec")
    if any(re.search(rf"(?m)^(from|import) {library}\b", code) for library in UNINSTALLED):
        return
    monkeypatch.chdir(project)
    names: dict[str, Any] = {}
    exec(compiled, names)  # noqa: S102
    if "sevens" in names:
        assert isinstance(names["sevens"], torch.Tensor)
        assert names["sevens"].shape == (16, 1, 8, 8)
    if "one_to_two" in names:
        real, mixed = len(names["real_only"]), len(names["one_to_two"])
        synthetic = (names["train"].table["origin"] == "synthetic").sum()
        assert mixed == real + min(synthetic, round(real / 2))


def test_adding_a_part_is_what_it_says() -> None:
    """In a process of its own, so that no registry of this one changes."""
    parts = [block for block in blocks("python") if block.startswith("# augment/")]
    assert len(parts) == 3
    modules = [re.sub(r"/", ".", part.split()[1].removesuffix(".py")) for part in parts]
    defined = [
        f"import {module}\nexec({part!r}, vars({module}))"
        for module, part in zip(modules, parts, strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*defined, CLOSED_FORMS])],
        capture_output=True, text=True, timeout=120, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


CLOSED_FORMS = """
import numpy as np, torch
from augment.clean.checks.base import CHECKS
from augment.models.losses import LOSSES
from augment.vision.augmentations import AUGMENTATIONS

loss = LOSSES.build("average")
real, fake = torch.tensor([1.0, 3.0]), torch.zeros(2)
assert abs(loss.discriminator(real=real, fake=fake).item() - 1.5) < 1e-6
assert abs(loss.generator(fake=fake, real=real).item() - 9.5) < 1e-6
faint = CHECKS.build("faint")
assert faint(np.full((8, 8), 255, np.uint8)) == 0 and faint(np.zeros((8, 8), np.uint8)) == 1
white = torch.ones(64, 1, 4, 4)
for amount, least in ((0.0, 1.0), (1.0, 0.0)):
    fade = AUGMENTATIONS.build({"name": "fade", "amount": amount})
    faded = fade(white, torch.Generator().manual_seed(0))
    assert least <= faded.min() <= faded.max() <= 1 and faded.min() < least + 0.1
"""


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_are_valid(text: str, tmp_path: Path) -> None:
    tree = yaml.safe_load(text)
    if next(iter(tree)) in ELSEWHERE:
        return
    tree.setdefault("ingest", {}).setdefault("source", "builtin:digits")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    settings = pipeline.load(root=tmp_path)
    if tree.get("train", {}).get("recipe") == "wgan_gp":
        assert settings.train.loss == "wasserstein"
        assert settings.train.model == {"name": "infogan", "continuous": 2}
        assert settings.train.discriminator == {"name": "dcgan", "width": 64}


# --- README and site -----------------------------------------------------------------------------


def test_the_readme_is_short_and_its_links_lead() -> None:
    text = README.read_text("utf-8")
    assert len(text.encode()) <= KILOBYTES * 1024
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert len(targets) > 10
    for target in targets:
        assert (REPOSITORY / target).exists(), target
    assert images.decode((REPOSITORY / "docs/demo.png").read_bytes()).width > 800


class Anchors(HTMLParser):
    """The ids of a page, and whatever it loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if value and (name == "src" or (tag, name) == ("link", "href")):
                self.loaded.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a broken link or a missing meaning fails."""
    folder = tmp_path_factory.mktemp("documents") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        capture_output=True, text=True, timeout=300, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def page(site: Path) -> Callable[[str], tuple[str, Anchors]]:
    def read(name: str) -> tuple[str, Anchors]:
        text = (site / name).read_text("utf-8")
        anchors = Anchors()
        anchors.feed(text)
        return text, anchors

    return read


def keys(model: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of params.yaml; a group's `profile` is that at the top."""
    at_the_top = {name for name in params.Params.model_fields if name not in pipeline.STAGES}
    for name, field in model.model_fields.items():
        if not prefix or name not in at_the_top:
            group = hasattr(field.annotation, "model_fields")
            yield from [] if group else [prefix + name]
            yield from keys(field.annotation, f"{prefix}{name}.") if group else []


def test_the_reference_is_whole(page: Callable[[str], tuple[str, Anchors]]) -> None:
    assert set(keys(params.Params)) <= page("reference/settings.html")[1].ids
    numbers = [key for name in SCORES for key in SCORES.describe(name).facts.get("keys", {})]
    assert set(numbers) <= page("reference/score.html")[1].ids
    listed = {
        "reference/parts.html": [part["name"] for part in pipeline.parts()],
        "reference/commands.html": [
            "init",
            "inspect",
            *pipeline.STAGES,
            "gate",
            "uplift",
            "compare",
            "tune",
            "parts",
            "review",
            "translate",
        ],
        "reference/files.html": [*table.COLUMNS, "data/quarantine", "reports/score.json"],
    }
    for name, names in listed.items():
        text = page(name)[0]
        assert not [word for word in names if f">{word}" not in text], name
    newest = (REPOSITORY / "CHANGELOG.md").read_text("utf-8").count("\n- ")
    assert page("changes.html")[0].count("<li>") >= newest


def test_a_page_loads_nothing_from_elsewhere(
    site: Path, page: Callable[[str], tuple[str, Anchors]]
) -> None:
    for path in site.rglob("*.html"):
        loaded = page(str(path.relative_to(site)))[1].loaded
        assert not [address for address in loaded if address.startswith(("http", "//"))], path


def test_no_page_is_wider_than_a_phone(browser: Any, site: Path) -> None:
    """A wide table or listing scrolls by itself."""
    view = browser.new_page(viewport=PHONE)
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":
            continue
        view.goto(path.as_uri(), wait_until="domcontentloaded")
        assert view.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    view.close()


# --- augment init --------------------------------------------------------------------------------


def test_missing_dvc_is_said_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_project.importlib.util, "find_spec", lambda name: None)
    remarks = new_project.init(tmp_path / "mine", "builtin:digits")
    assert len(remarks) == 1 and "augment[dvc]" in remarks[0]
    assert (tmp_path / "mine/stages/train.py").exists()
    result = CliRunner().invoke(cli.app, ["init", str(tmp_path / "a b")])
    assert result.stdout.endswith("a b' && augment ingest\n")


def test_missing_git_is_said_and_dvc_works_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    remarks = new_project.init(tmp_path / "mine", "builtin:digits")
    assert remarks == ["git is not installed; the stages run without it"]
    assert "no_scm = True" in (tmp_path / "mine/.dvc/config").read_text()


def test_blank_data_is_not_this_folder(tmp_path: Path) -> None:
    with pytest.raises(new_project.ProjectError, match="--data: blank"):
        new_project.init(tmp_path / "mine", "")
    assert not (tmp_path / "mine").exists()


def test_every_setting_has_a_meaning() -> None:
    def groups(settings: type[Settings]) -> Iterator[type[Settings]]:
        yield settings
        for field in settings.model_fields.values():
            for kind in (field.annotation, *typing.get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, Settings):
                    yield from groups(kind)

    for group in groups(params.Params):
        for name, field in group.model_fields.items():
            assert field.description, f"{group.__name__}.{name}"
