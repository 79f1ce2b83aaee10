"""Images described by the directions in which lines run, place by place."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from augment.data.arrays import in_blocks
from augment.data.images import Pixels
from augment.data.types import Doubles
from augment.vision.factors import moments

SIDE = 28  # pixels; images of any size are described at this one
BINS = 9  # directions
SPACING = 2  # pixels between pools, and standard deviation of a pool
MOST = 20_000  # images from which the components are learned
COMPONENTS = 60  # numbers that describe an image, at most; chosen by hand


def describe(pixels: Pixels, *, upright: bool) -> Doubles:
    """Descriptors (N, D), D ≤ 60, of uint8 images (N, C, H, W): PCA of their ``gradients``.

    Of more than MOST images the components are those of so many, spread evenly.
    """
    from sklearn.decomposition import PCA

    if len(pixels) <= MOST:
        roots = gradients(pixels, upright=upright)
        count = min(COMPONENTS, *roots.shape)
        described: Doubles = PCA(count, random_state=0).fit_transform(roots)
        return described
    spread = np.linspace(0, len(pixels) - 1, MOST).astype(np.int64)
    method = PCA(COMPONENTS, random_state=0).fit(gradients(pixels[spread], upright=upright))
    return in_blocks(
        lambda block: np.asarray(method.transform(gradients(block, upright=upright))), pixels
    )


def gradients(pixels: Pixels, *, upright: bool) -> Doubles:
    """Histograms of gradient directions of uint8 images (N, C, H, W): rows (N, D) of length 1.

    Histograms are pooled by place; their square roots are returned. ``upright`` first removes slant
    and displacement, which in handwriting depend on the hand and not on the letter. Dark on light
    and light on dark give equal rows. Source: Dalal & Triggs 2005.
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


def _straighten(grey: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """Grey images (N, 1, H, W) with the ink upright and centred; blank images stay unchanged."""
    measured = moments(pixels)
    slant = np.nan_to_num(measured.xy / np.maximum(measured.yy, 1e-9))
    across = np.nan_to_num(measured.x / (measured.width / 2))
    up = np.nan_to_num(measured.y / (measured.height / 2))
    ratio = measured.height / measured.width
    zeros, ones = np.zeros_like(slant), np.ones_like(slant)
    rows = [[ones, -slant * ratio, across], [zeros, ones, -up]]  # of a place, y downwards
    move = torch.from_numpy(np.stack([np.stack(row, 1) for row in rows], 1)).float()
    places = functional.affine_grid(move, list(grey.shape), align_corners=False)
    return functional.grid_sample(grey, places, padding_mode="border", align_corners=False)
