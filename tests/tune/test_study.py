"""The study: it goes on after a kill, processes share it, and the worst trials are given up."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from augment.errors import AugmentError
from augment.tune.base import Knob, Measure, TrialOutcome, TuneError, Value, Watch
from augment.tune.study import JUDGES, TuneStudy, lags

KNOBS = [
    Knob("height", lambda value: {"a.height": value}, low=0.0, high=1.0, now=0.5),
    Knob("letter", lambda value: {"a.letter": value}, choices=("x", "y"), now="x"),
]


def outcome(gain: float) -> TrialOutcome:
    return TrialOutcome(gain, gain - 0.02, gain + 0.02, 0.8, 0.8 + gain, 10, 20, {})


def judge(folder: Path, values: Mapping[str, Value], watch: Watch) -> TrialOutcome:
    """The gain is the height, and so is the label accuracy all along; the letter says nothing."""
    height = float(values["height"])
    for share in (0.25, 0.5, 1.0):
        watch(share, Measure(1 - height, height))
    return outcome(height)


def test_the_settings_themselves_come_first_and_the_best_is_looked_for(tmp_path: Path) -> None:
    study = TuneStudy(tmp_path, KNOBS)
    assert study.run(judge, seconds=60, most=16) == 16
    first, *others = study.trials()
    assert (first.values, first.state) == ({"height": 0.5, "letter": "x"}, "finished")
    assert len({trial.values["height"] for trial in others}) == 15  # nothing is drawn twice
    finished = [trial.outcome.gain for trial in others if trial.outcome]
    assert max(finished) > 0.9 and sum(finished[-5:]) > sum(finished[:5])
    rates = [trial.values["height"] for trial in others]
    assert rates == [float(f"{rate:.3g}") for rate in rates]  # what was tried is what is written
    importances = study.importances()
    assert list(importances) == ["height", "letter"] and importances["height"] > 0.9


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    def run(folder: Path, seed: int, counts: tuple[int, ...]) -> list[Mapping[str, Value]]:
        for count in counts:
            TuneStudy(folder, KNOBS, seed).run(judge, seconds=60, most=count)
        return [trial.values for trial in TuneStudy(folder, KNOBS, seed).trials()]

    once = run(tmp_path / "once", 0, (8,))
    assert run(tmp_path / "in turns", 0, (3, 4, 1)) == once != run(tmp_path / "other", 1, (8,))


def test_a_planted_bad_trial_is_given_up(tmp_path: Path) -> None:
    def planted(folder: Path, values: Mapping[str, Value], watch: Watch) -> TrialOutcome:
        bad = folder.name == f"trial-{JUDGES}"
        watch(0.25, Measure(9.0 if bad else 0.1, 0.1 if bad else 0.9))
        assert not bad, "it went on"
        return outcome(0.01)

    study = TuneStudy(tmp_path, KNOBS)
    study.run(planted, seconds=60, most=JUDGES + 2)
    states = [trial.state for trial in study.trials()]
    assert states == ["finished"] * JUDGES + ["pruned", "finished"]
    bad = study.trials()[JUDGES]
    assert "25% of its training: KID 9, label accuracy 10.0%" in bad.why
    assert bad.measured == {0.25: Measure(9.0, 0.1)} and bad.outcome is None


@pytest.mark.parametrize(
    ("kid", "label_accuracy", "given_up"),
    [
        (0.5, 0.5, False),  # in the middle of both
        (9.0, 0.1, True),  # the worst in both
        (9.0, 0.35, True),  # beats none in KID, one of four in labels: ranks 0 and 1/4
        (9.0, 0.5, False),  # none and two of four: the mean is 1/4, which is not below it
        (0.1, 0.1, False),  # the worst in labels alone
        (float("nan"), float("nan"), True),
    ],
)
def test_who_lags(kid: float, label_accuracy: float, given_up: bool) -> None:
    others = [Measure(kid, rate) for kid, rate in ((0.2, 0.3), (0.4, 0.4), (0.6, 0.6), (0.8, 0.7))]
    assert lags(Measure(kid, label_accuracy), others) is given_up
    assert not lags(Measure(kid, label_accuracy), others[:-1])


def test_an_error_ends_its_trial_alone_and_says_why(tmp_path: Path) -> None:
    def failing(folder: Path, values: Mapping[str, Value], watch: Watch) -> TrialOutcome:
        if folder.name == "trial-1":
            raise AugmentError("class '7': 3 of 20 accepted")
        return outcome(0.01)

    study = TuneStudy(tmp_path, KNOBS)
    study.run(failing, seconds=60, most=3)
    assert [trial.state for trial in study.trials()] == ["finished", "pruned", "finished"]
    assert study.trials()[1].why == "class '7': 3 of 20 accepted"
    assert study.importances() == {}  # two trials tell nothing


def test_time_is_kept(tmp_path: Path) -> None:
    def slow(folder: Path, values: Mapping[str, Value], watch: Watch) -> TrialOutcome:
        time.sleep(0.3)
        return outcome(0.01)

    assert TuneStudy(tmp_path, KNOBS).run(slow, seconds=0.85) <= 2  # a third would end after 0.9
    assert TuneStudy(tmp_path, KNOBS).run(slow, seconds=0) == 1


def test_what_is_noted_first_stays(tmp_path: Path) -> None:
    assert TuneStudy(tmp_path, KNOBS).note("seconds", 3.0) == 3.0
    assert TuneStudy(tmp_path, KNOBS).note("seconds", 5.0) == 3.0


SCRIPT = """
import sys, time
from pathlib import Path
from augment.tune.base import Knob, Measure, TrialOutcome
from augment.tune.study import TuneStudy

def judge(folder, values, watch):
    folder.mkdir(exist_ok=True)
    with open(folder / "begun", "a") as file:
        file.write(f"{values['height']}\\n")
    print("begun", flush=True)
    time.sleep(float(sys.argv[3]))
    return TrialOutcome(values["height"], 0.0, 1.0, 0.8, 0.8, 10, 20, {})

knobs = [Knob("height", dict, low=0.0, high=1.0, now=0.5)]
TuneStudy(Path(sys.argv[1]), knobs).run(judge, seconds=60, most=int(sys.argv[2]))
"""


def start(folder: Path, trials: int, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(trials), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_share_it_and_what_was_killed_goes_on(tmp_path: Path) -> None:
    killed = start(tmp_path, 9, 60)
    assert killed.stdout and killed.stdout.readline() == "begun\n"
    others = [start(tmp_path, 3, 0.1) for _ in range(2)]
    for process in others:
        assert process.wait(60) == 0, process.stderr and process.stderr.read()
    knobs = [Knob("height", dict, low=0.0, high=1.0, now=0.5)]
    study = TuneStudy(tmp_path, knobs)
    trials = study.trials()
    assert [trial.state for trial in trials] == ["running"] + ["finished"] * 6
    assert len({trial.values["height"] for trial in trials}) == 7
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    again = start(tmp_path, 1, 0.0)
    said = again.communicate(timeout=60)[1]
    assert again.returncode == 0 and "trial 0 was stopped; it goes on" in said
    states = [trial.state for trial in study.trials()]
    assert states == ["stopped"] + ["finished"] * 7
    assert study.trials()[-1].values == trials[0].values == {"height": 0.5}
    assert (tmp_path / "trial-0/begun").read_text() == "0.5\n0.5\n"  # in the same folder
    assert not (tmp_path / "trial-7").exists()


def test_without_optuna_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TuneError, match=r"Optuna, which is not installed: pip install 'augment\["):
        TuneStudy(tmp_path, KNOBS)
