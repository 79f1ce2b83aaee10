"""Settings of the write stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import field_validator

from augment.registry import Amount
from augment.settings import Kind, PartSpec, Settings
from augment.write import gates


class WriteSettings(Settings):
    """How the augmented set leaves."""

    writer: Annotated[PartSpec, Kind("augment.writers.base", "WRITERS")] = "parquet"
    """The format of the augmented set."""
    licence: str = "unknown"
    """The licence that the data set's card names, as an identifier of Hugging Face."""
    dose: Literal["auto"] | Amount | dict[str, Amount] | None = "auto"
    """The most synthetic images for each labelled train image: a number from 0 up for all classes,
    `{CLASS: number}` with none for other classes, null for all samples, or `auto`: the dose that
    the uplift chose for each class, and none where it does not say `helps`.
    """
    adopted: Literal["auto"] | bool = "auto"
    """Whether adopted images go in; `auto` takes them unless the uplift says that they harm."""
    gates: list[str] = []
    """Bounds on `reports/score.json`, each a line `KEY OP NUMBER` with OP one of >=, <=, > and <;
    nothing is written where one fails.
    """

    @field_validator("gates")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        for line in lines:
            gates.parse_gate(line)
        return lines
