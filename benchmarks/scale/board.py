"""The tables of measured shards, and of the machines that they are carried to."""

from __future__ import annotations

from benchmarks.scale.cluster import STAGES, Cluster, Work, simulate
from benchmarks.tables import MACHINE, Frame, first, summary

SHARD = 4096  # images
RUNTIMES = ("processes", "ray")
LARGE = 1e8  # images that the simulation is of
NODES = (1, 10, 100, 1000)


def scale(rows: Frame) -> Frame:
    """A line for each row; the bytes of both runtimes beside one another."""
    order = rows["runtime"].map(RUNTIMES.index)
    rows = rows.assign(order=order).sort_values(["order", "shards", "seed"]).reset_index(drop=True)
    images = rows["shards"] * SHARD
    digests = rows.groupby(["shards", "seed", "machine"])["digest"].transform("nunique")
    both = rows.groupby(["shards", "seed", "machine"])["runtime"].transform("nunique")
    alike = [("yes" if kinds == 1 else "**no**") if count > 1 else ""
             for kinds, count in zip(digests, both, strict=True)]  # fmt: skip
    rate = images / rows[[*STAGES]].sum(axis=1)
    rows = rows.assign(images=images, rate=rate, alike=alike).reset_index()
    return summary(rows, ["index"], {
        "runtime": first("runtime"), "shards": first("shards"),
        "images": first("images", "{:,.0f}"), "ingest, s": first("ingest", "{:.1f}"),
        "clean, s": first("clean", "{:.1f}"), "of that joining, s": first("joining", "{:.1f}"),
        "write, s": first("write", "{:.1f}"), "images/s": first("rate", "{:,.0f}"),
        "GiB": first("memory", "{:.2f}"), "GiB of a worker": first("worker", "{:.2f}"),
        "same bytes": first("alike"), **MACHINE,
    })  # fmt: skip


def cluster(rows: Frame) -> Frame:
    """What 10⁸ images would take, from the largest row of processes."""
    largest = rows[rows["runtime"] == RUNTIMES[0]].sort_values("shards").tail(1)
    if largest.empty:
        return Frame()
    (row,) = largest.to_dict("records")
    in_shards = sum(row[stage] for stage in STAGES) - row["joining"]
    seconds = 2 * in_shards / row["shards"]  # of the two cores
    joined = row["shards"] * SHARD / row["joining"]
    lines = []
    for nodes in NODES:
        machines = Cluster(nodes, gathered=joined)
        courses = [simulate(Work(LARGE, SHARD, seconds), machines, seed) for seed in range(3)]
        course = sorted(courses, key=lambda run: run.seconds)[1]
        lines.append({
            "nodes of 16 cores": f"{nodes:,}", "listing, s": f"{course.listing:.0f}",
            "shards, s": f"{course.shards:.0f}", "shuffle, s": f"{course.shuffle:.1f}",
            "comparing, s": f"{course.comparing:.0f}",
            "gathering, s": f"{course.gathering:.0f}",
            "whole, minutes": f"{course.seconds / 60:.1f}",
            "node hours": f"{course.node_hours:.1f}", "again": f"{course.again:,}",
            "bottleneck": course.bottleneck,
        })  # fmt: skip
    return Frame(lines)


TABLES = (scale, cluster)
