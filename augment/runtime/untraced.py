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

KEPT_FROM_TRACING = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def untraced(kind: type[T]) -> type[T]:
    """The optimiser ``kind``, whose steps are the same to the bit, without the import.

    Torch wraps what it must not trace: such a method takes the compiler's version of itself from
    an attribute, or makes it, which is the import; ``step`` breaks off a trace. Where a version of
    torch no longer does so, nothing changes but the time that the import takes.
    """
    for name in KEPT_FROM_TRACING:
        method = inspect.unwrap(getattr(Optimizer, name))
        setattr(method, "__dynamo_disable", method)
    step = torch.no_grad()(inspect.unwrap(kind.step))
    members = {"step": step, "__module__": kind.__module__}
    return cast(type[T], type(kind.__name__, (kind,), members))
