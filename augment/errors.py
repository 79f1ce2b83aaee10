"""Errors in data, settings or machine: a run stops with a clear line and exit code 1."""


class AugmentError(Exception):
    """An error that a user can mend; the command line prints its message without a traceback."""
