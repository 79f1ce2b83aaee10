"""The words of the code: names say what they hold, and tests use the public way."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from augment.stage_code import PACKAGE

REPOSITORY = PACKAGE.parent
EMPTY = set("found known chosen own wanted drawn given those some asked one".split())
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONG = 10  # lines from which on a function has a docstring
NETWORKS = PACKAGE / "models/networks"  # each network has its own Generator and Discriminator
FOREIGN = {"_AUGMENTATION_SPACE"}  # torchvision's, whose names are not ours to change


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Every Python file of ``folders`` and its syntax tree."""
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST, name: str) -> str:
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}:{name}"


def bound(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Names of variables, parameters and stored attributes; those of comprehensions excepted."""
    inside = {
        id(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension)
        for name in ast.walk(node.target)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if id(node) not in inside:
                yield node, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.attr
        elif isinstance(node, ast.arg):
            yield node, node.arg


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.AST) -> Iterator[str]:
    """Private names that a file defines: functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name
    yield from (name for _, name in bound(tree))


def read(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Names that a test takes from elsewhere: attributes, imports, and patches by a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and "attr" in ast.unparse(node.func):
            for text in node.args[:2]:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text, text.value.rpartition(".")[2]


def undocumented(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of LONG lines or more without a docstring; functions in functions excepted."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= LONG and not ast.get_docstring(node):
                yield node
        else:
            yield from undocumented(node)


def test_names_say_what_they_hold() -> None:
    hits = [
        place(path, node, name)
        for path, tree in trees("augment", "benchmarks", "tests")
        for node, name in bound(tree)
        if name in EMPTY
    ]
    assert not hits, "\n".join(["", *hits])


def test_a_class_name_stands_once() -> None:
    classes = defaultdict(list)
    for path, tree in trees("augment"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and NETWORKS not in path.parents:
                classes[node.name].append(place(path, node, node.name))
    hits = [entry for entries in classes.values() if len(entries) > 1 for entry in entries]
    assert not hits, "\n".join(["", *hits])


def test_long_functions_have_a_docstring() -> None:
    hits = [
        place(path, node, node.name)
        for path, tree in trees("augment")
        for node in undocumented(tree)
    ]
    assert not hits, "\n".join(["", *hits])


def test_tests_use_the_public_way() -> None:
    names = {
        name for _, tree in trees("augment") for name in defined(tree) if private(name)
    } - FOREIGN
    hits = [
        place(path, node, name)
        for path, tree in trees("tests")
        for node, name in read(tree)
        if name in names
    ]
    assert not hits, "\n".join(["", *hits])
