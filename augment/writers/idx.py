"""The format of MNIST: a file of pixels and a file of labels for each split."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from augment.data import images, table
from augment.data.files import write_json
from augment.data.provenance import FILE, recorded
from augment.data.table import Row
from augment.writers.base import WRITERS, WriterError, labelled, prepare

_IMAGES, _LABELS = 0x00000803, 0x00000801  # magic: unsigned bytes in three dimensions, in one
_CLASSES = 256  # at most, since a label is a byte


@WRITERS.register("idx", paper="LeCun et al. 1998, MNIST (yann.lecun.com/exdb/mnist)")
def idx(samples: Iterable[Row], destination: Path) -> None:
    """``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and so on for each split.

    A label is an index into classes.json. Raises WriterError for colour, for images of different
    sizes and for more than 256 classes, which the format cannot hold.
    """
    prepare(destination)
    numbers: dict[str, int] = {}  # in the order of appearance; the final index is known at the end
    labels = {split: array("i") for split in table.SPLITS}
    size: tuple[int, ...] = ()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for row in recorded(labelled(samples), destination / FILE):
            image = images.decode(row["image"]["bytes"])
            if image.mode != "L":
                raise WriterError(f"sample {row['id']}: {image.mode}; idx holds grey images only")
            size = size or image.size
            if image.size != size:
                raise WriterError(
                    f"sample {row['id']}: {image.width} × {image.height} pixels among "
                    f"{size[0]} × {size[1]}; idx holds images of one size"
                )
            split = row["split"]
            if split not in files:
                opened = open(destination / f"{split}-images-idx3-ubyte", "wb")
                files[split] = stack.enter_context(opened)
                opened.write(bytes(16))  # the header, when the number of images is known
            files[split].write(image.tobytes())
            labels[split].append(numbers.setdefault(row["label"], len(numbers)))
            if len(numbers) > _CLASSES:
                raise WriterError(f"more than {_CLASSES} classes; idx labels are single bytes")
        for split, file in files.items():
            file.seek(0)
            file.write(struct.pack(">IIII", _IMAGES, len(labels[split]), size[1], size[0]))
    classes = table.classes_of(numbers)
    index = {number: classes.index(label) for label, number in numbers.items()}
    for split in files:
        head = struct.pack(">II", _LABELS, len(labels[split]))
        body = bytes(index[number] for number in labels[split])
        (destination / f"{split}-labels-idx1-ubyte").write_bytes(head + body)
    write_json(destination / "classes.json", classes)
