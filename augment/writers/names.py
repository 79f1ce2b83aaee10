"""Names that every file system accepts: a folder for a label, an extension for an image."""

from __future__ import annotations

import hashlib
import unicodedata

from augment.writers.base import WriterError

_RESERVED = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"
}
_BYTES = 80  # of a name in UTF-8, at most; every file system allows at least 143
_SIGNATURES = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II", ".tif"),
    (b"MM", ".tif"),
    (b"RIFF", ".webp"),
    (b"P", ".ppm"),
)


def suffix(data: bytes) -> str:
    """The file extension of an encoded image, by its first bytes.

    Raises WriterError for a format that ``augment.data.images`` does not read.
    """
    for signature, extension in _SIGNATURES:
        if data.startswith(signature):
            return extension
    raise WriterError(f"not a known image format: it starts with {data[:4]!r}")


class Folders:
    """A folder name for each label, unique even where case does not count.

    A label that is a safe name stays unchanged. Any other label is cleaned and cut, and gets the
    start of its SHA-256 appended; the metadata holds the true label.
    """

    def __init__(self, taken: str):
        """Start without labels; ``taken`` is a name in the same folder, not free for labels."""
        self._names: dict[str, str] = {}
        self._taken = {_folded(taken)}

    def of(self, label: str) -> str:
        """The folder name of ``label``."""
        if label not in self._names:
            name = _safe(label)
            if name != label or _folded(name) in self._taken:
                name = f"{name}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
            self._taken.add(_folded(name))
            self._names[label] = name
        return self._names[label]


def _safe(label: str) -> str:
    """The part of ``label`` that is a portable folder name; ``label`` itself if all of it is."""
    kept = "".join(
        character if character.isalnum() or character in " -_.+()" or _is_mark(character) else "_"
        for character in unicodedata.normalize("NFC", label)
    )
    # Hidden names (".x"), skipped ones ("__x") and ends that Windows drops ("x. ") are no names.
    cut = kept.strip(" ._").encode()[:_BYTES].decode(errors="ignore").rstrip(" ._")
    if cut.partition(".")[0].rstrip().upper() in _RESERVED:
        return f"_{cut}"
    return cut or "label"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
