"""Tar shards in which the files of a sample share a key."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from pydantic import Field

from augment.data.table import FACTS, Row
from augment.writers import names
from augment.writers.base import WRITERS, labelled, prepare


@WRITERS.register("webdataset", paper="WebDataset, github.com/webdataset/webdataset")
def webdataset(
    samples: Iterable[Row],
    destination: Path,
    *,
    per_shard: Annotated[int, Field(ge=1)] = 10_000,
) -> None:
    """``train-000000.tar`` … with ``KEY.png`` and ``KEY.json``, which holds all other columns.

    A shard holds at most ``per_shard`` samples; times and owners are zero.
    """
    prepare(destination)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        shards: dict[str, tarfile.TarFile] = {}
        for row in labelled(samples):
            split = row["split"]
            number, within = divmod(counts[split], per_shard)
            if within == 0:
                if split in shards:
                    shards[split].close()
                path = destination / f"{split}-{number:06d}.tar"
                shard = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)
                shards[split] = stack.enter_context(shard)
            key = f"{counts[split]:09d}"
            counts[split] += 1
            data = row["image"]["bytes"]
            facts = json.dumps({fact: row.get(fact) for fact in FACTS}, ensure_ascii=False)
            _add(shards[split], key + names.suffix(data), data)
            _add(shards[split], f"{key}.json", facts.encode())


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # its defaults: time 0, owner 0, mode 0644
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))
