"""A graph that joins images that look alike.

Without labels the graph is cut into clusters; the labels of a few images spread along it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg

from augment.data.types import Doubles, Labels
from augment.vision.neighbours import nearest

NEIGHBOURS = 8  # nearest images to which an image is joined; chosen by hand
ALPHA = 0.99  # share of an image's label that comes from its neighbours, as in Zhou et al. 2004
SMOOTH = 0.95  # the same where every image has a guess of itself; chosen by hand


def graph(described: Doubles) -> sparse.csr_array:
    """Weights (N, N) from descriptors (N, D): 1 between mutual neighbours, ½ if only one way."""
    count, joined = len(described), min(NEIGHBOURS, len(described) - 1)
    points = described.astype(np.float32)
    places, _ = nearest(points, points, joined, same=True)
    rows = np.repeat(np.arange(count), joined)
    near = sparse.csr_array((np.ones(rows.size), (rows, places.ravel())), (count, count))
    return sparse.csr_array((near + near.T) / 2)


def clusters(weights: sparse.csr_array, kinds: int, seed: int) -> Labels:
    """Clusters (N,) from 0 to ``kinds`` - 1, by cutting a ``graph`` (N, N) where it is thin.

    Sources: Ng, Jordan & Weiss 2001; for the assignment Damle, Minden & Ying 2019.
    """
    from sklearn.cluster import SpectralClustering

    method = SpectralClustering(
        kinds, affinity="precomputed", assign_labels="cluster_qr", random_state=seed % 2**32
    )
    labels: Labels = method.fit_predict(sparse.csr_matrix(weights)).astype(np.int64)
    return labels


def propagate_labels(weights: sparse.csr_array, labels: Labels, classes: int) -> Doubles:
    """Probabilities (N, ``classes``) from labels (N,), -1 where unknown, along a ``graph`` (N, N).

    Images without a path to a labelled image get equal probabilities. Source: Zhou et al. 2004,
    Learning with Local and Global Consistency.
    """
    return _spread(weights, np.eye(classes + 1)[labels][:, :classes], ALPHA)


def smooth(weights: sparse.csr_array, probabilities: NDArray[Any]) -> Doubles:
    """Probabilities (N, K) of guesses (N, K) for each image and, along a ``graph``, for its likes.

    Classes are taken to be about equally frequent, before and after: what a guesser is biased to
    is divided out. Sources: Zhou et al. 2004; class mass normalisation, Zhu et al. 2003,
    Semi-Supervised Learning Using Gaussian Fields and Harmonic Functions.
    """
    return _even(_spread(weights, _even(probabilities.astype(np.float64)), SMOOTH))


def _spread(weights: sparse.csr_array, targets: Doubles, share: float) -> Doubles:
    """What of ``targets`` (N, K) reaches each image when a ``share`` comes from its neighbours."""
    scale = sparse.diags_array(1 / np.sqrt(weights.sum(1)))
    system = sparse.eye_array(len(targets)) - share * (scale @ weights @ scale)
    solved = np.stack([cg(system, column, rtol=1e-6)[0] for column in targets.T], axis=1)
    return _scaled(np.clip(solved, 0, None) + 1e-12)


def _even(probabilities: Doubles) -> Doubles:
    """``probabilities`` (N, K) with the same sum for every class, then scaled to the sum 1."""
    return _scaled(probabilities / np.maximum(probabilities.sum(0), 1e-12))


def _scaled(mass: Doubles) -> Doubles:
    probabilities: Doubles = mass / mass.sum(1, keepdims=True)
    return probabilities
