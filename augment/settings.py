"""What every group of settings shares."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from augment.registry import Count

PartSpec = str | dict[str, Any]
Profile = Literal["glyph", "natural"]


class Settings(BaseModel):
    """Base of every group: unknown keys are errors, numbers finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LabellerSettings(Settings):
    """The classifier that ``synth`` filters with."""

    network: PartSpec = "cnn"
    steps: Count = 600
    batch: Count = 64
