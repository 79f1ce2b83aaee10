"""The class head that an InfoGAN learned: which condition an image belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment import checkpoint, devices, images
from augment.classifiers import Floats
from augment.models.infogan import InfoCritic
from augment.networks import DISCRIMINATORS

NAME = "head"
SIZE = 64  # packs at a time


class Head:
    """Probabilities of each condition, by the averaged discriminator and its Q."""

    def __init__(self, critic: InfoCritic, device: torch.device):
        """Wrap ``critic``; ``load`` is the way in."""
        self.critic = critic.eval()
        self.device = device

    def predict(self, pixels: images.Pixels) -> Floats:
        """Probabilities (N, conditions) of uint8 images (N, C, H, W).

        An image's do not depend on which others come with it: a pack is one image, repeated.
        """
        found = [np.zeros((0, self.critic.category.out_features // self.critic.members), "f4")]
        for start in range(0, len(pixels), SIZE):
            some = torch.from_numpy(pixels[start : start + SIZE]).to(self.device).float()
            packs = images.to_signed(some).repeat(1, self.critic.members, 1, 1)
            with torch.inference_mode():
                packs = packs.contiguous(memory_format=torch.channels_last)
                logits, _ = self.critic.infer(self.critic.network(packs))
            found.append(logits.softmax(1)[:: self.critic.members].cpu().numpy())
        return np.concatenate(found)


def save(folder: Path, critic: InfoCritic, meta: Mapping[str, Any]) -> None:
    """Write head.safetensors and head.json in ``folder``, without what conditions the logit."""
    tensors = critic.state_dict()
    kept = {key: value for key, value in tensors.items() if not key.startswith("conditioning.")}
    checkpoint.save_state(folder, NAME, kept, dict(meta))


def load(folder: Path, device: torch.device | str = "cpu") -> Head | None:
    """What ``save`` wrote; None where the model has no head. Raises CheckpointError."""
    if not (folder / f"{NAME}.json").exists():
        return None
    tensors, meta = checkpoint.load_state(folder, NAME)
    try:
        channels, height, width = meta["shape"]
        critic = InfoCritic(
            lambda shape: DISCRIMINATORS.build(meta["discriminator"], shape),
            (channels, height, width),
            None,
            meta["members"],
            meta["conditions"],
            meta["codes"],
        )
        critic.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        path = folder / f"{NAME}.json"
        raise checkpoint.CheckpointError(f"{path}: is no class head ({error})") from None
    place = devices.resolve(str(device))
    return Head(critic.to(place).to(memory_format=torch.channels_last), place)
