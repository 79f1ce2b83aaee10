"""The stages, in order: the one list that the command line, stages/ and the tests read."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.data.places import CACHE

if TYPE_CHECKING:  # `augment --help` reads this file and has no time for pydantic
    from augment.params import Params
    from augment.registry import Registry

CHECKED = f"{CACHE}/checked"  # the digest of the settings whose parts were checked last
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


def run(stage: str, overrides: Sequence[str] = (), root: Path = Path(".")) -> dict[str, Any]:
    """Check all of params.yaml, run one stage, give its report (reports/STAGE.json).

    Raises AugmentError: a wrong setting, missing inputs, data that cannot be used.
    """
    return _runner(stage)(getattr(load(overrides, root), stage), root)


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
        return _runner("write")(settings.write, root, force=force)
    except GateError:
        with suppress(AugmentError):  # a page that cannot be made is not what stopped the stage
            _runner("report")(settings.report, root)
        raise


def inspect(source: str | None = None, root: Path = Path(".")) -> dict[str, Any]:
    """What ``source``, or else the project's own one, holds: see ``augment.inspect_source``.

    Raises AugmentError for a source that no reader can open.
    """
    from augment import inspect_source, params
    from augment.ingest import run as ingest
    from augment.ingest.settings import IngestSettings

    if source is None:
        settings = params.load(root / "params.yaml").ingest
    else:
        settings = IngestSettings(source=source)
    return inspect_source.inspect(inspect_source.Opened(*ingest.opened(settings, root)), settings)


def _runner(stage: str) -> Callable[..., dict[str, Any]]:
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"augment.{stage}.run").run
    return run


def load(overrides: Sequence[str] = (), root: Path = Path(".")) -> Params:
    """The settings of the project in ``root``, every part and option of theirs checked.

    Parts are checked once for the same settings and code, because the check imports all parts,
    which takes seconds; a note in .augment says that it was done. Raises ParamsError naming the
    key, the value found and what was allowed.
    """
    from augment import params
    from augment.data import files
    from augment.runtime import precision, workers

    settings = params.load(root / "params.yaml", overrides)
    note, digest = root / CHECKED, _digest(settings)
    if not (note.exists() and note.read_text(encoding="utf-8") == digest):
        _check_parts(settings)
        with suppress(OSError):  # a folder that cannot be written costs a check each time
            files.write_text(note, digest)
    precision.use(settings.precision)
    workers.use(settings.runtime.name, settings.runtime.address)
    return settings


def _digest(settings: Params) -> str:
    """What the check of parts follows from: the settings, and the files of augment."""
    places = sorted(Path(__file__).parent.rglob("*.py"))
    code = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in places]
    return hashlib.sha256(f"{settings!r}\0{code}".encode()).hexdigest()


def _check_parts(settings: Params) -> None:
    """Raise ParamsError for a part, an option or a rate that there is not."""
    from augment import params
    from augment.registry import PartError
    from augment.train.assemble import check_rates

    for key, kind, specs in settings.parts():
        for spec in specs:
            try:
                kind.load().resolve(spec)
            except PartError as error:
                raise params.ParamsError(f"{key}: {error}") from None
    try:
        check_rates(settings.train)
    except PartError as error:
        raise params.ParamsError(str(error)) from None


def rewrite(path: Path, text: str) -> None:
    """Put ``text`` in place of the params.yaml at ``path``.

    Where a setting in it is wrong, the file is as it was, and ParamsError names the key.
    """
    from augment import params
    from augment.data import files

    before = path.read_bytes()
    files.write_bytes(path, text.encode("utf-8"))
    try:
        load(root=path.parent)
    except params.ParamsError:
        files.write_bytes(path, before)
        raise


def starting_recipes() -> list[str]:
    """The recipes whose generator starts from an image."""
    from augment.models.networks import GENERATORS
    from augment.train.recipes import RECIPES
    from augment.train.settings import TrainSettings

    networks = {name: TrainSettings(recipe=name).generator for name in RECIPES}
    targets = {
        name: GENERATORS.describe(GENERATORS.resolve(spec)["name"]).target
        for name, spec in networks.items()
    }
    return [name for name, target in targets.items() if getattr(target, "source", False)]


def registries() -> Iterator[Registry]:
    """Every registry once, in the order in which the stages use them."""
    from augment import params

    settings = params.Params.model_validate({"ingest": {"source": ""}})
    for kind in dict.fromkeys(kind for _, kind, _ in settings.parts()):
        yield kind.load()


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
