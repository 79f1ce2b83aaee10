"""The device that computes."""

from __future__ import annotations

import os

import torch

from augment.errors import AugmentError

WORTHWHILE = 500  # steps, of about 20 ms, beside which processes start; chosen by hand


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


def fits_at_once(device: torch.device, steps: int) -> int:
    """How many small networks to fit beside one another, in ``steps`` steps altogether.

    On the CPU one on each core; on a GPU one, and so where starting processes costs more.
    """
    if device.type != "cpu" or steps < WORTHWHILE:
        return 1
    return os.cpu_count() or 1
