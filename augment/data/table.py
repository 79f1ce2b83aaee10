"""The sample table: the one format that travels between stages.

A table is a folder of Parquet shards (``part-00000.parquet`` …, zstd) in which a row is a sample.
Shards are written to a temporary folder beside the destination, which is renamed at the end.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from augment.data.files import open_parquet, publish, temporary_beside
from augment.errors import AugmentError

if TYPE_CHECKING:  # `augment inspect` reads this file and has no second for pandas
    import pandas as pd

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
REAL = (
    pa.field("id", pa.string()),
    pa.field("image", IMAGE),
    pa.field("label", pa.string()),
    pa.field("split", pa.string()),
    pa.field("group", pa.string()),
    pa.field("origin", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("mode", pa.string()),
)
PROVENANCE = (
    pa.field("generator", pa.string()),
    pa.field("seed", pa.int64()),
    pa.field("index", pa.int64()),
    pa.field("source", pa.string()),
    pa.field("codes", pa.list_(pa.float32())),
    pa.field("truncation", pa.float32()),
    pa.field("label_source", pa.string()),
    pa.field("label_probability", pa.float32()),
    pa.field("nearest_real", pa.string()),
    pa.field("nearest_distance", pa.float32()),
)
DOMAIN = pa.field("domain", pa.string())  # of a further source by its name, null of the set's own
SCHEMA = pa.schema([*REAL, DOMAIN, *PROVENANCE])
COLUMNS = tuple(SCHEMA.names)
FACTS = tuple(name for name in COLUMNS if name != "image")
LATER = ("domain", "source")  # columns that older tables lack; read as null
SPLITS = ("train", "valid", "test")
EVERY = "*"  # in place of a domain's name: the set's own samples and those of all domains
HELPERS = "helpers"  # the domain of samples of other classes, which no domain's name may be
WHOLE = "**"  # every row, those of helpers too
SHARD_BYTES = 192 << 20  # in memory; the file of a shard then stays below 256 MiB
ROWS = 1024  # of a batch and of a row group


class TableError(AugmentError, ValueError):
    """A folder is no sample table, or a row breaks the schema."""


Row = dict[str, Any]
_DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)  # Arrow's errors for damaged files


class TableWriter:
    """Writes a table row by row, in bounded memory.

    Use it as a context manager: the table appears when the context ends without an error. Raises
    FileExistsError when ``folder`` is not empty, unless ``overwrite`` is set, and TableError for a
    row whose columns or values break the schema.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False):
        """Prepare to write ``folder``."""
        self.folder = Path(folder)
        if not overwrite and self.folder.exists() and any(self.folder.iterdir()):
            raise FileExistsError(f"{self.folder} is not empty")
        self.rows = 0
        self._temporary = temporary_beside(self.folder)
        self._pending: list[Row] = []
        self._shard: pq.ParquetWriter | None = None
        self._shards = 0
        self._bytes = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a sample; absent columns become null. Raises TableError for an unknown column."""
        _known(row)
        self._pending.append(dict(row))
        if len(self._pending) >= ROWS:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Append samples that are already in Arrow; absent columns become null.

        Raises TableError for an unknown column or a value of another type.
        """
        _known(batch.schema.names)
        self._flush()
        try:
            columns = [
                batch.column(field.name).cast(field.type)
                if field.name in batch.schema.names
                else pa.nulls(len(batch), field.type)
                for field in SCHEMA
            ]
        except pa.ArrowException as error:
            raise TableError(f"{self.folder}: {error}") from None
        self._write(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))

    def __enter__(self) -> TableWriter:
        """Start writing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Publish the table, or, after an error, remove what was written."""
        try:
            if kind is None:
                self._flush()
                self._close_shard()
                if not self._shards:
                    pq.write_table(SCHEMA.empty_table(), self._temporary / "part-00000.parquet")
                publish(self._temporary, self.folder)
        finally:
            if self._shard is not None:
                self._shard.close()
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _flush(self) -> None:
        if self._pending:
            try:
                batch = pa.RecordBatch.from_pylist(self._pending, schema=SCHEMA)
            except (ValueError, TypeError, OverflowError) as error:  # Arrow's are among these
                raise TableError(f"{self.folder}: {error}") from None
            self._pending = []
            self._write(batch)

    def _write(self, batch: pa.RecordBatch) -> None:
        """Write a batch to the open shard, or to a new one where it would grow too large."""
        size = batch.nbytes
        if self._shard is not None and self._bytes + size > SHARD_BYTES:
            self._close_shard()
        if self._shard is None:
            path = self._temporary / f"part-{self._shards:05d}.parquet"
            self._shard = pq.ParquetWriter(path, SCHEMA, compression="zstd")
            self._shards += 1
            self._bytes = 0
        self._shard.write_batch(batch)
        self._bytes += size
        self.rows += len(batch)

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None


def _known(names: Iterable[str]) -> None:
    unknown = set(names) - set(COLUMNS)
    if unknown:
        raise TableError(f"unknown columns: {', '.join(sorted(unknown))}")


def shards(folder: Path) -> list[Path]:
    """The paths of a table's shards, in order. Raises TableError when there are none."""
    paths = sorted(Path(folder).glob("part-*.parquet"))
    if not paths:
        raise TableError(
            f"{folder}: no sample table there (no part-*.parquet); run the stage before"
        )
    return paths


def count(folder: Path, **conditions: Any) -> int:
    """The number of the set's own samples; ``conditions`` and errors are those of ``stream``."""
    return sum(map(len, stream(folder, ["domain"], **conditions)))


