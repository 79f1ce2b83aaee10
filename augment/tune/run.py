"""``augment tune``: trials until the time is over, what they found, and the lines that it makes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment import params_file, pipeline, stage_code
from augment.compare import workspace
from augment.data import files
from augment.data.places import REPORTS
from augment.params import Params, ParamsError
from augment.report.words import counted
from augment.runtime import progress
from augment.tune import experiments, page
from augment.tune.base import Changes, Knob, TuneError
from augment.tune.bench import PICTURE, TrialBench
from augment.tune.knobs import changes_of, default_knobs, parse
from augment.tune.page import PAGE, Findings
from augment.tune.study import Trial, TuneStudy

FILE = f"{REPORTS}/tune.json"
STAGES = ("train", "codes", "synth", "score")  # whose code a trial's outcome follows from
# Chosen by hand.
TRIALS = 20  # that a call has time to train for, unless that is too short or needlessly long
SHORTEST, LONGEST = 0.25, 5.0  # minutes of a trial


@dataclass(frozen=True)
class Request:
    """What is asked for: see the options of ``augment tune``."""

    minutes: float
    trial_minutes: float | None = None
    trials: int | None = None
    knobs: Sequence[str] = ()
    seed: int = 0
    dvc: bool = True


def tune(
    request: Request, overrides: Sequence[str] = (), root: Path = Path(".")
) -> tuple[dict[str, Any], Changes]:
    """Run trials, write reports/tune.json and the page after each; the report and the best's lines.

    Called again it goes on with the same study, and several processes may do so at once. Raises
    ParamsError for a wrong setting, TuneError where Optuna is missing, for a wrong knob, and where
    no trial could be measured.
    """
    settings = pipeline.load(overrides, root)
    here = workspace.prepare(root, settings.score)
    knobs = chosen_knobs(settings, here, request.knobs)
    name = _digest(settings, knobs, request.seed)
    study = TuneStudy(here.home / f"tune-{name}", knobs, request.seed)
    minutes = _trial_minutes(study, request)
    bench = TrialBench(here, settings, knobs, minutes, overrides, root)
    for knob in knobs:  # a wrong key or value is said before any work
        for value in knob.choices or (knob.low, knob.high):
            bench.settings_of(knob.changes(value))
    keep = _experiments(root, request, bench, name)
    _announce(bench, study, minutes)

    def findings() -> Findings:
        return _findings(study, bench, request.seed)

    def after(trial: Trial) -> None:
        bench.clear(study.folder / trial.folder)
        _write(root, study, findings())
        if keep:
            keep(trial)

    study.run(bench.judge, seconds=60 * request.minutes, most=request.trials, after=after)
    final = findings()
    _write(root, study, final)
    if final.best is None:
        whys = dict.fromkeys(trial.why for trial in final.trials if trial.why)
        raise TuneError(f"no trial could be measured; {root / PAGE} says why: {'; '.join(whys)}")
    return final.as_dict(), dict(final.lines)


def apply_to(path: Path, lines: Changes) -> str:
    """Write the best trial's ``lines`` into the params.yaml at ``path``; what was done, in words.

    Raises ParamsError where the file cannot be changed so, and leaves it as it was.
    """
    pipeline.rewrite(path, params_file.edited_at(path, lines))
    return f"{path}: {counted(len(lines), 'setting')} written"


def chosen_knobs(settings: Params, here: workspace.Workspace, names: Sequence[str]) -> list[Knob]:
    """The knobs of ``names``, each that of a default one or ``KEY=SPACE``; all default ones else.

    Raises TuneError for an unknown name, for a key that no trial may change, and for one knob
    twice.
    """
    images = len(here.train) + len(here.unlabelled)
    usual = default_knobs(settings, images, len(here.train.classes), len(here.train))
    if not names:
        return usual
    by_name = {knob.name: knob for knob in usual}
    knobs = []
    for name in names:
        if "=" not in name and name not in by_name:
            raise TuneError(f"--knob {name!r}: known: {', '.join(by_name)}, or KEY=LOW:HIGH")
        knobs.append(by_name[name] if name in by_name else parse(name))
    keys = [key for knob in knobs for key in knob.changes(_any_value(knob))]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        raise TuneError(f"--knob: {repeated[0]} is tuned twice")
    return knobs


def _any_value(knob: Knob) -> Any:
    return knob.choices[0] if knob.choices else knob.low


def _digest(settings: Params, knobs: Sequence[Knob], seed: int) -> str:
    """The name of the study: of all that decides what a trial comes to, but its minutes."""
    key = {
        "settings": {stage: getattr(settings, stage).resolved() for stage in STAGES},
        "knobs": [[knob.name, knob.described] for knob in knobs],
        "seed": seed,
        "code": {stage: stage_code.digest(stage) for stage in STAGES},
    }
    text = json.dumps(files.finite(key), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _trial_minutes(study: TuneStudy, request: Request) -> float:
    """The minutes of each trial, which stay those of the study's first call."""
    usual = min(LONGEST, max(SHORTEST, request.minutes / TRIALS))
    minutes = float(study.note("minutes", request.trial_minutes or usual))
    if request.trial_minutes not in (None, minutes):
        raise TuneError(
            f"--trial-minutes {request.trial_minutes:g}: this study's trials take {minutes:g}; "
            f"leave it out, or remove {study.folder} to begin anew"
        )
    return minutes


