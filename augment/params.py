"""params.yaml as typed, frozen, strict settings, and the places where stages meet.

Each stage has one group of the same name. Options of registered parts stay with the parts: here a
part is a name or ``{name: ..., option: ...}``, and its registry checks the options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from augment import gates, recipes
from augment.errors import AugmentError
from augment.registry import Amount, Count, Fraction

PartSpec = str | dict[str, Any]
Balance = Literal["none", "classes"]
Profile = Literal["glyph", "natural"]
Compiler = Literal["none", "inductor", "cudagraphs", "aot_eager"]  # torch.compile's backends

INGESTED = "data/ingested"
CLEAN = "data/clean"
QUARANTINE = "data/quarantine"
GENERATOR = "models/generator"
CODES = "models/codes.json"
ADOPTED = "data/adopted"
SYNTHETIC = "data/synthetic"
AUGMENTED = "data/augmented"
REPORTS = "reports"
CACHE = ".augment"


class ParamsError(AugmentError, ValueError):
    """A setting that is unknown, missing or out of range; the message names its key."""


class Settings(BaseModel):
    """Base of every group: unknown keys are errors, numbers finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SplitSettings(Settings):
    """Shares of the labelled images that are held out when the source has no splits."""

    valid: Fraction = 0.1
    test: Fraction = 0.2


class IngestSettings(Settings):
    """Where the images come from."""

    source: str
    reader: PartSpec = "auto"
    unlabelled: str | None = None
    split: SplitSettings = SplitSettings()
    group: str | None = None  # a regular expression on the path; its first group names the group
    max_rejected: Fraction = 0.05
    workers: Annotated[int, Field(ge=0)] = 0  # processes; 0 is one a core
    seed: int = 0


class CleanSettings(Settings):
    """What is judged, and what the kept images become."""

    profile: Profile = "glyph"  # which checks there are by default
    checks: Literal["auto"] | list[PartSpec] = "auto"
    thresholds: dict[str, float] = {}
    on_doubt: Literal["drop", "keep", "ask"] = "drop"  # ask: out until a person has decided
    repairs: list[PartSpec] = ["invert", "ruling_lines", "main_component"]
    max_dropped: Fraction = 0.2
    size: Literal["auto"] | int | tuple[int, int] = "auto"  # height = width, or [height, width]
    mode: Literal["auto", "L", "RGB"] = "auto"
    resize: Literal["pad", "fit", "crop"] = "pad"
    workers: Annotated[int, Field(ge=0)] = 0
    seed: int = 0

    @field_validator("size")
    @classmethod
    def _sides(cls, size: Any) -> Any:
        sides = () if size == "auto" else (size,) if isinstance(size, int) else size
        for side in sides:
            if not 8 <= side <= 256 or side % 4:
                raise ValueError(f"sides are multiples of 4 from 8 to 256, found {side}")
        return size


class RateSettings(Settings):
    """Learning rates of the two networks (TTUR where they differ), and how they change."""

    generator: Annotated[float, Field(gt=0)] = 1e-3
    discriminator: Annotated[float, Field(gt=0)] = 1e-3
    schedule: PartSpec = "linear"


class ConditioningSettings(Settings):
    """How each network is told the class."""

    generator: PartSpec = "embed"
    discriminator: PartSpec = "projection"


class AdaSettings(Settings):
    """Augment with a probability that follows the discriminator's certainty."""

    target: Fraction = 0.6
    images: Count = 5000  # real images that move the probability from 0 to 1


class NoiseSettings(Settings):
    """Noise on all that the discriminator sees, falling linearly to nothing."""

    std: Annotated[float, Field(ge=0)] = 0.0
    until: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the run


class LabellerSettings(Settings):
    """The classifier that ``synth`` filters with."""

    network: PartSpec = "cnn"
    steps: Count = 600
    batch: Count = 64


