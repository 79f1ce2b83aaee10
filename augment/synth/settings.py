"""Settings of the synth stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from augment.registry import Count, Fraction
from augment.settings import Kind, PartSpec, Settings


class SynthSettings(Settings):
    """How many samples each class gets, and which candidates are accepted."""

    per_class: Annotated[int, Field(ge=0)] | dict[str, Annotated[int, Field(ge=0)]] | None = 200
    """Accepted samples of each class: a number, `{CLASS: number}` with none for other classes, or
    null with `synth.match: largest`.
    """
    match: Literal["largest", "weakest"] | None = None
    """Who gets samples: `largest` fills every class up to the largest one; `weakest` gives
    `synth.per_class` samples to the `synth.weakest` classes alone that the labeller recognises
    worst on the valid split. null: every class gets `synth.per_class`.
    """
    weakest: Count | None = None
    """How many classes get samples under `synth.match: weakest`."""
    probability: Fraction = 0.9
    """The least probability that the labeller must give the wanted class, 0 to 1."""
    copy_quantile: Fraction = 0.01
    """Quantile of the real images' distances to their nearest other one, 0 to 1; a sample that is
    nearer than that to a train image is rejected as a copy.
    """
    truncation: Annotated[float, Field(gt=0)] | None = None
    """Bound of the noise in standard deviations, above 0: a smaller one gives more typical and less
    varied samples. null: no bound.
    """
    max_candidates: Annotated[float, Field(gt=0)] = 20.0
    """Candidates that may be drawn for each wanted sample, above 0; for an unconditional generator
    times the number of classes. The command stops when they are spent.
    """
    select: Annotated[list[PartSpec], Kind("augment.synth.selectors", "SELECTORS")] = []
    """Which accepted samples are kept: `coverage` takes those near real images that stand alone. An
    empty list keeps the first.
    """
    surplus: Annotated[float, Field(ge=1)] = 4.0
    """Accepted samples that each kept one is chosen among, where `synth.select` names a selector;
    at least 1.
    """
    device: str = "auto"
    """Where networks run: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:1`."""
    seed: int = 0
    """Seed of the samples: the same seed gives the same bytes, however many are asked for."""
