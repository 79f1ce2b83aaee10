"""A synthesis that is killed goes on where it was, with the same bytes; memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augment.data import files, table
from augment.data.arrays import Arrays
from augment.models.generator import Generator
from augment.synth import candidates, filter, journal, one_class
from augment.synth import run as synth
from augment.synth.filter import Filter
from augment.synth.inputs import prepare
from augment.synth.measured import Draw
from augment.synth.quotas import Order
from augment.synth.selectors import Selection
from augment.synth.settings import SynthSettings

SETTINGS = SynthSettings(per_class={"3": 150, "7": 100}, probability=0.0)
CHOICE = SETTINGS.model_copy(update={"select": ["coverage"], "surplus": 2.0})


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few candidates, and a filter that rejects none."""

    def mild(*arguments: Any) -> tuple[Generator, Filter, Arrays]:
        generator, candidate_filter, train = prepare(*arguments)
        candidate_filter.threshold, candidate_filter.visible = 0.0, -1.0
        return generator, candidate_filter, train

    monkeypatch.setattr(synth, "prepare", mild)
    monkeypatch.setattr(one_class, "prepare", mild)
    monkeypatch.setattr(candidates, "KEPT", 8)


def stops_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ctrl-C come when so many parts have been kept."""
    keep = journal.Journal.keep
    kept = iter(range(count))

    def stopping(self: journal.Journal, *arguments: Any) -> None:
        keep(self, *arguments)
        if next(kept, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "keep", stopping)


@pytest.mark.parametrize("settings", [SETTINGS, CHOICE], ids=["first", "selection"])
@pytest.mark.parametrize("parts", [0, 4])
def test_the_stage_goes_on_with_the_same_bytes(
    settings: SynthSettings, parts: int, beside: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    unbroken = synth.run(settings, beside)
    digest = files.digest_of_folder(beside / "data/synthetic")
    assert not list((beside / ".augment/synth").glob("*"))
    with monkeypatch.context() as patch:
        stops_after(parts, patch)
        with pytest.raises(KeyboardInterrupt):
            synth.run(settings, beside)
    assert files.digest_of_folder(beside / "data/synthetic") == digest  # the one of before
    firsts: list[int] = []
    draw = Generator.candidates

    def noted(self: Generator, *arguments: Any, first: int = 0, **options: Any) -> Iterator[Any]:
        firsts.append(first)
        return draw(self, *arguments, first=first, **options)

    monkeypatch.setattr(Generator, "candidates", noted)
    capsys.readouterr()
    assert synth.run(settings, beside) == unbroken
    assert files.digest_of_folder(beside / "data/synthetic") == digest
    assert "goes on after" in capsys.readouterr().err
    assert firsts.count(0) < len(unbroken["per_class"])
    assert not list((beside / ".augment/synth").glob("*"))


def test_other_settings_begin_anew(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SETTINGS.model_copy(update={"seed": 1})
    synth.run(other, beside)
    digest = files.digest_of_folder(beside / "data/synthetic")
    with monkeypatch.context() as patch:
        stops_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            synth.run(SETTINGS, beside)
    synth.run(other, beside)
    assert files.digest_of_folder(beside / "data/synthetic") == digest


@pytest.mark.parametrize("writer", ["image_folder", "parquet"])
def test_a_class_on_demand_goes_on_with_the_same_bytes(
    writer: str, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, draw = Order("3", 150), Draw(4, truncation=0.7)
    for filtered in (True, False):
        options: dict[str, Any] = {"writer": writer, "filtered": filtered, "root": beside}
        outs = [beside / f"{name}-{filtered}" for name in ("whole", "again")]
        whole = one_class.fulfil(SETTINGS, order, draw, out=outs[0], **options)
        with monkeypatch.context() as patch:
            stops_after(0, patch)
            with pytest.raises(KeyboardInterrupt):
                one_class.fulfil(SETTINGS, order, draw, out=outs[1], **options)
        assert not outs[1].exists()
        again = one_class.fulfil(SETTINGS, order, draw, out=outs[1], **options)
        assert again | {"out": ""} == whole | {"out": ""}
        assert files.digest_of_folder(outs[0]) == files.digest_of_folder(outs[1])


def test_parts_behind_a_gap_do_not_count(beside: Path) -> None:
    """Another run of the same request may have ended in between, and removed the first ones."""
    kept = journal.Journal(beside, "request")
    place = journal.Place(3, 192, 20, {})
    rows: list[table.Row] = []
    features = np.zeros((10, 2), np.float32)
    kept.keep("3", journal.KeptPart(rows, features, [4, 6], place))
    assert kept.place("3") == journal.Place() and not list(kept.parts("3"))
    kept.keep("3", journal.KeptPart(rows, features, [10], journal.Place(1, 64, 10, {})))
    assert kept.place("3") == place and len(list(kept.parts("3"))) == 2
    assert journal.Journal(beside, "another").place("3") == journal.Place()


def test_a_selection_of_many_works_in_blocks(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block keeps the best of its own surplus."""
    counts: list[tuple[int, int]] = []
    best = Selection.best

    def noted(self: Selection, features: Any, real: Any, count: int) -> Any:
        counts.append((len(features), count))
        return best(self, features, real, count)

    monkeypatch.setattr(Selection, "best", noted)
    monkeypatch.setattr(candidates, "BLOCK", 40)
    one_class.fulfil(CHOICE, Order("3", 100), Draw(0), root=beside,
                     writer="parquet", out=beside / "out")  # fmt: skip
    assert counts == [(80, 40), (80, 40), (40, 20)]
    assert table.count(beside / "out") == 100


def test_the_filter_forgets_the_oldest_of_many(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, candidate_filter, _ = prepare(SETTINGS, beside)
    candidate_filter.threshold, candidate_filter.visible = 1e-3, -1.0
    chunks = generator.candidates("3", seed=0)
    first = next(chunks).pixels[:4]
    others = np.concatenate([next(chunks).pixels for _ in range(2)])

    def again() -> int:
        candidate_filter.start_class()
        candidate_filter.accept(first, 3, 4)
        for start in range(0, len(others), 4):
            candidate_filter.accept(others[start : start + 4], 3, 4)
        return int(candidate_filter.accept(first, 3, 4).sum())

    assert again() == 0
    monkeypatch.setattr(filter, "REMEMBERED", 16)
    monkeypatch.setattr(filter, "LARGEST", 8)
    assert again() == 4
