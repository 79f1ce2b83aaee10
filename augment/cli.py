"""The command line: a command for each stage and for each question that a user asks; no logic.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
3 a gate said no, 130 stopped by ctrl-C.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from augment.errors import AugmentError
from augment.pipeline import STAGES


class _Commands(TyperGroup):
    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; with JSON on stderr wrong usage is an object too."""
        words = list(options.get("args") or (arguments[0] if arguments else None) or [])
        log = _log_of(words) or os.environ.get("AUGMENT_LOG", "text")
        if log in ("text", "json"):  # others are wrong usage
            os.environ["AUGMENT_LOG"] = log  # which processes that are started inherit
        if log != "json":
            return super().main(*arguments, **options)
        try:
            code = super().main(*arguments, **options | {"standalone_mode": False})
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            _fail(error.format_message(), error.exit_code)  # type: ignore[attr-defined]
        raise SystemExit(code)

    def invoke(self, context: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            _say("stopped; nothing half-written is left")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    help="From a small labelled image set to a larger one that is proven to help a classifier.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    context: typer.Context,
    log: Annotated[
        str, typer.Option(envvar="AUGMENT_LOG", metavar="text|json", help="Lines on stderr.")
    ] = "text",
) -> None:
    """Decide how lines on stderr look."""
    from augment.runtime import progress

    if log not in ("text", "json"):
        raise typer.BadParameter(f"--log: text or json, found {log!r}")
    progress.name(context.invoked_subcommand)


