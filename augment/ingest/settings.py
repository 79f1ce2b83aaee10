"""Settings of the ingest stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from augment.registry import Fraction
from augment.settings import Kind, PartSpec, Settings


class SplitSettings(Settings):
    """Shares of the labelled images that are held out when the source has no splits."""

    valid: Fraction = 0.1
    test: Fraction = 0.2


class IngestSettings(Settings):
    """Where the images come from."""

    source: str
    reader: Annotated[PartSpec, Kind("augment.readers.base", "READERS", automatic=True)] = "auto"
    unlabelled: str | None = None
    split: SplitSettings = SplitSettings()
    group: str | None = None  # a regular expression on the path; its first group names the group
    max_rejected: Fraction = 0.05
    workers: Annotated[int, Field(ge=0)] = 0  # processes; 0 is one a core
    seed: int = 0
