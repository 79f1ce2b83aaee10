"""Settings of the write stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import field_validator

from augment.registry import Amount
from augment.settings import Kind, PartSpec, Settings
from augment.write import gates


class WriteSettings(Settings):
    """How the augmented set leaves."""

    writer: Annotated[PartSpec, Kind("augment.writers.base", "WRITERS")] = "parquet"
    """The format of the augmented set."""
    destination: str | None = None
    """An address to which the set is sent as well, such as `s3://bucket/set`, or another folder;
    files that augment did not write there are never replaced. null: `data/augmented` alone.
    """
    licence: str = "unknown"
    """The licence that the data set's card names, as an identifier of Hugging Face."""
    dose: Literal["auto"] | Amount | dict[str, Amount] | None = "auto"
    """The most synthetic images for each labelled train image: a number from 0 up for all classes,
    `{CLASS: number}` with none for other classes, null for all samples, or `auto`: the dose that
    the uplift chose for each class on the valid split, and none without one. The verdict and the
    gates are about the set of `auto`.
    """
    adopted: Literal["auto"] | bool = "auto"
    """Whether adopted images go in; `auto` follows the uplift: it takes them unless the valid split
    tells against them.
    """
    gates: list[str] = []
    """Bounds on `reports/score.json`, each a line `KEY OP NUMBER` with OP one of >=, <=, > and <;
    nothing is written where one fails.
    """

    @field_validator("dose", mode="before")
    @classmethod
    def _named(cls, dose: Any) -> Any:
        """Refuse a class name that YAML did not read as text, with the way to write it."""
        for name in dose if isinstance(dose, dict) else ():
            if not isinstance(name, str):
                kind = {bool: "a boolean", int: "a number", float: "a number"}
                raise ValueError(
                    f"a class name is text, but YAML read {kind.get(type(name), 'no text')}, "
                    f'{name!r}; write the name in quotes, as in {{"001": 1}}'
                )
        return dose

    @field_validator("gates")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        for line in lines:
            gates.parse_gate(line)
        return lines
