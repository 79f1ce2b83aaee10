"""Settings of the clean stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from augment.registry import Fraction
from augment.settings import Kind, PartSpec, Profile, Settings


class CleanSettings(Settings):
    """What is judged, and what the kept images become."""

    profile: Profile = "glyph"  # which checks there are by default
    checks: Annotated[
        Literal["auto"] | list[PartSpec],
        Kind("augment.clean.checks.base", "CHECKS", automatic=True),
    ] = "auto"
    thresholds: dict[str, float] = {}
    on_doubt: Literal["drop", "keep", "ask"] = "drop"  # ask: out until a person has decided
    repairs: Annotated[list[PartSpec], Kind("augment.clean.repairs", "REPAIRS")] = [
        "invert",
        "ruling_lines",
        "main_component",
    ]
    max_dropped: Fraction = 0.2
    size: Literal["auto"] | int | tuple[int, int] = "auto"  # height = width, or [height, width]
    mode: Literal["auto", "L", "RGB"] = "auto"
    resize: Literal["pad", "fit", "crop"] = "pad"
    workers: Annotated[int, Field(ge=0)] = 0
    seed: int = 0

    @field_validator("size")
    @classmethod
    def _sides(cls, size: Any) -> Any:
        sides = () if size == "auto" else (size,) if isinstance(size, int) else size
        for side in sides:
            if not 8 <= side <= 256 or side % 4:
                raise ValueError(f"sides are multiples of 4 from 8 to 256, found {side}")
        return size
