"""The sample table: atomic, deterministic, streamed, and strict about its rules."""

from __future__ import annotations

import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.data import files, table
from augment.data.table import TableError, TableWriter


def sample(place: int, **facts: Any) -> table.Row:
    row = {
        "id": f"{place:04}",
        "image": {"bytes": bytes([place % 256]) * 100, "path": f"{place}.png"},
        "label": str(place % 3),
        "split": table.SPLITS[place % 3],
        "origin": "synthetic" if place % 2 else "real",
        "width": 8,
        "height": 8,
        "mode": "L",
    }
    return row | facts


def write(folder: Path, rows: Iterable[table.Row], **options: Any) -> Path:
    with TableWriter(folder, **options) as writer:
        for row in rows:
            writer.add(row)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "table", map(sample, range(9)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_come_back_with_every_column(tmp_path: Path) -> None:
    rows = [
        sample(0),
        sample(
            1, group="g", generator="d", seed=2**62, index=3, codes=[0.5, -1.0], truncation=0.5,
            label_source="inferred", label_probability=0.75, nearest_real="0000",
            nearest_distance=0.25,
        ),
        sample(2, label=None),
        sample(3, label="../ß 漢字\n" + "x" * 300, codes=[]),
    ]  # fmt: skip
    folder = write(tmp_path / "t", rows)
    assert names(folder) == ["part-00000.parquet"]
    assert list(table.rows(folder)) == [dict.fromkeys(table.COLUMNS) | row for row in rows]
    assert pq.read_schema(folder / "part-00000.parquet").names == list(table.COLUMNS)


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", [])
    assert (table.count(folder), table.validate(folder), len(table.frame(folder))) == (0, 0, 0)
    assert list(table.frame(folder).columns) == list(table.FACTS)


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    rows = [sample(place) for place in range(3000)]
    for name in "ab":
        write(tmp_path / name, rows)
    assert files.digest_of_folder(tmp_path / "a") == files.digest_of_folder(tmp_path / "b")
    write(tmp_path / "c", rows[:-1])
    assert files.digest_of_folder(tmp_path / "a") != files.digest_of_folder(tmp_path / "c")


def test_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    digests = set()
    for name, data in (("a", b"x"), ("a", b"y"), ("b", b"x"), ("sub/a", b"x")):
        (home := tmp_path / f"{len(digests)}").mkdir()
        files.write_bytes(home / name, data)
        digests.add(files.digest_of_folder(home))
    assert len(digests) == 4


def test_nothing_appears_before_the_end_or_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), TableWriter(tmp_path / "t") as writer:
        for place in range(3 * table.ROWS):
            writer.add(sample(place))
        assert not (tmp_path / "t").exists()
        raise KeyError
    assert names(tmp_path) == []


def test_an_error_leaves_the_old_table(folder: Path) -> None:
    before = files.digest_of_folder(folder)
    with pytest.raises(KeyError), TableWriter(folder, overwrite=True) as writer:
        writer.add(sample(77))
        raise KeyError
    assert files.digest_of_folder(folder) == before
    assert names(folder.parent) == ["table"]


