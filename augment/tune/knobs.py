"""Knobs: what is tuned, between which ends, and which keys of params.yaml a value stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from augment.models.base import MODELS
from augment.models.networks import DISCRIMINATORS, GENERATORS
from augment.models.penalties import PENALTIES
from augment.params import Params
from augment.train import rules
from augment.train.settings import TrainSettings
from augment.tune.base import Changes, Knob, TuneError, Value
from augment.vision import augmentations

DOSE = "score.uplift.doses"
GROUPS = ("train.", "synth.")  # whose keys change what is drawn; others change how it is judged
DISCRIMINATOR = "discriminator"  # of networks, and the phase of all that have one

# Chosen by hand.
RATES = 4.0  # a rate is tried between a fourth of the settings' and four times it
WEIGHTS = 10.0  # a penalty's weight between a tenth and ten times
R1 = (0.01, 0.1, 1.0)  # weights of a penalty that is tried where the settings have none
R1_INTERVAL = 4  # steps between two such terms, which take a second backward pass
DOSES = (0.25, 4.0)  # synthetic images for each labelled one, unless the settings go beyond
SAMPLES = 5000  # of a trial, about as many as it may draw


def default_knobs(settings: Params, images: int, classes: int, labelled: int) -> list[Knob]:
    """Width, rates, penalty weights, augmentation and dose, around what ``settings`` have.

    ``images`` are those that the model learns from, ``labelled`` the train images with a label,
    for which a dose is counted.
    """
    train = settings.train
    around = [*_width(train), *_rates(train), *_penalties(train)]
    return [*around, *_augment(train, images, classes), _dose(settings, labelled)]


def parse(text: str) -> Knob:
    """A knob of a user's: ``KEY=LOW:HIGH``, ``KEY=LOW:HIGH:log`` or ``KEY=VALUE,VALUE``.

    KEY is a dotted key of params.yaml. Raises TuneError for anything else.
    """
    key, equals, space = text.partition("=")
    key = key.strip()
    if not key.startswith(GROUPS):
        raise TuneError(f"--knob {text!r}: only keys of train and of synth can be tuned so")
    ends, values = space.split(":"), space.split(",")
    if not equals or not key or len(ends) > 3 or (len(ends) == 1 and len(values) < 2):
        raise TuneError(f"--knob {text!r}: expected KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=A,B,C")
    if len(ends) == 1:
        choices = tuple(value.strip() for value in values)
        if len(set(choices)) < len(choices):
            raise TuneError(f"--knob {text!r}: a value stands there twice")
        return Knob(key, lambda name: {key: yaml.safe_load(name)}, choices=choices)
    low, high = map(yaml.safe_load, ends[:2])
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers:  # YAML takes 1e-3 for text
        try:
            low, high = float(ends[0]), float(ends[1])
        except ValueError:
            raise TuneError(f"--knob {text!r}: LOW and HIGH are numbers") from None
    log = len(ends) == 3
    if (log and (ends[2] != "log" or low <= 0)) or not low < high:
        raise TuneError(f"--knob {text!r}: LOW must be below HIGH, and with :log above 0")
    whole = isinstance(low, int) and isinstance(high, int) and not log
    return Knob(
        key, lambda value: {key: value}, low=low, high=high, step=1 if whole else 0, log=log
    )


def _width(train: TrainSettings) -> list[Knob]:
    """One knob for both networks: from half to twice the settings' width."""
    specs = {"generator": GENERATORS.resolve(train.generator)}
    if DISCRIMINATOR in _phases(train):
        specs[DISCRIMINATOR] = DISCRIMINATORS.resolve(train.discriminator)
    widths = {
        name: spec["width"] for name, spec in specs.items() if isinstance(spec.get("width"), int)
    }
    if not widths:
        return []
    now = next(iter(widths.values()))

    def changes(width: int) -> Changes:
        return {
            f"train.{name}.width": max(1, round(before * width / now))
            for name, before in widths.items()
        }

    step = max(1, now // 4)
    low = now - step * (now // 2 // step)
    return [Knob("width", changes, low=low, high=low + 6 * step, step=step, now=now)]


def _rates(train: TrainSettings) -> list[Knob]:
    """A knob for the learning rate of each phase."""

    def knob(phase: str) -> Knob:
        now = train.rate.of(phase)
        name = f"rate.{phase}"
        low, high = now / RATES, now * RATES
        return Knob(
            name, lambda rate: {f"train.{name}": rate}, low=low, high=high, log=True, now=now
        )

    return [knob(phase) for phase in _phases(train)]


def _penalties(train: TrainSettings) -> list[Knob]:
    """One knob for all penalties, or for R1 where a discriminator has none.

    It is the weight (of ``clip`` the limit) of the first; those of others keep their ratio to it.
    """
    specs = [PENALTIES.resolve(spec) for spec in train.penalties]
    if not specs:
        return _no_penalty(train)
    strengths = ["limit" if "limit" in spec else "weight" for spec in specs]
    now = float(specs[0][strengths[0]])
    if not now:
        return []

    def changes(weight: float) -> Changes:
        varied = [
            {**spec, strength: float(f"{spec[strength] * weight / now:.3g}")}
            for spec, strength in zip(specs, strengths, strict=True)
        ]
        return {"train.penalties": varied}

    name = f"penalty.{specs[0]['name']}"
    return [Knob(name, changes, low=now / WEIGHTS, high=now * WEIGHTS, log=True, now=now)]


def _no_penalty(train: TrainSettings) -> list[Knob]:
    """A knob that adds R1, unless the discriminator mixes the images that R1 looks at each."""
    norm = DISCRIMINATORS.resolve(train.discriminator).get("norm", "none")
    if DISCRIMINATOR not in _phases(train) or norm == "batch":
        return []

    def changes(weight: str) -> Changes:
        r1 = {"name": "r1", "weight": float(weight), "interval": R1_INTERVAL}
        return {"train.penalties": [r1] if float(weight) else []}

    return [Knob("penalty.r1", changes, choices=("0", *map(str, R1)), now="0")]


def _augment(train: TrainSettings, images: int, classes: int) -> list[Knob]:
    """Which augmentations the discriminator sees: none, the profile's, or these adaptively."""
    if DISCRIMINATOR not in _phases(train):
        return []
    usual = list(augmentations.DEFAULTS[train.profile])
    many = images >= rules.MANY * classes
    augment = ([] if many else usual) if train.augment is None else list(train.augment)
    settings: dict[str, Changes] = {
        "none": {"train.augment": [], "train.ada": None},
        "profile": {"train.augment": usual, "train.ada": None},
        "adaptive": {"train.augment": usual, "train.ada": {}},
    }
    ada = None if train.ada is None else train.ada.model_dump()
    now: Changes = {"train.augment": augment, "train.ada": ada}
    name = next((name for name, changes in settings.items() if changes == now), "as set")
    settings.setdefault(name, now)
    return [Knob("augment", settings.__getitem__, choices=tuple(settings), now=name)]


def _dose(settings: Params, labelled: int) -> Knob:
    """Synthetic images for each labelled train image; the set is not judged without any."""
    doses = settings.score.uplift.doses
    most = max(1.0, SAMPLES / max(1, labelled), *doses)
    low, high = min(DOSES[0], *doses), min(most, max(DOSES[1], *doses))
    return Knob("dose", lambda dose: {DOSE: [dose]}, low=low, high=high, log=True, now=doses[-1])


def changes_of(knobs: Sequence[Knob], values: Mapping[str, Value]) -> Changes:
    """All keys that the ``values`` of a trial stand for."""
    return {key: value for knob in knobs for key, value in knob.changes(values[knob.name]).items()}


def _phases(train: TrainSettings) -> tuple[str, ...]:
    name = MODELS.resolve(train.model)["name"]
    phases: tuple[str, ...] = MODELS.describe(name).target.phase_names  # type: ignore[attr-defined]
    return phases
