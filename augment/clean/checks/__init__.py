"""Checks: each measures one kind of fault."""

from augment.clean.checks import contrast, copies, glyph, learned, natural, near_copies, sets  # noqa: F401
