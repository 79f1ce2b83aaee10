"""What every group of settings shares."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from augment.registry import Count, Registry, Spec

PartSpec = str | dict[str, Any]
Profile = Literal["glyph", "natural"]

MOST = 100_000  # images of a large set that a classifier is fitted to; chosen by hand
MostImages = Annotated[Count, Field(exclude_if=lambda images: images == MOST)]
"""How many images are looked at; MOST stands in no report, and so begins no run anew."""

# keys that change no result
WHERE_IT_RUNS = frozenset({"device", "devices", "trackers", "workers"})


@dataclass(frozen=True)
class Kind:
    """The kind of part that a setting names; stands in the setting's annotation.

    ``registry`` is a name in ``module``; ``automatic`` says that the setting may be "auto".
    """

    module: str
    registry: str
    automatic: bool = False

    def load(self) -> Registry:
        """The registry, with every part of the kind."""
        registry: Registry = getattr(importlib.import_module(self.module), self.registry)
        return registry


class Settings(BaseModel):
    """Base of every group: unknown keys are errors, numbers finite, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def parts(self, prefix: str = "") -> Iterator[tuple[str, Kind, list[Spec]]]:
        """Each setting that names parts: its dotted key, their kind, and the parts that it names.

        A setting left to "auto", or null, names none.
        """
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            groups = {"": value} if isinstance(value, Settings) else value
            if isinstance(groups, dict):
                for key, group in groups.items():
                    if isinstance(group, Settings):
                        yield from group.parts(f"{prefix}{name}.{key}.".replace("..", "."))
            for kind in (entry for entry in field.metadata if isinstance(entry, Kind)):
                if value is None or (kind.automatic and value == "auto"):
                    yield f"{prefix}{name}", kind, []
                else:
                    specs = value if isinstance(value, list) else [value]
                    yield f"{prefix}{name}", kind, specs

    def resolved(self) -> dict[str, Any]:
        """The settings as plain values, every part with all its options; without WHERE_IT_RUNS.

        Raises PartError for a part or an option that does not exist.
        """
        tree: dict[str, Any] = self.model_dump(mode="json", exclude=set(WHERE_IT_RUNS))
        for key, kind, specs in self.parts():
            *groups, name = key.split(".")
            if name in WHERE_IT_RUNS:
                continue
            node = tree
            for group in groups:
                node = node[group]
            if specs or isinstance(node[name], list):
                full = [kind.load().resolve(spec) for spec in specs]
                node[name] = full if isinstance(node[name], list) else full[0]
        return tree
