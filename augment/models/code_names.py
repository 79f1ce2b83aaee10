"""Names of continuous codes, as the codes stage wrote them down."""

from __future__ import annotations

from pathlib import Path

from augment.data.files import read_json
from augment.data.places import CODES, GENERATOR
from augment.errors import AugmentError
from augment.runtime import checkpoint


class CodesError(AugmentError, ValueError):
    """Codes that cannot be matched to classes, or a code that has no such name."""


def code_named(name: str, root: Path = Path(".")) -> tuple[int, int]:
    """The number of the continuous code that is called ``name``, and its sign.

    With sign -1 the factor falls where the code rises. Raises CodesError for a name that no code
    has, or where ``augment codes`` has not seen this generator.
    """
    path = root / CODES
    try:
        report = read_json(path)
        names, seen = report["names"], report["generator"]
    except FileNotFoundError:
        raise CodesError(f"code {name!r}: no {path} to look it up; run augment codes") from None
    except (ValueError, KeyError, TypeError):
        raise CodesError(f"{path}: damaged; run augment codes") from None
    if seen != checkpoint.digest_of_checkpoint(root / GENERATOR, "generator"):
        raise CodesError(f"{path}: is of another generator; run augment codes")
    if name not in names:
        raise CodesError(f"unknown code {name!r}; known: {', '.join(names) or 'numbers only'}")
    return names[name]["code"], names[name]["sign"]
