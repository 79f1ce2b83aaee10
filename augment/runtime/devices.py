"""The device that computes."""

from __future__ import annotations

import torch

from augment.errors import AugmentError


class DeviceError(AugmentError):
    """The machine does not have the device."""


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first GPU, or else the CPU.

    Raises DeviceError for a device that cannot be used here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"device {name!r} cannot be used here: {reason}") from None
