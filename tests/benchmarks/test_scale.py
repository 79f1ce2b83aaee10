"""The simulated cluster where its course can be told without one."""

import argparse
import math
from pathlib import Path

import pytest

from benchmarks.scale import __main__ as scale
from benchmarks.scale import board
from benchmarks.scale.cluster import Cluster, Work, simulate

CALM = {"straggling": 0.0, "failing": 0.0}


def test_calm_shards_take_their_rounds() -> None:
    course = simulate(Work(1000, 10, 3.0), Cluster(nodes=4, cores=8, **CALM), seed=0)  # type: ignore[arg-type]
    assert course.shards == pytest.approx(math.ceil(100 / 32) * 3.0)
    assert course.again == 0
    assert course.node_hours == pytest.approx(4 * course.seconds / 3600)


def test_failures_cost_half_an_attempt_each() -> None:
    """One worker does all: the sum of the attempts, of which a share fails half-way."""
    cluster = Cluster(nodes=1, cores=1, straggling=0.0, failing=0.2, attempts=50)
    course = simulate(Work(20_000, 1, 1.0), cluster, seed=0)
    assert course.again == pytest.approx(20_000 * 0.2 / 0.8, rel=0.05)
    assert course.shards == pytest.approx(20_000 + course.again / 2, rel=0.01)


def test_straggling_keeps_the_mean_and_makes_the_last_one_late() -> None:
    alone = Cluster(nodes=1, cores=1, straggling=0.5, failing=0.0)
    assert simulate(Work(20_000, 1, 1.0), alone, 0).shards == pytest.approx(20_000, rel=0.02)
    many = Cluster(nodes=100, cores=10, straggling=0.5, failing=0.0)
    assert simulate(Work(1000, 1, 1.0), many, 0).shards > 2.5  # the slowest of a thousand


def test_what_one_process_does_is_no_faster_on_more_machines() -> None:
    work = Work(1e6, 1000, 0.001)
    few, many = (simulate(work, Cluster(nodes, **CALM), 0) for nodes in (1, 100))  # type: ignore[arg-type]
    assert few.gathering == many.gathering == 2.0 and many.bottleneck == "gathering"
    assert few.shuffle == pytest.approx(100 * many.shuffle)
    loose = simulate(Work(1e6, 1000, 0.001, archives=False), Cluster(100), 0)
    assert loose.bottleneck == "listing" and loose.listing == 500.0


def test_a_shard_that_always_fails_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="shard 0 failed 4 times"):
        simulate(Work(10, 1, 1.0), Cluster(failing=1.0), 0)


def test_signatures_are_compared_on_every_core() -> None:
    cluster = Cluster(nodes=5, cores=4, compared=0.002, **CALM)  # type: ignore[arg-type]
    assert simulate(Work(1e6, 1000, 0.001), cluster, 0).comparing == pytest.approx(100.0)


def test_a_shard_goes_through_all_stages(tmp_path: Path) -> None:
    options = argparse.Namespace(scale=0.03)
    row = scale.measure(1, "processes", 0, options)
    assert min(row[stage] for stage in ("ingest", "clean", "joining", "write")) > 0
    assert row["joining"] < row["clean"]
    signed = {"runtime": "processes", "shards": 1, "seed": 0, "machine": "m", "date": "2026-01-01"}
    signed |= {"network": "own", "width": 0, "steps": 0, "batch": 64, "device": "cpu"}
    rows = [{**signed, **row}, {**signed, **row, "runtime": "ray"}]
    lines = board.scale(board.Frame(rows))
    assert lines["same bytes"].tolist() == ["yes", "yes"]
    other = board.scale(board.Frame([rows[0], {**rows[1], "digest": "0"}]))
    assert other["same bytes"].tolist() == ["**no**", "**no**"]
    assert len(board.cluster(board.Frame(rows))) == len(board.NODES)
