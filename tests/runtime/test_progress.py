"""Lines and bars on stderr, as text and as JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from augment.cli import main
from augment.runtime import progress


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(progress.LOG, "json")
    progress.name("train")
    yield
    progress.name(None)


def objects(text: str) -> list[dict[str, Any]]:
    """Every line is an object; the times, which differ, are checked and left out."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.pop("time").endswith("+00:00") for line in lines)
    return lines


def test_lines_are_text_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    progress.say("train: begun")
    progress.say("little memory", "warning")
    assert capsys.readouterr().err == "train: begun\nwarning: little memory\n"


@pytest.mark.usefixtures("as_json")
def test_lines_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    progress.say('train: a name with \n and "quotes"', "warning")
    assert objects(capsys.readouterr().err) == [
        {
            "level": "warning",
            "command": "train",
            "event": "message",
            "message": 'train: a name with \n and "quotes"',
        }
    ]


@pytest.mark.usefixtures("as_json")
def test_a_bar_as_json_tells_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(float(second) for second in range(0, 1000, 4))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert list(progress.track("abcd", "letters")) == [*"abcd"]
    lines = objects(capsys.readouterr().err)
    done = [line["done"] for line in lines]
    assert done == sorted(set(done)) and done[-1] == 4
    assert {line["message"] for line in lines} == {"letters"}
    with progress.bar() as display:
        task = display.add_task("steps", total=10, note="")
        display.update(task, completed=5, note="loss 0.1")
    (line,) = objects(capsys.readouterr().err)
    assert (line["event"], line["done"], line["total"]) == ("progress", 5, 10)
    assert line["note"] == "loss 0.1"
    assert line["seconds_left"] == pytest.approx(5 / line["rate"], rel=0.01)


def test_a_silent_worker_shows_no_bar() -> None:
    script = (
        "from augment.runtime import progress; progress.silence(); "
        "print([*progress.track('ab', 'letters')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {progress.LOG: "json"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("['a', 'b']\n", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--log", "json", "train"], 1, "params.yaml"),
        (["--log=json", "nothing"], 2, "No such command"),
        (["--log", "json", "synth", "--n", "3"], 2, "--n needs --class"),
        (["--log", "xml", "show"], 2, "text or json"),
    ],
)
def test_errors_keep_their_exit_codes(
    words: list[str], code: int, message: str, tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(progress.LOG, "text")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == code
    said = capsys.readouterr().err
    assert message in said
    if "xml" not in words:
        (line,) = objects(said)
        assert line["level"] == "error"


def test_a_gate_that_says_no_and_ctrl_c_keep_their_exit_codes(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv(progress.LOG, "text")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "ingest: {source: 'builtin:digits'}\nwrite: {gates: [label_accuracy >= 0.9]}\n"
    )
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/score.json").write_text('{"label_accuracy": 0.5}')
    with pytest.raises(SystemExit) as no:
        main(["--log", "json", "gate", "--json"])
    told = capsys.readouterr()
    assert no.value.code == 3 and not any(gate["passed"] for gate in json.loads(told.out))
    assert objects(told.err) == []
    monkeypatch.setattr("augment.pipeline.run", stopped)
    with pytest.raises(SystemExit) as killed:
        main(["--log", "json", "train"])
    (line,) = objects(capsys.readouterr().err)
    assert killed.value.code == 130 and line["message"].startswith("stopped")


def test_the_option_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(progress.LOG, "json")
    with pytest.raises(SystemExit) as stopped:
        main(["--log", "text", "nothing"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "No such command" in said and not said.startswith("{")


def test_the_environment_asks_for_json_too(tmp_path: Any) -> None:
    """So it does under DVC, which starts the stages."""
    run = subprocess.run(
        [sys.executable, "-m", "augment.cli", "train"],
        cwd=tmp_path, env=os.environ | {progress.LOG: "json"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1 and run.stdout == ""
    (line,) = objects(run.stderr)
    assert (line["command"], line["level"]) == ("train", "error")
