"""Optimisers of torch that do not import its compiler.

Making an optimiser imports ``torch._dynamo``, and so does each step, in 3 to 4 seconds of every
process that fits a network. It is there for optimisers that ``torch.compile`` traces; here networks
are compiled, and no optimiser is.
"""

from __future__ import annotations

import inspect
from typing import TypeVar, cast

import torch
from torch.optim import Optimizer

T = TypeVar("T", bound=Optimizer)

WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def untraced(kind: type[T]) -> type[T]:
    """The optimiser ``kind``, whose steps are the same to the bit, without the import.

    Torch wraps what must not be traced, and a wrapped method imports the compiler when it is
    called; here the methods are those inside. ``kind`` itself stays as it is. Where a version of
    torch wraps none, nothing changes but the time that the import takes.
    """
    inside = {name: inspect.unwrap(getattr(kind, name)) for name in (*WRAPPED, "step")}
    members = {**inside, "step": torch.no_grad()(inside["step"]), "__module__": kind.__module__}
    return cast(type[T], type(kind.__name__, (kind,), members))
