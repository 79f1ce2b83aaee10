"""The registry: strict names and options, and what every registered part owes."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from augment import pipeline
from augment.errors import AugmentError
from augment.registry import Amount, Count, Fraction, Part, PartError, Registry

EVERY = [(r, name) for r in pipeline.registries() for name in r.names()]


@pytest.fixture
def things() -> Registry:
    registry = Registry("thing")

    @registry.register("sum", paper="Adams 1979", unit="m")
    def add(
        a: int,
        b: int,
        *,
        times: Annotated[int, Field(ge=1)] = 1,
        sign: Literal["+", "-"] = "+",
        factor: float | None = None,
    ) -> int:
        """Add two numbers.

        More about it.
        """
        return (a + b) * times * (1 if sign == "+" else -1)

    @registry.register("box")
    class Box:
        """Holds something."""

        def __init__(self, content: Any, *, size: float):
            self.content, self.size = content, size

    @registry.register("bare")
    class Bare:
        """Has no options."""

    return registry


def test_names_are_sorted(things: Registry) -> None:
    assert things.names() == ["bare", "box", "sum"]


def test_what_is_known_of_a_part(things: Registry) -> None:
    part = things.describe("sum")
    assert (part.kind, part.name, part.paper) == ("thing", "sum", "Adams 1979")
    assert part.summary == "Add two numbers."
    assert part.facts == {"unit": "m"}
    assert part.options == {"times": 1, "sign": "+", "factor": None}
    assert things.describe("box").options == {"size": ...}
    assert things.describe("bare").options == {}
    with pytest.raises(TypeError):
        part.facts["unit"] = "km"  # type: ignore[index]


def test_resolve_fills_in_every_option(things: Registry) -> None:
    filled = {"name": "sum", "times": 1, "sign": "+", "factor": None}
    assert things.resolve("sum") == filled
    assert things.resolve({"name": "sum", "times": 3}) == filled | {"times": 3}
    assert things.resolve(things.resolve("sum")) == filled


def test_resolve_leaves_the_given_mapping_alone(things: Registry) -> None:
    spec = {"name": "sum", "times": 3}
    things.resolve(spec)
    assert spec == {"name": "sum", "times": 3}


def test_build_binds_a_function_and_calls_a_class(things: Registry) -> None:
    assert things.build({"name": "sum", "times": 2, "sign": "-"})(3, 4) == -14
    assert things.build("sum", 3)(4) == 7
    box = things.build({"name": "box", "size": 2}, "salt")
    assert (box.content, box.size, type(box.size)) == ("salt", 2.0, float)
    assert type(things.build("bare")).__name__ == "Bare"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sun", r"unknown thing 'sun'; known: bare, box, sum"),
        ({"name": "sun"}, r"unknown thing 'sun'"),
        ({"name": "sum", "tims": 2}, r"thing 'sum': unknown option 'tims'; known: times, sign"),
        ({"name": "bare", "x": 2}, r"thing 'bare': unknown option 'x'; known: none"),
        ({"name": "sum", "a": 2}, r"unknown option 'a'"),  # positional: not the user's
        ({"name": "sum", "times": "many"}, r"option 'times': .*integer.*\(found 'many'\)"),
        ({"name": "sum", "times": 0}, r"option 'times': .*greater than.* 1 \(found 0\)"),
        ({"name": "sum", "sign": "x"}, r"option 'sign': .*'\+' or '-' \(found 'x'\)"),
        ({"name": "sum", "factor": math.inf}, r"option 'factor': .*finite.*\(found inf\)"),
        ({"name": "sum", "factor": math.nan}, r"option 'factor': .*finite.*\(found nan\)"),
        ({"name": "sum", 3: 4}, r"option '3'"),
        ("box", r"thing 'box': option 'size': Field required"),
        ({"times": 2}, r"thing: expected a name or .* found \{'times': 2\}"),
        ({"name": 3}, r"thing: expected a name or"),
        ({}, r"thing: expected a name or"),
    ],
)
def test_mistakes_are_named(things: Registry, spec: Any, message: str) -> None:
    for ask in (things.resolve, things.build):
        with pytest.raises(PartError, match=message):
            ask(spec)


def test_a_part_error_is_the_users_and_a_value_error() -> None:
    assert issubclass(PartError, AugmentError) and issubclass(PartError, ValueError)


def test_registering_twice_without_words_or_with_any_option_is_refused(things: Registry) -> None:
    def documented() -> None:
        """Do nothing."""

    def silent() -> None: ...

    def greedy(**anything: int) -> None:
        """Take all."""

    with pytest.raises(PartError, match="thing 'sum' is registered twice"):
        things.register("sum")(documented)
    with pytest.raises(PartError, match="'silent' has no docstring"):
        things.register("silent")(silent)
    with pytest.raises(PartError, match=r"'greedy' takes \*\*anything; name each option"):
        things.register("greedy")(greedy)
    assert things.names() == ["bare", "box", "sum"]
    assert things.register("other")(documented) is documented


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Count, (1, 10**9), (0, -1, 1.5)),
        (Amount, (0, 0.5, 1e9), (-1e-9, math.inf, math.nan)),
        (Fraction, (0, 1, 0.5), (-1e-9, 1 + 1e-9, math.nan)),
    ],
)
def test_ranges_from_both_sides(kind: Any, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    registry = Registry("thing")

    def part(*, option: float) -> None:
        """Take an option."""

    part.__annotations__["option"] = kind
    registry.register("part")(part)
    for value in good:
        assert registry.resolve({"name": "part", "option": value})["option"] == value
    for value in bad:
        with pytest.raises(PartError, match="option 'option'"):
            registry.resolve({"name": "part", "option": value})


def wrong(part: Part, options: dict[str, Any]) -> set[Any]:
    """The options that a part's checks find fault with."""
    try:
        part.schema.model_validate(options)
    except ValidationError as error:
        return {problem["loc"][0] for problem in error.errors()}
    return set()


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=[f"{r.kind}-{n}" for r, n in EVERY])
def test_every_registered_part(registry: Registry, name: str) -> None:
    """Words, options that are checked, defaults that its own checks let pass."""
    part = registry.describe(name)
    assert part.summary.endswith((".", ":")), part.summary
    options = {option: value for option, value in part.options.items() if value is not ...}
    assert wrong(part, options) == part.options.keys() - options.keys()  # the required ones
    for option, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert option in wrong(part, options | {option: math.nan})
    assert "no_such_option" in wrong(part, {"no_such_option": 1})
