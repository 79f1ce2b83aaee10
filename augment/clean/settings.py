"""Settings of the clean stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from augment.registry import Fraction
from augment.settings import Kind, PartSpec, Profile, Settings


class CleanSettings(Settings):
    """What is judged, and what the kept images become."""

    profile: Profile = "glyph"
    """The profile of the data, handed on from the top of params.yaml."""
    checks: Annotated[
        Literal["auto"] | list[PartSpec],
        Kind("augment.clean.checks.base", "CHECKS", automatic=True),
    ] = "auto"
    """The checks that run; `auto` takes those of the profile. A part's options may stand beside its
    name.
    """
    thresholds: dict[str, float] = {}
    """The least measure that passes a check, by the check's name, 0 to 1; a check that is not named
    keeps its own threshold.
    """
    on_doubt: Literal["drop", "keep", "ask"] = "drop"
    """The fate of an image that fails a check: `drop` puts it into quarantine, `keep` only lists
    it, `ask` keeps it out until a person has decided. Certain faults, such as equal copies, are
    dropped in any case.
    """
    repairs: Annotated[list[PartSpec], Kind("augment.clean.repairs", "REPAIRS")] = [
        "invert",
        "ruling_lines",
        "main_component",
        "corner",
    ]
    """The repairs that may be made, in this order; an empty list repairs nothing."""
    max_dropped: Fraction = 0.2
    """The largest share of a class's images that a check may drop, 0 to 1; the run stops above it.
    It also protects images without a label: all together, and those that look like one class.
    """
    size: Literal["auto"] | int | tuple[int, int] = "auto"
    """Height and width in pixels of the kept images: one number, or [height, width]; multiples of 4
    from 8 to 256. `auto` takes a square, its side the nearest of 8, 16, 28, 32, 48, 64, 96 and 128
    to the set's median; and a rectangle, such as 32 × 128, where at least 60 % of the images are
    twice as wide as high and at most 25 % higher than wide, or the other way round.
    """
    mode: Literal["auto", "L", "RGB"] = "auto"
    """Channels of the kept images: `L` (grey) or `RGB`; `auto` takes `L` where every kept image is
    grey.
    """
    resize: Literal["pad", "fit", "crop"] = "pad"
    """How an image reaches the size: `pad` keeps its shape and adds paper, `fit` stretches it,
    `crop` keeps its shape and cuts what stands over.
    """
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode images; 0 takes one for each core."""
    seed: int = 0
    """Seed of the models that read each image without having seen it."""

    @field_validator("size")
    @classmethod
    def _sides(cls, size: Any) -> Any:
        sides = () if size == "auto" else (size,) if isinstance(size, int) else size
        for side in sides:
            if not 8 <= side <= 256 or side % 4:
                raise ValueError(f"sides are multiples of 4 from 8 to 256, found {side}")
        return size
