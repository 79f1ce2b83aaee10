"""What stops a run because of the data, the settings or the machine: one clear line, exit 1."""


class AugmentError(Exception):
    """Base of every error that a user can mend; the command line prints it without a trace."""
