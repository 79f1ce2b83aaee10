"""Who decides, and when: a decision is recorded with both."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime


def now() -> tuple[str, str]:
    """The name of the user ("" where the system has none) and the time, ISO 8601 in UTC."""
    try:
        who = getpass.getuser()
    except (ImportError, KeyError, OSError):  # nobody has this number
        who = ""
    return who, datetime.now(UTC).isoformat(timespec="seconds")
