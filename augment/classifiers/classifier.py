"""A fitted classifier: probabilities and features, saved and loaded without pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from augment.classifiers.networks import CLASSIFIERS, FEATURES, Shape
from augment.data import images
from augment.data.types import Floats as Floats
from augment.errors import AugmentError
from augment.registry import Spec
from augment.runtime import checkpoint, precision


class ClassifierError(AugmentError, ValueError):
    """No classifier can be fitted to the images, labels or settings."""


class Classifier:
    """A fitted network. The result for an image does not depend on the other images of a call."""

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

        The network runs on chunks of a fixed size, of which the last is padded, so that sums are
        always taken in the same order. Raises ClassifierError for images of another shape.
        """
        check_shape(pixels, self.shape)
        features = np.empty((len(pixels), FEATURES), np.float32)
        probabilities = np.empty((len(pixels), self.classes), np.float32)
        _, height, width = self.shape
        size = min(256, max(16, 2**20 // (height * width)))
        chunk = np.zeros((size, *self.shape), np.uint8)
        for start in range(0, len(pixels), size):
            count = min(size, len(pixels) - start)
            chunk[:count] = pixels[start : start + count]
            with torch.inference_mode(), precision.autocast(self.device):
                batch_features, logits = self.network(
                    signed_batch(torch.from_numpy(chunk), self.device)
                )
                features[start : start + count] = batch_features[:count].cpu().numpy()
                probabilities[start : start + count] = logits.softmax(1)[:count].cpu().numpy()
        return features, probabilities

    @property
    def digest(self) -> str:
        """SHA-256 of network, shape, number of classes and weights."""
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


def load_classifier(folder: Path, name: str, device: torch.device | str = "cpu") -> Classifier:
    """The classifier that ``Classifier.save`` wrote. Raises CheckpointError naming the file."""
    tensors, meta = checkpoint.load_state(folder, name)
    try:
        channels, height, width = meta["shape"]
        classifier = build_classifier(
            meta["network"], (channels, height, width), meta["classes"], device
        )
        classifier.network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        path = folder / f"{name}.json"
        raise checkpoint.CheckpointError(f"{path}: is no classifier ({error})") from None
    if classifier.digest != meta.get("digest"):
        raise checkpoint.CheckpointError(f"{folder / name}.safetensors: damaged")
    return classifier


def build_classifier(
    network: Spec, shape: Shape, classes: int, device: torch.device | str
) -> Classifier:
    """A classifier with random weights. Raises PartError for an unknown network or option."""
    spec = CLASSIFIERS.resolve(network)
    place = torch.device(device)
    module = CLASSIFIERS.build(spec, shape, classes)
    return Classifier(
        module.to(place, memory_format=torch.channels_last), spec, shape, classes, place
    )


def signed_batch(pixels: Tensor, device: torch.device) -> Tensor:
    """Pixels (N, C, H, W) from 0 to 255 as values from -1 to 1 on ``device``, channels last."""
    signed: Tensor = images.to_signed(pixels.to(device).float())
    return signed.contiguous(memory_format=torch.channels_last)


def check_shape(pixels: images.Pixels, shape: tuple[int, ...]) -> None:
    """Raise ClassifierError unless ``pixels`` are uint8 images (N, *``shape``)."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
        raise ClassifierError(
            f"expected uint8 images (N, {', '.join(map(str, shape))}), "
            f"found {pixels.dtype} {pixels.shape}"
        )
