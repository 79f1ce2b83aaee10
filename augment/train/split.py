"""A step on several processes: the networks are split, and nothing else is.

Every process draws, augments, judges and averages the whole batch alike, so no model knows how many
there are. A network takes its share of the rows and hands on the rows of all; whatever mixes the
images of a batch on the way looks at all of them. So losses, penalties and packs mean the same on
any number of processes, and a step differs by rounding alone.

Inside a network every gradient is ``size`` times as large as its share, which the mean over
processes takes back; the functions here are the adjoints of one another, so that a gradient can be
differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map_only

from augment.classifiers.networks import CLASSIFIERS
from augment.models.base import Phase
from augment.models.networks import DISCRIMINATORS, GENERATORS
from augment.runtime.process_group import add_up, gathered

_active = False  # in a step that all processes take
_inside = False  # in a network that has a share of the rows


class Share(torch.autograd.Function):
    """This process's rows (N / size, …) of a tensor (N, …) that all processes have."""

    @staticmethod
    def forward(_: Any, whole: Tensor) -> Tensor:
        """The rows, as a copy."""
        return _rows(whole).clone(memory_format=torch.preserve_format)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """The gradients of all rows."""
        whole: Tensor = Whole.apply(gradient)
        return whole / dist.get_world_size()


class Whole(torch.autograd.Function):
    """The rows of all processes (N, …), each of which has as many (N / size, …)."""

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        """All rows, in the order of the processes."""
        return _gathered(rows)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """The gradients of this process's rows."""
        rows: Tensor = Share.apply(gradient)
        return rows * dist.get_world_size()


class Total(torch.autograd.Function):
    """The sum of a tensor over all processes."""

    @staticmethod
    def forward(_: Any, part: Tensor) -> Tensor:
        """The sum, which all have."""
        return add_up(part.contiguous().clone())

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """The sum of the gradients: each process's rows depend on the total."""
        total: Tensor = Total.apply(gradient)
        return total


@contextmanager
def step() -> Iterator[None]:
    """All processes are in here, or none: networks that are split take their share."""
    global _active
    _active = True
    try:
        yield
    finally:
        _active = False


def split(phases: Iterable[Phase]) -> None:
    """Split the networks of all ``phases``, as they are, over the processes of the group."""
    registries = (GENERATORS, DISCRIMINATORS, CLASSIFIERS)
    networks = {registry.describe(name).target for registry in registries
                for name in registry.names()}  # fmt: skip
    done: set[int] = set()
    for phase in phases:
        for module in phase.modules:
            for part in module.modules():
                if id(part) in done:
                    continue
                if type(part) in networks:
                    _split_network(part)
                    done |= {id(inner) for inner in part.modules()}


def average_gradients(weights: Iterable[Tensor]) -> None:
    """Give every process the mean of all processes' gradients of ``weights``."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.float().flatten() for gradient in gradients])
    add_up(flat)
    flat /= dist.get_world_size()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(mean.view(gradient.shape))


def _split_network(network: nn.Module) -> None:
    for method in getattr(network, "by_rows", ("forward",)):
        setattr(network, method, _by_rows(getattr(network, method)))
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            part.forward = _batch_norm(part, part.forward)  # type: ignore[assignment, method-assign]
        elif method := getattr(part, "mixes_images", None):
            setattr(part, method, _mixing(getattr(part, method)))


def _by_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of tensors with a row for each image, computed by its share of the rows.

    Where the rows cannot be shared evenly, every process computes all of them.
    """

    def shared(*arguments: Any, **options: Any) -> Any:
        global _inside
        rows = next(len(argument) for argument in arguments if isinstance(argument, Tensor))
        if not _active or _inside or rows % dist.get_world_size():
            return function(*arguments, **options)

        def share(tensor: Tensor) -> Tensor:
            if not tensor.dim() or len(tensor) != rows:
                return tensor
            part: Tensor = Share.apply(tensor) if tensor.requires_grad else _rows(tensor)
            return part

        arguments, options = tree_map_only(Tensor, share, (arguments, options))
        _inside = True
        try:
            made = function(*arguments, **options)
        finally:
            _inside = False
        return tree_map_only(Tensor, Whole.apply, made)

    return shared


def _mixing(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of maps (N, …) whose images see one another, of all rows even in a share."""

    def whole(maps: Tensor) -> Any:
        if not _inside:
            return function(maps)
        return tree_map_only(Tensor, Share.apply, function(Whole.apply(maps)))

    return whole


def _batch_norm(norm: _BatchNorm, plain: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The forward pass of ``norm`` by the mean and variance of all rows, in training."""

    def forward(maps: Tensor) -> Tensor:
        if not _inside or not norm.training:
            return plain(maps)
        axes = [0, *range(2, maps.dim())]
        count = maps.numel() // maps.shape[1] * dist.get_world_size()
        values = maps.float()
        mean, variance = _over_all(*torch.var_mean(values, axes, correction=0)[::-1])
        if norm.running_mean is not None and norm.running_var is not None:
            assert norm.momentum is not None and norm.num_batches_tracked is not None
            with torch.no_grad():
                norm.num_batches_tracked += 1
                norm.running_mean.lerp_(mean, norm.momentum)
                norm.running_var.lerp_(variance * (count / max(count - 1, 1)), norm.momentum)
        scale = (variance + norm.eps).rsqrt()
        scale = norm.weight * scale if norm.affine else scale
        shift = (norm.bias if norm.affine else 0) - mean * scale
        shape = (1, -1, *[1] * (maps.dim() - 2))
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(maps.dtype)

    return forward


def _over_all(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of the rows of all processes, from those of this one's."""
    here = torch.stack([mean, variance])
    others = torch.zeros_like(here)
    placed = [here if rank == dist.get_rank() else others for rank in range(dist.get_world_size())]
    means, variances = Total.apply(torch.stack(placed)).unbind(1)
    whole = means.mean(0)
    return whole, variances.mean(0) + (means - whole).square().mean(0)


def _rows(whole: Tensor) -> Tensor:
    count = len(whole) // dist.get_world_size()
    return whole.narrow(0, dist.get_rank() * count, count)


def _gathered(rows: Tensor) -> Tensor:
    """The rows of all processes, laid out as images are."""
    whole = torch.cat(gathered(rows.contiguous()))
    return whole.contiguous(memory_format=torch.channels_last) if whole.dim() == 4 else whole
