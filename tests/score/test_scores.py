from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from augment.data.reports import SCORE_KEYS
from augment.score.scores import memorisation, via_torch_fidelity
from augment.score.scores.base import SCORES, Measured, ScoreError, Side, merge, require
from augment.score.scores.diversity import mean_distance
from augment.score.scores.fidelity import density_coverage
from augment.vision import kernel_distance, neighbours
from augment.vision.kernel_distance import kid
from augment.vision.neighbours import nearest


def side(features: Any, labels: Any = None, classes: int = 2) -> Side:
    """Images of which the judge guesses every label right."""
    rows = np.asarray(features, np.float32)
    rows = rows[:, None] if rows.ndim == 1 else rows
    kinds = np.zeros(len(rows), np.int64) if labels is None else np.asarray(labels, np.int64)
    return Side(
        np.zeros((len(rows), 1, 8, 8), np.uint8),
        kinds,
        rows,
        np.eye(classes, dtype=np.float32)[kinds],
    )


def uplifted() -> dict[str, Any]:
    """What the protocol finds, in little."""
    spread = {"mean": 0.92, "std": 0.02, "values": [0.9, 0.92, 0.94]}
    gain = {"mean": 0.0, "std": math.nan, "values": [0.0]}
    return {"classic": spread, "written": spread, "gain": gain, "low": -0.01, "high": 0.01}


def measured(train: Side, held: Side, synthetic: Side) -> Measured:
    return Measured(["a", "b"], train, held, synthetic, uplifted)


def score(name: Any, *sides: Side) -> dict[str, Any]:
    return SCORES.build(name)(measured(*sides))


def cloud(count: int, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def exact(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Rows whose mean is 0 and whose covariance is the identity, up to rounding."""
    rows = np.random.default_rng(seed).normal(size=(count, width))
    rows -= rows.mean(0)
    root = np.linalg.cholesky(np.linalg.inv(np.cov(rows.T)))
    return (rows @ root).astype(np.float32)


@pytest.fixture
def small_inception(monkeypatch):
    """Eight features and two logits in the place of the real Inception's."""

    def extract(pixels, weights, cuda):
        rows = pixels[:, 0, 0].astype(np.float32)
        return rows, rows[:, :2]

    monkeypatch.setattr(via_torch_fidelity, "inception", extract)


# One row for each registered score: a closed-form case and what must come out of it.


def fidelity_row() -> tuple:
    rows = exact(200, 4)
    sides = side(rows), side(rows), side(3 + 2 * rows)
    # |mean|² = 4·9; the trace of (1 + 4 - 2·2)·I = 4
    return sides, {"fid": 40.0, "floor.fid": 0.0, "floor.precision": 1.0, "floor.coverage": 1.0}


def diversity_row() -> tuple:
    rows, labels = cloud(60), np.arange(60) % 2
    planted = rows.copy()
    planted[1] = planted[3]
    half = 0.5 * rows + 3 * labels[:, None]
    return (side(rows, labels), side(half, labels), side(planted, labels)), {
        "floor.diversity": 0.5,
        "duplicate_fraction": 2 / 60,
        "per_class.a.diversity": 1.0,
        "per_class.a.duplicate_fraction": 0.0,
        "per_class.b.duplicate_fraction": 2 / 30,
    }


def labels_row() -> tuple:
    right = side(cloud(8), [0, 0, 1, 1, 1, 1, 1, 1])
    wrong = Side(right.pixels, right.labels, right.features, right.probabilities[:, ::-1])
    mixed = Side(
        right.pixels,
        right.labels,
        right.features,
        np.concatenate([wrong.probabilities[:3], right.probabilities[3:]]),
    )
    return (right, wrong, mixed), {
        "label_accuracy": 5 / 8,
        "floor.label_accuracy": 0.0,
        "per_class.a.label_accuracy": 0.0,
        "per_class.b.label_accuracy": 5 / 6,
    }


def showing(features, pixels, labels=None):
    """A side whose first images are ``pixels``, the others blank."""
    images = side(features, labels)
    images.pixels[: len(pixels)] = pixels
    return images


def memorisation_row() -> tuple:
    noise = np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8)).astype(np.uint8)
    real = showing(cloud(100), noise)
    synthetic = np.concatenate([real.features[:30], 50 + cloud(70, seed=1)])
    held = showing(real.features[50:], real.pixels[50:])
    made = showing(synthetic, real.pixels[:30], labels=[0] * 50 + [1] * 50)
    return (real, held, made), {
        "near_copy_fraction": 0.3,
        "authenticity": 0.7,
        "floor.near_copy_fraction": 1.0,
        "floor.authenticity": 0.0,
        "per_class.a.near_copy_fraction": 0.6,
        "per_class.b.near_copy_fraction": 0.0,
    }


