"""What is borrowed from elsewhere: labels, styles and seasons of other images."""

from benchmarks.borrowed.board import TABLES

__all__ = ["TABLES"]
