"""Errors in data, settings or machine: a run stops with a clear line and exit code 1."""


class AugmentError(Exception):
    """An error that a user can mend; the command line prints its message without a traceback."""


def visible(text: str) -> str:
    """``text`` with escapes for control characters, so that no name breaks or paints a line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
