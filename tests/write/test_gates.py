"""Gates: what they say, how they judge, and what a user of `augment gate` sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from augment import cli, params, pipeline
from augment.data import files
from augment.write import gates
from augment.write.gates import Gate

SCORES = {
    "label_accuracy": 0.95,
    "kid": 0.03,
    "fid": 4.0,
    "recall": None,
    "density": float("nan"),
    "flag": True,
    "zero": 0,
    "floor": {"kid": 0.01, "fid": 0.0},
    "uplift": {"low": -0.02, "gain": {"mean": 0.1}},
    "per_class": {"a.b": {"kid": 0.5}, "a": {"c": 1}, "<=": {"kid": 0.25}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label_accuracy >= 0.97", Gate("label_accuracy", ">=", 0.97)),
        (" kid_ratio<=3 ", Gate("kid_ratio", "<=", 3.0)),
        ("uplift.low > -2e-2", Gate("uplift.low", ">", -0.02)),
        ("fid < 7", Gate("fid", "<", 7.0)),
        ("per_class.small a.kid < 1", Gate("per_class.small a.kid", "<", 1.0)),
        ("per_class.<=.kid < 1", Gate("per_class.<=.kid", "<", 1.0)),
    ],
)
def test_what_a_gate_says(text: str, expected: Gate) -> None:
    assert gates.parse_gate(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "fid", "fid 3", "fid = 3", "fid == 3", "fid => 3", "fid >= ", ">= 3", "fid >= three"]
    + ["fid >= nan", "fid < inf", "fid >> 3", "fid >= 3 4"],
)
def test_what_is_no_gate(text: str, tmp_path: Path) -> None:
    with pytest.raises(gates.GateError, match="is no gate; expected KEY OP NUMBER, OP one of >="):
        gates.parse_gate(text)
    path = tmp_path / "params.yaml"
    path.write_text(f"ingest: {{source: x}}\nwrite: {{gates: ['fid < 3', '{text}']}}\n")
    with pytest.raises(params.ParamsError, match=r"write\.gates: '.*' is no gate"):
        params.load(path)


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        ("label_accuracy >= 0.95", 0.95, True),
        ("label_accuracy > 0.95", 0.95, False),
        ("label_accuracy <= 0.95", 0.95, True),
        ("label_accuracy < 0.95", 0.95, False),
        ("label_accuracy > 0.949", 0.95, True),
        ("label_accuracy < 0.951", 0.95, True),
        ("label_accuracy >= 0.951", 0.95, False),
        ("label_accuracy <= 0.949", 0.95, False),
        ("zero >= 0", 0.0, True),
        ("uplift.low >= -0.02", -0.02, True),
        ("uplift.gain.mean > 0", 0.1, True),
        ("per_class.a.b.kid <= 0.5", 0.5, True),
        ("per_class.a.c >= 1", 1.0, True),
        ("per_class.<=.kid <= 0.25", 0.25, True),
        ("kid_ratio <= 3.001", 3.0, True),
        ("kid_ratio <= 2.999", 3.0, False),
        ("fid_ratio <= 3", None, False),  # a floor of 0
        ("recall >= 0", None, False),
        ("density >= 0", None, False),
        ("flag >= 0", None, False),
        ("uplift.gain >= 0", None, False),
        ("uplift.high < 1", None, False),
        ("label_accuracy.mean < 1", None, False),
        ("nothing < 1", None, False),
    ],
)
def test_how_a_gate_judges(gate: str, value: float | None, passed: bool) -> None:
    (result,) = gates.check_gates([gate], SCORES)
    assert (result.value, result.passed) == (pytest.approx(value), passed)
    assert ("not measured" in gates.lines([result])) == (value is None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "ingest: {source: x}\nwrite: {gates: [label_accuracy >= 0.9, kid_ratio <= 3.5]}\n"
    )
    return tmp_path


def gate(*options: str) -> Any:
    return CliRunner().invoke(cli.app, ["gate", *options])


def test_gate_that_passes_and_gate_that_fails(here: Path) -> None:
    files.write_json(here / "reports/score.json", SCORES)
    before = files.digest_of_folder(here)
    result = gate()
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "gate", "label_accuracy", "kid_ratio",
    ]  # fmt: skip
    result = gate("-S", "write.gates=[label_accuracy >= 0.96, fid < 9]", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == [
        {"gate": "label_accuracy", "value": 0.95, "bound": ">= 0.96", "passed": False},
        {"gate": "fid", "value": 4.0, "bound": "< 9", "passed": True},
    ]
    assert gate("-S", "write.gates=[]").exit_code == 0
    (here / pipeline.CHECKED).unlink()  # the one file that it may leave
    assert files.digest_of_folder(here) == before


@pytest.mark.parametrize(
    ("options", "score", "message"),
    [
        ([], None, "reports/score.json: no such file; run the stage score first"),
        ([], "{", "reports/score.json: not JSON"),
        (["-S", "write.gates=[fid]"], "{}", "write.gates: 'fid' is no gate"),
        (["-S", "write.gate=[]"], "{}", "write.gate: unknown key"),
        (["--jason"], "{}", "--jason"),
    ],
)
def test_gate_used_wrongly(here: Path, options: list[str], score: str | None, message: str) -> None:
    if score is not None:
        files.write_text(here / "reports/score.json", score)
    result = gate(*options)
    assert result.exit_code == 2
    assert message in result.stderr and result.stdout == ""


def test_write_with_a_failed_gate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files.write_json(here / "reports/score.json", SCORES)
    with pytest.raises(SystemExit) as caught:
        cli.main(["write", "-S", "write.gates=[label_accuracy >= 0.96]"])
    shown = capsys.readouterr()
    assert caught.value.code == 1
    assert shown.err.startswith("error: 1 of 1 gates failed") and "--force" in shown.err
    assert "label_accuracy  0.95   >= 0.96  failed" in shown.err
    assert not (here / "data").exists()
