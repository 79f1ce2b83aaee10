"""Do the readers hold whatever lies on a disk?"""

from benchmarks.fuzz.board import TABLES

__all__ = ["TABLES"]
