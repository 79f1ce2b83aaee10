"""The winner into params.yaml: only the keys of ``train`` that differ, all else as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from augment import params, pipeline
from augment.compare.entries import SHARED, Entry
from augment.compare.workspace import CompareError
from augment.params_file import end_of, flow

GROUP = "train"


def apply_to(path: Path, winner: Entry) -> str:
    """Make ``winner`` the recipe of the params.yaml at ``path``; what was done, in words.

    Comments, order and layout stay. A key that belonged to the recipe before becomes a comment.
    Raises CompareError where the file cannot be changed so, and leaves it as it was.
    """
    if winner.kept:
        return f"{path}: stays as it is; {winner.name} is its recipe"
    with path.open(encoding="utf-8", newline="") as file:  # as it is, line ends too
        text = file.read()
    changed = merged(text, winner.keys)
    expected = params.read(path)
    group = {key: value for key, value in (expected.get(GROUP) or {}).items() if key in SHARED}
    expected[GROUP] = group | winner.keys
    if changed is None or yaml.safe_load(changed) != expected:
        raise CompareError(
            f"{path}: its layout is not understood; write it by hand: {winner.line()}"
        )
    pipeline.rewrite(path, changed)
    return f"{path}: {winner.line()}"


def merged(text: str, keys: Mapping[str, Any]) -> str | None:
    """``text`` with ``keys`` in the group ``train``, whose other keys but SHARED become comments.

    None where the file or the group is not laid out as lines of ``key: value``.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    groups = {key.value: value for key, value in root.value}
    if GROUP not in groups:
        return f"{text}{'' if text.endswith(end) else end}{GROUP}: {flow(dict(keys))}{end}"
    group = groups[GROUP]
    if not isinstance(group, yaml.MappingNode):
        return None
    if group.flow_style:
        return _in_braces(text, group, keys)
    return end.join(_in_lines(text, text.split(end), group, keys))


def _in_braces(text: str, group: yaml.MappingNode, keys: Mapping[str, Any]) -> str | None:
    """``text`` with another group in braces; None where it spans lines, which may hold comments."""
    if group.start_mark.line != group.end_mark.line:
        return None
    old = yaml.safe_load(text)[GROUP]
    whole = {key: value for key, value in old.items() if key in SHARED} | dict(keys)
    return text[: group.start_mark.index] + flow(whole) + text[group.end_mark.index :]


def _in_lines(
    text: str, lines: list[str], group: yaml.MappingNode, keys: Mapping[str, Any]
) -> list[str]:
    """``lines`` of ``text`` with the keys of ``group`` changed, one below the other.

    New keys follow the recipe and its comments, or come first.
    """
    left = dict(keys)
    start = group.value[0][0].start_mark
    after = start.line
    for key, value in group.value:
        first, last = key.start_mark.line, text.count("\n", 0, end_of(value))
        if key.value == "recipe":
            after = last + 1
            while after < len(lines) and lines[after].lstrip().startswith("#"):
                after += 1
        if key.value in left and value.start_mark.line == first == last:
            begins, ends = value.start_mark.column, value.end_mark.column
            head, tail = lines[first][:begins], lines[first][ends:]
            space = "" if head.endswith(" ") else " "
            if yaml.safe_load(lines[first])[key.value] != left[key.value]:
                lines[first] = f"{head}{space}{flow(left[key.value])}{tail}"
            del left[key.value]
        elif key.value in left or key.value not in SHARED:
            for row in range(first, last + 1):
                line = lines[row]
                lines[row] = f"{line[: start.column]}# {line[start.column :]}" if line else line
    fresh = [" " * start.column + f"{key}: {flow(value)}" for key, value in left.items()]
    return [*lines[:after], *fresh, *lines[after:]]
