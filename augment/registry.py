"""Named parts: a strict registry for each kind of part.

The options of a part are its keyword-only arguments, with their annotations and defaults; there is
no central list of them. Arguments that the caller supplies at run time are positional.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from augment.errors import AugmentError

Spec = str | Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

# Annotations of options; the registry checks their bounds.
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class PartError(AugmentError, ValueError):
    """A part does not exist or exists twice, or an option is unknown or has a wrong value."""


@dataclass(frozen=True)
class Part:
    """A registered part.

    ``target`` is the function or class, ``paper`` its source, ``facts`` the further keywords of its
    registration, and ``schema`` the model that checks its options.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    paper: str
    facts: Mapping[str, Any]
    schema: type[BaseModel]

    @property
    def summary(self) -> str:
        """The first line of the part's docstring."""
        return (inspect.getdoc(self.target) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The default of each option, by name; ``...`` for a required option."""
        return {
            name: ... if field.is_required() else field.default
            for name, field in self.schema.model_fields.items()
        }


class Registry:
    """The parts of one kind, by name."""

    def __init__(self, kind: str):
        """Start empty; ``kind`` is the noun for its parts in messages."""
        self.kind = kind
        self._parts: dict[str, Part] = {}

    def register(self, name: str, *, paper: str = "", **facts: Any) -> Callable[[F], F]:
        """A decorator that registers a function or a class under ``name``.

        ``facts`` are kept unchanged. The decorator raises PartError for a name that is taken, for a
        part without a docstring, and for a part that takes ``**options``.
        """

        def add(target: F) -> F:
            if name in self._parts:
                raise PartError(f"{self.kind} {name!r} is registered twice")
            if not inspect.getdoc(target):
                raise PartError(f"{self.kind} {name!r} has no docstring")
            schema = _schema(self.kind, name, target)
            self._parts[name] = Part(
                self.kind, name, target, paper, types.MappingProxyType(facts), schema
            )
            return target

        return add

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Forget afterwards the parts that are registered within."""
        before = dict(self._parts)
        try:
            yield
        finally:
            self._parts = before

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._parts)

    def __iter__(self) -> Iterator[str]:
        """All names, in the order of registration."""
        return iter(self._parts)

    def describe(self, name: str) -> Part:
        """The part called ``name``. Raises PartError, which lists the known names."""
        if name not in self._parts:
            raise PartError(f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}")
        return self._parts[name]

    def lacking(self, name: str) -> str | None:
        """The library that the part needs (its fact ``module``) and that is not installed, or None.

        Raises PartError for an unknown name.
        """
        module: str | None = self.describe(name).facts.get("module")
        return module if module and importlib.util.find_spec(module) is None else None

    def resolve(self, spec: Spec) -> dict[str, Any]:
        """``spec`` with all options, checked: ``{"name": ..., option: value}``.

        Raises PartError, which names the option, its value and the known options.
        """
        name, options = _split(self.kind, spec)
        part = self.describe(name)
        try:
            checked = part.schema.model_validate(options)
        except ValidationError as error:
            raise PartError(f"{self.kind} {name!r}: {_explain(error, part)}") from None
        return {"name": name, **{key: getattr(checked, key) for key in part.schema.model_fields}}

    def build(self, spec: Spec, *arguments: Any) -> Any:
        """The part of ``spec``: a class is called, a function gets its arguments bound.

        ``arguments`` come first, then the options. Raises PartError like ``resolve``.
        """
        resolved = self.resolve(spec)
        target = self.describe(resolved.pop("name")).target
        if inspect.isclass(target):
            return target(*arguments, **resolved)
        return functools.partial(target, *arguments, **resolved)


def _split(kind: str, spec: Spec) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise PartError(f"{kind}: expected a name or {{name: ..., option: ...}}, found {spec!r}")
    return name, options


def _schema(kind: str, name: str, target: Callable[..., Any]) -> type[BaseModel]:
    """A model of the keyword-only arguments of ``target``, which checks options."""
    fields: dict[str, Any] = {}
    function: Any = target.__init__ if inspect.isclass(target) else target
    parameters = (
        () if function is object.__init__ else inspect.signature(function).parameters.values()
    )
    hints = get_type_hints(function, include_extras=True)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            raise PartError(f"{kind} {name!r} takes **{parameter.name}; name each option")
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
    config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )
    return create_model(f"{kind} {name}", __config__=config, **fields)


def _explain(error: ValidationError, part: Part) -> str:
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        options = ", ".join(part.options) or "none"
        return f"unknown option {where!r}; known: {options}"
    return f"option {where!r}: {first['msg']} (found {first.get('input')!r})"
