"""The command line, as a user meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augment import cli, new_project, pipeline
from augment.data import images
from augment.data.reports import PartGain, Spread, UpliftReport
from augment.report import terminal
from augment.synth import run as synth
from augment.train.recipes import RECIPES

runner = CliRunner()


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return int(caught.value.code or 0), capsys.readouterr().err


def test_help_lists_every_stage_in_order() -> None:
    text = runner.invoke(cli.app, ["--help"]).stdout
    places = [text.index(f" {name} ") for name in ("init", *pipeline.STAGES, "parts", "show")]
    assert places == sorted(places)


def test_synth_one_class(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "sevens"
    result = runner.invoke(
        cli.app, ["synth", "--class", "7", "--n", "30", "--out", str(out), "--json"]
    )
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["class"], report["accepted"], report["out"]) == ("7", 30, str(out))
    files = sorted(out.rglob("*.png"))
    assert len(files) == 30
    with Image.open(files[0]) as image:
        assert (image.size, image.mode) == ((8, 8), "L")


def test_synth_default_folder_is_refused_when_full(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ["synth", "--class", "3", "--n", "4", "--seed", "5"]
    assert runner.invoke(cli.app, command).exit_code == 0
    folder = here / "synthetic/3-4-seed5"
    before = sorted(path.read_bytes() for path in folder.rglob("*.png"))
    assert len(before) == 4
    code, error = fails(command, capsys)
    assert code == 1
    assert "--overwrite" in error and error.count("\n") == 1
    assert runner.invoke(cli.app, [*command, "--overwrite"]).exit_code == 0
    assert sorted(path.read_bytes() for path in folder.rglob("*.png")) == before


def test_synth_codes_format_and_no_filter(here: Path, tmp_path: Path) -> None:
    command = ["synth", "--class", "1", "--n", "3", "--no-filter", "--format", "parquet"]
    command += ["--code", "0=0.5", "--code", "1=-1:0", "--out", str(tmp_path / "ones")]
    result = runner.invoke(cli.app, command)
    assert result.exit_code == 0, result.stderr
    rows = list(synth.table.rows(tmp_path / "ones"))
    codes = np.array([row["codes"] for row in rows])
    assert codes[:, 0] == pytest.approx(0.5)
    assert ((codes[:, 1] >= -1) & (codes[:, 1] <= 0)).all()
    assert [row["index"] for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["synth", "--class", "11", "--n", "1"], 1, "unknown class '11'; known: 0, 1"),
        (["synth", "--class", "1", "--n", "1", "--code", "9=0"], 1, "code 9"),
        (
            ["synth", "--class", "1", "--n", "1", "--format", "pickle"],
            1,
            "known: idx, image_folder",
        ),
        (["synth", "--class", "1", "--n", "1", "--code", "x"], 2, "CODE=VALUE or CODE=LO:HI"),
        (["synth", "--class", "1", "--n", "1", "--code", "girth=0"], 1, "unknown code 'girth'"),
        (["synth", "--class", "1"], 2, "--n"),
        (["synth", "--n", "3"], 2, "--class"),
        (["synth", "--class", "1", "--n", "0"], 2, "n"),
        (["train", "-S", "train.stepps=3"], 1, "train.stepps: unknown key"),
        (["train", "-S", "train.loss=wassersteen"], 1, "train.loss: unknown loss 'wassersteen'"),
        (["ingest", "-S", "train.loss=wassersteen"], 1, "train.loss"),  # found by every stage
        (["uplift", "--arms", "reel"], 1, "score.uplift.arms: unknown arm 'reel'; known: adopted"),
        (["uplift", "--doses", "0"], 1, "score.uplift.doses.0"),
        (["uplift", "--learner", "svm"], 1, "unknown learner 'svm'; known: judge, resnet18, svc"),
        (["train", "-S", "steps"], 1, "expected group.key=value"),
        (["parts", "nonsense"], 2, "known: reader, check"),
        (["show", "data/nowhere"], 1, "data/nowhere"),
        (["show", "nowhere.json"], 1, "nowhere.json"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    exit_code, error = fails(arguments, capsys)
    assert exit_code == code
    assert message in " ".join(error.replace("│", " ").split())
    assert "Traceback" not in error


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_warnings_stand_on_the_console(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    report = {
        "remarks": ["valid was cut"],
        "set": {"imbalance": [{"warning": "'b' is rare"}], "shared_group": []},
    }
    monkeypatch.setattr(pipeline, "run", lambda *_: report)
    result = runner.invoke(cli.app, ["clean", *options])
    assert result.stderr == "warning: 'b' is rare\n"  # the stage itself says its remarks
    assert not options or json.loads(result.stdout) == report


def test_each_remark_of_ingest_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        path = tmp_path / f"in/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode(np.full((5, 4), 10 * number, np.uint8)))
    new_project.init(tmp_path / "mine", str(tmp_path / "in"))
    monkeypatch.chdir(tmp_path / "mine")
    result = runner.invoke(cli.app, ["ingest", "--json"])
    assert json.loads(result.stdout)["remarks"] == ["2 folders are classes: a, b"]
    assert result.stderr.count("2 folders are classes: a, b") == 1


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", stopped)
    assert fails(["train"], capsys) == (130, "stopped; nothing half-written is left\n")


def test_outside_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = fails(["clean"], capsys)
    assert (code, "params.yaml" in error) == (1, True)


def test_parts_names_every_registered_part() -> None:
    listed = json.loads(runner.invoke(cli.app, ["parts", "--json"]).stdout)
    registered = [(r.kind, name) for r in pipeline.registries() for name in r.names()]
    registered += [("recipe", name) for name in RECIPES]
    assert [(part["kind"], part["name"]) for part in listed] == registered
    assert len(registered) == len(set(registered)) > 30
    text = runner.invoke(cli.app, ["parts", "penalty"]).stdout
    assert "gradient(weight=10.0, interval=1)" in text
    assert "Gulrajani" in text


def test_show_draws_a_sheet_and_prints_a_report(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = runner.invoke(cli.app, ["show", "data/clean", "--out", str(out), "--split", "test"])
    assert result.exit_code == 0, result.stderr
    with Image.open(out) as sheet:
        assert sheet.mode == "RGB" and sheet.width > 500 and sheet.height > 400
    board = runner.invoke(cli.app, ["show", "reports/score.json"]).stdout
    assert "label accuracy" in board and "uplift" in board


def test_uplift_prints_a_verdict_and_stores_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root)
    monkeypatch.chdir(root)
    command = ["uplift", "--arms", "real,synthetic", "--doses", "0.1", "--seeds", "1"]
    command += ["-S", "score.uplift.policies=[elastic]", "-S", "score.uplift.learning_curve=[]"]
    command += ["-S", "score.uplift.steps=20"]
    result = runner.invoke(cli.app, [*command, "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert json.loads(Path("reports/uplift.json").read_text()) == report
    assert list(report["arms"]) == ["classic", "real", "synthetic@0.1"] and report["seeds"] == [0]
    assert "minutes" in result.stderr
    text = runner.invoke(cli.app, command).stdout
    assert runner.invoke(cli.app, ["show", "reports/uplift.json"]).stdout == text
    assert "class 7" in text and terminal.uplift_in_words(UpliftReport.from_dict(report)) in text


def test_verdicts_in_words(uplift_report: Callable[..., UpliftReport]) -> None:
    gain = Spread(0.012, 0.0, [0.012])
    helps = uplift_report(gain=gain, low=0.004, high=0.02, dose=0.5)
    expected = "helps: +1.20 points (+0.40 to +2.00) on real test images, with samples at dose 0.5"
    assert terminal.uplift_in_words(helps) == expected
    without = uplift_report(verdict="no difference", dose=0.0)
    words = "no difference: nothing that could be added is better than classic augmentation"
    assert terminal.uplift_in_words(without).startswith(words)
    blind = uplift_report(verdict="no difference", dose=0.0, chosen_on=None)
    assert "no valid images to choose a dose by" in terminal.uplift_in_words(blind)
    assert terminal.uplift_in_words(uplift_report(verdict=None)) == "not measured"


def test_the_scoreboard_splits_the_gain(uplift_report: Callable[..., UpliftReport]) -> None:
    """The written set first, each ingredient beneath, what the samples earned, and the budget."""
    base = uplift_report()
    arm = base.arms["synthetic@1"]
    nothing = PartGain(-0.003, -0.007, 0.001, "no difference", 1.0)
    uplift = uplift_report(
        adopted=True, dose=0.0, chosen_on=None, samples=nothing,
        arms={**base.arms, "adopted": arm, "adopted+synthetic@1": arm, "pseudo_labels": arm},
        parts={
            "adopted": PartGain(0.02, 0.01, 0.03, "helps", None),
            "synthetic": PartGain(-0.01, -0.02, -0.005, "harms", 1.0),
            "adopted+synthetic": nothing,
            "pseudo_labels": PartGain(0.01, 0.0, 0.02, "no difference", None),
        },
    )  # fmt: skip
    assert list(terminal.uplift_rows(uplift)) == [
        ("uplift: written set", "0.9200 ± 0.0100",
         "helps: +2.00 points (+1.00 to +3.00) on real test images, with adopted images"),
        ("  labelled images alone", "0.9000 ± 0.0100", "classic augmentation"),
        ("  with adopted images", "0.9200 ± 0.0100", "helps: +2.00 points (+1.00 to +3.00)"),
        ("  with samples, dose 1", "0.9200 ± 0.0100", "harms: -1.00 points (-2.00 to -0.50)"),
        ("  with both, dose 1", "0.9200 ± 0.0100",
         "no difference: -0.30 points (-0.70 to +0.10)"),
        ("  with pseudo-labels", "0.9200 ± 0.0100",
         "no difference: +1.00 points (+0.00 to +2.00)"),
        ("  samples themselves", "", "nothing measurable: -0.30 points (-0.70 to +0.10) over "
         "adopted images alone, at dose 1"),
        ("  how it was chosen", "",
         "no valid images, so adopted ones at their calibrated labels and no samples"),
        ("  budget", "", "2 classifiers an arm, 200 steps each; augment uplift measures longer"),
    ]  # fmt: skip


def test_long_words_of_a_report_are_printed_whole(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    (tmp_path / "report.json").write_text(json.dumps({"a" * 30: digest}))
    lines = runner.invoke(cli.app, ["show", str(tmp_path / "report.json")]).stdout.splitlines()
    assert len(lines) > 1 and "".join(line.split()[-1] for line in lines) == digest


def test_stage_scripts_are_thin() -> None:
    for name in pipeline.STAGES:
        text = (Path(__file__).parent.parent / "stages" / f"{name}.py").read_text()
        assert len(text.splitlines()) <= 10
        assert f'main(["{name}", *sys.argv[1:]])' in text
