"""What is compared: recipes by name, with changes, as settings of ``train``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment import params, pipeline
from augment.data import table
from augment.data.arrays import Arrays
from augment.models.base import MODELS, Needs
from augment.models.sources import FOREIGN
from augment.params_file import flow
from augment.registry import PartError
from augment.train import assemble
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings

# One of each way to make images, in this order; those that do not fit the set are left out.
KINDS = ("infogan", "acgan", "vae", "dagan", "pix2pix", "cyclegan")
# Keys of `train` that say how long, where and how a run is watched; all others are a recipe's.
SHARED = frozenset(
    "steps batch every ema on_trouble rollbacks labeller compile device seed".split()
)
HALF = {"labels": "half"}  # the option of a model that takes images without a label too


@dataclass(frozen=True)
class Entry:
    """A recipe with changes: its name as it was asked for, and the settings that follow.

    ``keys`` are those of ``train`` that make it, for params.yaml; ``kept`` says that params.yaml
    holds it already.
    """

    name: str
    keys: dict[str, Any]
    settings: TrainSettings
    kept: bool = False

    def line(self) -> str:
        """The line of params.yaml that makes this recipe the project's."""
        return f"train: {flow(self.keys)}"


def entries(
    names: Sequence[str], overrides: Sequence[str], root: Path, train: Arrays
) -> list[Entry]:
    """The entries of ``names``, or the default ones: see ``fitting``.

    The recipe of params.yaml comes with all its settings there; another one with those of SHARED
    alone. Raises ParamsError for an unknown recipe or key, and for a name that stands twice.
    """
    clean = root / "data/clean"
    group = params.read(root / "params.yaml", overrides).get("train") or {}
    base = pipeline.load(overrides, root).train.recipe
    unlabelled = table.count(clean, split="train", origin="real") > len(train)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise params.ParamsError(f"recipe {repeated[0]!r} is named twice")

    def of(name: str) -> Entry:
        return _entry(name, base, group, overrides, root, unlabelled)

    if names:
        return [of(name) for name in names]
    every = [of(name) for name in dict.fromkeys((base, *KINDS))]
    domain = bool(table.domains(clean))
    return [entry for entry in every if entry.name == base or fits(entry.settings, train, domain)]


def fits(settings: TrainSettings, train: Arrays, domain: bool) -> bool:
    """Whether a recipe can learn from these images; ``domain`` says that there is a further one."""
    try:
        needs = assemble.build(settings, train.shape, len(train.classes)).needs
    except PartError:
        return False
    return domain or needs.source not in FOREIGN


def remark(needs: Needs, labelled: int, unlabelled: int) -> str:
    """What a recipe leaves unused of the images, in words; empty where it uses all."""
    if needs.labels == "none":
        return "takes no labels"
    if unlabelled and needs.labels == "all":
        return f"learns from the {labelled:,} images with a label; {unlabelled:,} have none"
    return ""


def _entry(
    name: str, base: str, group: dict[str, Any], overrides: Sequence[str], root: Path,
    unlabelled: bool,
) -> Entry:  # fmt: skip
    """``RECIPE[:key=value …]`` as settings, checked like those of params.yaml."""
    recipe, *changes = re.split(r":(?=[\w.]+=)", name)
    if recipe not in RECIPES:
        raise params.ParamsError(f"unknown recipe {recipe!r}; known: {', '.join(RECIPES)}")
    if recipe == base:
        raw = dict(group) | {"recipe": recipe}
    else:
        raw = {key: value for key, value in group.items() if key in SHARED} | {"recipe": recipe}
    try:
        plain = pipeline.load([*overrides, _whole(raw), *_changes(changes)], root).train
        takes = "labels" in MODELS.describe(MODELS.resolve(plain.model)["name"]).options
        if recipe != base and unlabelled and takes and not _mentions(changes, "model.labels"):
            raw["model"] = HALF
        final = [*overrides, _whole(raw), *_changes(changes)]
        settings = pipeline.load(final, root).train
        keys = params.read(root / "params.yaml", final)["train"]
    except params.ParamsError as error:
        raise params.ParamsError(f"{name}: {error}") from None
    differing = {
        key: value
        for key, value in keys.items()
        if key not in SHARED or key not in group or value != group[key]
    }
    changed = changes or any(override.startswith("train") for override in overrides)
    return Entry(name, differing, settings, kept=recipe == base and not changed)


def _whole(group: dict[str, Any]) -> str:
    return f"train={json.dumps(group)}"  # JSON is YAML


def _changes(changes: Sequence[str]) -> list[str]:
    return [f"train.{change}" for change in changes]


def _mentions(changes: Sequence[str], key: str) -> bool:
    return any(change.startswith(f"{key}=") for change in changes)
