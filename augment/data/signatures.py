"""Signatures: what bytes are by their beginning, for the reason why they are no image."""

from __future__ import annotations

_START = 1024  # bytes that are looked at
_STARTS = (
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\0\0\x01\xba", "a video"),
    (b"FLV\x01", "a video"),
    (b"ID3", "sound"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ", "xz"),
    (b"BZh", "bzip2"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "HDF5"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\0\0\x01\0", "an icon"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"version https://git-lfs", "a pointer of Git LFS (git lfs pull fetches the file)"),
)
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def what(data: bytes) -> str:
    """What the bytes are, in a few words; blank where they have no known signature."""
    if is_avif(data):
        return "AVIF, which this Pillow does not decode"
    if data[4:8] == b"ftyp":
        return "HEIC" if is_heic(data) else "a video"
    if data[:4] == b"RIFF":
        return {b"AVI ": "a video", b"WAVE": "sound"}.get(data[8:12], "")
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[257:262] == b"ustar":
        return "a tar archive"
    return _text(data[:_START])


def is_avif(data: bytes) -> bool:
    """Whether the bytes begin like an AVIF image."""
    return bool(_brands(data) & {b"avif", b"avis"})


def is_heic(data: bytes) -> bool:
    """Whether the bytes begin like a HEIC image, as phones take them."""
    return bool(_brands(data) & _HEIC) and not is_avif(data)


def _brands(data: bytes) -> set[bytes]:
    """The brands of an ISO media file (ISO 14496-12): its own and the compatible ones."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4]), 256, len(data))
    return {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}


def _text(start: bytes) -> str:
    """Which kind of text, or nothing for bytes that are no text."""
    try:
        words = start.decode("utf-8-sig", "strict" if len(start) < _START else "ignore").lower()
    except UnicodeDecodeError:
        return ""
    if any(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in words):
        return ""
    for mark, name in (
        ("<svg", "SVG"),
        ("<html", "an HTML page"),
        ("<!doctype html", "an HTML page"),
    ):
        if mark in words:
            return name
    return "text"
