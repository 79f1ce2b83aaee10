"""Who may import whom, read off the folders; what is imported lazily, and what nobody may call."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
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
STAGES = tuple(pipeline.STAGES)
FORMATS = ("readers", "writers")
# From below to above: a room imports from rooms below its own, and from itself.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("registry",),
    ("settings",),
    ("data",),
    ("runtime",),
    ("vision",),
    ("classifiers",),
    ("models",),
    FORMATS,
    (*STAGES, "review", "dataset"),
    ("inspect_source",),
    ("params",),
    ("params_file",),
    ("pipeline",),
    ("stage_code",),
    ("compare",),
    ("tune",),
    ("new_project",),
    ("cli",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
DOORS = {("report", "augment.write.gates")}  # what a stage may import of another one
DECODERS = {f"augment.data.{name}" for name in ("images", "opening", "deep")}
READERS_OPEN_TO = {"readers", "ingest", "inspect_source", "dataset", "new_project"}
WITHOUT_TORCH = ("errors", "registry", "settings", "data", *FORMATS, "review", "ingest", "write",
                 "report", "inspect_source", "params", "pipeline", "stage_code", "new_project",
                 "cli")  # fmt: skip
MODELS_OF_CLEAN = "augment.clean.out_of_fold"  # imported where they are fitted
PURE = ("augment.models.losses", "augment.models.penalties", "augment.models.networks")
OPTIONAL = (
    "cleanlab",
    "dvc",
    "dvclive",
    "faiss",
    "torch_fidelity",
    "lmdb",
    "mlxtend",
    "optuna",
    "starlette",
    "uvicorn",
)


def within(module: str, *packages: str) -> bool:
    """Whether ``module`` is one of ``packages`` or lies inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def room(module: str) -> str:
    """The file or folder directly in ``augment/`` that holds ``module``; itself for the package."""
    return module.split(".")[1] if "." in module else module


def in_rooms(*names: str) -> list[str]:
    return [module for module in TREES if room(module) in names]


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


def named(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules that import statements among ``nodes`` name."""
    modules: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {name if name in TREES else node.module for name in whole}
    return modules


ANYWHERE = {module: named(ast.walk(tree)) for module, tree in TREES.items()}
AT_IMPORT = {module: named(statements(tree)) for module, tree in TREES.items()}


def reached(module: str) -> set[str]:
    """All that importing ``module`` imports from this package, and what that names."""
    modules: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in modules:
            continue
        modules.add(name)
        waiting += AT_IMPORT.get(name, set())
        if within(name, "augment") and "." in name:  # importing a.b imports a
            waiting.append(name.rpartition(".")[0])
    return modules


def ours(module: str) -> set[str]:
    """What ``module`` imports from this package, wherever it does."""
    return {name for name in ANYWHERE[module] if within(name, "augment") and name != "augment"}


def calls(tree: ast.AST) -> set[str]:
    """Dotted names that appear anywhere in ``tree``: ``torch.manual_seed``."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_this_file_sees_the_package() -> None:
    assert "augment.models.networks.dcgan" in TREES
    assert "augment.data.images" in ANYWHERE["augment.dataset"]
    assert "torch" in reached("augment.train.run")
    assert "torch" not in AT_IMPORT["augment.runtime.seeding"]


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in TREES} - {"augment"} == FLOOR_OF.keys()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_folder_with_two_doors(stage: str) -> None:
    assert {f"augment.{stage}.run", f"augment.{stage}.settings"} <= TREES.keys()
    (docstring,) = TREES[f"augment.{stage}"].body
    assert isinstance(docstring, ast.Expr)


@pytest.mark.parametrize("module", sorted(set(TREES) - {"augment"}))
def test_imports_go_downwards_and_never_from_stage_to_stage(module: str) -> None:
    here = room(module)
    for name in ours(module):
        below = FLOOR_OF[room(name)] < FLOOR_OF[here]
        assert below or room(name) == here or (here, name) in DOORS, name


