"""Settings of the adopt stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from augment.registry import Count, Fraction
from augment.settings import Kind, PartSpec, Profile, Settings


class AdoptSettings(Settings):
    """Which labellers label the images without a label, and which labels are adopted."""

    labellers: Annotated[
        list[PartSpec], Field(min_length=1), Kind("augment.adopt.opinions", "OPINIONS")
    ] = ["graph", "head", "self_training"]
    profile: Profile = "glyph"  # glyph: slant and place are taken out of images
    # Least calibrated probability of an adopted label. Well below 1: the hard images teach most.
    probability: Fraction = 0.65
    steps: Count = 600  # of each classifier that is taught
    rounds: Count = 2  # of teaching
    batch: Count = 64
    device: str = "auto"
    seed: int = 0
