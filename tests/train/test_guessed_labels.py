"""Pseudo-labels: descriptors see what makes a letter; graphs are cut, labels spread as defined."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment

from augment.data import arrays
from augment.data.arrays import Arrays
from augment.readers import builtin
from augment.registry import PartError
from augment.train import assemble, guessed_labels
from augment.train.settings import TrainSettings
from augment.vision import gradients, label_graph
from augment.vision.gradients import describe
from augment.vision.label_graph import ALPHA


def digits(count: int = 600) -> Arrays:
    """Real digits, 8 x 8, at twice their size."""
    pixels, labels = builtin.digits()
    pixels = pixels[:count, None].repeat(2, axis=2).repeat(2, axis=3)
    ids, classes = ([str(number) for number in range(size)] for size in (count, 10))
    return Arrays(pixels, labels[:count], classes=classes, ids=ids)


def settings(**model: Any) -> TrainSettings:
    return TrainSettings.model_validate({"model": {"name": "infogan", **model}})


def matched(clusters: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Accuracy of clusters under the best one-to-one naming."""
    table = np.zeros((10, 10))
    np.add.at(table, (clusters, labels), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(labels))


def line(lean: float, shift: int = 0) -> NDArray[np.uint8]:
    """A stroke on a ground of 32 x 32 with a bar at its foot."""
    stroke = np.zeros((32, 32))
    stroke[8:24, 14:17] = 255
    stroke[21:24, 14:22] = 255
    moved = ndimage.affine_transform(stroke, [[1, 0], [lean, 1]], [0, -lean * 16], order=1)
    return np.roll(moved, shift, (0, 1)).clip(0, 255).astype(np.uint8)[None]


def fill(settings: TrainSettings, data: Arrays) -> Arrays:
    """``data`` with the labels and codes that the model of ``settings`` needs."""
    needs = assemble.build(settings, data.shape, len(data.classes)).needs
    upright = settings.profile == "glyph"
    return guessed_labels.fill(needs, data, upright=upright, seed=settings.seed)


def test_slant_and_place_are_taken_away_from_upright_descriptors() -> None:
    """They tell a hand, not a letter: a leaning stroke is nearer to itself than another letter."""
    other = np.ascontiguousarray(line(0.0)[:, ::-1])
    images = np.stack([line(0.0), line(0.4), line(0.0, 3), other])
    for upright, same in ((True, True), (False, False)):
        described = describe(images, upright=upright)
        far = np.linalg.norm(described[0] - described[3])
        near = [np.linalg.norm(described[0] - described[place]) for place in (1, 2)]
        assert (max(near) < far / 2) == same


@pytest.mark.parametrize("upright", [True, False])
def test_ink_may_be_dark_or_light_and_images_of_any_form(upright: bool) -> None:
    pixels = digits(60).pixels
    described = describe(pixels, upright=upright)
    assert described.shape == (60, 60) and np.isfinite(described).all()
    inverse = describe(255 - pixels, upright=upright)
    distances = [np.linalg.norm(rows[:, None] - rows, axis=2) for rows in (described, inverse)]
    assert np.corrcoef(distances[0].ravel(), distances[1].ravel())[0, 1] > 0.99
    coloured = np.repeat(pixels, 3, axis=1)
    same = describe(coloured, upright=upright)
    gaps = np.linalg.norm(same[:, None] - same, axis=2)
    assert gaps == pytest.approx(distances[0], abs=1e-3)
    wide = np.concatenate([pixels, pixels], axis=3)
    assert describe(wide, upright=upright).shape == (60, 60)


def test_blank_images_are_described_too() -> None:
    pixels = digits(20).pixels
    pixels[3] = 7
    assert np.isfinite(describe(pixels, upright=True)).all()