Overrides = Annotated[
    list[str], typer.Option("-S", "--set", metavar="GROUP.KEY=VALUE", help="Override a setting.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error that a user can mend is one line and exit code 1."""
    try:
        app(list(sys.argv[1:] if arguments is None else arguments))
    except AugmentError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")


@app.command()
def init(
    folder: Path,
    data: Annotated[str | None, typer.Option(help="Your images: folder, archive, CSV, …")] = None,
) -> None:
    """Make a new project folder, or renew dvc.yaml and stages/ of an old one."""
    from augment import new_project

    for remark in new_project.init(folder, data):
        _say(remark)
    if data is not None:
        try:
            inspect(data)
        except AugmentError as error:  # a setting of the new project may help
            _say(f"ingest will stop: {error}", "warning")
    first = "dvc repro" if new_project.has_dvc() else "augment ingest"
    typer.echo(f"{folder} is ready: cd {shlex.quote(str(folder))} && {first}")


@app.command()
def inspect(
    source: Annotated[
        str | None, typer.Argument(help="Images, as ingest.source names them; else the project's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a source holds, how it is read and what looks wrong, before any work."""
    from augment import inspect_source, pipeline

    report = pipeline.inspect(source)
    if as_json:
        _json(report)
    else:
        typer.echo(inspect_source.in_words(report))


@app.command(hidden=True)
def code(as_json: AsJson = False) -> None:
    """Write reports/code.json, the digest of each stage's code; a stage of a user's project."""
    from augment import stage_code

    _print(stage_code.write_digests(Path(".")), "code", as_json)


def _stage(name: str) -> Callable[..., None]:
    def command(overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006
        _print(_run(name, overrides), name, as_json)

    command.__doc__ = STAGES[name]
    return command


def synth(
    name: Annotated[str | None, typer.Option("--class", help="Class name.")] = None,
    count: Annotated[int | None, typer.Option("--n", min=1, help="How many samples.")] = None,
    out: Annotated[str | None, typer.Option(help="Destination folder, or an address.")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: synth.seed.")] = None,
    writer: Annotated[str, typer.Option("--format", help="A writer.")] = "image_folder",
    code: Annotated[
        list[str],
        typer.Option(
            metavar="CODE=VALUE|CODE=LO:HI", help="Fix or bound a code, by number or name."
        ),
    ] = [],  # noqa: B006
    truncation: Annotated[float | None, typer.Option(help="Bound of the noise.")] = None,
    structure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A picture whose structure is painted on (ssgan)."),
    ] = None,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Accept everything.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Fill the quotas of params.yaml; or, with --class and --n, make samples of one class."""
    if name is None:
        alone = {
            "--n": count,
            "--out": out,
            "--code": code,
            "--no-filter": no_filter,
            "--structure": structure,
        }
        wrong = [option for option, value in alone.items() if value]
        if wrong:
            raise typer.BadParameter(f"{wrong[0]} needs --class")
        changes = [("seed", seed), ("truncation", truncation)]
        overrides = [*overrides, *(f"synth.{k}={v}" for k, v in changes if v is not None)]
        _print(_run("synth", overrides), "synth", as_json)
        return
    if count is None:
        raise typer.BadParameter("--class needs --n")
    codes = dict(_code(text) for text in code)
    from augment import pipeline
    from augment.runtime import remote
    from augment.synth.measured import Draw
    from augment.synth.one_class import fulfil
    from augment.synth.quotas import Order

    settings = pipeline.load(overrides)
    draw = Draw(
        settings.synth.seed if seed is None else seed,
        codes,
        settings.synth.truncation if truncation is None else truncation,
        settings.synth.max_candidates,
    )
    with remote.outgoing(out, overwrite=overwrite) as folder:
        report = fulfil(
            settings.synth, Order(name, count), draw, writer=writer, out=folder,
            filtered=not no_filter, overwrite=overwrite, structure=structure,
            resize=settings.clean.resize,
        )  # fmt: skip
    if out is not None:
        report["out"] = out
    _print(report, "synth", as_json)


def write(
    force: Annotated[bool, typer.Option("--force", help="Write though a gate fails.")] = False,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Write real and accepted synthetic samples as one set, if every gate passes."""
    from augment import pipeline

    report = pipeline.write(overrides, force=force)
    _print(report, "write", as_json)
    if report["remark"]:
        _say(report["remark"])


_WITH_OPTIONS: dict[str, Callable[..., None]] = {"synth": synth, "write": write}
for _name in STAGES:
    app.command(_name)(_WITH_OPTIONS.get(_name) or _stage(_name))


@app.command()
def gate(overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Judge the scores by the gates of params.yaml; exit code 3 if one fails."""
    from augment import pipeline
    from augment.write import gates
    from augment.write.run import gate_results

    try:
        results = gate_results(pipeline.load(overrides).write)
    except AugmentError as error:
        _fail(str(error), 2)
    if as_json:
        _json(gates.records(results))
    else:
        typer.echo(gates.lines(results))
    if not gates.passed(results):
        raise typer.Exit(3)


@app.command()
def translate(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE", help="Image files.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS|DOMAIN",
            help="The class that images shall be of; only a generator that is told it (stargan) "
            "needs one. Or where a generator of two domains goes: set, into the images of the set "
            "(by default), or the name under ingest.domains, the way back (cyclegan).",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--n", min=1, help="Images of each picture: 8, without noise 1."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Default: synth.seed.")] = None,
    out: Annotated[
        str | None, typer.Option(help="Destination folder, or an address: translated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace older images.")] = False,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Make images of pictures of your own, with a sheet before → after.

    The generator must be one that starts from an image.

    Nothing is written if any picture cannot be read.
    """
    from augment import pipeline
    from augment.runtime import remote
    from augment.synth.translate import translate

    settings = pipeline.load(overrides)
    with remote.outgoing(out, overwrite=overwrite) as folder:
        report = translate(
            settings.synth, pictures, to, resize=settings.clean.resize,
            recipes=pipeline.starting_recipes(), count=count, seed=seed, out=folder,
            overwrite=overwrite,
        )  # fmt: skip
    if out is not None:
        report["out"] = out
    _print(report, "translate", as_json)


@app.command()
def uplift(
    arms: Annotated[str | None, typer.Option(help="Names, with commas between.")] = None,
    doses: Annotated[str | None, typer.Option(help="Synthetic images for each real one.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many classifiers an arm.")] = None,
    learner: Annotated[str | None, typer.Option(help="What is trained.")] = None,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Measure at length, arm by arm, whether the samples help a classifier."""
    import time

    from augment import pipeline
    from augment.score import run as score
    from augment.score.settings import LONG_UPLIFT

    lists = {"arms": arms, "doses": doses}
    settings = {
        **{key: json.dumps(value) for key, value in LONG_UPLIFT.items()},
        **{key: f"[{text}]" for key, text in lists.items() if text is not None},
        **{k: str(v) for k, v in (("seeds", seeds), ("learner", learner)) if v is not None},
    }
    changes = [f"score.uplift.{key}={value}" for key, value in settings.items()]
    begun = time.monotonic()
    report = score.prove(pipeline.load([*changes, *overrides]).score)
    _print(report, "uplift", as_json)
    _say(f"{(time.monotonic() - begun) / 60:.1f} minutes")


@app.command()
def compare(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE[:KEY=VALUE]…]",
            help="Recipes, with settings of train that differ. Default: that of params.yaml, and "
            "one of each kind that fits the set.",
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Of training for each, above 0.")] = 5.0,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the winner into params.yaml.")
    ] = False,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Train recipes for equal time on data/clean and rank them by what their samples are worth.

    A classifier on the valid split decides; test images are looked at once, for the winner alone.
    Called again it goes on where it was stopped.
    """
    from augment.compare import run
    from augment.compare.apply import apply_to

    if not minutes > 0:
        raise typer.BadParameter(f"--minutes: above 0, found {minutes:g}")
    with _going_on():
        report, winner = run.compare(recipes or [], minutes=minutes, overrides=overrides)
    _print(report, "compare", as_json)
    _say(f"{report['page']}: samples side by side")
    if apply:
        _say(apply_to(Path("params.yaml"), winner))


@app.command()
def tune(
    minutes: Annotated[float, typer.Option(help="How long this call may take.")] = 60.0,
    trial_minutes: Annotated[
        float | None,
        typer.Option(help="Of training for each trial. Default: a twentieth of --minutes."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=0, help="How many trials at most in this call; 0: none.")
    ] = None,
    knobs: Annotated[
        list[str],
        typer.Option(
            "--knob",
            metavar="NAME|KEY=LOW:HIGH[:log]|KEY=A,B",
            help="What is tuned, instead of width, rates, penalty weights, augmentation and dose.",
        ),
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Of what is tried.")] = 0,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the best settings into params.yaml.")
    ] = False,
    dvc: Annotated[
        bool, typer.Option(help="Keep each trial as an experiment of DVC's, where it is in use.")
    ] = True,
    overrides: Overrides = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Try settings of the generator and keep those whose samples help a classifier most.

    The valid split decides; no trial sees a test image. Called again, or by several processes at
    once, it goes on with the same study.
    """
    from augment.tune import run

    for name, number in (("--minutes", minutes), ("--trial-minutes", trial_minutes)):
        if number is not None and not 0 < number < float("inf"):
            raise typer.BadParameter(f"{name}: above 0, found {number:g}")
    request = run.Request(minutes, trial_minutes, trials, knobs, seed, dvc)
    with _going_on():
        report, lines = run.tune(request, overrides)
    _print(report, "tune", as_json)
    _say(f"{report['page']}: what each knob is worth")
    if apply:
        _say(run.apply_to(Path("params.yaml"), lines))


@app.command()
def parts(
    kind: Annotated[str | None, typer.Argument(help="Only parts of this kind.")] = None,
    as_json: AsJson = False,
) -> None:
    """List every registered part with its options and paper."""
    from augment import pipeline

    listed = [part for part in pipeline.parts() if kind in (None, part["kind"])]
    if not listed:
        kinds = ", ".join(dict.fromkeys(part["kind"] for part in pipeline.parts()))
        raise typer.BadParameter(f"unknown kind {kind!r}; known: {kinds}")
    if as_json:
        _json(listed)
        return
    for part in listed:
        options = ", ".join(
            option if value == "required" else f"{option}={value}"
            for option, value in part["options"].items()
        )
        typer.echo(f"{part['kind']} {part['name']}({options})\n    {part['summary']}")
        if part["paper"]:
            typer.echo(f"    {part['paper']}")


@app.command()
def show(
    what: Annotated[Path, typer.Argument(help="A sample table, or a report (JSON).")],
    out: Annotated[Path | None, typer.Option(help="The picture to write.")] = None,
    per_class: Annotated[int, typer.Option(min=1)] = 12,
    split: Annotated[str | None, typer.Option(help="Only train, valid or test.")] = None,
    origin: Annotated[str | None, typer.Option(help="Only real or synthetic.")] = None,
) -> None:
    """Draw a contact sheet of a table by class, or print a report."""
    if what.suffix == ".json":
        _print(json.loads(what.read_text(encoding="utf-8")), what.stem, False)
        return
    from augment.report.show import contact_sheet

    out = out or Path("reports") / f"{what.name}.png"
    counts = contact_sheet(what, out, per_class=per_class, split=split, origin=origin)
    _print(counts, "show", False)
    typer.echo(str(out))


@app.command()
def review(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only.")
    ] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Draw contact sheets instead.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the sheets go: reports/review.")] = None,
    read: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Read a sheet's edited CSV back.")
    ] = None,
) -> None:
    """Decide about flagged, doubtful and synthetic images; on a local page, or on sheets."""
    if (sheet and read) or (out and not sheet):
        raise typer.BadParameter("--sheet [--out DIR], --read FILE.csv, or neither")
    from augment.review import sheets
    from augment.review.serve import serve

    here = Path(".")
    if sheet:
        out = out or Path("reports") / "review"
        _print(sheets.sheet(here, out), "review", False)
        typer.echo(str(out))
    elif read:
        _print(sheets.read(here, read), "review", False)
    else:
        serve(here, port=port, browser=not no_browser, say=typer.echo)


def _run(stage: str, overrides: list[str]) -> dict[str, Any]:
    from augment import pipeline

    return pipeline.run(stage, overrides)


@contextmanager
def _going_on() -> Iterator[None]:
    """Say after ctrl-C that nothing is lost; exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        _say("stopped; the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None


def _print(report: Any, stage: str, as_json: bool) -> None:
    """Print a report as JSON, or as the board that suits the stage; its warnings to stderr."""
    from augment.report import terminal

    if isinstance(report, dict):
        for line in terminal.warnings(report):
            _say(line, "warning")
    if as_json:
        _json(report)
        return
    from rich.console import Console

    boards = {
        "score": terminal.scoreboard,
        "uplift": terminal.uplift_board,
        "compare": terminal.compare_board,
        "tune": terminal.tune_board,
    }
    draw = boards.get(stage, terminal.counts)
    Console(soft_wrap=True).print(draw(report))


def _json(value: Any) -> None:
    from augment.data.files import finite

    typer.echo(json.dumps(finite(value), indent=2, ensure_ascii=False))


def _code(text: str) -> tuple[int, tuple[float, float]]:
    """The number of a code and its bounds, from ``CODE=VALUE`` or ``CODE=LO:HI``.

    A named code whose factor falls as it rises changes the sign of both bounds.
    """
    name, _, value = text.partition("=")
    low, _, high = value.partition(":")
    try:
        first, last = float(low), float(high or low)
    except ValueError:
        raise typer.BadParameter(
            f"--code {text!r}: expected CODE=VALUE or CODE=LO:HI, CODE a number or a name"
        ) from None
    if name.isdecimal():
        return int(name), (first, last)
    from augment.models import code_names

    index, sign = code_names.code_named(name)
    return index, (sign * first, sign * last)


def _say(text: str, level: Literal["info", "warning", "error"] = "info") -> None:
    from augment.runtime import progress

    progress.say(text, level)


def _log_of(words: list[str]) -> str | None:
    """What ``--log`` says before the command."""
    for place, word in enumerate(words):
        if not word.startswith("-"):
            break
        name, equals, value = word.partition("=")
        if name == "--log":
            return value if equals else "".join(words[place + 1 : place + 2])
    return None


def _fail(message: str, code: int = 1) -> NoReturn:
    _say(message, "error")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
