"""Small image classifiers: the labeller that ``synth`` filters with, the judge that ``score`` uses.

Three small architectures, so that the one that measures is neither the labeller nor the second one
that selectors ask, and a known large one. All take any size from 8 to 256 pixels and end in a
feature vector before the class scores.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from augment import augmentations, checkpoint, images, progress, seeding
from augment.augmentations import Augmentation
from augment.errors import AugmentError
from augment.registry import Count, Registry, Spec

CLASSIFIERS = Registry("classifier")
CLASSIC: tuple[Spec, ...] = ("elastic",)  # affine and elastic: changes no label
FEATURES = 64
PEAK_RATE = 5e-3
DECAY = 1e-2
WARM_UP = 0.15

Shape = tuple[int, int, int]
Floats = NDArray[np.float32]


class ClassifierError(AugmentError, ValueError):
    """Images, labels or settings that no classifier can be fitted to."""


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
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = self.trunk(signed).mean((2, 3))
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
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = self.blocks(functional.relu(self.stem(signed))).mean((2, 3))
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
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = functional.relu(self.trunk(signed))
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
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, signed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of images (N, C, H, W) in [-1, 1]."""
        features = functional.relu(self.trunk(signed))
        return features, self.head(features)


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


class Classifier:
    """A fitted network. An image's results do not depend on which others come with it."""

    def __init__(
        self,
        network: nn.Module,
        spec: dict[str, Any],
        shape: Shape,
        classes: int,
        device: torch.device,
    ):
        """Wrap ``network``, built from the resolved ``spec`` for ``shape`` and ``classes``."""
        self.network = network.eval()
        self.spec = spec
        self.shape = shape
        self.classes = classes
        self.device = device

    def predict(self, pixels: images.Pixels) -> Floats:
        """Class probabilities (N, K) of uint8 images (N, C, H, W)."""
        return self.both(pixels)[1]

    def features(self, pixels: images.Pixels) -> Floats:
        """Features (N, F) of uint8 images (N, C, H, W)."""
        return self.both(pixels)[0]

    def both(self, pixels: images.Pixels) -> tuple[Floats, Floats]:
        """Features (N, F) and probabilities (N, K) of uint8 images (N, C, H, W).

        Runs chunks of one fixed size, the last one padded, so that sums are always taken in the
        same order. Raises ClassifierError for images of another shape.
        """
        _check_shape(pixels, self.shape)
        features = np.empty((len(pixels), FEATURES), np.float32)
        probabilities = np.empty((len(pixels), self.classes), np.float32)
        _, height, width = self.shape
        size = min(256, max(16, 2**20 // (height * width)))
        chunk = np.zeros((size, *self.shape), np.uint8)
        for start in range(0, len(pixels), size):
            count = min(size, len(pixels) - start)
            chunk[:count] = pixels[start : start + count]
            with torch.inference_mode():
                found, logits = self.network(_signed(torch.from_numpy(chunk), self.device))
                features[start : start + count] = found[:count].cpu().numpy()
                probabilities[start : start + count] = logits.softmax(1)[:count].cpu().numpy()
        return features, probabilities

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and of what they belong to."""
        total = hashlib.sha256(json.dumps(self._meta, sort_keys=True).encode())
        for name, value in sorted(self.network.state_dict().items()):
            total.update(name.encode() + b"\0" + value.cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    def save(self, folder: Path, name: str) -> None:
        """Write ``name.safetensors`` and ``name.json`` in ``folder``."""
        meta = {**self._meta, "digest": self.digest}
        checkpoint.save_state(folder, name, self.network.state_dict(), meta)

    @property
    def _meta(self) -> dict[str, Any]:
        return {"network": self.spec, "shape": list(self.shape), "classes": self.classes}


def load(folder: Path, name: str, device: torch.device | str = "cpu") -> Classifier:
    """Read what Classifier.save wrote. Raises CheckpointError naming the file."""
    tensors, meta = checkpoint.load_state(folder, name)
    try:
        channels, height, width = meta["shape"]
        classifier = _build(meta["network"], (channels, height, width), meta["classes"], device)
        classifier.network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        path = folder / f"{name}.json"
        raise checkpoint.CheckpointError(f"{path}: is no classifier ({error})") from None
    if classifier.digest != meta.get("digest"):
        raise checkpoint.CheckpointError(f"{folder / name}.safetensors: damaged")
    return classifier


def fit(
    pixels: images.Pixels,
    labels: NDArray[np.int64],
    *,
    classes: int,
    network: Spec,
    steps: int,
    batch: int,
    seed: int,
    device: torch.device | str = "cpu",
    augment: Sequence[Spec] | Augmentation = (),
    weights: NDArray[Any] | None = None,
    even: bool = False,
    title: str = "classifier",
) -> Classifier:
    """Fit ``network`` to uint8 images (N, C, H, W) and their class indices (N,).

    AdamW under one cycle of the rate; each step's draws follow from ``seed`` and the step alone.
    ``augment`` names augmentations or is one function of a batch and a generator.
    ``weights`` (N,) multiply the samples' losses. With ``even`` images of smaller classes are shown
    more often, until all classes are equally likely: who judges samples is asked about as many of a
    rare class as of any, and taught by 10 of it among 400 of each other would never name it. Raises
    ClassifierError for labels outside 0 … ``classes`` - 1 or arrays that do not fit together,
    PartError for an unknown part.
    """
    _check(pixels, labels, classes, weights)
    _, channels, height, width = pixels.shape
    change = augment if callable(augment) else augmentations.compose(augment)
    seeding.everything(seed, "classifier")
    classifier = _build(network, (channels, height, width), classes, device)
    model = classifier.network.train()
    optimiser = torch.optim.AdamW(model.parameters(), PEAK_RATE, weight_decay=DECAY, fused=True)
    every, targets = torch.from_numpy(pixels), torch.from_numpy(labels)
    scale = None if weights is None else torch.from_numpy(np.float32(weights / weights.mean()))
    shown = evenly(labels) if even else np.arange(len(labels))
    chosen = _batches(len(shown), batch, steps, seed)
    for step, turns in enumerate(progress.track(chosen, title, total=steps)):
        places = shown[turns]
        draws = seeding.generator(seed, "classifier", step)
        signed = change(_signed(every[places], classifier.device), draws)
        _, logits = model(signed.contiguous(memory_format=torch.channels_last))
        losses = functional.cross_entropy(
            logits, targets[places].to(classifier.device), reduction="none"
        )
        if scale is not None:
            losses = losses * scale[places].to(losses)
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * _cycle((step + 1) / steps)
        optimiser.zero_grad()
        torch.autograd.backward(losses.mean())
        optimiser.step()
    model.eval()
    return classifier


def _build(network: Spec, shape: Shape, classes: int, device: torch.device | str) -> Classifier:
    spec = CLASSIFIERS.resolve(network)
    place = torch.device(device)
    module = CLASSIFIERS.build(spec, shape, classes)
    return Classifier(
        module.to(place, memory_format=torch.channels_last), spec, shape, classes, place
    )


def _convolution(before: int, after: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after)
    )


def _halvings(shape: Shape) -> int:
    """How often to halve so that the longer side ends at 2 to 7 pixels; at least twice."""
    return max(2, math.ceil(math.log2(max(shape[1:]) / 7)))


def _signed(pixels: Tensor, device: torch.device) -> Tensor:
    signed: Tensor = images.to_signed(pixels.to(device).float())
    return signed.contiguous(memory_format=torch.channels_last)


def evenly(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of all images, those of smaller classes repeated until all classes are as large."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    largest = max(map(len, members), default=0)
    return np.sort(np.concatenate([np.resize(own, largest) for own in members] or [labels]))


def _batches(count: int, batch: int, steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Places of the samples of each step: one permutation after another, cut into batches."""
    left = np.empty(0, np.int64)
    epoch = 0
    for _ in range(steps):
        while len(left) < batch:
            left = np.concatenate([left, seeding.rng(seed, "epoch", epoch).permutation(count)])
            epoch += 1
        yield left[:batch]
        left = left[batch:]


def _cycle(done: float) -> float:
    """Share of the peak rate when a share ``done`` of the steps is done: up, then a cosine down."""
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _check(
    pixels: images.Pixels, labels: NDArray[np.int64], classes: int, weights: NDArray[Any] | None
) -> None:
    if not len(pixels):
        raise ClassifierError("no images to fit a classifier to")
    if classes < 2:
        raise ClassifierError(f"a classifier needs at least 2 classes, found {classes}")
    if labels.shape != (len(pixels),) or (weights is not None and weights.shape != labels.shape):
        raise ClassifierError(f"{len(pixels)} images need as many labels and weights")
    if labels.min() < 0 or labels.max() >= classes:
        raise ClassifierError(
            f"labels are 0 to {classes - 1}, found {labels.min()} to {labels.max()}"
        )
    _check_shape(pixels, pixels.shape[1:])


def _check_shape(pixels: images.Pixels, shape: tuple[int, ...]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
        raise ClassifierError(
            f"expected uint8 images (N, {', '.join(map(str, shape))}), "
            f"found {pixels.dtype} {pixels.shape}"
        )
