"""Settings written into params.yaml: only what changes, so that comments and order stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from augment.params import ParamsError, put


def edited_at(path: Path, changes: Mapping[str, Any]) -> str:
    """The text of the params.yaml at ``path`` with values by dotted key; see ``edited``."""
    try:
        return edited(path.read_text(encoding="utf-8"), changes)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run in a project folder") from None
    except ParamsError as error:
        raise ParamsError(f"{path}: {error}") from None


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """The YAML ``text`` with the values of ``changes``, by dotted key; all other lines stay.

    A comment behind a value stays where it is; those inside of a block that is replaced go with it.
    A key that is missing comes last in its group. A part that is named alone gets its options
    beside its name. Raises ParamsError where the result would not be read as it is meant.
    """
    try:
        tree = yaml.safe_load(text) or {}
        for key, value in changes.items():
            put(tree, key, value)
            text = _edited(text, key.split("."), value)
        if yaml.safe_load(text) == tree:
            return text
    except yaml.YAMLError:
        pass
    lines = "; ".join(f"{key}: {flow(value)}" for key, value in changes.items())
    raise ParamsError(f"cannot be edited here, write by hand: {lines}")


def flow(value: Any) -> str:
    """``value`` as YAML in one line, as it can stand inside of brackets."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return str(text).strip()[1:-1]


def _edited(text: str, steps: list[str], value: Any) -> str:
    """``text`` with one value, as far down as its mappings reach."""
    node = yaml.compose(text, yaml.SafeLoader)
    key: yaml.Node | None = None
    while isinstance(node, yaml.MappingNode) and steps:
        pairs = [pair for pair in node.value if pair[0].value == steps[0]]
        if not pairs:
            return _inserted(text, node, steps[0], _nested(steps[1:], value))
        (key, node), steps = pairs[-1], steps[1:]
        if node.start_mark.index < key.end_mark.index:  # an alias: it would change elsewhere too
            raise yaml.YAMLError
    if key is None or node is None:
        raise ParamsError("no settings there")
    if steps:  # a part by its name alone, or nothing
        named = {"name": node.value} if node.tag == "tag:yaml.org,2002:str" else {}
        value = {**named, **_nested(steps, value)}
    start, end = key.end_mark.index, end_of(node)
    return text[:start] + f": {flow(value)}" + _aligned(text, start, end, len(flow(value)) + 2)


def _nested(steps: list[str], value: Any) -> Any:
    for step in reversed(steps):
        value = {step: value}
    return value


def end_of(node: yaml.Node) -> int:
    """Where the text of ``node`` ends; the mark of a block lies behind the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[-1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _aligned(text: str, start: int, end: int, length: int) -> str:
    """What follows after ``end``; a comment on that line keeps its column where it can."""
    rest = text[end:]
    line, newline, others = rest.partition("\n")
    comment = line.lstrip(" ")
    if not comment.startswith("#") or "\n" in text[start:end]:
        return rest
    gap = end - start + len(line) - len(comment) - length
    return " " * max(2, gap) + comment + newline + others


def _inserted(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    """``text`` with a further key in a mapping, behind the others."""
    entry = f"{flow(key)}: {flow(value)}"
    if node.flow_style or not node.value:
        place = end_of(node.value[-1][1]) if node.value else node.start_mark.index + 1
        return text[:place] + (", " if node.value else "") + entry + text[place:]
    indent = node.start_mark.column
    lines = text.splitlines(keepends=True)
    count = text.count("\n", 0, end_of(node.value[-1][1])) + 1
    while count < len(lines) and _goes_on(lines[count], indent):
        count += 1
    place = sum(map(len, lines[:count]))
    before = text[:place]
    return (
        before
        + ("" if before.endswith("\n") else "\n")
        + " " * indent
        + entry
        + "\n"
        + text[place:]
    )


def _goes_on(line: str, indent: int) -> bool:
    """Whether ``line`` is a comment that belongs to the entry above it."""
    comment = line.lstrip(" ")
    return comment.startswith("#") and len(line) - len(comment) > indent
