"""What many machines would take, from what a shard takes here: a simulation by events.

Shards are handed out in order to whichever worker is free first. A shard takes a log-normal time
around its mean; some attempts fail after a random part of it and are made again. Between reading
and judging, the search for near duplicates moves a signature of every image to the worker that
compares its kind (a shuffle), which waits for all shards, puts it into an index and looks it up
there. One process lists the files first and gathers the facts of all shards last.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from augment.runtime import seeding

STAGES = ("ingest", "clean", "write")  # what is done with a shard


@dataclass(frozen=True)
class Cluster:
    """Machines and what is assumed of them; seconds are those of one core."""

    nodes: int = 100
    cores: int = 16  # of a node, a worker each
    straggling: float = 0.3  # standard deviation of the logarithm of a shard's time
    failing: float = 0.01  # share of attempts that fail
    attempts: int = 4  # of a shard, after which the run fails
    bandwidth: float = 1.25e9  # bytes a second of a node's network
    listed: float = 2000.0  # files a second that one process lists in a bucket
    gathered: float = 5e5  # rows of facts a second that one process joins
    compared: float = 1 / 3000  # seconds for a signature in an index of a million


@dataclass(frozen=True)
class Work:
    """A set and what its shards cost."""

    images: float
    rows: int  # images of a shard
    seconds: float  # of a core for a shard, all stages
    signature: float = 64.0  # bytes that the shuffle moves for an image
    archives: bool = True  # one file a shard; otherwise one an image

    @property
    def shards(self) -> int:
        """How many there are."""
        return math.ceil(self.images / self.rows)


@dataclass(frozen=True)
class Course:
    """Seconds of each part of a run, one after the other."""

    listing: float
    shards: float
    shuffle: float
    comparing: float
    gathering: float
    nodes: int
    again: int  # attempts that were made again

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.listing + self.shards + self.shuffle + self.comparing + self.gathering

    @property
    def bottleneck(self) -> str:
        """The part that takes longest."""
        parts = ("listing", "shards", "shuffle", "comparing", "gathering")
        return max(parts, key=lambda name: float(getattr(self, name)))

    @property
    def node_hours(self) -> float:
        """What is paid for: all nodes until the end."""
        return self.nodes * self.seconds / 3600


def simulate(work: Work, cluster: Cluster, seed: int) -> Course:
    """One run. Raises RuntimeError where a shard fails in all its attempts."""
    rng = seeding.rng(seed, "cluster")
    mean = work.seconds * math.exp(-(cluster.straggling**2) / 2)  # so that the mean stays
    workers = [0.0] * (cluster.nodes * cluster.cores)
    again = 0
    for shard in range(work.shards):
        free = heapq.heappop(workers)
        for attempt in range(cluster.attempts):
            seconds = mean * math.exp(cluster.straggling * rng.standard_normal())
            if rng.random() >= cluster.failing:
                free += seconds
                break
            free += seconds * rng.random()
            again += 1
            if attempt == cluster.attempts - 1:
                raise RuntimeError(f"shard {shard} failed {cluster.attempts} times")
        heapq.heappush(workers, free)
    return Course(
        listing=(work.shards if work.archives else work.images) / cluster.listed,
        shards=float(np.max(workers)),
        shuffle=work.images * work.signature / cluster.nodes / cluster.bandwidth,
        comparing=work.images * cluster.compared / len(workers),
        gathering=work.images / cluster.gathered,
        nodes=cluster.nodes,
        again=again,
    )
