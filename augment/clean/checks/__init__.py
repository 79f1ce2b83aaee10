"""Checks: each measures one kind of fault. They register in the order of clean.csv's columns."""

# isort: off
from augment.clean.checks import (
    glyph,  # noqa: F401
    contrast,  # noqa: F401
    learned,  # noqa: F401
    natural,  # noqa: F401
    copies,  # noqa: F401
    sizes,  # noqa: F401
    near_copies,  # noqa: F401
    sets,  # noqa: F401
)
