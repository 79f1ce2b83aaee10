"""The pages that are made from the code when the site is built, so that they cannot be stale.

A page holds a line ``<!-- generated: NAME -->`` where the text of ``NAME`` goes; the functions in
``GENERATED`` write it from the settings, the commands, the registries and the table's schema. What
the code does not say itself, the meaning of a column, a file or a number, stands in
``meanings.yaml``; a build fails where a meaning is missing.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
import yaml
from mkdocs.exceptions import PluginError
from pydantic.fields import FieldInfo

from augment import cli, pipeline
from augment.data.table import SCHEMA
from augment.params import Params
from augment.registry import Part
from augment.score.scores.base import SCORES
from augment.settings import PartSpec, Settings

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
EVIDENCE = (  # the order of the pages; others follow by name
    "index", "uplift", "half", "generated", "transfer", "borrowed", "infogan", "frontier", "sizes",
    "families", "modes", "selection", "sharing", "no_labels", "cleaning", "fuzz", "speed",
    "throughput", "devices", "memory", "scale", "demo",
)  # fmt: skip
MARK = re.compile(r"<!-- generated: (\w+) -->")
NUMBERS = {int: "whole number", float: "number", str: "text", bool: "true or false"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def on_config(config: Any) -> Any:
    """Put every page of docs/evidence under *Evidence*."""
    names = [path.stem for path in (HERE / "evidence").glob("*.md")]
    places = {name: place for place, name in enumerate(EVIDENCE)}
    ordered = sorted(names, key=lambda name: (places.get(name, len(places)), name))
    for section in config.nav:
        if "Evidence" in section:
            section["Evidence"] = [f"evidence/{name}.md" for name in ordered]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marked places of a page."""
    return MARK.sub(lambda mark: GENERATED[mark[1]](), markdown)


# --- params.yaml ---------------------------------------------------------------------------------


def settings() -> str:
    """Every key of params.yaml: type, range, default and meaning, group by group."""
    kinds = _kinds_of_keys()
    lines = ["## At the top", *_keys(_lone(), "", kinds)] if _lone() else []
    for name, field in Params.model_fields.items():
        for group in _nested(field):
            lines += [f"## {name}", _sentence(inspect.getdoc(group) or "")]
            lines += _keys(group.model_fields, f"{name}.", kinds)
    return "\n\n".join(lines)


def _lone() -> dict[str, FieldInfo]:
    """The settings that stand in no group."""
    return {name: field for name, field in Params.model_fields.items() if not _nested(field)}


def _keys(fields: Mapping[str, FieldInfo], prefix: str, kinds: Mapping[str, str]) -> Iterator[str]:
    for name, field in fields.items():
        if prefix and name in _lone():  # handed on to the group from the top
            continue
        key = prefix + name
        facts = [_type(field.annotation, field.metadata)]
        if key in kinds:
            facts.append(f"[{kinds[key]}](parts.md#{_slug(kinds[key])})")
        if field.is_required():
            facts.append("required")
        elif not isinstance(field.default, Settings):
            facts.append(f"default `{_yaml(field.default)}`")
        yield _term(key, "; ".join(facts), field.description or "", anchor=key)
        for group in _nested(field):
            yield from _keys(group.model_fields, f"{key}.", kinds)


def _nested(field: FieldInfo) -> list[type[Settings]]:
    """The groups of settings that a field holds."""
    candidates = (field.annotation, *typing.get_args(field.annotation))
    return [kind for kind in candidates if inspect.isclass(kind) and issubclass(kind, Settings)]


def _kinds_of_keys() -> dict[str, str]:
    """The kind of part that each key names."""
    kinds = {
        key: getattr(importlib.import_module(module), name).kind
        for key, (module, name) in getattr(pipeline, "PARTS", {}).items()
    }

    def walk(fields: Mapping[str, FieldInfo], prefix: str) -> None:
        for name, field in fields.items():
            for kind in (item for item in field.metadata if hasattr(item, "load")):
                kinds[prefix + name] = kind.load().kind
            for group in _nested(field):
                walk(group.model_fields, f"{prefix}{name}.")

    walk(Params.model_fields, "")
    return kinds