def test_overwriting_is_asked_for_and_leaves_nothing_of_the_old(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="is not empty"):
        TableWriter(folder)
    assert table.count(folder) == 9
    (folder / "part-00001.parquet").write_bytes(b"old")
    write(folder, [sample(77)], overwrite=True)
    assert [row["id"] for row in table.rows(folder)] == ["0077"]
    assert names(folder.parent) == ["table"]


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    assert table.count(write(tmp_path / "t", [sample(1)])) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"label": 3},
        {"label": "\udc80"},
        {"seed": 2**70},
        {"width": "wide"},
        {"codes": ["a"]},
        {"image": b"bytes"},
        {"label_probability": "high"},
    ],
)
def test_a_wrong_row_is_a_table_error(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(TableError):
        write(tmp_path / "t", [sample(0), sample(1, **wrong)])
    assert names(tmp_path) == []


def test_batches_are_cast_and_filled(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t") as writer:
        writer.add(sample(0))
        writer.add_batch(pa.RecordBatch.from_pydict({"width": pa.array([5, 6]), "id": ["b", "c"]}))
        writer.add(sample(1))
        assert writer.rows == 3  # the last one waits
    assert writer.rows == 4
    rows = list(table.rows(tmp_path / "t"))
    assert [row["id"] for row in rows] == ["0000", "b", "c", "0001"]
    assert rows[1] == dict.fromkeys(table.COLUMNS) | {"id": "b", "width": 5}


@pytest.mark.parametrize("columns", [{"colour": ["red"]}, {"width": ["wide"]}, {"seed": [2.5]}])
def test_a_wrong_batch_is_a_table_error(tmp_path: Path, columns: dict[str, Any]) -> None:
    with pytest.raises(TableError), TableWriter(tmp_path / "t") as writer:
        writer.add_batch(pa.RecordBatch.from_pydict(columns))
    assert names(tmp_path) == []


def test_large_tables_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SHARD_BYTES", 300_000)
    monkeypatch.setattr(table, "ROWS", 100)
    noise = np.random.default_rng(0)
    rows = [sample(n, image={"bytes": noise.bytes(1000), "path": ""}) for n in range(1000)]
    folder = write(tmp_path / "t", rows)
    assert names(folder) == [f"part-{n:05}.parquet" for n in range(len(names(folder)))]
    assert len(names(folder)) == 5
    assert max(path.stat().st_size for path in folder.iterdir()) < 330_000
    assert [row["id"] for row in table.rows(folder)] == [row["id"] for row in rows]
    assert table.count(folder) == 1000


def test_stream_selects_columns_rows_and_sizes(folder: Path) -> None:
    def ids(**conditions: Any) -> list[str]:
        return [row["id"] for row in table.rows(folder, **conditions)]

    assert ids(split="valid") == ["0001", "0004", "0007"]
    assert ids(origin="real") == ["0000", "0002", "0004", "0006", "0008"]
    assert ids(split="valid", origin="real") == ["0004"]
    assert ids(split="nowhere") == []
    batches = list(table.stream(folder, ["label", "id"], split="train", rows=2))
    assert all(batch.schema.names == ["label", "id"] for batch in batches)
    assert all(len(batch) <= 2 for batch in batches)
    assert [row["id"] for batch in batches for row in batch.to_pylist()] == ["0000", "0003", "0006"]
    frame = table.frame(folder, ["split", "width"], origin="synthetic")
    assert list(frame.columns) == ["split", "width"]
    assert frame["split"].tolist() == ["valid", "train", "test", "valid"]


def test_a_path_alone(folder: Path) -> None:
    (batch,) = table.stream(folder, ["id", "image.path"])
    assert batch.schema.names == ["id", "image"]
    assert batch.column("image").to_pylist() == [{"path": f"{n}.png"} for n in range(9)]


def test_what_was_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    row = {"id": "a", "label": "a", "split": "train", "origin": "real"}
    with TableWriter(tmp_path / "t") as writer:
        for _ in range(64):  # row groups of 256 KiB
            image = {"bytes": noise.bytes(1 << 18), "path": ""}
            writer.add_batch(pa.RecordBatch.from_pylist([row | {"image": image}]))
    before, most = pa.total_allocated_bytes(), 0
    for _ in table.stream(tmp_path / "t", ["image"], rows=1):
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < 2 << 20


def test_no_table_there(tmp_path: Path) -> None:
    for ask in (table.shards, table.count, table.frame, table.validate, table.stream):
        with pytest.raises(TableError, match=r"nothing: no sample table there"):
            list(ask(tmp_path / "nothing"))  # type: ignore[arg-type, operator]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"id": ["a"], "label": ["b"]}), tmp_path / "t/part-00000.parquet")
    with pytest.raises(TableError, match="columns missing: codes, generator, group, height, image"):
        list(table.stream(tmp_path / "t"))
    with pytest.raises(TableError, match="columns missing: split$"):
        list(table.stream(tmp_path / "t", ["id"], split="train"))
    assert table.frame(tmp_path / "t", ["id"])["id"].tolist() == ["a"]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("label", [7, 8], "column 'label' is int64, not string"),
        ("width", ["8", "8"], "column 'width' is string, not int32"),
        ("height", [2**40, 8], "column 'height' is int64, not int32"),
        (
            "image",
            [b"P", b"K"],
            "column 'image' is binary, not struct<bytes: binary, path: string>",
        ),
        ("codes", [[None], ["x"]], "column 'codes' is list<element: string>, not list"),
    ],
)
def test_a_shard_of_other_types_is_refused(
    name: str, values: list[object], message: str, folder: Path
) -> None:
    path = folder / "part-00000.parquet"
    shard = pq.read_table(path).slice(0, 2)
    place = shard.schema.get_field_index(name)
    pq.write_table(shard.set_column(place, name, pa.array(values)), path)
    with pytest.raises(TableError, match=rf"part-00000.parquet: {re.escape(message)}"):
        list(table.stream(folder, [name]))
    assert len(list(table.stream(folder, ["id"]))) > 0  # what is not read is not asked about