class TrainSettings(Settings):
    """The generator: model, networks, loss, penalties, and how long.

    ``recipe`` names a whole configuration (augment/recipes.py); any other key overrides it.
    """

    recipe: str = "infogan"
    model: PartSpec = "infogan"
    generator: PartSpec = {"name": "resnet", "width": 32}
    discriminator: PartSpec = {"name": "resnet", "width": 32}
    conditioning: ConditioningSettings = ConditioningSettings()
    loss: PartSpec = "relativistic"
    penalties: list[PartSpec] = [{"name": "r1", "weight": 0.05}, {"name": "r2", "weight": 0.05}]
    profile: Profile = "glyph"  # what changes no label
    augment: list[PartSpec] | None = None  # null: what suits the profile
    ada: AdaSettings | None = None
    instance_noise: NoiseSettings = NoiseSettings()
    optimiser: PartSpec = "adam"
    rate: RateSettings = RateSettings()
    discriminator_steps: Count = 1  # for each step of the generator
    steps: Count = 1500
    batch: Annotated[int, Field(ge=2)] = 64
    balance: Balance = "none"  # classes: a batch has equally many images of each
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    every: Count = 250  # steps between measurements, pictures and checkpoints
    on_trouble: Literal["stop", "rollback"] = "stop"
    rollbacks: Count = 3  # at most
    labeller: LabellerSettings = LabellerSettings()
    compile: Compiler = "none"  # networks, in passes without double backward
    device: str = "auto"
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return recipes.apply(given, defaults)


class CodesSettings(Settings):
    """How the generator's codes are matched to classes and measured."""

    device: str = "auto"
    seed: int = 0


class AdoptSettings(Settings):
    """Who is asked about images without a label, and which of them are adopted."""

    labellers: Annotated[list[PartSpec], Field(min_length=1)] = ["graph", "head", "self_training"]
    # Calibrated, that a label must have. Well below 1: only the hard images teach anything new.
    probability: Fraction = 0.65
    steps: Count = 600  # of each classifier that is taught
    rounds: Count = 2  # of teaching
    batch: Count = 64
    device: str = "auto"
    seed: int = 0


class SynthSettings(Settings):
    """How many samples of each class, and what is accepted."""

    per_class: Annotated[int, Field(ge=0)] | dict[str, Annotated[int, Field(ge=0)]] | None = 200
    match: Literal["largest", "weakest"] | None = None  # largest: fill all classes up to it
    weakest: Count | None = None  # how many classes get per_class samples with match: weakest
    probability: Fraction = 0.9  # of the wanted label, by the labeller
    copy_quantile: Fraction = 0.01  # of real-to-real nearest distances
    truncation: Annotated[float, Field(gt=0)] | None = None
    max_candidates: Annotated[float, Field(gt=0)] = (
        20.0  # per wanted sample (and class, if unconditional)
    )
    select: list[PartSpec] = []  # which accepted ones are kept; none: the first ones
    surplus: Annotated[float, Field(ge=1)] = 4.0  # accepted ones that each kept one is chosen among
    second: LabellerSettings = LabellerSettings(network="dense")  # where a selector needs one
    codes: Literal["uniform", "wide"] = "uniform"  # wide: most where real images' codes are thin
    device: str = "auto"
    seed: int = 0


class UpliftSettings(Settings):
    """Which arms are compared, and how long it may take: the default suits every run of score."""

    arms: list[PartSpec] = ["classic", "synthetic", "adopted"]
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [0.5, 1.0]
    seeds: Count = 3  # of the classifiers
    learner: PartSpec = "judge"
    policies: Annotated[list[PartSpec], Field(min_length=1)] = ["elastic"]  # the best on valid
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = []  # shares of the real images
    steps: Count | None = None  # of each arm; null: a third of score.steps


LONG_UPLIFT: Mapping[str, Any] = {  # of `augment uplift`, where nothing else is asked for
    "arms": [
        "real",
        "classic",
        "oversampling",
        "pseudo_labels",
        "adopted",
        "synthetic",
        "adopted+synthetic",
        "synthetic_only",
        "shuffled",
        "perturbed",
    ],
    "doses": [0.25, 0.5, 1.0, 2.0],
    "seeds": 5,
    "policies": ["affine", "elastic", "rand_augment", "trivial_augment", "aug_mix"],
    "learning_curve": [0.25, 0.5],
}


