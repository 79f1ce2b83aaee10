"""A generator in two parts: the one draws a structure from noise, the other paints on it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from augment.models.networks import GENERATORS, Shape, dcgan, unet
from augment.registry import Count, PartError


@GENERATORS.register(
    "ssgan",
    paper="Wang & Gupta 2016, Generative Image Modeling using Style and Structure Adversarial "
    "Networks (arXiv:1603.05631)",
)
class Generator(nn.Module):
    """DCGAN's generator draws a structure, and a U-Net paints on it; each has noise of its own."""

    by_rows = ("forward", "drawing", "painting")

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 4, style: Count = 8,
        structure: Literal["auto", "skeleton", "edges", "layout"] = "auto",
    ):  # fmt: skip
        """Both have ``width`` channels at full size, doubling downwards up to ``limit`` times.

        The first ``style`` inputs are the painter's, the others the structure's. ``structure`` says
        what that is: middle lines of strokes, edges, or colours under a blur, on which the painter
        then paints; ``auto`` is skeleton for glyphs and layout for photographs.
        """
        super().__init__()
        if latent <= style:
            raise PartError(
                f"train.generator.style: {style} of {latent} inputs leave none for the structure"
            )
        self.style = style
        self.structure = "skeleton" if structure == "auto" else structure
        self.draw = dcgan.Generator(latent - style, shape, condition, width=width, limit=limit)
        self.paint = unet.Generator(
            style, shape, condition, width=width, limit=limit, norm="layer",
            added=structure == "layout",
        )  # fmt: skip

    def forward(
        self, inputs: Tensor, condition: Tensor | None = None, *, source: Tensor | None = None
    ) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1].

        With ``source``, structures (N, C, H, W), those are painted on, and none is drawn.
        """
        if source is None:
            source = self.drawing(inputs, condition)
        return self.painting(inputs, condition, source)

    def drawing(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        """The structures (N, C, H, W) in [-1, 1] of these inputs and conditions."""
        structures: Tensor = self.draw(inputs[:, self.style :], condition)
        return structures

    def painting(self, inputs: Tensor, condition: Tensor | None, structures: Tensor) -> Tensor:
        """What is painted on ``structures`` (N, C, H, W)."""
        images: Tensor = self.paint(inputs[:, : self.style], condition, source=structures)
        return images