def test_a_column_that_came_later_is_null_in_an_older_table(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    older = pq.read_table(path).drop_columns([*table.LATER])
    pq.write_table(older, path)
    assert table.LATER == ("domain", "source")
    assert {(row["domain"], row["source"]) for row in table.rows(folder)} == {(None, None)}
    assert table.validate(folder) == table.count(folder)


def test_damaged_files_are_table_errors(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    whole = path.read_bytes()
    draw = random.Random(0)
    refused = 0
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt % 3:
            for place in draw.sample(range(len(whole)), 8):
                damaged[place] ^= 0xFF
        else:
            del damaged[draw.randrange(len(whole)) :]
        path.write_bytes(damaged)
        for ask in (lambda: list(table.stream(folder)), lambda: table.count(folder)):
            try:
                ask()
            except TableError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 60


def test_a_sound_table_is_counted(folder: Path) -> None:
    assert table.validate(folder) == 9


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"id": "0000"}, "id 0000 stands twice"),
        ({"split": "dev"}, "split 'dev'; allowed: train, valid, test"),
        ({"split": None}, "split nan; allowed"),
        ({"origin": "fake"}, "origin 'fake'; allowed: real, synthetic"),
        ({"label": ""}, "blank label"),
        ({"label": " \t"}, "blank label"),
        ({"group": "g", "split": "test"}, "group 'g' straddles splits"),
        ({"group": "g", "split": "train"}, None),
        ({"group": "h", "split": "test"}, None),
        ({"label": None}, None),
        ({"label": "-"}, None),
        ({"split": "test", "origin": "synthetic"}, None),
    ],
)
def test_rules_of_a_table(tmp_path: Path, facts: dict[str, Any], message: str | None) -> None:
    rows = [sample(0, group="g", split="train"), sample(1), sample(2), sample(3, **facts)]
    folder = write(tmp_path / "t", rows)
    if message is None:
        assert table.validate(folder) == 4
    else:
        with pytest.raises(TableError, match=message) as caught:
            table.validate(folder)
        assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "2", "1", "2", None], ["1", "2", "10"]),
        (["img12", "img2", "a", "3"], ["3", "a", "img2", "img12"]),
        (["01", "1", "001"], ["001", "01", "1"]),
        (["b", "B", "ä", "1b", ""], ["", "1b", "B", "b", "ä"]),
        (["3-10", "3-9", "3"], ["3", "3-9", "3-10"]),
        (["²", "2", "٣"], ["2", "٣", "²"]),
        ([None, math.nan], []),
    ],
)
def test_natural_order(labels: list[Any], classes: list[str]) -> None:
    assert table.classes_of(labels) == classes
    assert table.classes_of(labels[::-1]) == classes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": math.nan, "b": [math.inf, -math.inf, 1.5]}, '{"a":null,"b":[null,null,1.5]}'),
        ({1: (np.int64(3), np.float32(0.5), np.float64("nan"))}, '{"1":[3,0.5,null]}'),
        ({"z": 1, "a": "ß"}, '{"z":1,"a":"ß"}'),
        ([True, None, np.bool_(False), ""], '[true,null,false,""]'),
    ],
)
def test_json_says_only_what_json_can(tmp_path: Path, value: Any, text: str) -> None:
    files.write_json(tmp_path / "deep/x.json", value)
    written = (tmp_path / "deep/x.json").read_text(encoding="utf-8")
    assert json.dumps(json.loads(written), separators=(",", ":"), ensure_ascii=False) == text
    assert written.endswith("\n")


