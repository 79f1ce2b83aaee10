"""Generator and discriminator networks, for images of any size with sides of at least eight.

A generator maps inputs (N, latent), and a condition (N, condition) where it was built for one, to
images (N, C, H, W) in [-1, 1]; a discriminator maps images to features (N, ``width``). What labels
and codes do to them is the business of the conditioning and of the model. A generator whose
attribute ``source`` is true also takes ``source``, images (N, C, H, W) that it starts from. The
first C · H · W inputs of one whose attribute ``noise_for_each_value`` is true are noise; it goes
only with models that ask for it. A
discriminator whose attribute ``patches`` is true gives features of patches, (N, ``width``, h, w).
A generator whose attribute ``levels`` is above 1 takes inputs (N, ``levels``, latent), with noise
of each level.

Several processes may share the rows of a batch (``augment.train.split``). Beside ``forward``,
``by_rows`` names the methods of a network that treat each row of their tensors by itself. The
attribute ``mixes_images`` of a layer other than a batch norm names the method that does not.
"""

from __future__ import annotations

from augment.registry import Registry

GENERATORS = Registry("generator network")
DISCRIMINATORS = Registry("discriminator network")

Shape = tuple[int, int, int]


def sizes(shape: Shape) -> list[tuple[int, int]]:
    """Height and width at full size and after each halving, while both stay at least four.

    Halves are rounded down: 36 × 72, 18 × 36, 9 × 18, 4 × 9.
    """
    _, height, width = shape
    halvings = max(min(height, width).bit_length() - 3, 0)
    return [(height >> level, width >> level) for level in range(halvings + 1)]


def widths(base: int, count: int, limit: int) -> list[int]:
    """Channels at full size and after each halving: doubling up to ``limit`` × ``base``."""
    return [base * min(2**level, limit) for level in range(count + 1)]


from augment.models.networks import (  # noqa: E402  (they register themselves)
    bend,  # noqa: F401
    dcgan,  # noqa: F401
    fastgan,  # noqa: F401
    glow,  # noqa: F401
    growing,  # noqa: F401
    mlp,  # noqa: F401
    nice,  # noqa: F401
    patch,  # noqa: F401
    pixels,  # noqa: F401
    pyramid,  # noqa: F401
    realnvp,  # noqa: F401
    resnet,  # noqa: F401
    ssgan,  # noqa: F401
    translator,  # noqa: F401
    unet,  # noqa: F401
    velocity,  # noqa: F401
)
