"""From photographs to images in the style of the set, by AnimeGAN: its texture, their colours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from augment.models.adversarial import Fakes
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.cartoongan import CartoonGan, Share, deviations
from augment.registry import Amount, Count
from augment.vision.colours import without_colour, yuv
from augment.vision.content import Features
from augment.vision.edges import smooth_edges


@MODELS.register(
    "animegan",
    paper="Chen, Liu & Chen 2019, AnimeGAN: A Novel Lightweight GAN for Photo Animation (ISICA)",
)
class AnimeGan(CartoonGan):
    """CartoonGAN that learns the style's texture from grey images and keeps a photograph's colours.

    The discriminator learns that grey images of the style are fakes, so that what is made has
    colour. In a set of grey images there is brightness alone to keep, and no such fakes.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 8,
        features: Features = "filters",
        content: Amount = 0.1,
        style: Amount = 0.1,
        colour: Amount = 1.5,
        grey: Amount = 0.1,
        smoothed: Amount = 1.0,
        warm_up: Share = 0.1,
    ):
        """``style`` weighs the texture and ``colour`` the colours, as ``content`` does the content.

        ``grey`` weighs the images without colour as fakes, ``smoothed`` those that have blurred
        edges as well. The rest is CartoonGAN's.
        """
        super().__init__(
            parts, latent=latent, features=features, content=content, smoothed=smoothed,
            warm_up=warm_up,
        )  # fmt: skip
        self.style, self.colour, self.grey = style, colour, grey

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Images without colour count as fakes, and so do those with blurred edges."""
        grey = without_colour(batch.real)
        further = {"grey": (grey, self.grey), "smoothed": (smooth_edges(grey), self.smoothed)}
        return self.against(further, real, batch)

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """What was lost of content and colours, and what the texture lacks of the style."""
        assert batch.source is not None
        with torch.no_grad():
            target = self.features_of(without_colour(batch.real))
        made = self.features_of(without_colour(fakes.images))
        return {
            **super().generator_heads(fake, fakes, batch),
            "style": style_difference(made, target) * self.style,
            "colour": colour_difference(fakes.images.float(), batch.source) * self.colour,
        }


def gram(features: Tensor) -> Tensor:
    """Which features go together: the mean over images and places of products, (F, F).

    Of ``features`` (N, F, h, w). Source: Gatys et al. 2016, Image Style Transfer (CVPR).
    """
    rows = features.transpose(0, 1).flatten(1)
    with torch.autocast(features.device.type, enabled=False):
        return rows @ rows.T / rows.shape[1]


def style_difference(features: Tensor, target: Tensor) -> Tensor:
    """By how much the Gram matrices of two batches of features differ, relative to the target's.

    Each feature counts in units of its deviation in ``target`` (N, F, h, w). Batches are compared
    as wholes: pieces of images as small as these differ more among themselves than styles do.
    """
    scale = deviations(target)
    aim = gram(target / scale)
    return (gram(features / scale) - aim).abs().sum() / aim.abs().sum()


def colour_difference(images: Tensor, before: Tensor) -> Tensor:
    """L1 of brightness and Huber's loss of both colours, of images (N, C, H, W) in [-1, 1]."""
    made, kept = yuv(images), yuv(before)
    loss = functional.l1_loss(made[:, :1], kept[:, :1])
    if images.shape[1] >= 3:
        for colour in (1, 2):
            loss = loss + functional.huber_loss(made[:, colour], kept[:, colour])
    return loss
