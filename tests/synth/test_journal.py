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
from augment.synth.candidates import Draw
from augment.synth.filter import Filter
from augment.synth.inputs import prepare
from augment.synth.quotas import Order
from augment.synth.selectors import Selection
from augment.synth.settings import SynthSettings

SETTINGS = SynthSettings(per_class={"3": 150, "7": 100}, probability=0.0)
CHOICE = SETTINGS.model_copy(update={"select": ["coverage"], "surplus": 2.0})


@pytest.fixture
def root(project: Path, tmp_path: Path) -> Path:
    for place in ("data/clean", "models/generator"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(project / place)
    return tmp_path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few candidates, and a filter that rejects none."""

    def mild(*arguments: Any) -> tuple[Generator, Filter, Arrays]:
        generator, candidate_filter, train = prepare(*arguments)
        candidate_filter.threshold, candidate_filter.visible = 0.0, -1.0
        return generator, candidate_filter, train

    monkeypatch.setattr(synth, "prepare", mild)
    monkeypatch.setattr(one_class, "prepare", mild)
    monkeypatch.setattr(journal, "KEPT", 8)
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
    settings: SynthSettings, parts: int, root: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    unbroken = synth.run(settings, root)
    digest = files.digest_of_folder(root / "data/synthetic")
    assert not list((root / ".augment/synth").glob("*"))
    with monkeypatch.context() as patch:
        stops_after(parts, patch)
        with pytest.raises(KeyboardInterrupt):
            synth.run(settings, root)
    assert files.digest_of_folder(root / "data/synthetic") == digest  # the one of before
    firsts: list[int] = []
    draw = Generator.candidates

    def noted(self: Generator, *arguments: Any, first: int = 0, **options: Any) -> Iterator[Any]:
        firsts.append(first)
        return draw(self, *arguments, first=first, **options)

    monkeypatch.setattr(Generator, "candidates", noted)
    capsys.readouterr()
    assert synth.run(settings, root) == unbroken
    assert files.digest_of_folder(root / "data/synthetic") == digest
    assert "goes on after" in capsys.readouterr().err
    assert firsts.count(0) < len(unbroken["per_class"])
    assert not list((root / ".augment/synth").glob("*"))


def test_other_settings_begin_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SETTINGS.model_copy(update={"seed": 1})
    synth.run(other, root)
    digest = files.digest_of_folder(root / "data/synthetic")
    with monkeypatch.context() as patch:
        stops_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            synth.run(SETTINGS, root)
    synth.run(other, root)
    assert files.digest_of_folder(root / "data/synthetic") == digest


@pytest.mark.parametrize("writer", ["image_folder", "parquet"])
def test_a_class_on_demand_goes_on_with_the_same_bytes(
    writer: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, draw = Order("3", 150), Draw(4, truncation=0.7)
    for filtered in (True, False):
        options: dict[str, Any] = {"writer": writer, "filtered": filtered, "root": root}
        outs = [root / f"{name}-{filtered}" for name in ("whole", "again")]
        whole = one_class.fulfil(SETTINGS, order, draw, out=outs[0], **options)
        with monkeypatch.context() as patch:
            stops_after(0, patch)
            with pytest.raises(KeyboardInterrupt):
                one_class.fulfil(SETTINGS, order, draw, out=outs[1], **options)
        assert not outs[1].exists()
        again = one_class.fulfil(SETTINGS, order, draw, out=outs[1], **options)
        assert again | {"out": ""} == whole | {"out": ""}
        assert files.digest_of_folder(outs[0]) == files.digest_of_folder(outs[1])


def test_a_selection_of_many_works_in_blocks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block keeps the best of its own surplus."""
    counts: list[tuple[int, int]] = []
    best = Selection.best

    def noted(self: Selection, features: Any, real: Any, count: int) -> Any:
        counts.append((len(features), count))
        return best(self, features, real, count)

    monkeypatch.setattr(Selection, "best", noted)
    monkeypatch.setattr(candidates, "BLOCK", 40)
    one_class.fulfil(CHOICE, Order("3", 100), Draw(0), root=root,
                     writer="parquet", out=root / "out")  # fmt: skip
    assert counts == [(80, 40), (80, 40), (40, 20)]
    assert table.count(root / "out") == 100


def test_the_filter_forgets_the_oldest_of_many(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, candidate_filter, _ = prepare(SETTINGS, root)
    candidate_filter.threshold, candidate_filter.visible = 1e-3, -1.0
    chunks = generator.candidates("3", seed=0)
    first = next(chunks).pixels[:4]
    others = np.concatenate([next(chunks).pixels for _ in range(2)])

    def again() -> int:
        candidate_filter.start_class()
        candidate_filter.accept(first, 3, 4)
        for start in range(0, len(others), 4):
            candidate_filter.accept(others[start : start + 4], 3, 4)
        return int(candidate_filter.accept(first, 3, 4).accepted.sum())

    assert again() == 0
    monkeypatch.setattr(filter, "REMEMBERED", 16)
    monkeypatch.setattr(filter, "LARGEST", 8)
    assert again() == 4