def _type(annotation: Any, metadata: typing.Iterable[Any] = ()) -> str:
    """An annotation with its bounds, in words."""
    bounds = _bounds(metadata)
    if annotation == PartSpec:
        return "part"
    if inspect.isclass(annotation) and issubclass(annotation, Settings):
        return "the keys below"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0], arguments[1:])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list{bounds}: {_type(arguments[0])}"
    if origin is dict:
        return f"mapping from text to {_type(arguments[1])}"
    if origin is tuple:
        return f"[{', '.join(map(_type, arguments))}]"
    if origin in (typing.Union, types.UnionType):
        if set(typing.get_args(PartSpec)) < set(arguments):
            rest = [_type(kind) for kind in arguments if kind not in typing.get_args(PartSpec)]
            return " or ".join(["part", *rest])
        return " or ".join(map(_type, arguments))
    if annotation is types.NoneType:
        return "null"
    return NUMBERS.get(annotation, str(annotation)) + bounds


def _bounds(metadata: typing.Iterable[Any]) -> str:
    flat = [inner for item in metadata for inner in getattr(item, "metadata", (item,))]
    limits = {name: getattr(item, name) for name in BOUNDS for item in flat if hasattr(item, name)}
    if {"ge", "le"} <= limits.keys():
        return f" from {limits['ge']:g} to {limits['le']:g}"
    words = [f"{BOUNDS[name]} {limit:g}" for name, limit in limits.items()]
    words += ["at least one" for item in flat if getattr(item, "min_length", None)]
    return f" ({' and '.join(words)})" if words else ""


def _yaml(value: Any) -> str:
    """A default as it stands in params.yaml."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


# --- commands, parts -----------------------------------------------------------------------------


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` says them."""
    lines = []
    group = typing.cast(Any, typer.main.get_command(cli.app))
    for name, command in sorted(group.commands.items(), key=lambda pair: _place(pair[0])):
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join([*command.collect_usage_pieces(context)[1:], "[OPTIONS]"])
        lines += [f"## {name}", f"`augment {name} {usage}`", _prose(command.help or "")]
        for parameter in command.params:
            term, words = parameter.get_help_record(context)
            lines.append(_term(term, "", _prose(words or "")))
    return "\n\n".join(lines)


def _place(command: str) -> tuple[int, str]:
    """``init`` first, then the stages in order, then the questions by name."""
    order = ["init", *pipeline.STAGES]
    return (order.index(command) if command in order else len(order)), command


def parts() -> str:
    """Every registered part and every recipe, kind by kind, with options and paper."""
    described = {
        (registry.kind, name): registry.describe(name)
        for registry in pipeline.registries()
        for name in registry.names()
    }
    settings_of: dict[str, list[str]] = {}
    for key, kind in _kinds_of_keys().items():
        settings_of.setdefault(kind, []).append(key)
    settings_of["recipe"] = ["train.recipe"]
    lines, heading = [], ""
    for part in pipeline.parts():
        kind = part["kind"]
        if kind != heading:
            heading = kind
            keys = " and ".join(f"[`{key}`](settings.md#{key})" for key in settings_of[kind])
            lines += [f"## {kind}", f"Named by {keys}."]
        options = "; ".join(
            f"`{option}`" + (" required" if value == "required" else f" = `{value}`")
            for option, value in part["options"].items()
        )
        words = _sentence(part["summary"])
        if (kind, part["name"]) in described:
            words = _meaning(described[kind, part["name"]])
        lines.append(_term(part["name"], options, words, paper=part["paper"]))
    return "\n\n".join(lines)


