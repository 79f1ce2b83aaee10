from __future__ import annotations

import numpy as np
import pytest
import torch

from augment import classifiers, features
from augment.dataset import Arrays
from augment.features import Recipe


def arrays(count: int = 24, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    pixels = rng.integers(0, 128, (count, 1, 8, 8), dtype=np.uint8)
    pixels[labels == 1, :, :4] += 127
    return Arrays(pixels, labels, [f"id{place}" for place in range(count)], ["a", "b"])


@pytest.fixture
def recipe() -> Recipe:
    return Recipe("cnn", steps=4, batch=8, device=torch.device("cpu"))


@pytest.fixture
def fits(monkeypatch) -> list[dict]:
    """The arguments of each call of classifiers.fit."""
    calls: list[dict] = []
    real = classifiers.fit

    def note(pixels, labels, **options):
        calls.append({"pixels": pixels, "labels": labels, **options})
        return real(pixels, labels, **options)

    monkeypatch.setattr(classifiers, "fit", note)
    return calls


def test_the_judge_is_fitted_once(tmp_path, recipe, fits):
    first = features.judge(tmp_path, recipe, arrays(), 7)
    assert features.judge(tmp_path, recipe, arrays(), 7).digest == first.digest
    assert len(fits) == 1 and fits[0]["augment"] == classifiers.CLASSIC and fits[0]["seed"] == 7


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
    features.judge(tmp_path, recipe, arrays(), 7)
    other = Recipe(**{**vars(recipe), **change})
    features.judge(tmp_path, other, arrays(seed=data), seed)
    assert len(fits) == 2


def test_a_damaged_judge_is_fitted_again(tmp_path, recipe, fits):
    first = features.judge(tmp_path, recipe, arrays(), 7)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        assert features.judge(tmp_path, recipe, arrays(), 7).digest == first.digest
        assert path.read_bytes() == whole
    assert len(fits) == 3


def test_features_are_those_of_the_classifier_and_kept(tmp_path, recipe, monkeypatch):
    judge = features.judge(tmp_path, recipe, arrays(), 7)
    pixels = arrays(seed=3).pixels
    expected = judge.both(pixels)
    first = features.extract(tmp_path, judge, pixels)
    monkeypatch.setattr(type(judge), "both", None)
    again = features.extract(tmp_path, judge, pixels)
    for one, two, three in zip(expected, first, again, strict=True):
        assert np.array_equal(one, two) and np.array_equal(one, three)
    with pytest.raises(TypeError):  # not kept for other pixels
        features.extract(tmp_path, judge, pixels[::-1])


@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "other", "foreign"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    def compute():
        return {"rows": np.arange(12.0).reshape(3, 4), "more": np.ones(2, np.int64)}

    features.cached(tmp_path, "kind", {"a": 1}, compute)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    features.cached(tmp_path / "other", "kind", {"a": 1}, lambda: {"rows": np.zeros(1)})
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
    found = features.cached(tmp_path, "kind", {"a": 1}, compute)
    assert np.array_equal(found["rows"], compute()["rows"]) and found.keys() == {"rows", "more"}
    assert path.read_bytes() == whole


def test_a_whole_file_is_not_computed_again(tmp_path):
    values = {"rows": np.arange(6, dtype=np.float32).reshape(2, 3)}
    features.cached(tmp_path, "kind", {"a": 1, "b": 2}, lambda: values)
    kept = features.cached(tmp_path, "kind", {"b": 2, "a": 1}, lambda: pytest.fail("computed"))
    assert np.array_equal(kept["rows"], values["rows"])
    other = features.cached(tmp_path, "kind", {"a": 2}, lambda: {"rows": np.zeros(1)})
    assert other["rows"].shape == (1,)


def test_accuracy(tmp_path, recipe, fits):
    longer = Recipe("cnn", 40, 8, recipe.device)
    first = features.accuracy(tmp_path, longer, arrays(), arrays(seed=1), 0, "arm")
    assert first == features.accuracy(tmp_path, longer, arrays(), arrays(seed=1), 0, "arm") > 0.9
    assert len(fits) == 1
    wrong = arrays(seed=1)
    swapped = Arrays(wrong.pixels, 1 - wrong.labels, wrong.ids, wrong.classes)
    assert features.accuracy(tmp_path, longer, arrays(), swapped, 0, "arm") == 1 - first
    nothing = Arrays(wrong.pixels[:0], wrong.labels[:0], [], wrong.classes)
    assert np.isnan(features.accuracy(tmp_path, longer, arrays(), nothing, 0, "arm"))


def test_digest_sees_type_shape_and_content():
    rows = np.arange(6, dtype=np.int32)
    same = {features.digest(rows), features.digest(rows.copy()), features.digest(rows[::1])}
    others = {
        features.digest(rows[::-1]),
        features.digest(rows.reshape(2, 3)),
        features.digest(rows.astype(np.int64)),
        features.digest(rows, rows),
        features.digest(rows.view(np.float32)),
    }
    assert len(same) == 1 and len(others) == 5 and not same & others
