"""Settings of the codes stage."""

from __future__ import annotations

from augment.settings import Settings


class CodesSettings(Settings):
    """How the generator's codes are matched to classes and measured."""

    device: str = "auto"
    """Where networks run: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:1`."""
    seed: int = 0
    """Seed of the samples whose codes are measured."""
