"""Losses: closed forms of both halves, from both sides, and which way they pull."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.losses import LOSSES

LN2 = math.log(2)
E = math.exp


def log1pe(x: float) -> float:
    """ln(1 + e^x), written out."""
    return math.log(1 + math.exp(x))


# name, options and (real logits, fake logits, the discriminator's loss, the generator's)
Row = tuple[list[float], list[float], float, float]
CASES: list[tuple[str, dict[str, Any], list[Row]]] = [
    ("vanilla", {}, [
        ([0, 0], [0, 0], 2 * LN2, -LN2),
        ([2, 0], [-1, 3], (log1pe(-2) + LN2 + log1pe(-1) + log1pe(3)) / 2,
         -(log1pe(-1) + log1pe(3)) / 2),
        ([100], [-100], 0, 0),
        ([-100], [100], 200, -100),
    ]),
    ("vanilla", {"smoothing": 0.1}, [
        ([0], [0], 2 * LN2, -LN2),
        ([2], [-1], 0.9 * log1pe(-2) + 0.1 * log1pe(2) + log1pe(-1), -log1pe(-1)),
        ([-3], [1], 0.9 * log1pe(3) + 0.1 * log1pe(-3) + log1pe(1), -log1pe(1)),
    ]),
    ("non_saturating", {}, [
        ([0, 0], [0, 0], 2 * LN2, LN2),
        ([2], [-1], log1pe(-2) + log1pe(-1), log1pe(1)),
        ([2, 0], [-1, 3], (log1pe(-2) + LN2 + log1pe(-1) + log1pe(3)) / 2,
         (log1pe(1) + log1pe(-3)) / 2),
        ([100], [-100], 0, 100),
        ([-100], [100], 200, 0),
    ]),
    ("non_saturating", {"smoothing": 0.25}, [
        ([0], [0], 2 * LN2, LN2),
        ([2], [-1], 0.75 * log1pe(-2) + 0.25 * log1pe(2) + log1pe(-1), log1pe(1)),
        ([100], [-100], 25, 100),
    ]),
    ("lsgan", {}, [
        ([0, 0], [0, 0], 0.5, 0.5),
        ([1], [0], 0, 0.5),
        ([3, 1], [-2, 0], (4 + 4) / 4, (9 + 1) / 4),
        ([0], [1], 1, 0),
    ]),
    ("lsgan", {"a": -1.0, "b": 2.0, "c": 3.0}, [
        ([2], [-1], 0, 8),
        ([0], [3], (4 + 16) / 2, 0),
        ([3, 1], [0, 1], (2 + 5) / 4, 13 / 4),
    ]),
    ("fgan", {}, [
        ([0], [0], 0, 0),
        ([2], [-1], log1pe(-2) + log1pe(-1) - 2 * LN2, log1pe(1) - LN2),
    ]),
    ("fgan", {"divergence": "kl"}, [
        ([1], [1], 0, -1),
        ([2, 0], [-1, 4], (E(-2) + E(3)) / 2 - 1, -1.5),
    ]),
    ("fgan", {"divergence": "reverse_kl"}, [
        ([0], [0], 0, 1),
        ([2, 0], [-1, 4], (E(-2) + 1) / 2 + 0.5, (E(1) + E(-4)) / 2),
    ]),
    ("fgan", {"divergence": "pearson"}, [
        ([0], [0], 0, 0),
        ([2, 0], [-1, 4], (-0.75 + 8) / 2 - 1, -1.5),
    ]),
    ("fgan", {"divergence": "squared_hellinger"}, [
        ([0], [0], 0, 0),
        ([2], [-1], E(-1) + E(-2) - 2, E(1) - 1),
    ]),
    ("fgan", {"divergence": "gan"}, [
        ([0], [0], 2 * LN2, LN2),
        ([2], [-1], log1pe(-2) + log1pe(-1), log1pe(1)),
    ]),
    ("fgan", {"saturating": True}, [
        ([2], [-1], log1pe(-2) + log1pe(-1) - 2 * LN2, LN2 - log1pe(-1)),
    ]),
    ("fgan", {"divergence": "kl", "saturating": True}, [([2], [-1], E(-2) - 2, -E(-2))]),
    ("fgan", {"divergence": "reverse_kl", "saturating": True}, [([2], [-1], E(-2) - 2, 2)]),
    ("fgan", {"divergence": "pearson", "saturating": True}, [([2], [-1], -2.75, 0.75)]),
    ("fgan", {"divergence": "squared_hellinger", "saturating": True}, [
        ([2], [-1], E(-1) + E(-2) - 2, 1 - E(-1)),
    ]),
    ("fgan", {"divergence": "gan", "saturating": True}, [
        ([2], [-1], log1pe(-2) + log1pe(-1), -log1pe(-1)),
    ]),
    ("wasserstein", {}, [
        ([0, 0], [0, 0], 0, 0),
        ([2], [-1], -3, 1),
        ([2, 0], [-1, 4], 0.5, -1.5),
    ]),
    ("hinge", {}, [
        ([0, 0], [0, 0], 2, 0),
        ([2], [-1], 0, 1),
        ([0.5], [-0.25], 0.5 + 0.75, 0.25),
        ([3, -3], [-3, 3], (0 + 4) / 2 + (0 + 4) / 2, 0),
    ]),
    ("relativistic", {}, [
        ([0, 0], [0, 0], LN2, LN2),
        ([7], [7], LN2, LN2),
        ([2], [-1], log1pe(-3), log1pe(3)),
        ([2, 0], [-1, 4], (log1pe(-3) + log1pe(4)) / 2, (log1pe(3) + log1pe(-4)) / 2),
        ([100], [-100], 0, 200),
    ]),
]  # fmt: skip
BUILDS = [pytest.param(name, options, id=f"{name}{options or ''}") for name, options, _ in CASES]


def both(name: str, options: dict[str, Any], real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    loss = LOSSES.build({"name": name, **options})
    return loss.discriminator(real=real, fake=fake), loss.generator(fake=fake, real=real)


def test_every_loss_has_cases() -> None:
    assert sorted({name for name, _, _ in CASES}) == LOSSES.names()


@pytest.mark.parametrize(("name", "options", "rows"), CASES)
def test_values(name: str, options: dict[str, Any], rows: list[Row]) -> None:
    for real, fake, discriminator, generator in rows:
        halves = both(name, options, torch.tensor(real).float(), torch.tensor(fake).float())
        assert [value.item() for value in halves] == pytest.approx(
            [discriminator, generator], abs=1e-5
        )


@pytest.mark.parametrize(("name", "options"), BUILDS)
def test_contract(name: str, options: dict[str, Any]) -> None:
    """Scalars; halves that take their logits by name only; a paper."""
    real, fake = torch.randn(5), torch.randn(5)
    assert all(value.shape == () for value in both(name, options, real, fake))
    loss = LOSSES.build({"name": name, **options})
    with pytest.raises(TypeError):
        loss.discriminator(real, fake)
    with pytest.raises(TypeError):
        loss.generator(fake, real)
    assert LOSSES.describe(name).paper


@pytest.mark.parametrize(("name", "options"), BUILDS)
def test_each_half_pulls_its_way(name: str, options: dict[str, Any]) -> None:
    """Around logits of one half: there every loss is away from the targets that it has."""
    real, fake = (torch.full((4,), 0.5, requires_grad=True) for _ in range(2))
    discriminator, generator = both(name, options, real, fake)
    up, down = torch.autograd.grad(discriminator, [real, fake])
    assert (up < 0).all() and (down > 0).all()
    (up,) = torch.autograd.grad(generator, [fake])
    assert (up < 0).all()
    steps = torch.linspace(-0.5, 0.5, 11)
    curve = [both(name, options, 0.5 + x[None], 0.5 - x[None]) for x in steps]
    assert all(b[0] < a[0] for a, b in pairwise(curve))
    assert all(b[1] > a[1] for a, b in pairwise(curve))


@pytest.mark.parametrize(("name", "options"), BUILDS)
def test_extreme_logits_stay_finite(name: str, options: dict[str, Any]) -> None:
    most = 50.0 if name == "fgan" else 1e4  # e^88 is infinite
    for size in (most, -most):
        real = torch.full((3,), size, requires_grad=True)
        fake = torch.full((3,), -size, requires_grad=True)
        for value in both(name, options, real, fake):
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


def test_only_the_minimax_generator_saturates() -> None:
    pulls = {}
    for name in ("vanilla", "non_saturating"):
        fake = torch.tensor([-20.0], requires_grad=True)
        (pulls[name],) = torch.autograd.grad(LOSSES.build(name).generator(fake=fake), [fake])
    assert -1e-8 < pulls["vanilla"].item() < 0
    assert pulls["non_saturating"].item() == pytest.approx(-1)


@pytest.mark.parametrize("name", ["vanilla", "non_saturating"])
@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_smoothing_moves_the_optimum_of_reals_only(name: str, smoothing: float) -> None:
    """A smoothed target of 1 - s is best met by D(x) = 1 - s, at its entropy."""
    loss = LOSSES.build({"name": name, "smoothing": smoothing})
    best = math.log((1 - smoothing) / smoothing)
    real = torch.tensor([best], requires_grad=True)
    value = loss.discriminator(real=real, fake=torch.tensor([-100.0]))
    entropy = -smoothing * math.log(smoothing) - (1 - smoothing) * math.log(1 - smoothing)
    assert value.item() == pytest.approx(entropy, abs=1e-6)
    assert torch.autograd.grad(value, [real])[0].item() == pytest.approx(0, abs=1e-6)
    for aside in (best - 0.5, best + 0.5):
        assert loss.discriminator(real=torch.tensor([aside]), fake=torch.tensor([-100.0])) > value


# divergence -> f, f* and the critic's logit at the density ratio u where the bound is tight
Curve = Callable[[float], float]
DIVERGENCES: dict[str, tuple[Curve, Curve, Curve]] = {
    "kl": (lambda u: u * math.log(u), lambda t: E(t - 1), lambda u: 1 + math.log(u)),
    "reverse_kl": (lambda u: -math.log(u), lambda t: -1 - math.log(-t), math.log),
    "pearson": (lambda u: (u - 1) ** 2, lambda t: t**2 / 4 + t, lambda u: 2 * (u - 1)),
    "squared_hellinger": (
        lambda u: (math.sqrt(u) - 1) ** 2,
        lambda t: t / (1 - t),
        lambda u: math.log(u) / 2,
    ),
    "jensen_shannon": (
        lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2),
        lambda t: -math.log(2 - E(t)),
        math.log,
    ),
    "gan": (
        lambda u: u * math.log(u) - (u + 1) * math.log(u + 1),
        lambda t: -math.log(1 - E(t)),
        math.log,
    ),
}


def test_every_divergence_is_known_here() -> None:
    assert {o.get("divergence", "jensen_shannon") for n, o, _ in CASES if n == "fgan"} == set(
        DIVERGENCES
    )
    with pytest.raises(ValueError, match="'kl', 'reverse_kl', 'pearson', 'squared_hellinger'"):
        LOSSES.build({"name": "fgan", "divergence": "total_variation"})


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_bound_is_tight_at_the_optimal_critic_only(divergence: str) -> None:
    """P = (3/4, 1/4) and Q = (1/8, 7/8) on two points, as batches of eight."""
    f, _, critic = DIVERGENCES[divergence]
    (p, q), (p_other, q_other) = (0.75, 0.125), (0.25, 0.875)
    exact = q * f(p / q) + q_other * f(p_other / q_other)
    loss = LOSSES.build({"name": "fgan", "divergence": divergence})

    def bound(first: float, second: float) -> float:
        real = torch.tensor([first] * 6 + [second] * 2, dtype=torch.double)
        fake = torch.tensor([first] * 1 + [second] * 7, dtype=torch.double)
        return -float(loss.discriminator(real=real, fake=fake))

    best = critic(p / q), critic(p_other / q_other)
    assert bound(*best) == pytest.approx(exact, abs=1e-9)
    for step in (-0.1, 0.1):
        assert bound(best[0] + step, best[1]) < exact - 1e-4
        assert bound(best[0], best[1] + step) < exact - 1e-4


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_conjugate_is_that_of_the_activation(divergence: str) -> None:
    """The two generators show g_f and f*(g_f), each of which rises with the logit."""
    _, conjugate, _ = DIVERGENCES[divergence]
    practical, minimax = (
        LOSSES.build({"name": "fgan", "divergence": divergence, "saturating": saturating})
        for saturating in (False, True)
    )
    logits = torch.linspace(-1.5, 1.5, 7, dtype=torch.double)
    activations = [-practical.generator(fake=v[None]).item() for v in logits]
    conjugates = [-minimax.generator(fake=v[None]).item() for v in logits]
    assert conjugates == pytest.approx([conjugate(t) for t in activations], abs=1e-9)
    assert activations == sorted(activations) and conjugates == sorted(conjugates)
