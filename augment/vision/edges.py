"""Edges of a batch of images: how steep they are, and images in which they are blurred."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from augment.vision.colours import yuv

STEEP = 0.1  # of brightness, which spans 2, from pixel to pixel: an edge; chosen by hand
AROUND = 1  # pixels on either side of an edge that are blurred with it
SOFT = 1.5  # pixels: standard deviation of the blur; chosen by hand


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Images (N, C, H, W) under a Gaussian blur of ``deviation`` pixels; the border is repeated."""
    radius = math.ceil(2 * deviation)
    places = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (places / deviation).square())
    weights = (weights / weights.sum()).expand(images.shape[1], 1, 1, -1)
    with torch.autocast(images.device.type, enabled=False):
        padded = functional.pad(images.float(), [radius] * 4, mode="replicate")
        across = functional.conv2d(padded, weights, groups=images.shape[1])
        return functional.conv2d(across, weights.mT, groups=images.shape[1])


def slopes(images: Tensor) -> Tensor:
    """How images (N, C, H, W) grow from pixel to pixel: (N, 2 · C, H, W).

    By Sobel's filters, of each channel rightwards and downwards; a ramp of k a pixel has slope k.
    """
    smooth, ramp = torch.tensor([1.0, 2, 1]) / 4, torch.tensor([-1.0, 0, 1]) / 2
    rightwards = torch.outer(smooth, ramp)
    filters = torch.stack([rightwards, rightwards.mT])[:, None].to(images.device)
    channels = images.shape[1]
    with torch.autocast(images.device.type, enabled=False):
        padded = functional.pad(images.float(), [1] * 4, mode="replicate")
        return functional.conv2d(padded, filters.repeat(channels, 1, 1, 1), groups=channels)


@torch.no_grad()
def smooth_edges(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] in which edges are blurred, and nothing else is touched.

    Source: Chen et al. 2018, CartoonGAN, section 3.2, with a threshold on Sobel's slopes for
    Canny's edges.
    """
    steep = (slopes(yuv(images)[:, :1]).square().sum(1, keepdim=True) > STEEP**2).float()
    near = functional.max_pool2d(steep, 2 * AROUND + 1, 1, AROUND) > 0
    return torch.where(near, blurred(images, SOFT).to(images), images)
