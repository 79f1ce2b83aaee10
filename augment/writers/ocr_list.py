"""Image files with a list of their texts, from which PaddleOCR trains a recogniser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from augment.data.provenance import FILE, recorded
from augment.data.table import Row
from augment.writers import names
from augment.writers.base import WRITERS, WriterError, labelled, prepare


@WRITERS.register("ocr_list", paper="PaddleOCR, text recognition data set")
def ocr_list(samples: Iterable[Row], destination: Path) -> None:
    r"""``images/``, ``train.txt`` (``path\ttext`` in each line) and so on, and ``dict.txt``.

    The dictionary holds each character of the labels on its own line, sorted by code point. It has
    no blank, because PaddleOCR adds that itself (``use_space_char``). Raises WriterError for a
    label with a tab or a line break.
    """
    prepare(destination)
    characters: set[str] = set()
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        lists: dict[str, TextIO] = {}
        for row in recorded(labelled(samples), destination / FILE):
            split, label, data = row["split"], row["label"], row["image"]["bytes"]
            if label.splitlines() != [label] or "\t" in label:
                raise WriterError(f"label {label!r}: ocr_list holds no tabs and no line breaks")
            folder = destination / "images" / split
            if split not in lists:
                folder.mkdir(parents=True)
                file = open(destination / f"{split}.txt", "w", encoding="utf-8", newline="\n")
                lists[split] = stack.enter_context(file)
            path = folder / f"{counts[split]:06d}{names.suffix(data)}"
            counts[split] += 1
            path.write_bytes(data)
            lists[split].write(f"{path.relative_to(destination).as_posix()}\t{label}\n")
            characters.update(label)
    lines = "".join(f"{character}\n" for character in sorted(characters - {" "}))
    (destination / "dict.txt").write_text(lines, encoding="utf-8", newline="\n")
