"""The study: trials that several processes share, that go on after a kill, and that are pruned.

Optuna keeps it in a journal file. A process holds a lock on each trial that it runs; a trial whose
lock is free and that is not finished was killed, and is asked for once more with the same values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from augment.data import files
from augment.errors import AugmentError
from augment.runtime import progress, seeding
from augment.tune.base import Hopeless, Knob, Measure, TrialOutcome, TuneError, Value, Watch

if TYPE_CHECKING:
    import optuna

INSTALL = "pip install 'augment[tune]'"
JOURNAL = "journal.log"

# Chosen by hand.
STARTUP = 5  # trials that are drawn at random, before the others show where to look
JUDGES = 4  # finished trials that have to be there before one is given up
WORST = 0.25  # mean rank among them below which a trial is given up

Judge = Callable[[Path, Mapping[str, Value], Watch], TrialOutcome]


@dataclass(frozen=True)
class Trial:
    """A trial as far as it came.

    ``state`` is ``finished``, ``pruned``, ``stopped`` or ``running``; ``why`` says what ended a
    pruned one. ``measured`` are the measures by the share of its training. ``folder`` is its name
    in the study's.
    """

    number: int
    state: str
    values: Mapping[str, Value]
    outcome: TrialOutcome | None = None
    why: str = ""
    seconds: float = math.nan
    measured: Mapping[float, Measure] = field(default_factory=dict)
    folder: str = ""


class TuneStudy:
    """A study in ``folder``, whose trials take values of ``knobs``."""

    def __init__(self, folder: Path, knobs: Sequence[Knob], seed: int = 0):
        """Open or begin it. Raises TuneError where Optuna is not installed."""
        optuna = _optuna()
        self.folder, self.knobs, self.seed = folder, list(knobs), seed
        folder.mkdir(parents=True, exist_ok=True)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        with self._alone():
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend), study_name="tune",
                direction="maximize", load_if_exists=True,
            )  # fmt: skip
            now = {knob.name: knob.now for knob in self.knobs if knob.now is not None}
            if now and not self._study.get_trials(deepcopy=False):
                self._study.enqueue_trial(now)

    def run(
        self, judge: Judge, *, seconds: float, most: int | None = None,
        after: Callable[[Trial], None] = lambda _: None,
    ) -> int:  # fmt: skip
        """Run trials until the next one would end after ``seconds``, or ``most`` ran; their number.

        ``judge(folder, values, watch)`` trains and measures; AugmentError, but no other, ends its
        trial alone. ``after`` gets each trial when it is over. The first trial always runs.
        """
        begun, longest, count = time.monotonic(), 0.0, 0
        while most is None or count < most:
            start = time.monotonic()
            if count and start - begun + longest > seconds:
                break
            trial = self._run_one(judge)
            longest = max(longest, time.monotonic() - start)
            count += 1
            progress.say(f"tune: {in_words(trial)}")
            after(trial)
        return count

    def trials(self) -> list[Trial]:
        """All trials that have begun, of all processes, by number."""
        every = self._study.get_trials(deepcopy=False)
        return [self._of(trial) for trial in every if trial.state.name != "WAITING"]

    def importances(self) -> dict[str, float]:
        """Which share of the gain's variance each knob explains by itself, the largest first.

        By fANOVA (Hutter et al. 2014, ICML), on the finished trials. Empty where these are fewer
        than JUDGES, or all gain the same.
        """
        optuna = _optuna()
        gains = {trial.number: trial.outcome.gain for trial in self.trials() if trial.outcome}
        if len(gains) < JUDGES or len(set(gains.values())) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        return dict(
            optuna.importance.get_param_importances(
                self._study, evaluator=evaluator, target=lambda trial: gains[trial.number]
            )
        )

    def note(self, key: str, value: Any) -> Any:
        """Keep ``value``, plain, with the study unless it has one under ``key``; what is kept."""
        with self._alone():
            kept = self._study.user_attrs
            if key not in kept:
                self._study.set_user_attr(key, value)
                return value
            return kept[key]

    def _run_one(self, judge: Judge) -> Trial:
        """Run the next trial to its end. Its objective is the lower end of the gain's interval.

        Of many trials the highest mean is the luckiest one; the lower end ranks by what is sure,
        and tells where nothing is gained: there it is not above 0.
        """
        optuna = _optuna()
        with self._next() as trial:
            values = {knob.name: knob.suggest(trial) for knob in self.knobs}
            start = time.monotonic()
            state, value = optuna.trial.TrialState.PRUNED, None
            try:
                outcome = judge(self.folder / _folder(trial), values, self._watch(trial))
                trial.set_user_attr("outcome", files.finite(asdict(outcome)))
                state, value = optuna.trial.TrialState.COMPLETE, outcome.low
            except AugmentError as error:
                trial.set_user_attr("why", str(error))
            trial.set_user_attr("seconds", time.monotonic() - start)
            return self._of(self._study.tell(trial, value, state=state))

    @contextmanager
    def _next(self) -> Iterator[optuna.Trial]:
        """The next trial, which is locked within. Dead ones are put back before."""
        optuna = _optuna()
        with self._alone():
            self._revive()
            waiting = optuna.trial.TrialState.WAITING
            earlier = self._study.get_trials(deepcopy=False)
            number = sum(trial.state != waiting for trial in earlier)
            # of its own for each trial, so that no two processes draw the same
            self._study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=STARTUP, multivariate=True, constant_liar=True,
                seed=seeding.derive(self.seed, "tune", number) % 2**32,
            )  # fmt: skip
            trial = self._study.ask()
            for knob in self.knobs:
                knob.suggest(trial)  # now, so that others know what is being tried
            lock = filelock.FileLock(self._lock(trial.number))
            lock.acquire(timeout=0)
        try:
            yield trial
        finally:
            lock.release()

    def _revive(self) -> None:
        """Ask once more for every trial that runs no longer and was never told."""
        optuna = _optuna()
        running = (optuna.trial.TrialState.RUNNING,)
        for trial in self._study.get_trials(deepcopy=False, states=running):
            lock = filelock.FileLock(self._lock(trial.number))
            try:
                with lock.acquire(timeout=0):
                    first = trial.user_attrs.get("first", trial.number)
                    self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                    self._study.enqueue_trial(dict(trial.params), user_attrs={"first": first})
                    progress.say(f"tune: trial {trial.number} was stopped; it goes on")
            except filelock.Timeout:
                pass  # another process runs it

    def _watch(self, trial: optuna.Trial) -> Watch:
        """Keeps each measure of a trial, and gives the trial up where it lags."""

        def watch(share: float, measure: Measure) -> None:
            place = f"{share:.2f}"
            trial.set_user_attr(f"at {place}", [measure.kid, measure.label_accuracy])
            others = [
                earlier.measured[float(place)]
                for earlier in self.trials()
                if earlier.outcome and float(place) in earlier.measured
            ]
            if share < 1 and lags(measure, others):
                raise Hopeless(
                    f"given up after {share:.0%} of its training: KID {measure.kid:.3g}, label "
                    f"accuracy {measure.label_accuracy:.1%}"
                )

        return watch

    def _of(self, trial: Any) -> Trial:
        """A trial of Optuna's in our words."""
        attributes = trial.user_attrs
        outcome = attributes.get("outcome")
        measured = {
            float(key.removeprefix("at ")): Measure(*(math.nan if x is None else x for x in value))
            for key, value in attributes.items()
            if key.startswith("at ")
        }
        knobs = {knob.name: knob for knob in self.knobs}
        values = {name: knobs[name].written(value) for name, value in trial.params.items()}
        names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "stopped"}
        return Trial(
            trial.number, names.get(trial.state.name, "running"), values,
            None if outcome is None else TrialOutcome(**outcome), attributes.get("why", ""),
            attributes.get("seconds", math.nan), measured, _folder(trial),
        )  # fmt: skip

    def _alone(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.folder / ".study.lock")

    def _lock(self, number: int) -> Path:
        return self.folder / f".trial-{number}.lock"


