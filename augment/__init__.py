"""augment: from a small labelled image set to a larger one that is proven to help."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before torch is imported: threads that wait by spinning stall each other as soon as another
# program, or a worker of our own, wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from augment.dataset import Dataset, load
    from augment.models.generator import Generator

__all__ = ["Dataset", "Generator", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that ``import augment`` costs nothing."""
    if name in ("Dataset", "load"):
        from augment import dataset

        return getattr(dataset, name)
    if name == "Generator":
        from augment.models.generator import Generator

        return Generator
    raise AttributeError(f"module 'augment' has no attribute {name!r}")
