"""Optimisers: their first steps in closed form. Schedules: values at places, bounds, warm-up."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from augment.registry import PartError
from augment.train.optimisers import OPTIMISERS, SCHEDULES

GRADIENTS = (2.0, -1.0)


def adam(rate: float, first: float, second: float, eps: float) -> list[float]:
    """Kingma & Ba's algorithm 1 on GRADIENTS, from 0."""
    places, place, mean, square = [], 0.0, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, 1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        unbiased = mean / (1 - first**step), square / (1 - second**step)
        place -= rate * unbiased[0] / (math.sqrt(unbiased[1]) + eps)
        places.append(place)
    return places


def rmsprop(rate: float, alpha: float, eps: float) -> list[float]:
    """Tieleman & Hinton's rule on GRADIENTS, from 0."""
    places, place, square = [], 0.0, 0.0
    for gradient in GRADIENTS:
        square = alpha * square + (1 - alpha) * gradient**2
        place -= rate * gradient / (math.sqrt(square) + eps)
        places.append(place)
    return places


# name -> (options, where the parameter is after each step at a rate of 0.1)
OPTIMISER_CASES: dict[str, list[tuple[dict[str, Any], list[float]]]] = {
    "adam": [
        ({}, adam(0.1, 0.0, 0.99, 1e-8)),
        ({"betas": [0.5, 0.999]}, adam(0.1, 0.5, 0.999, 1e-8)),
        ({"betas": [0.0, 0.0]}, [-0.1, 0.0]),  # the sign of the gradient alone
        ({"eps": 2.0}, adam(0.1, 0.0, 0.99, 2.0)),
    ],
    "rmsprop": [
        ({}, rmsprop(0.1, 0.99, 1e-8)),
        ({"alpha": 0.0}, [-0.1, 0.0]),
        ({"alpha": 0.5, "eps": 1.0}, rmsprop(0.1, 0.5, 1.0)),
    ],
}

