"""From this machine to many: ``python -m benchmarks.scale``."""

from benchmarks.scale.board import TABLES

__all__ = ["TABLES"]
