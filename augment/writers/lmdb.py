"""LMDB environments as the common text recognition benchmarks read them."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from augment.data.provenance import FILE, recorded
from augment.data.table import SPLITS, Row
from augment.writers.base import WRITERS, WriterError, labelled, prepare

_BATCH = 256  # samples in a transaction
SPACE = 16 << 20  # bytes of an environment at first; doubled whenever it is full


@WRITERS.register(
    "lmdb", paper="Baek et al. 2019, deep-text-recognition-benchmark (arXiv:1904.01906)"
)
def lmdb(samples: Iterable[Row], destination: Path) -> None:
    """An environment for each split: ``image-%09d`` and ``label-%09d`` from 1, ``num-samples``.

    Raises WriterError when the package lmdb is not installed.
    """
    try:
        package = importlib.import_module("lmdb")
    except ImportError:
        raise WriterError("writer lmdb needs the package lmdb: install augment[lmdb]") from None
    prepare(destination)
    counts: Counter[str] = Counter()
    pending: dict[str, list[tuple[bytes, bytes]]] = {split: [] for split in SPLITS}
    with ExitStack() as stack:
        environments: dict[str, Any] = {}
        for row in recorded(labelled(samples), destination / FILE):
            split = row["split"]
            if split not in environments:
                environment = package.open(
                    str(destination / split), map_size=SPACE, lock=False, sync=False
                )
                environments[split] = stack.enter_context(environment)
            counts[split] += 1
            pending[split] += [
                (b"image-%09d" % counts[split], row["image"]["bytes"]),
                (b"label-%09d" % counts[split], row["label"].encode()),
            ]
            if counts[split] % _BATCH == 0:
                _put(package, environments[split], pending[split])
                pending[split].clear()
        for split, environment in environments.items():
            pending[split].append((b"num-samples", b"%d" % counts[split]))
            _put(package, environment, pending[split])


def _put(package: Any, environment: Any, pairs: list[tuple[bytes, bytes]]) -> None:
    """Store ``pairs`` in a transaction; give the environment more space if they do not fit."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                transaction.cursor().putmulti(pairs)
            return
        except package.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
