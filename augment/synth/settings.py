"""Settings of the synth stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from augment.registry import Count, Fraction
from augment.settings import Kind, PartSpec, Settings


class SynthSettings(Settings):
    """How many samples each class gets, and which candidates are accepted."""

    per_class: Annotated[int, Field(ge=0)] | dict[str, Annotated[int, Field(ge=0)]] | None = 200
    match: Literal["largest", "weakest"] | None = None  # largest: fill all classes up to it
    weakest: Count | None = None  # how many classes get per_class samples with match: weakest
    probability: Fraction = 0.9  # least that the labeller gives the class of the quota
    copy_quantile: Fraction = 0.01  # of train images' nearest distances; nearer is a copy
    truncation: Annotated[float, Field(gt=0)] | None = None
    # Budget for each sample of a quota (times the classes, where the generator has no condition).
    max_candidates: Annotated[float, Field(gt=0)] = 20.0
    select: Annotated[
        list[PartSpec], Kind("augment.synth.selectors", "SELECTORS")
    ] = []  # which accepted candidates are kept; none named: the first ones
    surplus: Annotated[float, Field(ge=1)] = 4.0  # accepted for each one that is kept
    device: str = "auto"
    seed: int = 0
