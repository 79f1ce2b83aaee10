"""Settings of the codes stage."""

from __future__ import annotations

from augment.settings import Settings


class CodesSettings(Settings):
    """How the generator's codes are matched to classes and measured."""

    device: str = "auto"
    seed: int = 0