def _meaning(part: Part) -> str:
    """The docstring of a part, and of its options where a class says them beside ``__init__``."""
    texts = [inspect.getdoc(part.target) or ""]
    if inspect.isclass(part.target) and part.options:
        texts.append(inspect.getdoc(part.target.__init__) or "")
    return "\n\n".join(_prose(text) for text in texts)


# --- columns, files, numbers ---------------------------------------------------------------------


def columns() -> str:
    """The columns of the sample table."""
    meanings = _meanings("columns", SCHEMA.names)
    kinds = {"image": "struct of bytes and path", "codes": "list of float"}
    return "\n\n".join(
        _term(field.name, kinds.get(field.name, str(field.type)), meanings[field.name])
        for field in SCHEMA
    )


def files() -> str:
    """What each stage leaves, from dvc.yaml."""
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    paths = {
        name: [
            next(iter(item)) if isinstance(item, dict) else item
            for kind in ("outs", "metrics", "plots")
            for item in stage.get(kind, ())
        ]
        for name, stage in stages.items()
    }
    meanings = _meanings("files", [path for places in paths.values() for path in places])
    lines = []
    for name, places in paths.items():
        lines.append(f"### {name}")
        lines += [_term(path, "", meanings[path]) for path in places]
    return "\n\n".join(lines)


def scores() -> str:
    """Every number of score.json that a score registers, with its range and better direction."""
    keys = [key for name in SCORES for key in SCORES.describe(name).facts.get("keys", {})]
    meanings = _meanings("scores", keys)
    lines = []
    for name in SCORES:
        part = SCORES.describe(name)
        lines += [f"## {name}", _prose(part.summary)]
        for key, facts in part.facts.get("keys", {}).items():
            better = {"one": "best at 1"}.get(facts.better, f"{facts.better} is better")
            ends = ["-∞" if facts.low == -math.inf else f"{facts.low:g}"]
            ends.append("∞" if facts.high == math.inf else f"{facts.high:g}")
            text = f"from {' to '.join(ends)}; {better}"
            lines.append(_term(key, text, meanings[key], anchor=key))
    return "\n\n".join(lines)


def _meanings(kind: str, names: typing.Iterable[str]) -> Mapping[str, str]:
    meanings: Mapping[str, str] = yaml.safe_load((HERE / "meanings.yaml").read_text())[kind]
    missing = [name for name in names if name not in meanings]
    if missing:
        raise PluginError(f"docs/meanings.yaml: no meaning under {kind}: {', '.join(missing)}")
    return meanings


def changelog() -> str:
    """CHANGELOG.md without its title."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.partition("\n")[2]


# --- Markdown ------------------------------------------------------------------------------------


def _term(name: str, facts: str, words: str, *, anchor: str = "", paper: str = "") -> str:
    """An entry of a definition list."""
    span = f'<span id="{anchor}"></span>' if anchor else ""
    cite = f'<span class="paper">{_prose(paper)}</span>' if paper else ""
    facts = f'<span class="facts">{facts}</span>' if facts else ""
    paragraphs = [text for text in (facts, *words.split("\n\n"), cite) if text]
    body = "\n\n".join(f"    {text}".replace("\n", "\n    ") for text in paragraphs)
    return f"{span}`{name}`\n\n:   {body.lstrip()}"


def _prose(text: str) -> str:
    """A docstring as Markdown: its ``code`` stays, everything else is taken literally."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", inspect.cleandoc(text))
    return "".join(
        piece if place % 2 else re.sub(r"([\\*_\[\]<>|#])", r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )


def _sentence(text: str) -> str:
    words = _prose(text.partition("\n")[0])
    return words if words.endswith((".", ":")) else f"{words}."


def _slug(kind: str) -> str:
    return kind.replace(" ", "-")


GENERATED: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "parts": parts,
    "columns": columns,
    "files": files,
    "scores": scores,
    "changelog": changelog,
}
