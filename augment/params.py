"""params.yaml as typed, frozen, strict settings: all stages' groups, loaded and checked.

Options of registered parts stay with the parts: here a part is a name or
``{name: ..., option: ...}``, and its registry checks the options.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError, model_validator

from augment.adopt.settings import AdoptSettings
from augment.clean.settings import CleanSettings
from augment.codes.settings import CodesSettings
from augment.errors import AugmentError
from augment.ingest.settings import IngestSettings
from augment.report.settings import ReportSettings
from augment.runtime.precision import Precision
from augment.runtime.workers import Runtime
from augment.score.settings import ScoreSettings
from augment.settings import Profile, Settings
from augment.synth.settings import SynthSettings
from augment.train.settings import TrainSettings
from augment.write.settings import WriteSettings

PROFILE = "profile"


class ParamsError(AugmentError, ValueError):
    """A setting that is unknown, missing or out of range; the message names its key."""


class RuntimeSettings(Settings):
    """Where pieces of work run; its name alone stands for all of it."""

    name: Runtime = "processes"
    """`processes` of this machine, or `ray`: workers of a Ray cluster, which the extra `ray` needs.
    Results are the same to the byte.
    """
    address: str | None = None
    """Of the Ray cluster: `auto` for the one that this machine belongs to, `ray://HOST:PORT`, or
    null, which starts Ray on this machine, on 127.0.0.1 alone and without its dashboard.
    """

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, values: Any) -> Any:
        return {"name": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _address_is_of_ray(self) -> RuntimeSettings:
        if self.address is not None and self.name != "ray":
            raise ValueError(f"address {self.address!r} goes with name: ray")
        return self


class Params(Settings):
    """All of params.yaml: the profile of the data, then a group of settings for each stage."""

    profile: Profile = "glyph"
    """The kind of images: `glyph` (characters, digits, signs) or `natural` (photographs). It sets
    which checks run and which augmentations keep a label as it is; `glyph` never mirrors, turns by
    90° or colours.
    """
    precision: Precision = "auto"
    """What networks compute in: `auto` takes bf16 on a GPU, and on a processor that is faster in
    it, measured once for a machine; `full` is float32 everywhere. Samples are always drawn in
    float32, so that other machines can draw them again.
    """
    runtime: RuntimeSettings = RuntimeSettings()
    """What works on many images or classifiers beside one another: `processes` of this machine, or
    `{name: ray}`.
    """
    ingest: IngestSettings
    """Where the images come from, and how they are split."""
    clean: CleanSettings = CleanSettings()
    """The checks and repairs, and the form of the kept images."""
    train: TrainSettings = TrainSettings()
    """The generator: its model, networks, loss and penalties, and how long it trains."""
    codes: CodesSettings = CodesSettings()
    """How the generator's codes are matched to classes and measured."""
    adopt: AdoptSettings = AdoptSettings()
    """Who is asked about images without a label, and which of them are adopted."""
    synth: SynthSettings = SynthSettings()
    """How many samples of each class are made, and which are accepted."""
    score: ScoreSettings = ScoreSettings()
    """The scores, and the budget of the judge and of the uplift."""
    write: WriteSettings = WriteSettings()
    """How the augmented set leaves: format, dose and gates."""
    report: ReportSettings = ReportSettings()
    """How much the page shows."""

    @model_validator(mode="before")
    @classmethod
    def _share_profile(cls, tree: Any) -> Any:
        """Hand the profile, which stands once at the top, to every group that follows it."""
        if not isinstance(tree, dict):
            return tree
        profile = tree.get("profile", "glyph")
        shared = dict(tree)
        for name in groups_with_profile():
            group = tree.get(name, {})
            if not isinstance(group, dict):
                continue
            if "profile" in group:
                raise ValueError(
                    f"{name}.profile: the profile belongs to the data and stands once, at the top "
                    f"of params.yaml (profile: {group['profile']}); take it out of {name!r}"
                )
            if profile in get_args(Profile):  # a wrong profile is reported once, at the top
                shared[name] = {**group, "profile": profile}
        return shared


def groups_with_profile() -> list[str]:
    """Names of the groups whose stages follow the data's profile."""
    groups = {name: field.annotation for name, field in Params.model_fields.items()}
    return [name for name, group in groups.items() if PROFILE in _fields(group)]


def _fields(group: Any) -> list[str]:
    return list(getattr(group, "model_fields", {}))


def load(path: Path = Path("params.yaml"), overrides: Sequence[str] = ()) -> Params:
    """Read ``path``, apply ``group.key=value`` overrides (values are YAML), check everything.

    Raises ParamsError naming the file or key, the value found and what was allowed.
    """
    try:
        return Params.model_validate(read(path, overrides))
    except ValidationError as error:
        lines = [f"{path}: {_explain(problem)}" for problem in error.errors()]
        raise ParamsError("\n".join(dict.fromkeys(lines))) from None


def read(path: Path = Path("params.yaml"), overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The groups of ``path`` as they stand there, with ``overrides``; nothing is checked yet.

    Raises ParamsError for a file that is missing or no YAML, and for an override that is none.
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
    return tree


def _set(tree: dict[str, Any], override: str) -> None:
    """Apply ``group.key=value`` to the settings; raises ParamsError for anything else."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ParamsError(f"override {override!r}: expected group.key=value")
    try:
        put(tree, key, yaml.safe_load(value))
    except yaml.YAMLError:
        raise ParamsError(f"override {override!r}: the value is not YAML") from None
    except ParamsError as error:
        raise ParamsError(f"override {override!r}: {error}") from None


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Put ``value`` into settings under a dotted key; a part by its name alone keeps its name.

    Raises ParamsError where something else than a group or a part stands in the way.
    """
    node: Any = tree
    *parents, last = key.split(".")
    for parent in parents:
        child = node.get(parent)
        if isinstance(child, str):  # a part given by its name alone
            child = {"name": child}
        node[parent] = child = {} if child is None else child
        if not isinstance(child, dict):
            raise ParamsError(f"{parent!r} holds no keys")
        node = child
    node[last] = value


def _explain(problem: Any) -> str:
    """A line about an error of pydantic's: the key, the value found and what was allowed."""
    key = ".".join(str(step) for step in problem["loc"] if not _is_alternative(step))
    if problem["type"] == "value_error" and not key:
        return str(problem["ctx"]["error"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; known: {', '.join(_keys_at(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "value_error":  # the words of a validator, which name the value
        return f"{key}: {problem['ctx']['error']}"
    return f"{key}: {problem['msg']} (found {problem['input']!r})"


def _is_alternative(step: int | str) -> bool:
    """Whether a step of pydantic's path is no key, but names one type of several allowed ones."""
    kinds = ("str", "bool", "int", "constrained-int", "float", "constrained-float")
    return isinstance(step, str) and ("[" in step or step in kinds)


def _keys_at(path: Sequence[int | str]) -> list[str]:
    group: Any = Params
    for step in path:
        field = group.model_fields.get(step) if hasattr(group, "model_fields") else None
        group = field.annotation if field else get_args(group)[-1] if get_args(group) else None
    return [name for name in _fields(group) if name != PROFILE or group is Params]
