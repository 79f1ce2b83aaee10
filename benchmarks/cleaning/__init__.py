"""Does cleaning find dirty images, is that worth anything, and how fast is it?"""

from benchmarks.cleaning.board import TABLES

__all__ = ["TABLES"]