def stream(
    folder: Path,
    columns: Sequence[str] | None = None,
    *,
    split: str | None = None,
    origin: str | None = None,
    domain: str | None = None,
    rows: int = ROWS,
) -> Iterator[pa.RecordBatch]:
    """The table in order, in batches of at most ``rows`` samples, in bounded memory.

    ``columns`` defaults to all columns. ``split`` and ``origin`` select the samples with these
    values. Samples of a further domain come where ``domain`` names it, and then alone, or with
    EVERY; a table from before there were domains has none. Those of HELPERS, whose classes are not
    the set's, come where it is named, or with WHOLE. ``image.path`` among the columns is "image"
    without the bytes. Raises TableError for a folder or a file that is no sample table.
    """
    selected = list(COLUMNS if columns is None else columns)
    pairs = (("split", split), ("origin", origin))
    conditions = {name: value for name, value in pairs if value is not None}
    top = {name: name.partition(".")[0] for name in (*selected, *conditions, "domain")}
    read = {*top.values()}
    for path in shards(folder):
        try:
            with open_parquet(path) as file:
                there = set(file.schema_arrow.names)
                missing = read - there - {*LATER}
                if missing:
                    raise TableError(f"{path}: columns missing: {', '.join(sorted(missing))}")
                _check_types(path, file.schema_arrow, read & there)
                stored = sorted(name for name in top if top[name] in there)
                for batch in file.iter_batches(batch_size=rows, columns=stored):
                    for name in sorted(read - there):
                        batch = batch.append_column(
                            SCHEMA.field(name), pa.nulls(len(batch), SCHEMA.field(name).type)
                        )
                    batch = _of_domain(batch, domain)
                    for name, value in conditions.items():
                        batch = batch.filter(pc.equal(batch.column(name), value))
                    if len(batch):
                        yield batch.select([top[name] for name in selected])
        except _DAMAGED as error:
            raise TableError(f"{path}: {error}") from None


def _check_types(path: Path, schema: pa.Schema, names: Iterable[str]) -> None:
    """Raise TableError for a column that is of another type than a table's."""
    for name in sorted(names):
        expected, kind = SCHEMA.field(name).type, schema.field(name).type
        if kind != expected:
            raise TableError(f"{path}: column {name!r} is {kind}, not {expected}")


def _of_domain(batch: pa.RecordBatch, domain: str | None) -> pa.RecordBatch:
    """The samples of a batch that ``domain`` selects as in ``stream``."""
    if domain == WHOLE:
        return batch
    column = batch.column("domain")
    if domain == EVERY:
        return batch.filter(pc.fill_null(pc.not_equal(column, HELPERS), True))
    return batch.filter(pc.is_null(column) if domain is None else pc.equal(column, domain))


def domains(folder: Path) -> list[str]:
    """The names of the further domains in a table, sorted; HELPERS is none of them."""
    names = {
        name
        for batch in stream(folder, ["domain"], domain=EVERY)
        for name in batch.column("domain").unique().to_pylist()
    }
    return sorted(names - {None})


def rows(folder: Path, **conditions: Any) -> Iterator[Row]:
    """The samples of a table in order, as dictionaries; ``conditions`` go to ``stream``."""
    for batch in stream(folder, **conditions):
        yield from batch.to_pylist()


def frame(folder: Path, columns: Sequence[str] = FACTS, **conditions: Any) -> pd.DataFrame:
    """A data frame in table order, without images by default; ``conditions`` go to ``stream``."""
    batches = list(stream(folder, columns, **conditions))
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    table: pd.DataFrame = pa.Table.from_batches(batches, schema=schema).to_pandas()
    return table


_RUNS = re.compile(r"\d+|\D+")


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key for names in natural order, in which "2" comes before "10"."""
    parts = _RUNS.findall(name)
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


def classes_of(labels: Iterable[str | None]) -> list[str]:
    """The distinct labels in natural order; a label's class index is its place in this list."""
    return sorted({label for label in labels if isinstance(label, str)}, key=natural)


def validate(folder: Path) -> int:
    """Check every row against the rules of the table; return the number of rows.

    Raises TableError for a missing column, a repeated id, a blank label, an unknown split or
    origin, a group that straddles splits, and a sample of a domain outside the train split.
    """
    facts = frame(folder, domain=WHOLE)
    repeated = facts["id"][facts["id"].duplicated()]
    if len(repeated):
        raise TableError(f"{folder}: id {repeated.iloc[0]} stands twice")
    for name, allowed in (("split", SPLITS), ("origin", ("real", "synthetic"))):
        wrong = facts[name][~facts[name].isin(allowed)]
        if len(wrong):
            raise TableError(f"{folder}: {name} {wrong.iloc[0]!r}; allowed: {', '.join(allowed)}")
    blank = facts["label"].dropna().str.strip() == ""
    if blank.any():
        raise TableError(f"{folder}: blank label")
    straddling = facts.dropna(subset=["group"]).groupby("group")["split"].nunique()
    if (straddling > 1).any():
        raise TableError(f"{folder}: group {straddling.idxmax()!r} straddles splits")
    if (facts.dropna(subset=["domain"])["split"] != "train").any():
        raise TableError(f"{folder}: a sample of a domain stands outside the train split")
    return len(facts)


def sample_id(generator: str, seed: int, label: str, index: int) -> str:
    """The id of a synthetic sample: SHA-256 of generator digest, seed, label and index."""
    return hashlib.sha256(f"{generator}\0{seed}\0{label}\0{index}".encode()).hexdigest()
