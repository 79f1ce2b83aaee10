"""Selectors: their numbers from both sides, what each owes, and what they keep of real digits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from augment import params, pipeline
from augment.data import images, table
from augment.data.places import CACHE, GENERATOR, SYNTHETIC
from augment.models.generator import CHUNK, Generator
from augment.params import ParamsError
from augment.synth import candidates
from augment.synth import run as synth
from augment.synth.candidates import Tally
from augment.synth.filter import FilterError
from augment.synth.inputs import prepare
from augment.synth.measured import Draw
from augment.synth.one_class import fulfil
from augment.synth.quotas import Order
from augment.synth.selectors import SELECTORS, Selection, highest_ranked
from augment.synth.settings import SynthSettings


def line(*places: float) -> np.ndarray:
    """Features on one axis, so that distances are seen at once."""
    return np.array([[place, 0.0] for place in places], np.float32)


CHAIN = line(0, 1, 2, 10)  # crowded on the left, thin at 10
# name -> (features, real features, options, scores)
CASES = {
    "coverage": [
        (line(0, 1.1, 9, 8), CHAIN, {"neighbours": 1}, [1, 1, 8, 4]),
        (line(8, 9, 9.5), CHAIN, {"neighbours": 1}, [8 / 3, 4, 8]),
        (line(0, 9), CHAIN, {"neighbours": 2}, [2, 9]),
        (line(0, 9), CHAIN, {"neighbours": 50}, [10, 10]),
        (line(5, 3), line(0), {}, [0.5, 1]),  # a single real image
    ],
}


def test_every_selector_has_cases() -> None:
    assert sorted(CASES) == SELECTORS.names()


@pytest.mark.parametrize("name", SELECTORS.names())
def test_scores(name: str) -> None:
    for features, real, options, expected in CASES[name]:
        scores = SELECTORS.build({"name": name, **options})(features, real)
        assert scores == pytest.approx(np.asarray(expected, float), abs=1e-6), options


@pytest.mark.parametrize("name", SELECTORS.names())
def test_contract(name: str) -> None:
    assert SELECTORS.describe(name).summary
    selector = SELECTORS.build(name)
    rng = np.random.default_rng(0)
    features, real = (rng.normal(size=(rows, 8)).astype(np.float32) for rows in (50, 20))
    scores = selector(features, real)
    assert scores.shape == (50,) and scores.dtype == np.float64
    assert np.isfinite(scores).all() and len(np.unique(scores)) > 10
    assert (selector(features, real) == scores).all()
    order = rng.permutation(50)
    assert selector(features[order], real) == pytest.approx(scores[order], abs=1e-6)
    assert selector(features[:1], real).shape == (1,)
    assert np.isfinite(selector(features, real[:1])).all()


def test_sums_of_ranks_choose() -> None:
    def places(count: int, *scores: tuple[float, ...]) -> list[int]:
        return highest_ranked([np.array(values) for values in scores], count).tolist()

    assert places(2, (1, 4, 2, 3)) == [1, 3]
    assert places(1, (1, 4, 2, 3), (900, 0, 901, 0.5)) == [2]
    assert places(2, (1, 4, 2, 3), (-1, -4, -2, -3)) == [0, 1]
    assert places(9, (1, 4, 2, 3)) == [0, 1, 2, 3]


def changed(loaded: params.Params, **synthetic: object) -> SynthSettings:
    return SynthSettings.model_validate({**loaded.synth.model_dump(), "per_class": 6, **synthetic})


@pytest.fixture(scope="module")
def loaded(project: Path) -> params.Params:
    return params.load(project / "params.yaml")


def rows(root: Path) -> list[table.Row]:
    return list(table.rows(root / SYNTHETIC))


def test_stage_keeps_the_best_of_the_surplus(
    beside: Path, project: Path, loaded: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = changed(loaded, select=[{"name": "coverage", "neighbours": 3}], surplus=3.0)
    report = synth.run(settings, beside)
    kept = rows(beside)
    assert [row["label"] for row in kept] == [name for name in map(str, range(10)) for _ in "6" * 6]
    for counts in report["per_class"].values():
        assert (counts["accepted"], counts["rejected"]["selection"]) == (6, 12)
        assert counts["candidates"] == counts["accepted"] + sum(counts["rejected"].values())
    assert report["select"] == [{"name": "coverage", "neighbours": 3}]
    for name in map(str, range(10)):
        indices = [row["index"] for row in kept if row["label"] == name]
        assert indices == sorted(indices)
    generator = Generator.load(beside / GENERATOR, device="cpu")
    number, place = divmod(kept[7]["index"], CHUNK)
    chunk = next(generator.candidates(kept[7]["label"], seed=0, first=number))
    assert kept[7]["codes"] == pytest.approx(chunk.codes[place].tolist())

    plain = changed(loaded, per_class=18)
    before = (beside / "reports/synth.json").read_bytes()
    synth.run(plain, beside)
    assert {row["id"] for row in kept} < {row["id"] for row in rows(beside)}
    monkeypatch.setattr(candidates.workers, "WAITING", 0)
    synth.run(settings, beside)
    assert rows(beside) == kept and (beside / "reports/synth.json").read_bytes() == before


def test_no_selector_keeps_the_first(beside: Path, project: Path, loaded: params.Params) -> None:
    report = synth.run(changed(loaded), beside)
    first = [row for row in rows(project) if row["label"] == "4"][:6]
    assert [row for row in rows(beside) if row["label"] == "4"] == first
    assert not (beside / CACHE).exists() and report["select"] == []
    assert all("selection" not in counts["rejected"] for counts in report["per_class"].values())


def test_scores_say_which_are_kept(project: Path, loaded: params.Params) -> None:
    """Of the same candidates a selector keeps those with the greatest scores: here, of distance."""
    generator, candidate_filter, _ = prepare(loaded.synth, project)

    def distance(features: np.ndarray, real: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(features[:, None] - real).sum(2)).min(1).astype(np.float64)

    def drawn_rows(count: int, selection: Selection | None) -> list[table.Row]:
        orders, draw = [Order("3", count)], Draw(max_candidates=300)
        return list(
            candidates.synthesise(generator, candidate_filter, orders, draw, Tally(), selection)
        )

    kept, every = drawn_rows(5, Selection([distance], 4.0)), drawn_rows(20, None)
    pixels = np.stack([images.pixels(row["image"]["bytes"], "L") for row in every])[:, None]
    gaps = distance(candidate_filter.labeller.features(pixels), candidate_filter.real_features("3"))
    assert kept == [every[place] for place in np.sort(np.argsort(-gaps)[:5])]


def test_fewer_than_the_surplus_are_enough_when_the_budget_is_spent(
    project: Path, loaded: params.Params
) -> None:
    generator, candidate_filter, _ = prepare(loaded.synth, project)
    selection = Selection.build(changed(loaded, select=["coverage"], surplus=1000))
    tally, orders = Tally(), [Order("1", 2)]
    draw = Draw(max_candidates=60)
    kept = list(candidates.synthesise(generator, candidate_filter, orders, draw, tally, selection))
    counts = tally.per_class["1"]
    assert len(kept) == counts["accepted"] == 2 and 0 < counts["rejected"]["selection"] < 1998
    assert counts["candidates"] == 2 + sum(counts["rejected"].values()) == 128


def test_class_without_train_images_is_named(project: Path, loaded: params.Params) -> None:
    _, candidate_filter, train = prepare(loaded.synth, project)
    candidate_filter.train = dataclasses.replace(train, labels=np.zeros_like(train.labels))
    with pytest.raises(FilterError, match="class '3': no train image"):
        candidate_filter.real_features("3")


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        (
            "synth.select=[coverige]",
            ParamsError,
            "synth.select: unknown selector 'coverige'; known",
        ),
        ("synth.select=[{name: coverage, neighbours: 0}]", ParamsError, "option 'neighbours'"),
        ("synth.surplus=0.5", ParamsError, "synth.surplus"),
        ("synth.codes=uniform", ParamsError, "synth.codes: unknown key"),
        ("synth.second.network=cnn", ParamsError, "synth.second: unknown key"),
    ],
)
def test_wrong_settings(project: Path, override: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("[", r"\[")):
        pipeline.load([override], project)


def test_one_class_is_selected_too(beside: Path, loaded: params.Params) -> None:
    settings = changed(loaded, select=["coverage"], surplus=2.5)
    out = beside / "out"
    report = fulfil(
        settings, Order("5", 4), Draw(max_candidates=1000), writer="parquet", out=out, root=beside
    )
    assert (report["accepted"], report["rejected"]["selection"]) == (4, 6)
    assert report["candidates"] == 4 + sum(report["rejected"].values())
    assert table.count(out) == 4
