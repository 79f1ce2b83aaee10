"""What the benchmarks of training share: what can be asked, a run, and rows from several runs.

A row is measured by one run and belongs to a key; a later run replaces the rows of its own keys
only. Rows that the full form asks for and nobody has run yet are owed.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from augment.data import files
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.models.class_head import Head
from augment.models.generator import Generator
from augment.models.infogan import InfoGan
from augment.models.networks import DISCRIMINATORS, GENERATORS
from augment.runtime import devices, progress, seeding
from augment.train.feed import Feed
from augment.train.settings import TrainSettings
from augment.train.step import Engine
from benchmarks import boards, readme, record, summaries
from benchmarks.summaries import SETTING

Row = dict[str, Any]
SIDES = {"generator": GENERATORS, "discriminator": DISCRIMINATORS}
NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {side: {"name": "dcgan"} for side in SIDES},  # batch norm on both sides
    "dcgan": {"generator": {"name": "dcgan"}, "discriminator": {"name": "dcgan", "norm": "none"}},
    "resnet": {side: {"name": "resnet"} for side in SIDES},
}
PAPER: dict[str, Any] = {  # what InfoGAN's paper trains with, beside its networks
    "conditioning": {"generator": "concat"},
    "loss": "non_saturating",
    "penalties": [],
    "optimiser": {"name": "adam", "betas": [0.5, 0.999]},
}
WIDE = 200  # letters of a printed table: so many columns are of no use when folded
QUICK = {"steps": 20, "width": 8, "judge": 20}


def parser(doc: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Options that all share; ``defaults`` are the full form."""
    made = argparse.ArgumentParser(description=doc)
    made.add_argument("--quick", action="store_true", help="smoke test: nothing is stored")
    made.add_argument("--seeds", type=numbers, help="0,1,2; empty: only note what is owed")
    made.add_argument("--steps", type=int)
    made.add_argument("--network", choices=("own", *NETWORKS), help="own: the recipe's")
    made.add_argument("--width", type=int, help="channels of convolutional networks")
    made.add_argument("--batch", type=int)
    made.add_argument("--judge", type=int, help="steps that the judge is fitted for")
    made.add_argument("--device")
    made.set_defaults(**{"network": "own", "batch": 64, "judge": 600, "device": "auto", **defaults})
    return made


def ask(made: argparse.ArgumentParser, argv: Sequence[str] | None, **quick: Any) -> Any:
    """What was asked; with ``--quick`` what was not asked is small."""
    if made.parse_args(argv).quick:
        made.set_defaults(**{**QUICK, **quick})
    asked = made.parse_args(argv)
    asked.device = devices.choose_device(asked.device)
    return asked


def numbers(text: str) -> list[int]:
    return [int(word) for word in names(text)]


