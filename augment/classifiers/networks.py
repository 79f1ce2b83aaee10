"""Small classifier architectures.

Three are small and differ, so that labeller, second classifier and judge need not share an
architecture; ``resnet18`` is large and well known. All take any size from 8 to 256 pixels and give
a feature vector before the class scores.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn
from torch.nn import functional

from augment.registry import Count, Registry
from augment.runtime.precision import in_full

CLASSIFIERS = Registry("classifier")
FEATURES = 64
Shape = tuple[int, int, int]


@CLASSIFIERS.register("cnn")
class Cnn(nn.Module):
    """Plain convolutions, each halving the image by max pooling, then global average pooling."""

    def __init__(self, shape: Shape, classes: int, *, width: int = 32):
        """Build for images of ``shape`` (C, H, W); ``width`` channels after the first layer."""
        super().__init__()
        channels = [shape[0], width, *[2 * width] * (_halvings(shape) - 1)]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [_convolution(before, after), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        self.trunk = nn.Sequential(*layers, _convolution(channels[-1], FEATURES), nn.ReLU())
        self.head = _Head(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = self.trunk(signed).float().mean((2, 3))
        return features, self.head(features)


@CLASSIFIERS.register("residual", paper="He et al. 2016, Deep Residual Learning (arXiv:1512.03385)")
class Residual(nn.Module):
    """A small residual network: strided blocks with shortcuts, then global average pooling."""

    def __init__(self, shape: Shape, classes: int, *, width: int = 32):
        """Build for images of ``shape`` (C, H, W); ``width`` channels after the stem."""
        super().__init__()
        halvings = _halvings(shape)
        stride = 2 if max(shape[1:]) > 16 else 1
        channels = [width, *[2 * width] * (halvings - 2), FEATURES]
        blocks = [_Block(before, after, 2) for before, after in itertools.pairwise(channels)]
        self.stem = _convolution(shape[0], width, stride)
        self.blocks = nn.Sequential(_Block(width, width, 1), *blocks)
        self.head = _Head(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = self.blocks(functional.relu(self.stem(signed))).float().mean((2, 3))
        return features, self.head(features)


@CLASSIFIERS.register("resnet18", paper="He et al. 2016, Deep Residual Learning (arXiv:1512.03385)")
class ResNet18(nn.Module):
    """torchvision's ResNet-18 with a stem for small images: 3×3, no pooling."""

    def __init__(self, shape: Shape, classes: int):
        """Build for images of ``shape`` (C, H, W), untrained; sides above 48 px keep a stride."""
        super().__init__()
        from torchvision.models import resnet18  # takes a second, and few ask for it

        self.trunk = resnet18(num_classes=FEATURES)
        stride = 2 if max(shape[1:]) > 48 else 1
        self.trunk.conv1 = nn.Conv2d(shape[0], 64, 3, stride, 1, bias=False)
        self.trunk.maxpool = nn.Identity()
        self.head = _Head(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = functional.relu(self.trunk(signed)).float()
        return features, self.head(features)


@CLASSIFIERS.register(
    "dense", paper="Huang et al. 2017, Densely Connected Networks (arXiv:1608.06993)"
)
class Dense(nn.Module):
    """torchvision's DenseNet, small and with a stem for small images."""

    def __init__(self, shape: Shape, classes: int, *, growth: Count = 12, layers: Count = 3):
        """Build for images of ``shape`` (C, H, W): three blocks of ``layers``, each untrained."""
        super().__init__()
        from torchvision.models import DenseNet  # takes a second, and few ask for it

        self.trunk = DenseNet(growth, (layers,) * 3, 2 * growth, num_classes=FEATURES)
        stride = 2 if max(shape[1:]) > 16 else 1
        first = self.trunk.features
        first.conv0 = nn.Conv2d(shape[0], 2 * growth, 3, stride, 1, bias=False)
        if min(shape[1:]) <= 64:
            first.pool0 = nn.Identity()
        self.head = _Head(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = functional.relu(self.trunk(signed)).float()
        return features, self.head(features)


class _Head(nn.Linear):
    """A linear layer in float32, whatever its trunk computes in, for fine logits."""

    @in_full
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.first = _convolution(before, after, stride)
        self.second = _convolution(after, after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(before, after, stride, size=1)

    def forward(self, values: Tensor) -> Tensor:
        inner: Tensor = self.second(functional.relu(self.first(values)))
        return functional.relu(inner + self.shortcut(values))


def _convolution(before: int, after: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after)
    )


def _halvings(shape: Shape) -> int:
    """The number of halvings, at least 2, that brings the longer side to 2 to 7 pixels."""
    return max(2, math.ceil(math.log2(max(shape[1:]) / 7)))