# name -> (options, {share of the run: share of the rate})
SCHEDULE_CASES: dict[str, list[tuple[dict[str, float], dict[float, float]]]] = {
    "constant": [
        ({}, {0: 1, 0.3: 1, 1: 1}),
        ({"warm_up": 0.2}, {0: 0, 0.05: 0.25, 0.15: 0.75, 0.2: 1, 0.7: 1, 1: 1}),
    ],
    "linear": [
        ({}, {0: 1, 0.2: 0.85, 0.5: 0.625, 1: 0.25}),
        ({"final": 0.0}, {0: 1, 0.25: 0.75, 1: 0}),
        ({"final": 1.0}, {0: 1, 0.6: 1, 1: 1}),
        ({"final": 0.5, "warm_up": 0.5}, {0: 0, 0.25: 0.5, 0.5: 1, 0.75: 0.75, 1: 0.5}),
    ],
    "cosine": [
        ({}, {0: 1, 0.5: 0.625, 1: 0.25}),
        ({"final": 0.0}, {0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        ({"final": 0.0, "warm_up": 0.4}, {0: 0, 0.1: 0.25, 0.4: 1, 0.6: 0.75, 0.7: 0.5, 1: 0}),
    ],
}


def layer() -> nn.Module:
    """One weight at 0 and one beside it that gets no gradient."""
    module = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(module.weight)
    return module


def follow(optimiser: torch.optim.Optimizer, module: nn.Module, gradient: float) -> float:
    (weight,) = module.parameters()
    weight.grad = torch.tensor([[gradient, 0.0]])
    optimiser.step()
    assert weight[0, 1] == 0
    return weight[0, 0].item()


def test_every_part_has_cases() -> None:
    assert sorted(OPTIMISER_CASES) == OPTIMISERS.names()
    assert sorted(SCHEDULE_CASES) == SCHEDULES.names()


@pytest.mark.parametrize("name", OPTIMISERS.names())
def test_steps(name: str) -> None:
    for options, expected in OPTIMISER_CASES[name]:
        for rate in (0.1, 0.3):
            module = layer()
            optimiser = OPTIMISERS.build({"name": name, **options})(module.parameters(), rate)
            places = [follow(optimiser, module, gradient) * 0.1 / rate for gradient in GRADIENTS]
            assert places == pytest.approx(expected, abs=1e-6), options


@pytest.mark.parametrize("name", OPTIMISERS.names())
def test_a_rate_can_change_between_steps(name: str) -> None:
    module = layer()
    optimiser = OPTIMISERS.build(name)(module.parameters(), 0.1)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    assert follow(optimiser, module, 1.0) == 0
    for group in optimiser.param_groups:
        group["lr"] = 0.2
    assert follow(optimiser, module, 1.0) < 0


@pytest.mark.parametrize("name", OPTIMISERS.names())
def test_a_state_taken_up_again_goes_on_with_the_same_bits(name: str) -> None:
    whole, halved, again = layer(), layer(), layer()
    build = OPTIMISERS.build(name)
    first, second = (build(module.parameters(), 0.1) for module in (whole, halved))
    for gradient in GRADIENTS:
        follow(first, whole, gradient)
        follow(second, halved, gradient)
    resumed = build(again.parameters(), 0.1)
    again.load_state_dict(halved.state_dict())
    resumed.load_state_dict(second.state_dict())
    assert follow(resumed, again, 0.3) == follow(first, whole, 0.3)


@pytest.mark.parametrize("name", OPTIMISERS.names())
def test_descends(name: str) -> None:
    module = nn.Linear(3, 1)
    inputs = torch.eye(3)
    optimiser = OPTIMISERS.build(name)(module.parameters(), 0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (module(inputs) - 1).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    assert OPTIMISERS.describe(name).paper


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_values(name: str) -> None:
    for options, expected in SCHEDULE_CASES[name]:
        schedule = SCHEDULES.build({"name": name, **options})
        shares = {done: schedule(done) for done in expected}
        assert shares == pytest.approx(expected, abs=1e-12), options


@pytest.mark.parametrize("warm_up", [0.0, 0.3])
@pytest.mark.parametrize("name", SCHEDULES.names())
def test_rises_then_never_rises_again(name: str, warm_up: float) -> None:
    schedule = SCHEDULES.build({"name": name, "warm_up": warm_up})
    curve = [schedule(step / 100) for step in range(101)]
    peak = round(warm_up * 100)
    assert curve[peak] == pytest.approx(1) and min(curve) >= 0 and max(curve) <= 1
    assert curve[:peak] == pytest.approx([step / peak for step in range(peak)])
    assert sorted(curve[peak:], reverse=True) == curve[peak:]
    assert SCHEDULES.describe(name).paper


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "adam", "betas": [0.0, 1.0]}, "option 'betas.1'"),
        ({"name": "adam", "betas": [0.5]}, "option 'betas"),
        ({"name": "adam", "eps": 0}, "option 'eps'"),
        ({"name": "rmsprop", "alpha": 1.0}, "option 'alpha'"),
        ({"name": "rmsprop", "betas": [0.0, 0.9]}, "unknown option 'betas'; known: alpha, eps"),
        ("sgd", "unknown optimiser 'sgd'; known: adam, rmsprop"),
    ],
)
def test_wrong_optimisers(spec: Any, message: str) -> None:
    with pytest.raises(PartError, match=message):
        OPTIMISERS.resolve(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "linear", "final": 1.5}, "option 'final'"),
        ({"name": "linear", "warm_up": 1.0}, "option 'warm_up'"),
        ({"name": "constant", "final": 0.5}, "unknown option 'final'; known: warm_up"),
        ("step", "unknown schedule 'step'; known: constant, cosine, linear"),
    ],
)
def test_wrong_schedules(spec: Any, message: str) -> None:
    with pytest.raises(PartError, match=message):
        SCHEDULES.resolve(spec)
