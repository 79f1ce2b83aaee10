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
    licence: str = "unknown"
    # Most synthetic samples for each labelled train image, of all classes or of each; null: all;
    # auto: what uplift chose for each class, and nothing where they do not help.
    dose: Literal["auto"] | Amount | dict[str, Amount] | None = "auto"
    adopted: Literal["auto"] | bool = "auto"  # auto: unless uplift says that they harm
    gates: list[str] = []  # "KEY OP NUMBER" on score.json; nothing is written where one fails

    @field_validator("gates")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        for line in lines:
            gates.parse_gate(line)
        return lines
