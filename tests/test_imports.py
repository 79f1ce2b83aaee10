"""Who may import whom (downwards only), what is imported lazily, and what nobody may call."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment import pipeline

PACKAGE = Path(__file__).parent.parent / "augment"
TREES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    ): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
RUNNERS = {f"augment.{name}" for name in pipeline.STAGES}
FLOOR = {
    f"augment.{name}"
    for name in (
        "errors",
        "registry",
        "recipes",
        "gates",
        "params",
        "table",
        "images",
        "seeding",
        "progress",
        "handwritten",
        "decisions",
        "lookup",
    )
}
OPTIONAL = (
    "cleanlab",
    "dvc",
    "dvclive",
    "torch_fidelity",
    "lmdb",
    "mlxtend",
    "starlette",
    "uvicorn",
)
LIGHT = (*FLOOR, "augment.workers", "augment.ingest", "augment.clean", "augment.write",
         "augment.card", "augment.dose", "augment.report", "augment.readers", "augment.checks",
         "augment.writers", "augment.review")  # fmt: skip
PURE = ("augment.losses", "augment.penalties", "augment.networks")


def within(module: str, *packages: str) -> bool:
    """Whether ``module`` is one of ``packages`` or lies inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """What runs when a module is imported; neither functions nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements(child)


def named(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules that import statements among ``nodes`` name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in TREES else node.module for name in whole}
    return found


ANYWHERE = {module: named(ast.walk(tree)) for module, tree in TREES.items()}
AT_IMPORT = {module: named(statements(tree)) for module, tree in TREES.items()}


def reached(module: str) -> set[str]:
    """All that importing ``module`` imports from this package, and what that names."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += AT_IMPORT.get(name, set())
        if within(name, "augment") and "." in name:  # importing a.b imports a
            waiting.append(name.rpartition(".")[0])
    return found


def calls(tree: ast.AST) -> set[str]:
    """Dotted names that appear anywhere in ``tree``: ``torch.manual_seed``."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_this_file_sees_the_package() -> None:
    assert FLOOR | RUNNERS <= TREES.keys()
    assert "augment.networks.dcgan" in TREES and "augment.images" in ANYWHERE["augment.dataset"]
    assert "torch" in reached("augment.train") and "torch" not in AT_IMPORT["augment.seeding"]


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_the_floor_imports_nothing_above_it(module: str) -> None:
    ours = {name for name in ANYWHERE[module] if within(name, "augment")}
    assert ours <= FLOOR


@pytest.mark.parametrize("module", sorted(name for name in TREES if within(name, *PURE)))
def test_losses_penalties_and_networks_stand_alone(module: str) -> None:
    allowed = {"torch", "augment.registry", "augment.networks"}
    allowed = allowed if within(module, "augment.networks") else allowed - {"augment.networks"}
    foreign = {name for name in ANYWHERE[module] if not within(name, *allowed)}
    assert {name.partition(".")[0] for name in foreign} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", sorted(name for name in TREES if within(name, *LIGHT)))
def test_data_handling_never_imports_torch(module: str) -> None:
    assert not any(within(name, "torch", "torchvision") for name in reached(module))
    if module != "augment.seeding":  # which seeds it where it is used
        assert not any(within(name, "torch", "torchvision") for name in ANYWHERE[module])


@pytest.mark.parametrize("module", sorted(RUNNERS))
def test_runners_never_import_each_other(module: str) -> None:
    assert ANYWHERE[module] & RUNNERS == set()
    assert reached(module) & RUNNERS == {module}


def test_only_the_command_line_the_stages_list_and_tools_reach_runners() -> None:
    importers = {module for module, names in ANYWHERE.items() if names & RUNNERS}
    assert importers <= {"augment.cli", "augment.pipeline"}


@pytest.mark.parametrize(
    ("parts", "forbidden"),
    [
        ("augment.models", ("augment.trainer", "augment.scores", "augment.classifiers")),
        ("augment.scores", ("augment.networks", "augment.models", "augment.classifiers")),
        ("augment.readers", ("augment.writers", "augment.checks")),
        ("augment.checks", ("augment.readers", "augment.writers")),
        ("augment.writers", ("augment.readers", "augment.checks")),
    ],
)
def test_parts_do_not_look_sideways(parts: str, forbidden: tuple[str, ...]) -> None:
    for module in (name for name in TREES if within(name, parts)):
        assert not any(within(name, *forbidden, *RUNNERS) for name in ANYWHERE[module]), module


def test_optional_packages_are_imported_where_they_are_used() -> None:
    """A module that needs one at import is itself imported in functions only."""
    needing = {m for m, names in AT_IMPORT.items() if any(within(n, *OPTIONAL) for n in names)}
    for module in TREES.keys() - needing:
        assert reached(module) & needing == set(), module


@pytest.mark.parametrize("module", sorted(TREES))
def test_nobody_goes_around_the_house(module: str) -> None:
    names = calls(TREES[module])
    if module != "augment.images" and any(within(n, "PIL") for n in ANYWHERE[module]):
        files = {name for name in names if name.rpartition(".")[2] in ("open", "save")}
        assert not {name for name in files if within(name, "Image", "PIL", "image", "picture")}
    if module != "augment.seeding":
        allowed = {"np.random.Generator", "np.random.default_rng"}
        assert not {n for n in names if within(n, "np.random", "random")} - {"np.random"} - allowed
        assert not names & {"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed_all"}
        assert "random" not in ANYWHERE[module]


@pytest.mark.parametrize("module", sorted(TREES))
def test_nothing_that_is_read_can_run_code(module: str) -> None:
    """``pickle`` is there for the name of its error only."""
    names = calls(TREES[module])
    assert {name for name in names if within(name, "pickle")} <= {"pickle.UnpicklingError"}
    assert not names & {"yaml.load", "yaml.unsafe_load", "torch.hub.load"}
    barred = ("marshal", "shelve", "dill", "cloudpickle", "joblib", "urllib", "requests", "socket")
    assert not any(within(name, *barred) for name in ANYWHERE[module])
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "pickle" and not any(alias.name == "*" for alias in node.names)
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("eval", "exec", "__import__", "compile")
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert not options.keys() & {"allow_pickle", "shell"}
            if ast.unparse(node.func) == "torch.load":
                assert options["weights_only"] == "True"


def test_data_handling_runs_without_torch() -> None:
    modules = ", ".join(sorted(name for name in TREES if within(name, *LIGHT)))
    run(f"import {modules}, sys; assert 'torch' not in sys.modules")


def test_the_package_and_its_command_line_are_light() -> None:
    heavy = ("torch", "pandas", "pyarrow", "sklearn", "torchvision", "pydantic")
    run(f"import augment, augment.cli, sys; assert not set({heavy}) & set(sys.modules)")


def test_training_and_sampling_need_no_optional_package() -> None:
    blocked = f"sys.modules.update(dict.fromkeys({OPTIONAL}))"
    modules = "augment.train, augment.synth, augment.generator"
    run(f"import sys; {blocked}; import {modules}; from augment import Dataset, Generator, load")
