"""Generator and discriminator networks, any size whose sides are multiples of four.

A generator maps inputs (N, latent) to images (N, C, H, W) in [-1, 1]; a discriminator maps images
to features (N, ``width``). What labels and codes do to them is the model's business.
"""

from __future__ import annotations

from augment.registry import Registry

GENERATORS = Registry("generator network")
DISCRIMINATORS = Registry("discriminator network")

Shape = tuple[int, int, int]


def halvings(shape: Shape) -> int:
    """How often both sides can be halved before one would fall below four."""
    _, height, width = shape
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count


def widths(base: int, count: int, limit: int) -> list[int]:
    """Channels at full size and after each halving: doubling up to ``limit`` × ``base``."""
    return [base * min(2**level, limit) for level in range(count + 1)]


from augment.networks import dcgan, mlp, resnet  # noqa: E402, F401  (they register themselves)
