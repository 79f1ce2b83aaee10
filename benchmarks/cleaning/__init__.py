"""Does cleaning find what is dirty, what is that worth, how fast is it."""

from benchmarks.cleaning.board import TABLES

__all__ = ["TABLES"]
