"""The class head that an InfoGAN learned: which condition an image belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augment.classifiers.classifier import Floats
from augment.classifiers.networks import CLASSIFIERS
from augment.data import images
from augment.models.critic import InfoCritic
from augment.models.networks import DISCRIMINATORS
from augment.runtime import checkpoint, devices

NAME = "head"
FORMAT = 2  # of the file; in another one the weights may stand in another order
SIZE = 64  # packs that the network sees at a time; chosen by hand


class Head:
    """Probabilities of each of ``kinds`` conditions, by the averaged discriminator's Q."""

    def __init__(
        self,
        critic: InfoCritic,
        kinds: int,
        device: torch.device,
        classes: Sequence[str] | None = None,
    ):
        """Wrap ``critic``; ``load`` is the way in. ``classes`` are None where it knows none."""
        self.critic = critic.eval()
        self.kinds = kinds
        self.device = device
        self.classes = classes

    def predict(self, pixels: images.Pixels) -> Floats:
        """Probabilities (N, conditions) of uint8 images (N, C, H, W).

        Those of an image do not depend on the other images: a pack is one image, repeated.
        """
        chunks = [np.zeros((0, self.kinds), np.float32)]
        for repeated, features in self._packs(pixels):
            with torch.inference_mode():
                logits = self.critic.recognise(repeated, features)
            chunks.append(logits.softmax(1)[:: self.critic.members].cpu().numpy())
        return np.concatenate(chunks)

    def _packs(self, pixels: images.Pixels) -> Iterator[tuple[Tensor, Tensor]]:
        """Up to SIZE images at a time, each repeated to a pack, and the packs' features."""
        members = self.critic.members
        for start in range(0, len(pixels), SIZE):
            signed = images.to_signed(
                torch.from_numpy(pixels[start : start + SIZE]).to(self.device).float()
            )
            repeated = signed.repeat_interleave(members, 0)
            packs = signed.repeat(1, members, 1, 1).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                features = self.critic.network(packs)
            yield repeated, features


def save(folder: Path, critic: InfoCritic, meta: Mapping[str, Any]) -> None:
    """Write head.safetensors and head.json in ``folder``, without what conditions the logit."""
    tensors = critic.state_dict()
    kept = {key: value for key, value in tensors.items() if not key.startswith("conditioning.")}
    checkpoint.save_state(folder, NAME, kept, {**meta, "format": FORMAT})


def load(folder: Path, device: torch.device | str = "cpu") -> Head | None:
    """What ``save`` wrote; None where the model has no head. Raises CheckpointError."""
    if not (folder / f"{NAME}.json").exists():
        return None
    tensors, meta = checkpoint.load_state(folder, NAME)
    if meta.get("format") != FORMAT:
        raise checkpoint.CheckpointError(
            f"{folder / NAME}.json: of another version of augment; run `augment train` again"
        )
    try:
        channels, height, width = meta["shape"]
        critic = InfoCritic(
            lambda shape: DISCRIMINATORS.build(meta["discriminator"], shape),
            (channels, height, width),
            None,
            meta["members"],
            meta["conditions"],
            meta["codes"],
            CLASSIFIERS.build(meta["recogniser"], (channels, height, width), meta["conditions"])
            if meta["recogniser"]
            else None,
            d2d="category.project.weight" in tensors,
        )
        critic.load_state_dict(tensors)
        classes = meta["classes"] if meta["matched"] else None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        path = folder / f"{NAME}.json"
        raise checkpoint.CheckpointError(f"{path}: is no class head ({error})") from None
    place = devices.choose_device(str(device))
    critic.to(place).to(memory_format=torch.channels_last)
    return Head(critic, meta["conditions"], place, classes)
