"""Optimisers, and schedules: how large a share of its rate an optimiser uses as a run goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from augment.registry import Fraction, Registry
from augment.runtime.untraced import untraced

OPTIMISERS = Registry("optimiser")
SCHEDULES = Registry("schedule")

Portion = Annotated[float, Field(ge=0, lt=1)]  # of a whole, and never all of it
Positive = Annotated[float, Field(gt=0)]


@OPTIMISERS.register("adam", paper="Kingma & Ba 2014 (arXiv:1412.6980)")
def adam(
    parameters: Iterable[nn.Parameter],
    rate: float,
    *,
    betas: tuple[Portion, Portion] = (0.0, 0.99),
    eps: Positive = 1e-8,
) -> torch.optim.Optimizer:
    """Steps scaled by running means of gradients and of their squares.

    ``betas`` are how much of each mean a step keeps. No momentum is what R3GAN and StyleGAN use;
    DCGAN has (0.5, 0.999), WGAN-GP (0, 0.9).
    """
    return untraced(torch.optim.Adam)(parameters, rate, betas=betas, eps=eps, fused=True)


@OPTIMISERS.register(
    "rmsprop",
    paper="Tieleman & Hinton 2012, Lecture 6.5; Arjovsky et al. 2017, WGAN (arXiv:1701.07875)",
)
def rmsprop(
    parameters: Iterable[nn.Parameter],
    rate: float,
    *,
    alpha: Portion = 0.99,
    eps: Positive = 1e-8,
) -> torch.optim.Optimizer:
    """Steps scaled by a running mean of squared gradients, of which a step keeps ``alpha``.

    WGAN's choice: momentum makes a clipped critic unstable.
    """
    return untraced(torch.optim.RMSprop)(parameters, rate, alpha=alpha, eps=eps, foreach=True)


@SCHEDULES.register("constant", paper="warm-up: Goyal et al. 2017 (arXiv:1706.02677)")
def constant(done: float, *, warm_up: Portion = 0.0) -> float:
    """The whole rate, after a rise from zero over the share ``warm_up`` of the run.

    ``done`` is the share of the run that lies behind, 0 … 1; so is the result of the rate.
    """
    return _warmed(done, warm_up, lambda rest: 1.0)


@SCHEDULES.register("linear", paper="Defazio et al. 2023 (arXiv:2310.07831)")
def linear(done: float, *, final: Fraction = 0.25, warm_up: Portion = 0.0) -> float:
    """From the whole rate down a straight line to the share ``final`` of it.

    ``done`` is the share of the run that lies behind, 0 … 1. The rate first rises from zero over
    the share ``warm_up`` of the run.
    """
    return _warmed(done, warm_up, lambda rest: 1 - rest * (1 - final))


@SCHEDULES.register("cosine", paper="Loshchilov & Hutter 2016, SGDR (arXiv:1608.03983)")
def cosine(done: float, *, final: Fraction = 0.25, warm_up: Portion = 0.0) -> float:
    """From the whole rate down half a cosine wave to the share ``final`` of it.

    ``done`` is the share of the run that lies behind, 0 … 1. The rate first rises from zero over
    the share ``warm_up`` of the run.
    """
    return _warmed(
        done, warm_up, lambda rest: final + (1 - final) * (1 + math.cos(math.pi * rest)) / 2
    )


def _warmed(done: float, warm_up: float, share: Callable[[float], float]) -> float:
    """A straight rise to 1 until ``warm_up``, then ``share`` of what is done of the rest."""
    return done / warm_up if done < warm_up else share((done - warm_up) / (1 - warm_up))