def test_files_are_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"new": object()})
    with pytest.raises(TypeError):
        files.write_bytes(path, "text")  # type: ignore[arg-type]
    assert json.loads(path.read_text()) == {"old": 1}
    assert names(tmp_path) == ["x.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_publish_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("old", "new"):
        temporary = files.temporary_beside(tmp_path / "deep/out")
        assert temporary.parent == tmp_path / "deep" and temporary.name.startswith(".out.")
        (temporary / content).touch()
        files.publish(temporary, tmp_path / "deep/out")
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep/out") == ["new"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    left = [f".out.{gone.pid}.abcd1234", f".out.{os.getppid()}.abcd1234", ".out.x.abcd1234"]
    left += [f".outer.{gone.pid}.abcd1234", f"out.{gone.pid}.abcd1234"]
    beside_a_temporary_one = f"..out.{gone.pid}.abcd1234.{gone.pid}.efgh5678"
    left.insert(0, beside_a_temporary_one)
    for name in left:
        (tmp_path / name).mkdir()
        (tmp_path / name / "part-00000.parquet").touch()
    mine = files.temporary_beside(tmp_path / "out")
    again = files.temporary_beside(tmp_path / "out")
    assert names(tmp_path) == sorted([*left[2:], mine.name, again.name])


def test_sample_ids_depend_on_each_part() -> None:
    draws = [
        ("g", 1, "a", 2),
        ("h", 1, "a", 2),
        ("g", 2, "a", 2),
        ("g", 1, "b", 2),
        ("g", 1, "a", 3),
    ]
    assert len({table.sample_id(*draw) for draw in draws}) == 5
    assert table.sample_id(*draws[0]) == table.sample_id(*draws[0])


# domains


def test_a_domain_comes_only_where_it_is_named(tmp_path: Path) -> None:
    """Samples of further domains are passed over by everything that does not ask for them."""
    mine, font = (
        sample(place, split="train", domain=name) for place, name in ((0, None), (1, "b"))
    )
    other = sample(3, split="train", domain="a", label="of a alone")
    folder = write(tmp_path / "t", [font, mine, other])
    assert [row["id"] for row in table.rows(folder)] == [mine["id"]]
    assert (table.count(folder), table.validate(folder)) == (1, 3)
    assert table.domains(folder) == ["a", "b"]
    assert list(table.frame(folder, domain="b")["id"]) == [font["id"]]
    assert table.count(folder, domain=table.EVERY) == 3
    assert table.count(folder, domain="c") == 0
    with pytest.raises(TableError, match="a sample of a domain stands outside the train split"):
        table.validate(write(tmp_path / "v", [sample(0, split="valid", domain="a")]))


def test_helpers_are_no_domain_and_come_with_no_other(tmp_path: Path) -> None:
    names = (None, "a", table.HELPERS)
    samples = [sample(place, split="train", domain=name) for place, name in enumerate(names)]
    folder = write(tmp_path / "t", samples)
    counts = {name: table.count(folder, domain=name) for name in (*names, table.EVERY, table.WHOLE)}
    assert counts == {None: 1, "a": 1, table.HELPERS: 1, table.EVERY: 2, table.WHOLE: 3}
    assert table.domains(folder) == ["a"]
    helper = sample(4, split="test", domain=table.HELPERS)
    with pytest.raises(TableError, match="outside the train split"):
        table.validate(write(tmp_path / "v", [helper]))


def test_a_table_from_before_there_were_domains_has_none(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["domain"]), path)
    assert table.count(folder) == 9 and table.domains(folder) == []
    assert [row["domain"] for row in table.rows(folder)] == [None] * 9
