"""Losses: closed forms of both halves, from both sides, and which way they pull."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from augment.losses import LOSSES

LN2 = math.log(2)


def log1pe(x: float) -> float:
    """ln(1 + e^x), written out."""
    return math.log(1 + math.exp(x))


# name -> (real logits, fake logits, the discriminator's loss, the generator's)
CASES: dict[str, list[tuple[list[float], list[float], float, float]]] = {
    "non_saturating": [
        ([0, 0], [0, 0], 2 * LN2, LN2),
        ([2], [-1], log1pe(-2) + log1pe(-1), log1pe(1)),
        (
            [2, 0],
            [-1, 3],
            (log1pe(-2) + LN2 + log1pe(-1) + log1pe(3)) / 2,
            (log1pe(1) + log1pe(-3)) / 2,
        ),
        ([100], [-100], 0, 100),
        ([-100], [100], 200, 0),
    ],
    "wasserstein": [
        ([0, 0], [0, 0], 0, 0),
        ([2], [-1], -3, 1),
        ([2, 0], [-1, 4], 0.5, -1.5),
    ],
    "hinge": [
        ([0, 0], [0, 0], 2, 0),
        ([2], [-1], 0, 1),
        ([0.5], [-0.25], 0.5 + 0.75, 0.25),
        ([3, -3], [-3, 3], (0 + 4) / 2 + (0 + 4) / 2, 0),
    ],
    "relativistic": [
        ([0, 0], [0, 0], LN2, LN2),
        ([7], [7], LN2, LN2),
        ([2], [-1], log1pe(-3), log1pe(3)),
        ([2, 0], [-1, 4], (log1pe(-3) + log1pe(4)) / 2, (log1pe(3) + log1pe(-4)) / 2),
        ([100], [-100], 0, 200),
    ],
}


def both(name: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    loss = LOSSES.build(name)
    return loss.discriminator(real=real, fake=fake), loss.generator(fake=fake, real=real)


def test_every_loss_has_cases() -> None:
    assert sorted(CASES) == LOSSES.names()


@pytest.mark.parametrize("name", LOSSES.names())
def test_values(name: str) -> None:
    for real, fake, discriminator, generator in CASES[name]:
        found = both(name, torch.tensor(real).float(), torch.tensor(fake).float())
        assert [value.item() for value in found] == pytest.approx(
            [discriminator, generator], abs=1e-5
        )


@pytest.mark.parametrize("name", LOSSES.names())
def test_contract(name: str) -> None:
    """Scalars; halves that take their logits by name only; a paper."""
    real, fake = torch.randn(5), torch.randn(5)
    assert all(value.shape == () for value in both(name, real, fake))
    loss = LOSSES.build(name)
    with pytest.raises(TypeError):
        loss.discriminator(real, fake)
    with pytest.raises(TypeError):
        loss.generator(fake, real)
    assert LOSSES.describe(name).paper


@pytest.mark.parametrize("name", LOSSES.names())
def test_each_half_pulls_its_way(name: str) -> None:
    real, fake = (torch.zeros(4, requires_grad=True) for _ in range(2))
    discriminator, generator = both(name, real, fake)
    up, down = torch.autograd.grad(discriminator, [real, fake])
    assert (up < 0).all() and (down > 0).all()
    (up,) = torch.autograd.grad(generator, [fake])
    assert (up < 0).all()
    steps = torch.linspace(-3, 3, 13)
    curve = [both(name, x[None], -x[None]) for x in steps]
    assert all(b[0] <= a[0] for a, b in pairwise(curve))
    assert all(b[1] >= a[1] for a, b in pairwise(curve))


@pytest.mark.parametrize("name", LOSSES.names())
def test_extreme_logits_stay_finite(name: str) -> None:
    for size in (1e4, -1e4):
        real = torch.full((3,), size, requires_grad=True)
        fake = torch.full((3,), -size, requires_grad=True)
        for value in both(name, real, fake):
            assert value.isfinite()
            gradients = torch.autograd.grad(value, [real, fake], allow_unused=True)
            assert all(one.isfinite().all() for one in gradients if one is not None)


def test_only_the_relativistic_generator_needs_real_logits() -> None:
    for name in LOSSES.names():
        if name == "relativistic":
            with pytest.raises(ValueError, match="needs the logits of real images"):
                LOSSES.build(name).generator(fake=torch.zeros(2))
        else:
            assert LOSSES.build(name).generator(fake=torch.zeros(2)).isfinite()
