"""Guesses smoothed along a graph."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from augment.vision import label_graph


def test_smoothed_guesses_are_the_solution_by_hand() -> None:
    """Of four images in a chain, with every class as frequent before and after."""
    weights = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    guesses = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.5, 0.5]])

    def even(table: np.ndarray) -> np.ndarray:
        table = table / table.sum(0)
        return table / table.sum(1, keepdims=True)

    degree = np.sqrt(weights.sum(1))
    system = np.eye(4) - label_graph.SMOOTH * weights / np.outer(degree, degree)
    solved = np.linalg.inv(system) @ even(guesses)
    expected = even(solved / solved.sum(1, keepdims=True))
    smoothed = label_graph.smooth(sparse.csr_array(weights), guesses.astype(np.float32))
    assert smoothed == pytest.approx(expected, abs=1e-5)


def test_a_guesser_s_bias_is_divided_out() -> None:
    """All guesses lean to the first class; the images that look alike still fall in two halves."""
    weights = sparse.csr_array(np.kron(np.eye(2), np.ones((5, 5)) - np.eye(5)))
    guesses = np.array([[0.95, 0.05]] * 5 + [[0.7, 0.3]] * 5)
    smoothed = label_graph.smooth(weights, guesses)
    assert smoothed.argmax(1).tolist() == [0] * 5 + [1] * 5