def _announce(bench: TrialBench, study: TuneStudy, minutes: float) -> None:
    tried = ", ".join(f"{knob.name} ({knob.described})" for knob in bench.knobs)
    progress.say(
        f"tune: {counted(len(study.trials()), 'trial')} so far in {study.folder}; {minutes:g} "
        f"minutes of training each and what judging takes; {tried}"
    )


def _findings(study: TuneStudy, bench: TrialBench, seed: int) -> Findings:
    """The state of the study; the best trial is that with the highest lower end."""
    trials = study.trials()
    finished = [trial for trial in trials if trial.outcome]
    best = max(finished, key=_order, default=None)
    lines = {} if best is None else _lines(best, bench)
    here, plan = bench.workspace, bench.plan
    valid = counted(len(here.valid), "valid image")
    if here.cut:
        valid += " (held out of train, because no valid image has a label)"
    terms = (
        f"{bench.minutes:g} minutes of training for each trial on {bench.device} "
        f"({counted(os.cpu_count() or 1, 'core')}), seed {seed}; "
        f"{counted(len(here.train), 'labelled train image')}; judged on {valid} by "
        f"{counted(len(plan.seeds), 'classifier')} an arm, under the best of "
        f"{len(plan.policies)} classic augmentations. No test image is in what trials see."
    )
    importances = study.importances()
    return Findings(trials, bench.knobs, importances, best, lines, terms, str(study.folder))


def _order(trial: Trial) -> tuple[float, float, int]:
    assert trial.outcome
    return trial.outcome.low, trial.outcome.gain, -trial.number


def _lines(best: Trial, bench: TrialBench) -> Changes:
    """The keys of params.yaml that the best trial, and the overrides it ran under, change."""
    before = {
        key: value
        for knob in bench.knobs
        if knob.now is not None
        for key, value in knob.changes(knob.now).items()
    }
    changes = {
        key: value
        for key, value in changes_of(bench.knobs, best.values).items()
        if key not in before or before[key] != value
    }
    return {**bench.changes, **changes, **(best.outcome.settings if best.outcome else {})}


def _write(root: Path, study: TuneStudy, findings: Findings) -> None:
    files.write_json(root / FILE, findings.as_dict())
    folder = "none" if findings.best is None else findings.best.folder
    page.write_page(root, findings, study.folder / folder / PICTURE)


def _experiments(root: Path, request: Request, bench: TrialBench, name: str) -> Any:
    """A function that keeps a trial as an experiment of DVC's; None where DVC is not in use."""
    if not request.dvc or not experiments.in_use(root):
        return None
    if why := experiments.unready(root):
        progress.say(f"tune: trials are no experiments of DVC's: {why}")
        return None
    text = (root / "params.yaml").read_text(encoding="utf-8")

    def keep(trial: Trial) -> None:
        lines = {**bench.changes, **changes_of(bench.knobs, trial.values)}
        metrics: Mapping[str, Any] = {"why": trial.why}
        if trial.outcome:
            lines |= trial.outcome.settings
            metrics = {k: v for k, v in vars(trial.outcome).items() if k != "settings"}
        label = f"tune-{name}-{trial.number}"
        try:
            experiments.save(root, label, params_file.edited(text, lines), metrics)
        except (TuneError, ParamsError) as error:
            progress.say(f"tune: {label} is no experiment of DVC's: {error}")

    return keep