def test_readers_are_reached_by_ingest_and_load_alone() -> None:
    for module in TREES:
        if any(room(name) == "readers" for name in ours(module)):
            assert room(module) in READERS_OPEN_TO, module


def test_clean_reaches_no_model_and_the_training_loop_no_score() -> None:
    for module in in_rooms("clean"):
        assert not any(within(name, "augment.models") for name in reached(module) | ours(module))
    assert not any(within(name, "augment.score") for name in reached("augment.train.run"))


@pytest.mark.parametrize("module", sorted(name for name in TREES if within(name, *PURE)))
def test_losses_penalties_and_networks_stand_alone(module: str) -> None:
    networks = "augment.models.networks"
    allowed = {"torch", "augment.registry", *([networks] if within(module, networks) else [])}
    foreign = {name for name in ANYWHERE[module] if not within(name, *allowed)}
    assert {name.partition(".")[0] for name in foreign} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", in_rooms(*WITHOUT_TORCH, "clean"))
def test_data_handling_never_imports_torch(module: str) -> None:
    if module != MODELS_OF_CLEAN:
        assert not any(within(name, "torch", "torchvision") for name in reached(module))
    if room(module) in WITHOUT_TORCH:
        assert not any(within(name, "torch", "torchvision") for name in ANYWHERE[module])


def test_only_the_pipeline_and_commands_above_it_reach_runners() -> None:
    runners = {f"augment.{stage}.run" for stage in STAGES}
    importers = {module for module, names in ANYWHERE.items() if names & runners}
    assert {room(module) for module in importers} <= {"cli", "compare", "pipeline", "tune"}


def test_optional_packages_are_imported_where_they_are_used() -> None:
    """A module that needs one at import is itself imported in functions only."""
    needing = {m for m, names in AT_IMPORT.items() if any(within(n, *OPTIONAL) for n in names)}
    for module in TREES.keys() - needing:
        assert reached(module) & needing == set(), module


@pytest.mark.parametrize("module", sorted(TREES))
def test_nobody_goes_around_the_house(module: str) -> None:
    names = calls(TREES[module])
    if module not in DECODERS and any(within(n, "PIL") for n in ANYWHERE[module]):
        files = {name for name in names if name.rpartition(".")[2] in ("open", "save")}
        assert not {name for name in files if within(name, "Image", "PIL", "image", "picture")}
    if module != "augment.runtime.seeding":
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
    barred = ("marshal", "shelve", "dill", "cloudpickle", "joblib", "requests", "socket")
    assert not any(within(name, *barred, "urllib.request") for name in ANYWHERE[module])
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
    modules = ", ".join(in_rooms(*WITHOUT_TORCH))
    run(f"import {modules}, sys; assert 'torch' not in sys.modules")


def test_adopt_starts_without_torch() -> None:
    """Where every image has a label it has nothing to do, and seconds to lose."""
    settings = "augment.adopt.run.AdoptSettings().resolved()"  # which the report names
    run(f"import augment.adopt.run, sys; {settings}; assert 'torch' not in sys.modules")


def test_the_package_and_its_command_line_are_light() -> None:
    heavy = ("torch", "pandas", "pyarrow", "sklearn", "torchvision", "pydantic")
    run(f"import augment, augment.cli, sys; assert not set({heavy}) & set(sys.modules)")


def test_training_and_sampling_need_no_optional_package() -> None:
    blocked = f"sys.modules.update(dict.fromkeys({OPTIONAL}))"
    modules = "augment.train.run, augment.synth.run, augment.models.generator"
    run(f"import sys; {blocked}; import {modules}; from augment import Dataset, Generator, load")


def test_no_stage_imports_what_only_a_part_of_it_may_need() -> None:
    """These take seconds, and DVC starts every stage anew."""
    modules = ", ".join(f"augment.{stage}.run" for stage in STAGES)
    run(f"import {modules}, sys; assert not {{'sklearn', 'scipy.stats'}} & set(sys.modules)")
