"""The ink of one glyph on its page."""
