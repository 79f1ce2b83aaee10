"""Labels for images that have none, from which images look alike; few labels or none are needed.

Images are described by their gradients, joined to their nearest neighbours, and the graph is asked:
where nothing is labelled it falls into clusters, where some are their labels spread along it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.stats import rankdata
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import PCA
from sklearn.neighbors import kneighbors_graph
from torch.nn import functional

from augment import seeding
from augment.dataset import Arrays
from augment.factors import FACTORS, moments
from augment.images import Pixels
from augment.models import MODELS
from augment.params import TrainSettings
from augment.registry import PartError

SIDE = 28  # pixels; images of any size are described at this one
BINS = 9  # directions
SPACING = 2  # pixels between the places where gradients are pooled, and the pools' deviation
COMPONENTS = 60
NEIGHBOURS = 8
ALPHA = 0.99  # share of an image's label that comes from its neighbours

Floats = NDArray[np.float64]


def fill(settings: TrainSettings, pool: Arrays) -> Arrays:
    """``pool`` with what the model asks to know of its images: labels, and ranks as codes.

    Labels that are known stay. Where none is (``labels: none``) they are clusters, numbered in no
    meaningful order. Raises PartError where there are no more images than clusters.
    """
    model = MODELS.resolve(settings.model)
    if model.get("labels", "all") != "all" and model["pseudo_labels"] == "graph":
        pool = dataclasses.replace(pool, labels=_labels(settings, model, pool))
    if model.get("factors"):
        pool = dataclasses.replace(pool, codes=ranks(pool, model["factors"]))
    return pool


def ranks(data: Arrays, factors: Sequence[str]) -> NDArray[np.float32]:
    """How images rank by each factor among those of their label (N, F): evenly over -1 … 1.

    NaN where a factor cannot be measured.
    """
    found = np.full((len(data), len(factors)), np.nan, np.float32)
    for column, name in enumerate(factors):
        values = FACTORS.build(name)(data.pixels)
        for label in np.unique(data.labels):
            rows = np.flatnonzero((data.labels == label) & np.isfinite(values))
            if len(rows):
                found[rows, column] = (2 * rankdata(values[rows]) - 1) / len(rows) - 1
    return found


def _labels(settings: TrainSettings, model: dict[str, Any], pool: Arrays) -> NDArray[np.int64]:
    found = graph(describe(pool.pixels, upright=settings.profile == "glyph"))
    if model["labels"] == "none":
        kinds = model["categories"] or len(pool.classes)
        if kinds >= len(pool):
            raise PartError(f"train.model: {kinds} groups are asked of {len(pool)} images")
        return clusters(found, kinds, seeding.derive(settings.seed, "clusters"))
    guesses = spread(found, pool.labels, len(pool.classes)).argmax(1)
    return np.where(pool.labels < 0, guesses, pool.labels)


def describe(pixels: Pixels, *, upright: bool) -> Floats:
    """Descriptors (N, D) of uint8 images (N, C, H, W): first components of their ``gradients``."""
    roots = gradients(pixels, upright=upright)
    count = min(COMPONENTS, *roots.shape)
    described: Floats = PCA(count, random_state=0).fit_transform(roots)
    return described


def gradients(pixels: Pixels, *, upright: bool) -> Floats:
    """Where lines run in which direction in uint8 images (N, C, H, W): rows (N, D) of length 1.

    Pooled histograms of gradient directions, their square roots. ``upright`` first takes slant and
    place from each image, which in handwriting tell the hand and not the letter. Dark on light and
    light on dark give the same. Source: Dalal & Triggs 2005.
    """
    grey = torch.from_numpy(pixels).float().mean(1, keepdim=True) / 255
    if upright:
        grey = _straighten(grey, pixels)
    raster = functional.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
    down, right = np.gradient(raster[:, 0].numpy(), axis=(1, 2))
    strength = np.hypot(down, right)
    place = np.arctan2(down, right) % (2 * np.pi) / (2 * np.pi) * BINS
    pools = []
    for direction in range(BINS):
        distance = np.abs((place - direction + BINS / 2) % BINS - BINS / 2)
        lines = np.clip(1 - distance, 0, None) * strength
        blurred = ndimage.gaussian_filter(lines, (0, SPACING, SPACING))
        pools.append(blurred[:, SPACING::SPACING, SPACING::SPACING].reshape(len(pixels), -1))
    roots = np.sqrt(np.concatenate(pools, axis=1, dtype=np.float64))
    roots /= np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-12)
    return roots


def graph(described: Floats) -> sparse.csr_array:
    """Weights (N, N): 1 between images that are among each other's nearest, ½ where one is."""
    near = kneighbors_graph(described, min(NEIGHBOURS, len(described) - 1))
    return sparse.csr_array((near + near.T) / 2)


def clusters(found: sparse.csr_array, kinds: int, seed: int) -> NDArray[np.int64]:
    """Which of ``kinds`` clusters each image is of (N,), by cutting a ``graph`` where it is thin.

    Source: Ng, Jordan & Weiss 2001; Damle, Minden & Ying 2019 for the assignment.
    """
    method = SpectralClustering(
        kinds, affinity="precomputed", assign_labels="cluster_qr", random_state=seed % 2**32
    )
    labels: NDArray[np.int64] = method.fit_predict(sparse.csr_matrix(found)).astype(np.int64)
    return labels


def spread(found: sparse.csr_array, labels: NDArray[np.int64], classes: int) -> Floats:
    """Probabilities (N, ``classes``) from labels (N,) that are -1 where unknown, along a ``graph``.

    Images that no labelled one is joined to get equal ones. Source: Zhou et al. 2004, Learning with
    Local and Global Consistency.
    """
    scale = sparse.diags_array(1 / np.sqrt(found.sum(1)))
    system = sparse.eye_array(len(labels)) - ALPHA * (scale @ found @ scale)
    known = np.eye(classes + 1)[labels][:, :classes]
    solved = np.stack([cg(system, column, rtol=1e-6)[0] for column in known.T], axis=1)
    mass = np.clip(solved, 0, None) + 1e-12
    probabilities: Floats = mass / mass.sum(1, keepdims=True)
    return probabilities


def _straighten(grey: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """Images with their ink upright and in the middle; blank ones stay."""
    found = moments(pixels)
    slant = np.nan_to_num(found.xy / np.maximum(found.yy, 1e-9))
    across = np.nan_to_num(found.x / (found.width / 2))
    up = np.nan_to_num(found.y / (found.height / 2))
    ratio = found.height / found.width
    zeros, ones = np.zeros_like(slant), np.ones_like(slant)
    rows = [[ones, -slant * ratio, across], [zeros, ones, -up]]  # of a place, y downwards
    move = torch.from_numpy(np.stack([np.stack(row, 1) for row in rows], 1)).float()
    places = functional.affine_grid(move, list(grey.shape), align_corners=False)
    return functional.grid_sample(grey, places, padding_mode="border", align_corners=False)
