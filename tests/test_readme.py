"""What the README says is true: its commands run, its code runs, its tables are the results."""

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from augment import cli, new_project, params
from augment.data import images, table
from augment.models import losses
from benchmarks import readme

REPOSITORY = Path(__file__).parent.parent
TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_every_command_is_one_that_is_tested() -> None:
    """CI runs the make targets; test_pipeline runs dvc repro; the rest runs below."""
    makefile = (REPOSITORY / "Makefile").read_text()
    seen = set()
    for command in commands():
        seen.add(" ".join(command[:2]))
        if command[0] == "make":
            assert re.search(rf"(?m)^{command[1]}:", makefile), command
        elif command[0] == "augment":
            assert command[1] in ("init", "synth", "show"), command
        else:
            assert command in (["cd", "my-glyphs"], ["dvc", "repro"]), command
    assert {"make demo", "make test", "augment init", "augment synth", "dvc repro"} <= seen


def test_commands_of_a_new_user(
    project: Path, digits_table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    monkeypatch.setenv("HOME", str(tmp_path))
    for row in table.rows(digits_table(tmp_path / "table")):
        path = tmp_path / "glyphs" / row["label"] / f"{row['id'][:12]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["image"]["bytes"])
    init = next(command for command in commands() if command[:2] == ["augment", "init"])
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(cli.app, init[1:])
    assert result.exit_code == 0, result.output
    made = tmp_path / "my-glyphs"
    monkeypatch.chdir(made)
    assert params.load().ingest.source == str(tmp_path / "glyphs")
    assert "${ingest.source}" in (made / "dvc.yaml").read_text()
    assert not re.search(r"augment/|#", (made / "dvc.yaml").read_text())
    assert (made / ".dvc/config").exists() and (made / ".git").exists()
    for stage in ("ingest", "clean"):
        assert runner.invoke(cli.app, [stage]).exit_code == 0
    sheet = pd.read_csv(made / "reports/clean.csv", dtype=str, keep_default_na=False)
    out = sheet[sheet["verdict"] != "keep"]
    assert table.count(made / "data/clean") == 200 - len(out) >= 198
    blamed = {name for reasons in out["reasons"] for name in reasons.split(";")}
    assert blamed <= {"outlier", "wrong_label"}  # what models find odd in real digits; no page
    again = runner.invoke(cli.app, ["init", str(made)])
    assert again.exit_code == 1
    monkeypatch.chdir(project)
    for command in commands():
        if command[:2] in (["augment", "show"], ["augment", "synth"]):
            arguments = ["60" if word == "5000" else word for word in command[1:]]
            result = runner.invoke(cli.app, [*arguments, "--out", str(tmp_path / command[1])])
            assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "synth").rglob("*.png"))) == 60
    assert images.decode((tmp_path / "show").read_bytes()).mode == "RGB"


def test_python_for_a_training_job(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (code,) = [block for block in blocks("python") if "Generator.load" in block]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102
    assert isinstance(names["sevens"], torch.Tensor)
    assert names["sevens"].shape == (16, 1, 8, 8)
    real, mixed = len(names["real_only"]), len(names["one_to_two"])  # type: ignore[arg-type]
    synthetic = (names["train"].table["origin"] == "synthetic").sum()  # type: ignore[attr-defined]
    assert mixed == real + min(synthetic, round(real / 2))


def test_adding_a_loss_is_what_it_says() -> None:
    (code,) = [block for block in blocks("python") if "LOSSES.register" in block]
    with losses.LOSSES.restored():
        exec(code, vars(losses) | {})  # noqa: S102
        loss = losses.LOSSES.build("average")
    real, fake = torch.tensor([1.0, 3.0]), torch.zeros(2)
    assert loss.discriminator(real=real, fake=fake).item() == pytest.approx(1.5)
    assert loss.generator(fake=fake, real=real).item() == pytest.approx(9.5)


def test_yaml_example_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "params.yaml").write_text("ingest: {source: x}\n" + text)
    from augment import pipeline

    settings = pipeline.load(root=tmp_path)
    assert settings.train.loss == "wasserstein"
    assert settings.train.model == {"name": "infogan", "continuous": 2}
    assert settings.train.discriminator == {"name": "dcgan", "width": 64}


def test_tables_are_the_stored_results() -> None:
    assert readme.filled(TEXT) == TEXT
    for name in readme.TABLES:
        assert f"<!-- {name} -->" in TEXT
        result = json.loads((readme.RESULTS / f"{name}.json").read_text())
        assert {"date", "hardware", "rows", "command"} <= set(result)


def test_picture_is_there() -> None:
    picture = images.decode((REPOSITORY / "docs/samples.png").read_bytes())
    assert picture.width > 600


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
