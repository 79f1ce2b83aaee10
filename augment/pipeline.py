"""The stages, in order: the one list that the command line, stages/ and the tests read."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `augment --help` reads this file and has no time for pydantic
    from augment.params import Params
    from augment.registry import Registry

STAGES = {
    "ingest": "Read the source into one table, reject what is unusable, split.",
    "clean": "Judge every image, quarantine the bad, bring the rest to one size and mode.",
    "train": "Train the generator and the labeller on the train split.",
    "codes": "Match the generator's codes to classes and measure what they move.",
    "adopt": "Label the train images that have no label, where it is sure enough.",
    "synth": "Draw samples of each class until the quotas of accepted ones are filled.",
    "score": "Measure the samples, and whether a classifier gets better by them.",
    "write": "Write real and accepted synthetic samples as one set, with its card.",
    "report": "Draw one page about all that has been run: reports/index.html.",
}

# Which settings name parts, and where those are registered.
PARTS = {
    "ingest.reader": ("augment.readers.base", "READERS"),
    "clean.checks": ("augment.clean.checks.base", "CHECKS"),
    "clean.repairs": ("augment.clean.repairs", "REPAIRS"),
    "train.model": ("augment.models.base", "MODELS"),
    "train.generator": ("augment.models.networks", "GENERATORS"),
    "train.discriminator": ("augment.models.networks", "DISCRIMINATORS"),
    "train.conditioning.generator": ("augment.models.conditioning", "GENERATOR_CONDITIONS"),
    "train.conditioning.discriminator": ("augment.models.conditioning", "DISCRIMINATOR_CONDITIONS"),
    "train.loss": ("augment.models.losses", "LOSSES"),
    "train.penalties": ("augment.models.penalties", "PENALTIES"),
    "train.augment": ("augment.vision.augmentations", "AUGMENTATIONS"),
    "train.optimiser": ("augment.train.optimisers", "OPTIMISERS"),
    "train.rate.schedule": ("augment.train.optimisers", "SCHEDULES"),
    "train.labeller.network": ("augment.classifiers.networks", "CLASSIFIERS"),
    "adopt.labellers": ("augment.adopt.opinions", "OPINIONS"),
    "synth.select": ("augment.synth.selectors", "SELECTORS"),
    "synth.second.network": ("augment.classifiers.networks", "CLASSIFIERS"),
    "score.scores": ("augment.score.scores.base", "SCORES"),
    "score.judge": ("augment.classifiers.networks", "CLASSIFIERS"),
    "score.uplift.arms": ("augment.score.uplift.arms", "ARMS"),
    "score.uplift.learner": ("augment.score.uplift.learners", "LEARNERS"),
    "score.uplift.policies": ("augment.score.uplift.policies", "POLICIES"),
    "write.writer": ("augment.writers.base", "WRITERS"),
}

AUTOMATIC = {("ingest.reader", "auto"), ("clean.checks", "auto")}  # found while the stage runs


def run(stage: str, overrides: Sequence[str] = (), root: Path = Path(".")) -> dict[str, Any]:
    """Check all of params.yaml, run one stage, give its report (reports/STAGE.json).

    Raises AugmentError: a wrong setting, missing inputs, data that cannot be used.
    """
    settings = load(overrides, root)
    return _runner(stage)(settings, root)


def write(
    overrides: Sequence[str] = (), root: Path = Path("."), *, force: bool = False
) -> dict[str, Any]:
    """The stage write, with ``force`` whatever its gates say.

    Where a gate fails no later stage runs, so the page that says why is made at once.
    """
    from augment.errors import AugmentError
    from augment.write.gates import GateError

    settings = load(overrides, root)
    try:
        return _runner("write")(settings, root, force=force)
    except GateError:
        with suppress(AugmentError):  # a page that cannot be made is not what stopped the stage
            _runner("report")(settings, root)
        raise


def _runner(stage: str) -> Callable[..., dict[str, Any]]:
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"augment.{stage}.run").run
    return run


def load(overrides: Sequence[str] = (), root: Path = Path(".")) -> Params:
    """The settings of the project in ``root``, every part and option of theirs checked.

    Raises ParamsError naming the key, the value found and what was allowed.
    """
    from augment import params
    from augment.registry import PartError

    settings = params.load(root / "params.yaml", overrides)
    for key, (module, name) in PARTS.items():
        registry: Registry = getattr(importlib.import_module(module), name)
        value: Any = settings
        for step in key.split("."):
            value = getattr(value, step)
        for spec in value if isinstance(value, list) else [value]:
            if spec is None or (isinstance(spec, str) and (key, spec) in AUTOMATIC):
                continue
            try:
                registry.resolve(spec)
            except PartError as error:
                raise params.ParamsError(f"{key}: {error}") from None
    return settings


def registries() -> Iterator[Registry]:
    """Every registry once, in the order in which the stages use them."""
    for module, name in dict.fromkeys(PARTS.values()):
        yield getattr(importlib.import_module(module), name)


def parts() -> Iterator[dict[str, Any]]:
    """Every registered part, and every recipe, with its options, in words."""
    for registry in registries():
        for part in map(registry.describe, registry.names()):
            options = {
                name: "required" if default is ... else repr(default)
                for name, default in part.options.items()
            }
            yield _described(registry.kind, part.name, options, part.summary, part.paper)
    from augment.train.recipes import RECIPES

    for name, recipe in RECIPES.items():
        settings = {key: repr(value) for key, value in recipe.settings.items()}
        yield _described("recipe", name, settings, recipe.summary, recipe.paper)


def _described(kind: str, name: str, options: dict[str, str], *words: str) -> dict[str, Any]:
    summary, paper = words
    return {"kind": kind, "name": name, "options": options, "summary": summary, "paper": paper}
