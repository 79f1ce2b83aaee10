"""Selectors: their numbers from both sides, what each owes, and what they keep of real digits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from augment import params, pipeline
from augment.data import images, table
from augment.data.places import CACHE, GENERATOR, SYNTHETIC
from augment.models.generator import CHUNK, Generator
from augment.params import ParamsError
from augment.synth import candidates, selection
from augment.synth import run as synth
from augment.synth.candidates import Draw, Tally
from augment.synth.inputs import fit_selection, prepare
from augment.synth.one_class import fulfil
from augment.synth.quotas import Order
from augment.synth.selection import Selection, SelectionError
from augment.synth.selectors import SELECTORS, Pool, choose
from augment.synth.settings import SynthSettings


def line(*places: float) -> np.ndarray:
    """Features on one axis, so that distances are seen at once."""
    return np.array([[place, 0.0] for place in places], np.float32)


def sure(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def pool(**given: np.ndarray) -> Pool:
    """Of class 0; what no case gives is empty."""
    count = len(next(given[name] for name in ("features", "probabilities") if name in given))
    empty = {name: np.zeros((count, 0), np.float32) for name in ("probabilities", "second")}
    known = {"features": line(*[0.0] * count), "real": line(0.0), "held": np.zeros(0)}
    return Pool(0, **{**empty, **known, **given})


CHAIN = line(0, 1, 2, 10)  # crowded on the left, thin at 10
# name -> (pool, options, scores)
CASES = {
    "agreement": [
        (
            pool(
                probabilities=sure((1, 0), (0.5, 0.5), (0.8, 0.2)),
                second=sure((1, 0), (0.5, 0.5), (0, 1)),
            ),
            {},
            [1.0, 0.25, 0.0],
        ),
    ],
    "margin": [
        (
            pool(
                probabilities=sure(
                    (1, 0, 0),
                    (0.5, 0.25, 0.25),
                    (0.5, 0.375, 0.125),
                    (0.5, 0.5, 0),
                    (0.25, 0.75, 0),
                )
            ),
            {},
            [0.0, 0.75, 0.875, 0.0, -0.5],
        ),
        (pool(probabilities=sure((0, 1))), {}, [-1.0]),
    ],
    "novelty": [
        (
            pool(features=line(0, 1, 4, 5, 8, 10), real=line(0), held=np.array([4.0])),
            {},
            [0, 1, 4, 3, 0, -2],
        ),
        (
            pool(features=line(2, 7), real=line(0, 8), held=np.array([1.0, 2.0, 3.0])),
            {"quantile": 0.5},
            [2, 1],
        ),
        (
            pool(features=line(2, 7), real=line(0, 8), held=np.array([1.0, 2.0, 3.0])),
            {"quantile": 0.0},
            [0, 1],
        ),
        (pool(features=line(1, 3), real=line(0)), {}, [1, 3]),  # nothing held out
    ],
    "coverage": [
        (pool(features=line(0, 1.1, 9, 8), real=CHAIN), {"neighbours": 1}, [1, 1, 8, 4]),
        (pool(features=line(8, 9, 9.5), real=CHAIN), {"neighbours": 1}, [8 / 3, 4, 8]),
        (pool(features=line(0, 9), real=CHAIN), {"neighbours": 2}, [2, 9]),
        (pool(features=line(0, 9), real=CHAIN), {"neighbours": 50}, [10, 10]),
        (pool(features=line(5, 3), real=line(0)), {}, [0.5, 1]),  # a single real image
    ],
}


def drawn(count: int, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    probabilities, second = rng.dirichlet(np.ones(4), (2, count)).astype(np.float32)
    features, real = rng.normal(size=(count, 8)), rng.normal(size=(20, 8))
    return Pool(
        1, features.astype(np.float32), probabilities, second, real.astype(np.float32),
        np.abs(rng.normal(size=9)),
    )  # fmt: skip


def taken(whole: Pool, places: np.ndarray) -> Pool:
    rows = {name: getattr(whole, name)[places] for name in ("features", "probabilities", "second")}
    return dataclasses.replace(whole, **rows)


def test_every_selector_has_cases() -> None:
    assert sorted(CASES) == SELECTORS.names()


@pytest.mark.parametrize("name", SELECTORS.names())
def test_scores(name: str) -> None:
    for given, options, expected in CASES[name]:
        found = SELECTORS.build({"name": name, **options})(given)
        assert found == pytest.approx(np.asarray(expected, float), abs=1e-6), options


@pytest.mark.parametrize("name", SELECTORS.names())
def test_contract(name: str) -> None:
    assert SELECTORS.describe(name).summary
    selector = SELECTORS.build(name)
    whole = drawn(50)
    scores = selector(whole)
    assert scores.shape == (50,) and scores.dtype == np.float64
    assert np.isfinite(scores).all() and len(np.unique(scores)) > 10
    assert (selector(drawn(50)) == scores).all()
    order = np.random.default_rng(1).permutation(50)
    assert selector(taken(whole, order)) == pytest.approx(scores[order], abs=1e-6)
    assert selector(taken(whole, order[:1])).shape == (1,)
    alone = dataclasses.replace(whole, real=whole.real[:1], held=whole.held[:0])
    assert np.isfinite(selector(alone)).all()


@pytest.mark.parametrize("name", SELECTORS.names())
def test_a_second_classifier_is_asked_for_where_it_is_used(name: str) -> None:
    whole = drawn(9)
    other = dataclasses.replace(whole, second=whole.second[::-1].copy())
    changed = (SELECTORS.build(name)(whole) != SELECTORS.build(name)(other)).any()
    assert changed == SELECTORS.describe(name).facts.get("second", False)


def test_sums_of_ranks_choose() -> None:
    def fixed(*scores: float):
        return lambda _: np.array(scores)

    whole = drawn(4)
    assert choose([fixed(1, 4, 2, 3)], whole, 2).tolist() == [1, 3]
    assert choose([fixed(1, 4, 2, 3), fixed(900, 0, 901, 0.5)], whole, 1).tolist() == [2]
    assert choose([fixed(1, 4, 2, 3), fixed(-1, -4, -2, -3)], whole, 2).tolist() == [0, 1]
    assert choose([], whole, 3).tolist() == [0, 1, 2]
    assert choose([fixed(1, 4, 2, 3)], whole, 9).tolist() == [0, 1, 2, 3]


def test_real_digits_are_known_by_their_places() -> None:
    """Pixels as features: a digit of another class is too new, a copy is not new at all."""
    data, labels = load_digits(return_X_y=True)
    threes = data[labels == 3].astype(np.float32)
    real, held, honest = threes[:100], threes[100:140], threes[140:160]
    foreign = data[labels == 4][:20].astype(np.float32)
    gaps = np.sqrt(np.square(held[:, None] - real).sum(2)).min(1).astype(np.float64)
    features = np.concatenate([real[:20], honest, foreign])
    empty = np.zeros((60, 0), np.float32)
    scores = SELECTORS.build("novelty")(Pool(3, features, empty, empty, real, gaps))
    copies, new, wrong = scores[:20], scores[20:40], scores[40:]
    assert (copies == 0).all() and np.median(new) > 10 and np.median(wrong) < np.median(new)
    kept = choose([SELECTORS.build("novelty")], Pool(3, features, empty, empty, real, gaps), 20)
    assert ((kept >= 20) & (kept < 40)).sum() >= 15


ALL = [{"name": "coverage", "neighbours": 3}, "agreement", "margin", "novelty"]


def changed(loaded: params.Params, **synthetic: object) -> params.Params:
    group = {**loaded.synth.model_dump(), "per_class": 6, **synthetic}
    return loaded.model_copy(update={"synth": SynthSettings.model_validate(group)})


@pytest.fixture(scope="module")
def loaded(project: Path) -> params.Params:
    return params.load(project / "params.yaml")


@pytest.fixture
def beside(project: Path, tmp_path: Path) -> Path:
    """A project with the data and the generator of ``project``, and nothing made yet."""
    for place in ("data/clean", "models/generator"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(project / place)
    return tmp_path


def rows(root: Path) -> list[table.Row]:
    return list(table.rows(root / SYNTHETIC))


SECOND = {"network": {"name": "residual", "width": 8}, "steps": 20}


def test_stage_keeps_the_best_of_the_surplus(
    beside: Path, project: Path, loaded: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = changed(loaded, select=ALL, surplus=3.0, second=SECOND)
    report = synth.run(settings, beside)
    found = rows(beside)
    assert [row["label"] for row in found] == [
        name for name in map(str, range(10)) for _ in "6" * 6
    ]
    for one in report["per_class"].values():
        assert (one["accepted"], one["rejected"]["selection"]) == (6, 12)
        assert one["candidates"] == one["accepted"] + sum(one["rejected"].values())
    assert [spec["name"] for spec in report["select"]] == [
        "coverage", "agreement", "margin", "novelty",
    ]  # fmt: skip
    for name in map(str, range(10)):
        indices = [row["index"] for row in found if row["label"] == name]
        assert indices == sorted(indices)
    made = Generator.load(beside / GENERATOR, device="cpu")
    number, place = divmod(found[7]["index"], CHUNK)
    chunk = next(made.candidates(found[7]["label"], seed=0, first=number))
    assert found[7]["codes"] == pytest.approx(chunk.codes[place].tolist())

    plain = changed(loaded, per_class=18)
    before = (beside / "reports/synth.json").read_bytes()
    synth.run(plain, beside)
    assert {row["id"] for row in found} < {row["id"] for row in rows(beside)}
    monkeypatch.setattr(selection, "fit_judge", lambda *_, **__: pytest.fail("fitted"))
    monkeypatch.setattr(candidates.workers, "WAITING", 0)
    synth.run(settings, beside)  # the second classifier is read, not fitted again
    assert rows(beside) == found and (beside / "reports/synth.json").read_bytes() == before


def test_no_selector_keeps_the_first(beside: Path, project: Path, loaded: params.Params) -> None:
    report = synth.run(changed(loaded), beside)
    first = [row for row in rows(project) if row["label"] == "4"][:6]
    assert [row for row in rows(beside) if row["label"] == "4"] == first
    assert not (beside / CACHE).exists() and report["select"] == []
    assert all("selection" not in one["rejected"] for one in report["per_class"].values())


def test_scores_say_which_are_kept(project: Path, loaded: params.Params) -> None:
    """Of the same candidates novelty keeps those farthest from real images, up to the bound."""
    made, chosen, _ = prepare(loaded.synth, project)
    settings = changed(loaded, select=[{"name": "novelty", "quantile": 1.0}], surplus=4).synth
    found = fit_selection(settings, chosen, project)
    assert found is not None and found.second is None
    far = dataclasses.replace(found, held=found.held + 1e3)  # a bound that nothing reaches
    tally, order = Tally(), [Order("3", 5)]
    kept = list(candidates.synthesise(made, chosen, order, Draw(max_candidates=300), tally, far))
    whole = [Order("3", 20)]
    every = list(candidates.synthesise(made, chosen, whole, Draw(max_candidates=300), Tally()))
    real = chosen.reference[chosen.train.labels == 3]
    pixels = np.stack([images.pixels(row["image"]["bytes"], "L") for row in every])[:, None]
    seen = chosen.labeller.features(pixels)
    gaps = np.sqrt(np.square(seen[:, None] - real).sum(2)).min(1)
    best = np.sort(np.argsort(-gaps)[:5])
    assert [row["index"] for row in kept] == [every[place]["index"] for place in best]
    assert kept == [every[place] for place in best]


def test_fewer_than_the_surplus_are_enough_when_the_budget_is_spent(
    project: Path, loaded: params.Params
) -> None:
    made, chosen, _ = prepare(loaded.synth, project)
    settings = changed(loaded, select=["margin"], surplus=1000).synth
    found = fit_selection(settings, chosen, project)
    tally = Tally()
    kept = list(
        candidates.synthesise(made, chosen, [Order("1", 2)], Draw(max_candidates=60), tally, found)
    )
    one = tally.per_class["1"]
    assert len(kept) == one["accepted"] == 2 and 0 < one["rejected"]["selection"] < 1998
    assert one["candidates"] == 2 + sum(one["rejected"].values()) == 128


def test_class_without_train_images_is_named(project: Path, loaded: params.Params) -> None:
    _, chosen, train = prepare(loaded.synth, project)
    chosen.train = dataclasses.replace(train, labels=np.zeros_like(train.labels))
    found = Selection([], 2.0, chosen, chosen.reference[:0], train.labels[:0], None)
    with pytest.raises(SelectionError, match="class '3': no train image"):
        found.best("3", 1, [])


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        (
            "synth.select=[noveltie]",
            ParamsError,
            "synth.select: unknown selector 'noveltie'; known",
        ),
        ("synth.select=[{name: novelty, quantile: 2}]", ParamsError, "option 'quantile'"),
        ("synth.surplus=0.5", ParamsError, "synth.surplus"),
        ("synth.codes=narrow", ParamsError, "synth.codes"),
        ("synth.second.network=cnnn", ParamsError, "synth.second.network: unknown classifier"),
    ],
)
def test_wrong_settings(project: Path, override: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("[", r"\[")):
        pipeline.load([override], project)


def test_one_class_is_selected_too(beside: Path, loaded: params.Params) -> None:
    settings = changed(loaded, select=["margin", "coverage"], surplus=2.5)
    out = beside / "out"
    report = fulfil(
        settings, Order("5", 4), Draw(max_candidates=300), writer="parquet", out=out, root=beside
    )
    assert (report["accepted"], report["rejected"]["selection"]) == (4, 6)
    assert report["candidates"] == 4 + sum(report["rejected"].values())
    assert table.count(out) == 4
