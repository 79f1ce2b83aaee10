from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from augment.classifiers.classifier import Classifier, ClassifierError, load_classifier
from augment.classifiers.fit import CLASSIC, even_places, fit_classifier, one_cycle
from augment.classifiers.networks import CLASSIFIERS
from augment.params import Params
from augment.readers import builtin
from augment.registry import PartError
from augment.runtime.checkpoint import CheckpointError

NAMES = CLASSIFIERS.names()


def stripes(count: int, shape: tuple[int, int, int], seed: int = 0) -> tuple:
    """Rows against columns: noisy stripes of two classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    _, height, width = shape
    wave = np.where(np.arange(max(height, width)) // 2 % 2, 200, 50)
    rows = np.broadcast_to(wave[:height, None], (height, width))
    columns = np.broadcast_to(wave[None, :width], (height, width))
    clean = np.where(labels[:, None, None, None] == 0, rows, columns)
    noise = rng.integers(-40, 41, (count, *shape))
    return np.clip(clean + noise, 0, 255).astype(np.uint8), labels


def fit(name: str, shape: tuple[int, int, int] = (1, 8, 8), **options) -> Classifier:
    settings = {"classes": 2, "steps": 12, "batch": 16, "seed": 0, **options}
    return fit_classifier(*stripes(40, shape), network=name, **settings)


def digits() -> tuple:
    pixels, labels = builtin.digits()
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels[order, None], labels[order]


def test_who_chooses_is_never_who_measures():
    """Labeller and judge are of two architectures by default."""
    settings = Params.model_validate({"ingest": {"source": "x"}})
    networks = (settings.train.labeller.network, settings.score.judge)
    assert len({CLASSIFIERS.describe(name).target for name in networks}) == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 20), (1, 28, 28), (1, 256, 8)])
def test_any_size_and_channels(name, shape):
    classifier = fit(name, shape, steps=2, batch=4)
    features, probabilities = classifier.both(stripes(5, shape)[0])
    assert features.shape == (5, 64) and features.dtype == np.float32
    assert probabilities.shape == (5, 2) and probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "resnet18"])  # minutes
def test_learns_digits(name):
    pixels, labels = digits()
    fitted = fit_classifier(
        pixels[:1000],
        labels[:1000],
        classes=10,
        network=name,
        steps=300,
        batch=64,
        seed=1,
        augment=CLASSIC,
    )
    accuracy = (fitted.predict(pixels[1000:]).argmax(1) == labels[1000:]).mean()
    assert accuracy >= 0.98


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_feel_its_neighbours(name):
    classifier = fit(name)
    pixels = stripes(600, (1, 8, 8), seed=5)[0]
    order = np.random.default_rng(0).permutation(600)
    features, probabilities = classifier.both(pixels)
    assert np.array_equal(classifier.features(pixels[:3]), features[:3])
    assert np.array_equal(classifier.predict(pixels[order]), probabilities[order])
    assert classifier.predict(pixels[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name, tmp_path):
    classifier = fit(name)
    classifier.save(tmp_path, "judge")
    again = load_classifier(tmp_path, "judge")
    pixels = stripes(9, (1, 8, 8), seed=1)[0]
    assert again.digest == classifier.digest
    assert again.spec == CLASSIFIERS.resolve(name)
    for before, after in zip(classifier.both(pixels), again.both(pixels), strict=True):
        assert np.array_equal(before, after)


def test_same_seed_same_weights():
    first = fit("cnn", augment=CLASSIC)
    assert fit("cnn", augment=CLASSIC).digest == first.digest
    assert fit("cnn", augment=CLASSIC, seed=1).digest != first.digest
    assert fit("cnn").digest != first.digest


def test_equal_weights_are_no_weights_and_zero_weights_remove():
    pixels, labels = stripes(40, (1, 8, 8))
    assert fit("cnn", weights=np.full(40, 3.0)).digest == fit("cnn").digest
    wrong = 1 - labels
    both = {"classes": 2, "network": "cnn", "steps": 60, "batch": 16, "seed": 0}
    fitted = fit_classifier(
        np.concatenate([pixels, pixels]),
        np.concatenate([labels, wrong]),
        weights=np.repeat([1.0, 0.0], 40),
        **both,
    )
    assert (fitted.predict(pixels).argmax(1) == labels).mean() > 0.95


def test_a_rare_class_is_named_by_one_who_was_shown_all_evenly():
    assert even_places(np.array([1, 0, 1, 3, 1])).tolist() == [0, 1, 1, 1, 2, 3, 3, 3, 4]
    assert even_places(np.array([2, 0, 2, 0])).tolist() == [0, 1, 2, 3]
    assert even_places(np.zeros(0, np.int64)).tolist() == []
    pixels, labels = digits()
    train = np.flatnonzero((labels != 8) | (np.cumsum(labels == 8) <= 5))[:1000]
    rare = pixels[1000:][labels[1000:] == 8]
    both = {"classes": 10, "network": "cnn", "steps": 150, "batch": 64, "seed": 1}
    fitted = (
        fit_classifier(pixels[train], labels[train], even=even, **both) for even in (False, True)
    )
    before, after = ((classifier.predict(rare).argmax(1) == 8).mean() for classifier in fitted)
    assert before < 0.2 < 0.4 < after


def test_the_rate_rises_and_falls():
    rates = [one_cycle(step / 100) for step in range(101)]
    top = int(np.argmax(rates))
    assert top == 15 and rates[top] == 1.0 and rates[0] == 0.0
    assert np.isclose(rates[-1], 0) and np.isclose(one_cycle(0.575), 0.5)
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 1}, "at least 2 classes"),
        ({"labels": np.full(40, 2)}, "labels are 0 to 1, found 2 to 2"),
        ({"labels": np.zeros(39, np.int64)}, "as many labels"),
        ({"weights": np.ones(3)}, "as many labels and weights"),
        ({"pixels": np.zeros((40, 1, 8, 8))}, "expected uint8 images"),
        ({"pixels": np.zeros((0, 1, 8, 8), np.uint8)}, "no images"),
    ],
)
def test_what_cannot_be_fitted(change, message):
    pixels, labels = stripes(40, (1, 8, 8))
    arguments = {"pixels": pixels, "labels": labels, "classes": 2, "network": "cnn", **change}
    with pytest.raises(ClassifierError, match=message):
        fit_classifier(
            arguments.pop("pixels"), arguments.pop("labels"), steps=1, batch=4, seed=0, **arguments
        )


def test_unknown_network_and_other_shape():
    with pytest.raises(PartError, match="unknown classifier 'vgg'; known: cnn, dense, residual"):
        fit("vgg")
    with pytest.raises(ClassifierError, match=r"\(N, 1, 8, 8\)"):
        fit("cnn").predict(np.zeros((2, 3, 8, 8), np.uint8))


def test_a_file_that_is_no_classifier(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such file"):
        load_classifier(tmp_path, "judge")
    fit("cnn").save(tmp_path, "judge")
    meta = json.loads((tmp_path / "judge.json").read_text())
    for broken in ({**meta, "classes": 5}, {}, {**meta, "network": {"name": "vgg"}}):
        (tmp_path / "judge.json").write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match="judge.json"):
            load_classifier(tmp_path, "judge")
    fit("cnn").save(tmp_path, "judge")
    weights = bytearray((tmp_path / "judge.safetensors").read_bytes())
    weights[-1] ^= 1
    for damaged in (weights, b"\x80\x04cos\nsystem\n"):
        (tmp_path / "judge.safetensors").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            load_classifier(tmp_path, "judge")
