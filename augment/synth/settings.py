"""Settings of the synth stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from augment.registry import Count, Fraction
from augment.settings import Kind, LabellerSettings, PartSpec, Settings


class SynthSettings(Settings):
    """How many samples of each class, and what is accepted."""

    per_class: Annotated[int, Field(ge=0)] | dict[str, Annotated[int, Field(ge=0)]] | None = 200
    match: Literal["largest", "weakest"] | None = None  # largest: fill all classes up to it
    weakest: Count | None = None  # how many classes get per_class samples with match: weakest
    probability: Fraction = 0.9  # of the wanted label, by the labeller
    copy_quantile: Fraction = 0.01  # of real-to-real nearest distances
    truncation: Annotated[float, Field(gt=0)] | None = None
    max_candidates: Annotated[float, Field(gt=0)] = (
        20.0  # per wanted sample (and class, if unconditional)
    )
    select: Annotated[
        list[PartSpec], Kind("augment.synth.selectors", "SELECTORS")
    ] = []  # which accepted ones are kept; none: the first ones
    surplus: Annotated[float, Field(ge=1)] = 4.0  # accepted ones that each kept one is chosen among
    second: LabellerSettings = LabellerSettings(network="dense")  # where a selector needs one
    codes: Literal["uniform", "wide"] = "uniform"  # wide: most where real images' codes are thin
    device: str = "auto"
    seed: int = 0
