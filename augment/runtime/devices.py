"""Which device computes, and how much of it is ours to use."""

from __future__ import annotations

import torch

from augment.errors import AugmentError


class DeviceError(AugmentError):
    """A device that this machine does not have."""


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU, else the CPU. Raises DeviceError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"device {name!r} cannot be used here: {reason}") from None
