"""Where recipes are compared: a copy of the set without its test images, and a folder for each."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from augment.data import files, table
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import CACHE, CLEAN
from augment.errors import AugmentError
from augment.ingest.splits import OPEN, TRAIN, cut_valid
from augment.runtime.sampling import Sampler
from augment.score.settings import ScoreSettings

HELD = 0.3  # of the labelled train images of each class, where the set has no valid ones


class CompareError(AugmentError):
    """A set on which recipes cannot be compared, or none of which could be trained."""


@dataclass(frozen=True)
class Workspace:
    """The folder of a comparison, and its images; ``cut`` of the valid ones were train images.

    ``train`` and ``valid`` have labels; ``every`` holds all train images, and ``unlabelled`` (N,)
    its rows of those without one. There is no test image in it.
    """

    home: Path
    train: Arrays
    valid: Arrays
    every: Arrays
    unlabelled: NDArray[np.int64]
    cut: int

    def room(self, name: str) -> Path:
        """A folder like a project's for one recipe, with the same ``data/clean``."""
        folder = self.home / name
        (folder / CLEAN).mkdir(parents=True, exist_ok=True)
        for shard in table.shards(self.home / CLEAN):
            path = folder / CLEAN / shard.name
            if not path.exists():
                try:
                    os.link(shard, path)
                except OSError:  # a file system without links
                    shutil.copyfile(shard, path)
        return folder


def sampler(settings: ScoreSettings) -> Sampler:
    """Takes the sample of a very large set that is judged on, as ``score.images`` says."""
    told = "compare: judged on {count} {kind} images (score.images)"
    return Sampler(settings.images, settings.seed, told)


def prepare(root: Path, settings: ScoreSettings) -> Workspace:
    """The workspace of the set in ``root``, made where it is not there yet.

    Where no valid image has a label, HELD of the labelled train images of each class are held out
    for it, groups whole. Raises CompareError where there is no set, or nothing to judge by.
    """
    clean = root / CLEAN
    if not any(clean.glob("part-*.parquet")):
        raise CompareError(f"{clean}: no images there yet; run augment ingest and augment clean")
    digest = hashlib.sha256(f"{files.digest_of_folder(clean)} {HELD}".encode())
    home = root / CACHE / "compare" / digest.hexdigest()[:16]
    ids = _held_out(clean)
    if not (home / CLEAN).exists():
        with table.TableWriter(home / CLEAN) as out:
            for batch in table.stream(clean, domain=table.EVERY):
                out.add_batch(_without_test(batch, ids))
    every = load_arrays(home / CLEAN, split="train", origin="real", unlabelled=True)
    train = every.labelled()
    like = {"classes": train.classes, "shape": train.shape}
    valid = load_arrays(home / CLEAN, split="valid", origin="real", **like)  # type: ignore[arg-type]
    if not len(valid):
        raise CompareError(
            f"{clean}: no valid image has a label, and too few train images have one to hold some "
            "out"
        )
    valid = sampler(settings).images("valid", valid)
    return Workspace(home, train, valid, every, np.flatnonzero(every.labels < 0), len(ids))


def _held_out(clean: Path) -> set[str]:
    """Ids of the train images that become valid ones; none where valid images have labels."""
    facts = table.frame(clean, ["id", "label", "group", "split"], origin="real")
    labelled = facts["label"].notna()
    if (labelled & (facts["split"] == "valid")).any():
        return set()
    facts = facts[facts["split"] == "train"].reset_index(drop=True)
    classes = np.where(facts["label"].notna(), pd.factorize(facts["label"])[0], OPEN)
    splits = np.full(len(facts), TRAIN, np.int8)
    final = cut_valid(_keys(facts, classes), classes.astype(np.int32), splits, valid=HELD)
    return set(facts["id"][(final != TRAIN) & (classes != OPEN)])


def _keys(facts: pd.DataFrame, classes: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) that cut every class evenly: images of a group have the same.

    The groups of a class, or its images, are ranked by a hash; a group is ranked in the class of
    its first image.
    """
    units = facts["group"].fillna(facts["id"])
    first = pd.DataFrame({"unit": units, "kind": classes}).drop_duplicates("unit")
    first["hash"] = [hashlib.sha256(unit.encode()).hexdigest() for unit in first["unit"]]
    ranks = first.groupby("kind")["hash"].rank()
    sizes = first.groupby("kind")["hash"].transform("size")
    apart = (first["kind"] + 2) / (first["kind"].max() + 3)  # so that no two classes share a key
    keys = dict(zip(first["unit"], (ranks - apart) / sizes, strict=True))
    return units.map(keys).to_numpy(np.float64)


def _without_test(batch: pa.RecordBatch, held: set[str]) -> pa.RecordBatch:
    """The rows of a batch that are not in test; those with an id in ``held`` are valid."""
    batch = batch.filter(pc.not_equal(batch.column("split"), "test"))
    moved = pc.is_in(batch.column("id"), pa.array(sorted(held), pa.string()))
    place = batch.schema.get_field_index("split")
    splits = pc.if_else(moved, pa.scalar("valid"), batch.column("split"))
    return batch.set_column(place, "split", splits)