def lags(measure: Measure, others: Sequence[Measure]) -> bool:
    """Whether a trial is to be given up: whether it is among the worst of ``others``.

    Its rank is the share of them that it beats, half of those that it equals, in KID and in label
    accuracy; the mean of the two is below WORST. Neither may decide alone: a collapsed generator
    has right labels, one that forgot the classes may have a good KID. Ranks need no scale, which
    KID has none of between sets. Nothing is given up while ``others`` are fewer than JUDGES.
    """
    if len(others) < JUDGES:
        return False
    ranks = [
        _rank(-measure.kid, [-other.kid for other in others]),
        _rank(measure.label_accuracy, [other.label_accuracy for other in others]),
    ]
    measured = [rank for rank in ranks if rank is not None]
    return bool(measured) and sum(measured) / len(measured) < WORST


def _rank(value: float, others: Sequence[float]) -> float | None:
    """The share of ``others`` below ``value``, half of those equal to it; NaN is below all.

    None where all are NaN: this is not measured.
    """
    numbers = [-math.inf if math.isnan(number) else number for number in (value, *others)]
    if set(numbers) == {-math.inf}:
        return None
    value, *others = numbers
    return sum((other < value) + (other == value) / 2 for other in others) / len(others)


def in_words(trial: Trial) -> str:
    """A line about a trial that is over."""
    values = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.values.items()
    )
    if trial.outcome is None:
        return f"trial {trial.number} ({values}): {trial.why or trial.state}"
    low, gain, high = (100 * x for x in (trial.outcome.low, trial.outcome.gain, trial.outcome.high))
    return f"trial {trial.number} ({values}): gain {gain:+.2f} points ({low:+.2f} to {high:+.2f})"


def _folder(trial: Any) -> str:
    """The folder of a trial of Optuna's; one that goes on has that of the trial that was killed."""
    return f"trial-{trial.user_attrs.get('first', trial.number)}"


def _optuna() -> Any:
    """Optuna, quiet. Raises TuneError that says how to install it."""
    try:
        import optuna
    except ImportError:
        raise TuneError(f"tuning needs Optuna, which is not installed: {INSTALL}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