class ScoreSettings(Settings):
    """What is measured, and the budget of the judge and of the uplift."""

    scores: list[PartSpec] = ["fidelity", "diversity", "labels", "memorisation", "uplift"]
    judge: PartSpec = "residual"
    steps: Count = 600
    batch: Count = 64
    uplift: UpliftSettings = UpliftSettings()
    inception: str | None = None  # a file of Inception weights, for the standard FID as well
    device: str = "auto"
    seed: int = 1000


class WriteSettings(Settings):
    """How the augmented set leaves."""

    writer: PartSpec = "parquet"
    licence: str = "unknown"
    # Most synthetic samples for each labelled train image, of all classes or of each; null: all;
    # auto: what uplift chose for each class, and nothing where they do not help.
    dose: Literal["auto"] | Amount | dict[str, Amount] | None = "auto"
    adopted: Literal["auto"] | bool = "auto"  # auto: unless uplift says that they harm
    gates: list[str] = []  # "KEY OP NUMBER" on score.json; nothing is written where one fails

    @field_validator("gates")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        for line in lines:
            gates.parse(line)
        return lines


class ReportSettings(Settings):
    """How much the page shows."""

    images: Annotated[int, Field(ge=1, le=24)] = 8  # in a strip
    classes: Annotated[int, Field(ge=1, le=200)] = 40  # with strips of their own
    suspects: Annotated[int, Field(ge=1, le=200)] = 12  # synthetic images beside their nearest real


class Params(Settings):
    """All of params.yaml."""

    ingest: IngestSettings
    clean: CleanSettings = CleanSettings()
    train: TrainSettings = TrainSettings()
    codes: CodesSettings = CodesSettings()
    adopt: AdoptSettings = AdoptSettings()
    synth: SynthSettings = SynthSettings()
    score: ScoreSettings = ScoreSettings()
    write: WriteSettings = WriteSettings()
    report: ReportSettings = ReportSettings()


def load(path: Path = Path("params.yaml"), overrides: Sequence[str] = ()) -> Params:
    """Read ``path``, apply ``group.key=value`` overrides (values are YAML), check everything.

    Raises ParamsError naming the file or key, the value found and what was allowed.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run in a project folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ParamsError(f"{path}: expected groups of settings, found {type(tree).__name__}")
    for override in overrides:
        _set(tree, override)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        lines = [f"{path}: {_explain(problem)}" for problem in error.errors()]
        raise ParamsError("\n".join(dict.fromkeys(lines))) from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ParamsError(f"override {override!r}: expected group.key=value")
    node: Any = tree
    *parents, last = key.split(".")
    for parent in parents:
        child = node.get(parent)
        if isinstance(child, str):  # a part given by its name alone
            child = {"name": child}
        node[parent] = child = {} if child is None else child
        if not isinstance(child, dict):
            raise ParamsError(f"override {override!r}: {parent!r} holds no keys")
        node = child
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ParamsError(f"override {override!r}: the value is not YAML") from None


def _explain(problem: Any) -> str:
    key = ".".join(str(step) for step in problem["loc"] if not _is_alternative(step))
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; known: {', '.join(_known(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "value_error":  # our own words, which say what was found
        return f"{key}: {problem['ctx']['error']}"
    return f"{key}: {problem['msg']} (found {problem['input']!r})"


def _is_alternative(step: int | str) -> bool:
    """Whether a step of pydantic's path is no key, but names one type of several allowed ones."""
    kinds = ("str", "bool", "int", "constrained-int", "float", "constrained-float")
    return isinstance(step, str) and ("[" in step or step in kinds)


def _known(path: Sequence[int | str]) -> list[str]:
    model: Any = Params
    for step in path:
        field = model.model_fields.get(step) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    return list(getattr(model, "model_fields", {}))
