"""The passes over ``data/ingested``: measure all images, mend faulty ones, write the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from augment.clean import verdicts
from augment.clean.checks.base import CHECKS
from augment.clean.inspection import DIGEST_BYTES, SIDE, Inspected, Inspector, Names
from augment.clean.repairs import REPAIRS
from augment.clean.verdicts import CleanError
from augment.data import table
from augment.data.images import Pixels
from augment.data.normalise import Form
from augment.data.places import CLEAN, INGESTED, QUARANTINE
from augment.runtime import progress, workers

_CHUNK = 64  # images a task
_TOGETHER = 256  # tasks whose facts become one block: a block of few rows is mostly overhead

PixelChecks = Mapping[str, Callable[[pd.DataFrame, Pixels], pd.Series]]
R = TypeVar("R")


@dataclass(frozen=True)
class Measurements:
    """All images with their measures, a row for each image in the order of ``data/ingested``.

    facts: label, split, group, width, height, pixels (a number for each picture) and grey.
    measures: a column for each image check, 0 … 1; those of other checks are added.
    small (N, SIDE, SIDE, 3): the small form of each image, uint8, in a file; no rows where no check
    needs it. Mending changes it in place.
    """

    facts: pd.DataFrame
    measures: pd.DataFrame
    small: Pixels


@dataclass(frozen=True)
class Passes:
    """The passes over the images of the project ``root``, in worker processes if there are any."""

    root: Path
    inspector: Inspector
    executor: Executor | None

    def measure(self, total: int, scratch: Path) -> Measurements:
        """Measure all ``total`` images; small forms go into a file in ``scratch``, not into memory.

        Raises CleanError without an image.
        """
        columns = ("image", "label", "split", "group", "width", "height")
        batches = table.stream(self.root / INGESTED, columns, rows=_CHUNK)
        work = ((batch, _bytes(batch)) for batch in batches)
        small = _room(scratch, total if self.inspector.small else 0)
        blocks: list[pa.RecordBatch] = []
        facts: list[pa.RecordBatch] = []
        measures = np.empty((total, len(self.inspector.checks)))
        digests = np.empty((total, DIGEST_BYTES), np.uint8)
        filled = 0
        done = workers.mapped(self.inspector.measure, work, self.executor)
        for batch, inspected in _shown(done, "measure", total):
            for place, image in enumerate(inspected, filled):
                measures[place] = image.measures
                digests[place] = np.frombuffer(image.pixels, np.uint8)
                if image.small is not None:
                    small[place] = image.small
            filled += len(inspected)
            facts.append(_facts(batch, inspected))
            if len(facts) == _TOGETHER:
                blocks.append(pa.concat_batches(facts))
                facts.clear()
        if not filled:
            raise CleanError(f"{self.root / INGESTED}: no images")
        checks = list(self.inspector.checks)
        measured = pd.DataFrame(measures, columns=checks, copy=False)
        frame: pd.DataFrame = pa.Table.from_batches([*blocks, *facts]).to_pandas()
        return Measurements(frame.assign(pixels=_numbers(digests)), measured, small)

    def mend(
        self,
        measured: Measurements,
        limits: Mapping[str, float],
        pixel_checks: PixelChecks,
        requested: pd.Series,
    ) -> pd.Series:
        """The repairs (a tuple of names) that each image needs and that leave it without a fault.

        For images for which a person ``requested`` repair, also those that leave a fault.
        """
        facts, small = measured.facts, measured.small
        mendable = {name: limits[name] for name in (*self.inspector.checks, *pixel_checks)}
        faulty = verdicts.under(measured.measures, mendable)
        useful = _useful_repairs(faulty, list(self.inspector.repairs), requested)
        least = np.array([limits[name] for name in self.inspector.checks])
        repairs: list[Names] = [()] * len(facts)
        work = _selected(self.root / INGESTED, useful)
        for rows, mended in workers.mapped(self.inspector.mend, work, self.executor):
            for row, image in zip(rows, mended, strict=True):
                passes = requested[row] or (np.array(image.after.measures) >= least).all()
                if image.repairs and passes:
                    repairs[row] = image.repairs
                    if image.after.small is not None:
                        small[row] = image.after.small
        for name, check in pixel_checks.items():
            failing = (check(facts, small) < limits[name]) & ~requested
            for row in np.flatnonzero(failing).tolist():
                repairs[row] = ()
        return pd.Series(repairs, dtype=object)

    def write(self, judged: pd.DataFrame, form: Form) -> None:
        """data/clean in ``form``, data/quarantine unchanged; both appear at the end."""
        height, width = form.size
        with (
            table.TableWriter(self.root / CLEAN, overwrite=True) as clean,
            table.TableWriter(self.root / QUARANTINE, overwrite=True) as quarantine,
        ):
            work = chain(self._kept(judged, quarantine), self._of_domains())
            normalise = partial(self.inspector.form, form=form)
            done = workers.mapped(normalise, work, self.executor)
            for batch, encoded in _shown(done, "normalise", int(judged["kept"].sum())):
                for row, data in zip(batch.to_pylist(), encoded, strict=True):
                    image = {"bytes": data, "path": row["image"]["path"]}
                    clean.add(
                        row | {"image": image, "width": width, "height": height, "mode": form.mode}
                    )

    def _kept(
        self, judged: pd.DataFrame, quarantine: table.TableWriter
    ) -> Iterator[tuple[pa.RecordBatch, list[tuple[bytes, Names]]]]:
        """Batches of kept images with their new labels and repairs; the others go elsewhere."""
        kept = judged["kept"].to_numpy()
        repairs, labels = judged["repairs"].to_list(), judged["label"]
        start = 0
        for batch in table.stream(self.root / INGESTED, rows=_CHUNK):
            rows = slice(start, start + len(batch))
            start += len(batch)
            for row in batch.filter(pa.array(~kept[rows])).to_pylist():
                quarantine.add(row)
            place = batch.schema.get_field_index("label")
            label = pa.array(labels.iloc[rows], pa.string(), from_pandas=True)
            passed = batch.set_column(place, "label", label).filter(pa.array(kept[rows]))
            names = compress(repairs[rows], kept[rows])
            yield passed, list(zip(_bytes(passed), names, strict=True))

    def _of_domains(self) -> Iterator[tuple[pa.RecordBatch, list[tuple[bytes, Names]]]]:
        """Batches of the images of domains and of helpers, which nobody judges or repairs."""
        for name in (*table.domains(self.root / INGESTED), table.HELPERS):
            for batch in table.stream(self.root / INGESTED, domain=name, rows=_CHUNK):
                yield batch, [(data, ()) for data in _bytes(batch)]


def _useful_repairs(
    faulty: pd.DataFrame, repairs: Sequence[str], requested: pd.Series
) -> dict[int, Names]:
    """The repairs that may help, by row: those that together cure all faults of an image.

    faulty: a row per image, a column per check, bool. Where a person ``requested`` repair, also
    repairs of faults that an image shows by itself: these find out whether there is anything to do.
    """
    cures = {name: set(REPAIRS.describe(name).facts["cures"]) for name in repairs}
    alone = {name for name in CHECKS if CHECKS.describe(name).facts["kind"] == "image"}
    useful: dict[int, Names] = {}
    for row in np.flatnonzero((faulty.any(axis=1) | requested).to_numpy()).tolist():
        faults = set(compress(faulty.columns, faulty.iloc[row]))
        curable = faults | alone if requested[row] else faults
        names = tuple(name for name in cures if cures[name] & curable)
        if requested[row] or faults <= set().union(*(cures[name] for name in names)):
            useful[row] = names
    return useful


def _selected(
    folder: Path, repairs: Mapping[int, Names]
) -> Iterator[tuple[list[int], list[tuple[bytes, Names]]]]:
    """Rows of a batch, and their encoded images with the repairs of each."""
    start = 0
    for batch in table.stream(folder, ("image",), rows=_CHUNK):
        rows = [row for row in range(start, start + len(batch)) if row in repairs]
        if rows:
            encoded = _bytes(batch)
            yield rows, [(encoded[row - start], repairs[row]) for row in rows]
        start += len(batch)


def _room(folder: Path, count: int) -> Pixels:
    """An array for the small forms of ``count`` images (N, SIDE, SIDE, 3), in a file."""
    shape = (count, SIDE, SIDE, 3)
    if not count:
        return np.empty(shape, np.uint8)
    return np.memmap(folder / "small", np.uint8, "w+", shape=shape)


def _facts(batch: pa.RecordBatch, inspected: Sequence[Inspected]) -> pa.RecordBatch:
    """All but the image itself; many small frames of pandas would take ten times the memory."""
    grey = pa.array([image.grey for image in inspected], pa.bool_())
    return batch.drop_columns(["image"]).append_column("grey", grey)


def _numbers(digests: NDArray[np.uint8]) -> NDArray[np.int32]:
    """A number (N,) for each digest (N, DIGEST_BYTES): equal ones have the same."""
    words = digests.view(np.uint64)
    order = np.lexsort(words.T)
    ranked = words[order]
    numbers = np.empty(len(words), np.int32)
    numbers[order[:1]] = 0
    numbers[order[1:]] = np.cumsum((ranked[1:] != ranked[:-1]).any(axis=1), dtype=np.int32)
    return numbers


def _bytes(batch: pa.RecordBatch) -> list[bytes]:
    encoded: list[bytes] = pc.struct_field(batch.column("image"), "bytes").to_pylist()
    return encoded


def _shown(
    done: Iterable[tuple[pa.RecordBatch, R]], what: str, total: int
) -> Iterator[tuple[pa.RecordBatch, R]]:
    """Pass batches through and show how many images have gone by."""
    with progress.bar() as display:
        task = display.add_task(what, total=total, note="")
        for batch, result in done:
            yield batch, result
            display.advance(task, len(batch))
