"""The kernel distance of two sets of features."""

from __future__ import annotations

import numpy as np

from augment.data.types import Floats

ROWS = 1024  # rows of a block of kernel values


def kid(real: Floats, other: Floats) -> float:
    """Kernel distance of two sets of features (N, F), (M, F): unbiased, over all pairs.

    The squared maximum mean discrepancy under the kernel (x·y / F + 1)³ (Bińkowski et al. 2018). It
    is near 0 for equal distributions, and may be negative. NaN for a set of fewer than two.
    """
    if min(len(real), len(other)) < 2:
        return float("nan")
    within = sum(_kernel_sum(a, a, diagonal=False) / len(a) / (len(a) - 1) for a in (real, other))
    return within - 2 * _kernel_sum(real, other) / len(real) / len(other)


def _kernel_sum(left: Floats, right: Floats, diagonal: bool = True) -> float:
    """Sum of the kernel over all pairs; without ``diagonal`` no row is paired with itself."""
    total = 0.0
    for start in range(0, len(left), ROWS):
        block = left[start : start + ROWS]
        base = block @ right.T
        base /= left.shape[1]
        base += 1
        total += float((base * base * base).sum(dtype=np.float64))
        if not diagonal:
            self_kernels = np.einsum("ij,ij->i", block, block) / left.shape[1] + 1
            total -= float((self_kernels**3).sum(dtype=np.float64))
    return total