def uplift_row() -> tuple:
    nothing = side([0.0])
    return (nothing, nothing, nothing), {"uplift.classic.mean": 0.92, "uplift.high": 0.01}


def inception_row() -> tuple:
    sides = []
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 4, (60, 1, 8, 8), dtype=np.uint8)
        judged = side(cloud(60))
        sides.append(Side(pixels, judged.labels, judged.features, judged.probabilities))
    sides[1] = sides[0]
    return tuple(sides), {"floor.fid_inception": 0.0, "floor.precision_inception": 1.0}


SPECS: dict[str, Any] = {name: name for name in SCORES.names()}
SPECS["inception"] = {"name": "inception", "weights": "none"}
CASES = {
    "fidelity": fidelity_row,
    "diversity": diversity_row,
    "labels": labels_row,
    "memorisation": memorisation_row,
    "uplift": uplift_row,
    "inception": inception_row,
}


def numbers(tree: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a nested dictionary under dotted names."""
    flat: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= numbers(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{key}"] = value
    return flat


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    sides, expected = CASES[name]()
    return score(SPECS[name], *sides), expected


def test_every_score_has_a_row():
    assert sorted(CASES) == SCORES.names()


def test_the_scoreboard_shows_what_scores_register():
    registered = [key for name in SCORES for key in SCORES.describe(name).facts["keys"]]
    plain = [key for key in registered if "." not in key and "inception" not in key]
    assert sorted(plain) == sorted(SCORE_KEYS)


@pytest.mark.parametrize("name", SCORES.names())
def test_closed_form(name, small_inception):
    result, expected = case(name)
    flat = numbers(result)
    for key, value in expected.items():
        assert flat[key] == pytest.approx(value, abs=2e-4), key


@pytest.mark.parametrize("name", SCORES.names())
def test_keys_are_those_declared_and_in_range(name, small_inception):
    keys = SCORES.describe(name).facts["keys"]
    result, _ = case(name)
    floor, per_class = result.pop("floor", {}), result.pop("per_class", {})
    assert numbers(result).keys() == keys.keys()
    assert floor.keys() <= keys.keys()
    assert set(per_class) in (set(), {"a", "b"})
    for part in (numbers(result), floor, *per_class.values()):
        assert part.keys() <= keys.keys()
        for key, value in part.items():
            assert type(value) is float
            assert math.isnan(value) or keys[key].low <= value <= keys[key].high, key


@pytest.mark.parametrize("name", SCORES.names())
def test_same_inputs_same_numbers(name, small_inception):
    assert repr(case(name)) == repr(case(name))


@pytest.mark.parametrize("name", SCORES.names())
def test_tiny_sets_give_numbers_or_nan(name, small_inception):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for counts in itertools.product((1, 2, 3), (0, 1, 2), (0, 1, 2, 3)):
            sides = [side(cloud(count, seed=count), [0] * count) for count in counts]
            keys = SCORES.describe(name).facts["keys"]
            assert keys.keys() <= numbers(score(SPECS[name], *sides)).keys()


def test_more_samples_than_one_block(monkeypatch):
    sides = side(cloud(90), np.arange(90) % 2), side(cloud(40, seed=1)), side(cloud(70, seed=2))
    names = ("fidelity", "diversity", "memorisation")
    whole = {name: numbers(score(name, *sides)) for name in names}
    monkeypatch.setattr(neighbours, "ENTRIES", 200)
    monkeypatch.setattr(kernel_distance, "ROWS", 7)
    monkeypatch.setattr(via_torch_fidelity, "ROWS", 7)
    for name in names:
        assert numbers(score(name, *sides)) == pytest.approx(whole[name], rel=1e-5, nan_ok=True)


# Against naive implementations


def naive_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    gaps = rows[:, None].astype(np.float64) - others[None]
    return np.sqrt((gaps**2).sum(2))


@pytest.mark.parametrize("count", [1, 3])
def test_nearest_is_naive_nearest(count):
    rows, others = cloud(30), cloud(50, seed=1)
    all_distances = naive_distances(rows, others)
    places, distances = nearest(rows, others, count)
    assert np.array_equal(places, np.argsort(all_distances, 1)[:, :count])
    assert np.allclose(distances, np.sort(all_distances, 1)[:, :count])
    np.fill_diagonal(among_others := naive_distances(others, others), np.inf)
    assert np.allclose(
        nearest(others, others, count, same=True)[1], np.sort(among_others, 1)[:, :count]
    )


def test_equal_rows_are_exactly_zero_apart_however_far_from_the_origin():
    rows = 1000 + cloud(40, 64)
    places, distances = nearest(rows[::-1], rows)
    assert np.array_equal(places[:, 0], np.arange(40)[::-1])
    assert (distances == 0).all()


def test_nearest_of_too_few_is_infinitely_far():
    assert (nearest(cloud(3), cloud(0))[1] == np.inf).all()
    assert (nearest(cloud(1), cloud(1), same=True)[1] == np.inf).all()
    distances = nearest(cloud(3), cloud(2, seed=1), 4)[1]
    assert np.isfinite(distances[:, :2]).all() and (distances[:, 2:] == np.inf).all()


def naive_kid(left: np.ndarray, right: np.ndarray) -> float:
    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    within = [
        np.mean([kernel(a, b) for a, b in itertools.permutations(rows, 2)])
        for rows in (left.astype(np.float64), right.astype(np.float64))
    ]
    across = np.mean([kernel(a, b) for a, b in itertools.product(left, right)])
    return float(sum(within) - 2 * across)


def test_kid():
    assert kid(np.zeros((3, 1), np.float32), np.ones((4, 1), np.float32)) == 1 + 8 - 2
    a, b = cloud(13), 0.5 + cloud(9, seed=1)
    assert kid(a, b) == pytest.approx(naive_kid(a, b), rel=1e-5)
    assert kid(a, b) == pytest.approx(kid(b, a), rel=1e-5)
    same = [kid(cloud(200, seed=2 * k), cloud(200, seed=2 * k + 1)) for k in range(40)]
    assert abs(np.mean(same)) < 0.02 < min(kid(cloud(200), 0.5 + cloud(200, seed=1)), 1)
    assert math.isnan(kid(cloud(1), cloud(5)))


def test_kid_is_that_of_torch_fidelity():
    a, b = cloud(50), 0.3 + cloud(50, seed=1)
    assert via_torch_fidelity.compare(a, b, 1, 100)["kid"] == pytest.approx(kid(a, b), rel=1e-4)


def test_density_and_coverage_on_a_line():
    real = np.arange(4, dtype=np.float32)[:, None]  # with k = 1 every ball reaches 1 far

    def measured_at(*places: float) -> dict[str, float]:
        return density_coverage(real, np.array(places, np.float32)[:, None], 1)

    assert measured_at(0.5) == {"density": 2.0, "coverage": 0.5}
    assert measured_at(0.5, 9.0) == {"density": 1.0, "coverage": 0.5}
    assert measured_at(0.5, 2.5) == {"density": 2.0, "coverage": 1.0}
    assert measured_at(9.0) == {"density": 0.0, "coverage": 0.0}


def test_density_and_coverage_are_naive_ones():
    real, other = cloud(60), 0.7 * cloud(80, seed=1)
    radii = np.sort(naive_distances(real, real), 1)[:, 5]  # place 0 is the row itself
    inside = naive_distances(other, real) < radii
    expected = {"density": inside.sum() / (5 * 80), "coverage": inside.any(0).mean()}
    assert density_coverage(real, other, 5) == pytest.approx(expected)


def test_precision_and_recall_tell_narrow_from_wild():
    real = cloud(300)
    narrow = via_torch_fidelity.compare(real, 0.3 * cloud(300, seed=1), 1, 1000)
    wild = via_torch_fidelity.compare(real, 4 * cloud(300, seed=1), 1, 1000)
    assert narrow["precision"] > 0.9 > 0.3 > narrow["recall"]
    assert wild["precision"] < 0.4 < 0.6 < wild["recall"]


def test_a_copy_of_an_image_without_a_label_is_a_copy() -> None:
    """Generators learn from images without a label too."""
    rng = np.random.default_rng(0)
    sides = [
        dataclasses.replace(
            side(cloud(20, seed=seed)), pixels=rng.integers(256, size=(20, 1, 8, 8), dtype=np.uint8)
        )
        for seed in range(3)
    ]
    alone = memorisation.memorisation(measured(*sides))
    every = dataclasses.replace(measured(*sides), unlabelled=sides[2])
    assert len(every.learned) == 40 and measured(*sides).learned is sides[0]
    numbers = memorisation.memorisation(every)
    assert (alone["near_copy_fraction"], numbers["near_copy_fraction"]) == (0.0, 1.0)
    assert numbers["floor"]["near_copy_fraction"] == 0.0


def test_authenticity_is_the_naive_one():
    real, other = cloud(40), cloud(50, seed=1)
    across = naive_distances(other, real)
    np.fill_diagonal(among_real := naive_distances(real, real), np.inf)
    closest = across.argmin(1)
    expected = (across.min(1) > among_real.min(1)[closest]).mean()
    numbers_ = memorisation.memorisation(measured(side(real), side(other), side(other)))
    assert numbers_["authenticity"] == pytest.approx(expected)


def test_a_near_copy_looks_like_one():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 1, 8, 8)).astype(np.uint8)
    real = dataclasses.replace(side(cloud(50)), pixels=pixels)
    shifted = np.roll(pixels, 1, axis=3)
    shifted[..., 0] = shifted[..., 1]  # the border goes on, as a camera a pixel to the left sees it
    mixed = pixels.copy()
    mixed[10:] = rng.integers(0, 256, (40, 1, 8, 8))
    other = rng.integers(0, 256, (50, 1, 8, 8)).astype(np.uint8)
    for seen, expected in ((pixels, 1.0), (shifted, 1.0), (mixed, 0.2), (other, 0.0)):
        made = dataclasses.replace(real, pixels=seen)
        all_rows = memorisation.memorisation(measured(real, real, made))
        assert all_rows["near_copy_fraction"] == pytest.approx(expected, abs=0.05)
        few = memorisation.memorisation(measured(real, real, made), most=25)
        assert few["near_copy_fraction"] == pytest.approx(expected, abs=0.05)


def test_real_against_real_is_as_diverse_and_collapse_is_not():
    rows, labels = cloud(400), np.arange(400) % 2
    real, held = side(rows[:200], labels[:200]), side(rows[200:], labels[200:])
    collapsed = side(0.01 * cloud(100), np.arange(100) % 2)
    scored = score("diversity", real, held, collapsed)
    assert scored["floor"]["diversity"] == pytest.approx(1, abs=0.05)
    assert scored["floor"]["duplicate_fraction"] <= 0.02
    assert scored["diversity"] < 0.02 and scored["duplicate_fraction"] == 1


def test_mean_distance():
    corners = np.array([[0, 0], [3, 4], [0, 0]], np.float32)
    assert mean_distance(corners, 10) == pytest.approx(10 / 3)
    rows = cloud(50)
    np.fill_diagonal(distances := naive_distances(rows, rows), 0)
    assert mean_distance(rows, 50) == pytest.approx(distances.sum() / (50 * 49), rel=1e-5)
    assert mean_distance(rows, 20) == pytest.approx(distances.sum() / (50 * 49), rel=0.3)
    assert math.isnan(mean_distance(rows[:1], 10))


# torch-fidelity


def test_torch_fidelity_knows_every_keyword(monkeypatch):
    from torch_fidelity.defaults import DEFAULTS

    calls: list[dict[str, Any]] = []
    real = via_torch_fidelity.torch_fidelity.calculate_metrics

    def note(**options):
        calls.append(options)
        return real(**options)

    monkeypatch.setattr(via_torch_fidelity.torch_fidelity, "calculate_metrics", note)
    via_torch_fidelity.compare(cloud(9), cloud(9, seed=1), 3, 5)
    names = set().union(*calls)
    assert names - DEFAULTS.keys() == set()
    assert all(options["cuda"] is False and options["cache"] is False for options in calls)
    assert {options.get("kid_subset_size") for options in calls} == {5, None}


def test_a_missing_library_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ScoreError, match=r"needs torch-fidelity.*pip install 'augment\[score\]'"):
        require("fidelity")
    assert require("labels") == {"name": "labels"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An Inception with random weights, as torch-fidelity's file would hold it."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys.modules[Network.__module__], "load_state_dict_from_url", lambda *_, **__: {}
        )
        patch.setattr(Network, "load_state_dict", lambda *_: None)
        network = Network("inception-v3-compat", ["2048"])
    torch.save(network.state_dict(), path)
    return path


def test_inception_takes_grey_and_colour_from_a_file(weights):
    via_torch_fidelity.read_weights(weights)
    grey = np.random.default_rng(0).integers(0, 256, (2, 1, 9, 9), dtype=np.uint8)
    features, logits = via_torch_fidelity.inception(grey, weights, cuda=False)
    assert features.shape == (2, 2048) and logits.shape == (2, 1008)
    colour = np.repeat(grey[:1], 3, 1)
    assert np.allclose(
        via_torch_fidelity.inception(colour, weights, False)[0], features[:1], atol=1e-4
    )
    assert len(via_torch_fidelity.inception(grey[:0], weights, False)[0]) == 0


def test_inception_score_of_sure_and_unsure():
    sure = 50 * np.tile(np.eye(4, dtype=np.float32), (50, 1))
    assert via_torch_fidelity.inception_score(sure) == pytest.approx(4, abs=0.4)
    assert via_torch_fidelity.inception_score(np.zeros((20, 4), np.float32)) == pytest.approx(1)


class Command:
    def __reduce__(self):
        return print, ("this ran",)


def test_weights_that_could_run_code_are_refused(tmp_path, capsys):
    with pytest.raises(ScoreError, match="no such file"):
        via_torch_fidelity.read_weights(tmp_path / "none.pth")
    torch.save({"weight": Command()}, tmp_path / "bad.pth")
    (tmp_path / "text.pth").write_text("not weights")
    for name in ("bad.pth", "text.pth"):
        with pytest.raises(ScoreError, match=f"{name}: no file of weights"):
            via_torch_fidelity.read_weights(tmp_path / name)
        with pytest.raises(ScoreError, match=f"{name}: no file of weights"):  # swapped since then
            via_torch_fidelity.inception(
                np.zeros((1, 1, 9, 9), np.uint8), tmp_path / name, cuda=False
            )
    assert "this ran" not in capsys.readouterr().out


def test_merge_goes_level_by_level():
    into = {"fid": 1.0, "per_class": {"a": {"kid": 2.0}}}
    merge(into, {"per_class": {"a": {"diversity": 3.0}}, "floor": {"fid": 4.0}})
    assert into == {
        "fid": 1.0,
        "per_class": {"a": {"kid": 2.0, "diversity": 3.0}},
        "floor": {"fid": 4.0},
    }
