"""Starts the page of the review, if its packages are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from augment.review.queue import ReviewError

_NEEDED = ("starlette", "uvicorn")


def serve(
    root: Path = Path("."),
    *,
    port: int = 0,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Show the page until ctrl-C; ``port`` 0 takes a free one, and ``say`` gets the address.

    Raises ReviewError where a package is missing, the port is taken or the stage clean has not
    run.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ReviewError(
            f"{missing[0]} is not installed: pip install 'augment[review]', "
            "or review without a browser: augment review --sheet"
        )
    from augment.review import server

    server.serve(root, port=port, browser=browser, say=say)
