"""Temperatures and calibration errors, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from augment.adopt import calibration
from augment.adopt.calibration import calibration_error, log_loss, temperature, tempered


def one_sided(chance: float, right: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The same answer for every image, and labels of which ``right`` agree with it."""
    labels = (np.arange(count) >= right).astype(np.int64)
    return np.tile([chance, 1 - chance], (count, 1)), labels


@pytest.mark.parametrize(("chance", "right"), [(0.999, 80), (0.7, 95), (0.9, 90)])
def test_the_temperature_makes_confidence_the_share_that_is_right(
    chance: float, right: int
) -> None:
    """Of two classes logit(p) / T = logit(share), the share softened by 1 / (N + 2)."""
    probabilities, labels = one_sided(chance, right, 100)
    rest = 1 / 102
    share = (right * (1 - rest) + (100 - right) * rest) / 100
    heat = temperature(probabilities, labels)
    assert heat == pytest.approx(
        np.log(chance / (1 - chance)) / np.log(share / (1 - share)), rel=1e-3
    )
    assert tempered(probabilities, heat)[0] == pytest.approx([share, 1 - share], abs=1e-4)


def test_few_images_that_are_all_right_prove_little() -> None:
    for count, most in ((20, 21 / 22), (200, 201 / 202)):
        probabilities, labels = one_sided(0.9, count, count)
        sharp = tempered(probabilities, temperature(probabilities, labels))
        assert sharp[0, 0] == pytest.approx(most, abs=1e-3)


def test_tempering_keeps_the_order_and_survives_certainty() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    assert tempered(probabilities, 1.0)[0] == pytest.approx(probabilities[0])
    squares = probabilities[0] ** 2
    assert tempered(probabilities, 0.5)[0] == pytest.approx(squares / squares.sum())
    hot = tempered(probabilities, calibration.MOST)
    assert (hot.argsort(1)[0] == probabilities.argsort(1)[0]).all()
    assert np.isfinite(hot).all() and hot.sum(1) == pytest.approx([1, 1])
    assert hot[1, 0] == pytest.approx(1 / (1 + 2 * 1e-7 ** (1 / 20)), rel=1e-6)
    assert tempered(probabilities[:0], 2.0).shape == (0, 3)


def test_log_loss_in_closed_form() -> None:
    """One image: the true class has the target 2/3, the two others a sixth each."""
    loss = log_loss(np.array([[0.5, 0.25, 0.25]]), np.array([0]))
    assert loss == pytest.approx(2 / 3 * np.log(2) + 1 / 3 * np.log(4))


def test_calibration_error_in_closed_form() -> None:
    """Two bins: 0.95 sure and right in 3 of 4, 0.55 sure and right in 1 of 1."""
    sure, unsure = np.tile([0.95, 0.05], (4, 1)), np.array([[0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1])
    error = calibration_error(np.concatenate([sure, unsure]), labels)
    assert error == pytest.approx((4 * 0.2 + 1 * 0.45) / 5)
    assert calibration_error(np.eye(2)[labels], labels) == 0  # certain and right: the last bin
    assert calibration_error(np.eye(2)[1 - labels], labels) == 1
    assert np.isnan(calibration_error(sure[:0], labels[:0]))