def names(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def full(made: argparse.ArgumentParser) -> Row:
    """The setting of the full form, on any device."""
    return {name: made.get_default(name) for name in SETTING}


def settings(recipe: str, asked: argparse.Namespace, seed: int, **given: Any) -> TrainSettings:
    """A recipe at the size that was asked for; fully connected networks keep their own."""
    plain = TrainSettings(recipe=recipe)
    for side, registry in SIDES.items():
        own = NETWORKS[asked.network][side] if asked.network != "own" else getattr(plain, side)
        spec = registry.resolve(own)
        given[side] = spec if spec["name"] == "mlp" else {**spec, "width": asked.width}
    return TrainSettings(recipe=recipe, steps=asked.steps, batch=asked.batch, seed=seed, **given)


class Training:
    """A configuration at work on ``pool``, with the seconds that its steps took."""

    def __init__(self, chosen: TrainSettings, pool: Arrays, device: torch.device):
        """Fresh weights; labels that are not known are -1 in ``pool``."""
        batches = chosen.steps * chosen.discriminator_steps
        self.settings, self.device = chosen, device
        self.feed = Feed(pool, chosen.batch, batches, chosen.seed, device, chosen.balance)
        self.engine = Engine(chosen, pool.shape, len(pool.classes), device)
        self.model = self.engine.model
        self.step, self.seconds = 0, 0.0
        meta = {
            "classes": pool.classes, "shape": pool.shape,
            "conditions": self.model.conditions, "matched": self.model.matched,
        }  # fmt: skip
        self.generator = Generator(self.model.average, meta, "", {})

    def run(self, until: int) -> None:
        """Go on to step ``until``."""
        start = time.perf_counter()
        steps = range(self.step, until)
        for step in progress.track(steps, self.settings.recipe, len(steps)):
            self.engine.step(step, self.feed.at)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.step = until
        self.seconds += time.perf_counter() - start

    def head(self) -> Head:
        """The class head, where the model is an InfoGAN."""
        assert isinstance(self.model, InfoGan)
        return Head(self.model.head, self.model.conditions, self.device)

    def samples(self, count: int) -> tuple[Pixels, NDArray[np.int64]]:
        """Unfiltered images of the averaged generator and their conditions, which take turns."""
        conditions = np.arange(count) % (self.model.conditions or 1)
        size = (count, self.model.average.codes)
        codes = seeding.rng(self.settings.seed, "benchmark").uniform(-1, 1, size)
        seed = self.settings.seed
        return self.generator.images(conditions, codes.astype(np.float32), seed=seed), conditions


def machine(device: torch.device) -> str:
    """Where a row was measured."""
    found = record.hardware()
    return found["gpu"] if device.type == "cuda" else f"{found['cores']} cores of {found['cpu']}"


def signed(row: Row, asked: argparse.Namespace) -> Row:
    """A row with the setting, machine and day it was measured on."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    where = {"machine": machine(asked.device), "date": today}
    return {**files.finite(row), **_setting(asked), **where}


def _setting(asked: argparse.Namespace) -> Row:
    return {**{name: getattr(asked, name) for name in SETTING}, "device": asked.device.type}


def merged(old: Iterable[Row], new: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """Both, sorted by ``key``; of two rows with the same one the new."""
    found = {tuple(row[name] for name in key): row for row in [*old, *new]}
    return [found[one] for one in sorted(found)]


def owed(rows: Iterable[Row], wanted: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of ``wanted`` that no row has all values of."""
    rows = list(rows)
    return [one for one in wanted if not any(one.items() <= row.items() for row in rows)]


def finish(
    name: str,
    asked: argparse.Namespace,
    rows: list[Row],
    wanted: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    **facts: Any,
) -> None:
    """Print the table; unless it was a quick run, store the rows beside those of earlier runs.

    ``wanted`` are the rows of the full form; ``key`` is what names a row beside its setting. Of
    ``facts`` those that are None stay as they were.
    """
    if not asked.quick:
        rows = keep(name, rows, wanted, key, **facts)
        readme.fill()
    for lines in summaries.tables(boards.BOARDS[name](rows)):
        show(name, lines)


def resume(
    name: str,
    asked: argparse.Namespace,
    todo: Iterable[Row],
    measure: Callable[[Row], Row],
    wanted: Sequence[Mapping[str, Any]],
    key: Sequence[str],
) -> None:
    """Measure the rows of ``todo`` that are not stored yet; print the table.

    Each of ``todo`` says the ``key`` of a row. A row is stored as soon as it is measured, so that
    a run that was killed goes on where it was; ``asked.again`` measures stored rows anew.
    """
    rows: list[Row] = []
    for one in todo:
        sought = {**one, **_setting(asked)}
        if not (asked.quick or asked.again or owed(stored(name)["rows"], [sought])):
            continue
        rows.append(signed({**one, **measure(one)}, asked))
        if not asked.quick:
            keep(name, rows[-1:], wanted, key)
    finish(name, asked, rows, wanted, key)


def stored(name: str) -> dict[str, Any]:
    """What earlier runs have stored; no rows where there was none."""
    path = record.RESULTS / f"{name}.json"
    found: dict[str, Any] = {"rows": []}
    return files.read_json(path) if path.exists() else found


def keep(
    name: str,
    rows: list[Row],
    wanted: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    **facts: Any,
) -> list[Row]:
    """Store rows beside those of earlier runs, also of one that runs at the same time; all rows."""
    with _alone():
        before = stored(name)
        every = merged(before["rows"], rows, (*key, *SETTING, "device"))
        facts = {one: before.get(one) if value is None else value for one, value in facts.items()}
        facts |= {"command": f"python -m benchmarks.{name}", "owed": owed(every, wanted)}
        record.store(name, every, **facts)
    return every


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: without it the rows of one of two would be lost."""
    folder = os.open(record.RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def show(title: str, lines: list[dict[str, str]]) -> None:
    """Print a table of what ``lines`` have."""
    board = Table(*lines[0], title=title)
    for line in lines:
        board.add_row(*line.values())
    Console(width=WIDE).print(board)