def test_a_graph_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three points on a line the first two choose each other, and the third the second."""
    monkeypatch.setattr(label_graph, "NEIGHBOURS", 1)
    weights = label_graph.graph(np.array([[0.0], [1.0], [3.0]])).toarray()
    assert weights.tolist() == [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]]


def test_labels_spread_as_in_closed_form() -> None:
    """Of two joined nodes, one labelled: F = (I - αS)^-1 Y with S the exchange of the two."""
    pair = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    probabilities = label_graph.propagate_labels(pair, np.array([1, -1]), 3)
    inverse = np.linalg.inv(np.array([[1, -ALPHA], [-ALPHA, 1]])) @ np.eye(3)[[1, 0]][:, [2, 1, 0]]
    assert inverse[0, 1] > inverse[1, 1] > 0  # nearer the label, more of it
    assert probabilities == pytest.approx(np.array([[0, 1, 0], [0, 1, 0]]), abs=1e-9)


def test_between_two_labels_the_nearer_wins() -> None:
    chain = sparse.csr_array(sparse.diags_array([1.0] * 6, offsets=1, shape=(7, 7)))
    labels = np.array([0, -1, -1, -1, -1, -1, 1])
    probabilities = label_graph.propagate_labels((chain + chain.T).tocsr(), labels, 2)
    dense = (chain + chain.T).toarray()
    scale = np.diag(1 / np.sqrt(dense.sum(1)))
    exact = np.linalg.solve(np.eye(7) - ALPHA * scale @ dense @ scale, np.eye(3)[labels][:, :2])
    assert probabilities == pytest.approx(exact / exact.sum(1, keepdims=True), abs=1e-4)
    assert (
        probabilities[:3].argmax(1).tolist() == [0] * 3
        and probabilities[4:].argmax(1).tolist() == [1] * 3
    )
    assert probabilities[3] == pytest.approx([0.5, 0.5], abs=1e-6)


def test_nothing_reaches_what_is_joined_to_no_label() -> None:
    apart = sparse.csr_array(np.kron(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])))
    probabilities = label_graph.propagate_labels(apart, np.array([0, -1, -1, -1]), 2)
    assert probabilities[1].argmax() == 0 and probabilities[2:] == pytest.approx(
        np.full((2, 2), 0.5)
    )


def test_few_labels_name_real_digits() -> None:
    data = digits()
    labelled = np.concatenate([np.flatnonzero(data.labels == digit)[:3] for digit in range(10)])
    labels = np.full_like(data.labels, -1)
    labels[labelled] = data.labels[labelled]
    labels[labelled[0]] = 5  # wrong: a label that is there stays
    few = dataclasses.replace(data, labels=labels)
    filled = fill(settings(labels="half"), few)
    assert filled.labels[labelled].tolist() == labels[labelled].tolist()
    assert (filled.labels == data.labels).mean() > 0.9
    assert filled.pixels is data.pixels and filled.ids == data.ids


def test_without_labels_real_digits_fall_into_groups() -> None:
    data = digits()
    none = dataclasses.replace(data, labels=np.full_like(data.labels, -1))
    filled = fill(settings(labels="none"), none)
    assert matched(filled.labels, data.labels) > 0.75
    again = fill(settings(labels="none"), none)
    assert (filled.labels == again.labels).all()
    more = fill(settings(labels="none", categories=20), none)
    assert set(more.labels) == set(range(20))


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"labels": "half", "pseudo_labels": "none"},
        {"labels": "none", "pseudo_labels": "none"},
    ],
)
def test_nothing_is_guessed_where_none_asks(model: dict[str, Any]) -> None:
    data = digits(20)
    assert fill(settings(**model), data) is data
    assert fill(TrainSettings(recipe="dcgan"), data) is data


def test_more_groups_than_images_are_an_error() -> None:
    none = dataclasses.replace(digits(20), labels=np.full(20, -1))
    with pytest.raises(PartError, match=r"^train\.model: 20 groups are asked of 20 images"):
        fill(settings(labels="none", categories=20), none)


def test_images_rank_by_a_factor_among_those_of_their_class() -> None:
    """Evenly over -1 … 1, ties alike, what cannot be measured left open."""
    widths = [2, 4, 6, 8, 4, 4, 0, 9]
    pixels = np.zeros((8, 1, 32, 32), np.uint8)
    for image, width in zip(pixels, widths, strict=True):
        image[0, 6:26, 10 : 10 + width] = 255
    labels = np.array([0, 0, 0, 0, 1, 1, 1, -1])
    data = Arrays(pixels, labels, ids=[*"abcdefgh"], classes=["x", "y"])
    ranks = guessed_labels.ranks(data, ["width"])
    assert ranks.dtype == np.float32 and ranks.shape == (8, 1)
    expected = [-0.75, -0.25, 0.25, 0.75, 0, 0, np.nan, 0]
    assert ranks[:, 0] == pytest.approx(expected, nan_ok=True)
    assert guessed_labels.ranks(data, ["width", "slant"]).shape == (8, 2)


def test_factors_that_a_model_asks_for_are_measured() -> None:
    data = digits(60)
    filled = fill(settings(factors=["slant"]), data)
    assert filled.labels is data.labels
    assert filled.codes == pytest.approx(guessed_labels.ranks(data, ["slant"]), nan_ok=True)
    none = dataclasses.replace(data, labels=np.full_like(data.labels, -1))
    both = fill(settings(labels="none", factors=["slant"]), none)
    guessed = dataclasses.replace(data, labels=both.labels)
    assert both.codes == pytest.approx(guessed_labels.ranks(guessed, ["slant"]), nan_ok=True)


def test_styles_tell_shapes_of_a_class_apart() -> None:
    """A leaning stroke looks as an upright one does; a mirrored one and a bar do not."""
    mirrored = np.ascontiguousarray(line(0.0)[:, ::-1])
    bar = np.zeros((1, 32, 32), np.uint8)
    bar[:, 14:18, 6:26] = 255
    shapes = [line(0.0), mirrored, bar] * 25
    pixels = np.stack([np.roll(shape, number % 5, 2) for number, shape in enumerate(shapes)])
    described, same = describe(pixels, upright=True), np.zeros(75, np.int64)
    styles = guessed_labels.styles(described, same, 3, 0)
    assert all(len(set(styles[start::3])) == 1 for start in range(3))
    assert set(styles) == {0, 1, 2}
    assert (guessed_labels.styles(described, same, 3, 0) == styles).all()
    assert set(guessed_labels.styles(described[1:], same[1:], 3, 0)) == {0, 1}  # 25 images each


def test_styles_are_those_of_a_label() -> None:
    """A label that is guessed counts as one that is told; a rare class has one style."""
    data = digits(1300)
    filled = fill(settings(styles=4), data)
    assert filled.labels is data.labels and filled.styles is not None
    for label in range(10):
        assert set(filled.styles[data.labels == label]) == {0, 1, 2, 3}
    hidden = np.where(np.arange(1300) % 2, -1, data.labels)
    half = fill(settings(styles=4, labels="half"), dataclasses.replace(data, labels=hidden))
    assert half.styles is not None and half.styles.max() == 3
    rare = np.repeat([0, 1], [49, 50])
    described = np.arange(99.0)[:, None]
    assert guessed_labels.styles(described, rare, 4, 0)[:49].max() == 0
    assert set(guessed_labels.styles(described, rare, 4, 0)[49:]) == {0, 1}


def test_more_images_than_most_are_described_and_clustered_by_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two kinds of images in a class: a bar upright and one across."""
    pixels = np.zeros((300, 1, 8, 8), np.uint8)
    kinds = np.arange(300) % 2
    pixels[kinds == 0, :, :, 3:5] = 200
    pixels[kinds == 1, :, 3:5] = 200
    pixels += np.random.default_rng(0).integers(0, 9, pixels.shape, dtype=np.uint8) // 4
    for module in (gradients, guessed_labels):
        monkeypatch.setattr(module, "MOST", 100)
    monkeypatch.setattr(arrays, "BLOCK", 70)
    described = gradients.describe(pixels, upright=False)
    assert described.shape == (300, gradients.COMPONENTS)
    styles = guessed_labels.styles(described, np.zeros(300, np.int64), 2, seed=0)
    assert np.array_equal(styles == styles[0], kinds == 0)
