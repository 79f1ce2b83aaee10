from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from augment.classifiers import judge
from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.classifiers.judge import JudgeRecipe, extract, fit_judge
from augment.data.arrays import Arrays
from augment.runtime import cache
from augment.score.uplift import learners
from augment.score.uplift.answers import fitted_answers
from augment.score.uplift.arms import Training
from augment.score.uplift.learners import Terms


def arrays(count: int = 24, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    pixels = rng.integers(0, 128, (count, 1, 8, 8), dtype=np.uint8)
    pixels[labels == 1, :, :4] += 127
    return Arrays(pixels, labels, [f"id{place}" for place in range(count)], ["a", "b"])


@pytest.fixture
def recipe() -> JudgeRecipe:
    return JudgeRecipe("cnn", steps=4, batch=8, device=torch.device("cpu"))


@pytest.fixture
def fits(monkeypatch) -> list[dict]:
    """The arguments of each call of classifiers.fit."""
    calls: list[dict] = []
    real = fit_classifier

    def note(pixels, labels, **options):
        calls.append({"pixels": pixels, "labels": labels, **options})
        return real(pixels, labels, **options)

    for module in (judge, learners):
        monkeypatch.setattr(module, "fit_classifier", note)
    return calls


def test_the_judge_is_fitted_once(tmp_path, recipe, fits):
    first = fit_judge(tmp_path, recipe, arrays(), 7)
    assert fit_judge(tmp_path, recipe, arrays(), 7).digest == first.digest
    assert len(fits) == 1 and fits[0]["augment"] == CLASSIC and fits[0]["seed"] == 7
    assert fits[0]["even"]


@pytest.mark.parametrize(
    ("change", "seed", "data"),
    [
        ({"steps": 5}, 7, 0),
        ({"batch": 6}, 7, 0),
        ({"network": "residual"}, 7, 0),
        ({}, 8, 0),
        ({}, 7, 1),
    ],
)
def test_another_judge_for_other_settings_or_data(tmp_path, recipe, fits, change, seed, data):
    fit_judge(tmp_path, recipe, arrays(), 7)
    other = JudgeRecipe(**{**vars(recipe), **change})
    fit_judge(tmp_path, other, arrays(seed=data), seed)
    assert len(fits) == 2


def test_a_damaged_judge_is_fitted_again(tmp_path, recipe, fits):
    first = fit_judge(tmp_path, recipe, arrays(), 7)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        assert fit_judge(tmp_path, recipe, arrays(), 7).digest == first.digest
        assert path.read_bytes() == whole
    assert len(fits) == 3


def test_features_are_those_of_the_classifier_and_kept(tmp_path, recipe, monkeypatch):
    judge = fit_judge(tmp_path, recipe, arrays(), 7)
    pixels = arrays(seed=3).pixels
    expected = judge.both(pixels)
    first = extract(tmp_path, judge, pixels)
    monkeypatch.setattr(type(judge), "both", None)
    again = extract(tmp_path, judge, pixels)
    for direct, kept, read in zip(expected, first, again, strict=True):
        assert np.array_equal(direct, kept) and np.array_equal(direct, read)
    with pytest.raises(TypeError):  # not kept for other pixels
        extract(tmp_path, judge, pixels[::-1])


@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "other", "foreign"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    def compute():
        return {"rows": np.arange(12.0).reshape(3, 4), "more": np.ones(2, np.int64)}

    cache.cached(tmp_path, "kind", {"a": 1}, compute)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    cache.cached(tmp_path / "other", "kind", {"a": 1}, lambda: {"rows": np.zeros(1)})
    (other,) = (tmp_path / "other").iterdir()
    forged = other.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "short": whole[:-8],
            "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
            "other": forged[:-1] + bytes([forged[-1] ^ 1]),
            "foreign": b"\x80\x04cos\nsystem\n.",
        }[damage]
    )
    values = cache.cached(tmp_path, "kind", {"a": 1}, compute)
    assert np.array_equal(values["rows"], compute()["rows"]) and values.keys() == {"rows", "more"}
    assert path.read_bytes() == whole


def test_a_whole_file_is_not_computed_again(tmp_path):
    values = {"rows": np.arange(6, dtype=np.float32).reshape(2, 3)}
    cache.cached(tmp_path, "kind", {"a": 1, "b": 2}, lambda: values)
    kept = cache.cached(tmp_path, "kind", {"b": 2, "a": 1}, lambda: pytest.fail("computed"))
    assert np.array_equal(kept["rows"], values["rows"])
    other = cache.cached(tmp_path, "kind", {"a": 2}, lambda: {"rows": np.zeros(1)})
    assert other["rows"].shape == (1,)


def ask(folder: Path, seed: int = 0, learner: str = "judge", **changes) -> np.ndarray:
    data = arrays(seed=changes.pop("data", 0))
    training = Training(data.pixels, data.labels, changes.pop("policy", "affine"))
    shown = arrays(seed=changes.pop("shown", 1)).pixels
    terms = Terms(2, 40, 8, "cnn", "glyph", torch.device("cpu"))
    terms = dataclasses.replace(terms, **changes)
    return fitted_answers(folder, learner, terms, training, seed, shown, "arm")


def test_answers_are_kept(tmp_path, fits):
    first = ask(tmp_path)
    assert first.shape == (24, 2) and (first.argmax(1) == arrays(seed=1).labels).mean() > 0.9
    assert np.array_equal(ask(tmp_path), first) and len(fits) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"data": 2}, {"shown": 2}, {"policy": None}, {"policy": "elastic"},
        {"profile": "natural"}, {"steps": 41}, {"batch": 9}, {"network": "residual"},
        {"policy": {"name": "affine", "degrees": 5.0}}, {"learner": "svc"},
    ],
)  # fmt: skip
def test_other_answers_for_other_questions(tmp_path, change):
    ask(tmp_path)
    ask(tmp_path, **change)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_takes_no_steps_is_fitted_once_for_all(tmp_path):
    first = ask(tmp_path, learner="svc")
    assert np.array_equal(ask(tmp_path, 1, "svc", steps=3, policy=None), first)
    assert len(list(tmp_path.iterdir())) == 1


def test_digest_sees_type_shape_and_content():
    rows = np.arange(6, dtype=np.int32)
    same = {
        cache.digest_of_arrays(rows),
        cache.digest_of_arrays(rows.copy()),
        cache.digest_of_arrays(rows[::1]),
    }
    others = {
        cache.digest_of_arrays(rows[::-1]),
        cache.digest_of_arrays(rows.reshape(2, 3)),
        cache.digest_of_arrays(rows.astype(np.int64)),
        cache.digest_of_arrays(rows, rows),
        cache.digest_of_arrays(rows.view(np.float32)),
    }
    assert len(same) == 1 and len(others) == 5 and not same & others
