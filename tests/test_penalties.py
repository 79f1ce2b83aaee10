"""Penalties: closed forms on a linear discriminator, gradients to the weights, intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.penalties import PENALTIES, Judged, Penalty

LENGTH = 1.5  # of the linear discriminator's weights

# name -> the term on D(x) = w·x with ‖w‖ = LENGTH; None where there is no term
CASES: dict[str, float | None] = {
    "r1": LENGTH**2 / 2,
    "r2": LENGTH**2 / 2,
    "gradient": (LENGTH - 1) ** 2,
    "clip": None,
}
TERMS = [name for name, value in CASES.items() if value is not None]


class Linear(nn.Module):
    """D(x) = w·x, whatever the label."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = torch.randn(channels, 8, 8, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight * LENGTH / weight.norm())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return (self.weight * images).sum(dim=(1, 2, 3))


def judged(discriminator: Callable[[Tensor, Tensor], Tensor], real: Tensor, fake: Tensor) -> Judged:
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    labels = torch.zeros(len(real), dtype=torch.long)
    return Judged(
        discriminator, real, fake, labels,
        discriminator(real, labels), discriminator(fake, labels),
        torch.Generator().manual_seed(0),
    )  # fmt: skip


def build(name: str, **options: Any) -> Penalty:
    penalty: Penalty = PENALTIES.build({"name": name, **options})
    return penalty


def test_every_penalty_has_a_case() -> None:
    assert sorted(CASES) == PENALTIES.names()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", TERMS)
def test_term_of_a_linear_discriminator(name: str, channels: int) -> None:
    real, fake = torch.randn(5, channels, 8, 8), torch.randn(5, channels, 8, 8)
    discriminator = Linear(channels)
    term = build(name).term(judged(discriminator, real, fake))
    assert term.shape == ()
    assert term.item() == pytest.approx(CASES[name], abs=1e-5)
    assert build(name, weight=9.0).term(judged(discriminator, real, fake)) == term  # unweighted
    (pull,) = torch.autograd.grad(term, discriminator.weight)
    slope = 2 * (LENGTH - 1) if name == "gradient" else LENGTH
    assert torch.allclose(pull, slope * discriminator.weight.detach() / LENGTH, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "real", "fake", "expected"),
    [  # D(x) = Σ x³ / 3: the gradient is x², so its squared norm over 64 pixels is 64 x⁴
        ("r1", 1.0, 0.0, 32.0),
        ("r1", 0.0, 1.0, 0.0),
        ("r2", 0.0, 1.0, 32.0),
        ("r2", 1.0, 0.0, 0.0),
        ("gradient", 1.0, 1.0, 49.0),
        ("gradient", 0.5, 0.5, 1.0),
    ],
)
def test_which_images_count(name: str, real: float, fake: float, expected: float) -> None:
    def cubic(images: Tensor, labels: Tensor) -> Tensor:
        return (images**3 / 3).sum(dim=(1, 2, 3))

    pair = (torch.full((4, 1, 8, 8), value) for value in (real, fake))
    assert build(name).term(judged(cubic, *pair)).item() == pytest.approx(expected, abs=1e-4)


def test_gradient_interpolates_per_sample_and_repeats() -> None:
    seen: list[Tensor] = []

    def watching(images: Tensor, labels: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.square().sum(dim=(1, 2, 3))

    real, fake = torch.zeros(16, 3, 8, 8), torch.ones(16, 3, 8, 8)
    terms = [build("gradient").term(judged(watching, real, fake)) for _ in range(2)]
    shares = seen[2].flatten(1)
    assert (shares == shares[:, :1]).all()  # one share for all pixels of a sample
    assert len(shares[:, 0].unique()) == 16
    assert 0 <= shares.min() and shares.max() <= 1 and shares[:, 0].std() > 0.15
    assert torch.equal(seen[2], seen[5]) and terms[0] == terms[1]


def test_gradient_of_a_flat_discriminator_is_finite() -> None:
    weight = torch.zeros(1, 8, 8, requires_grad=True)

    def flat(images: Tensor, labels: Tensor) -> Tensor:
        return (weight * images).sum(dim=(1, 2, 3))

    term = build("gradient").term(judged(flat, torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)))
    assert term.item() == pytest.approx(1, abs=1e-5)
    (pull,) = torch.autograd.grad(term, weight)
    assert pull.isfinite().all()


@pytest.mark.parametrize("name", TERMS)
def test_second_derivative_reaches_every_weight(name: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(144, 4), nn.Softplus(),
        nn.Linear(4, 1, bias=False),
    )  # fmt: skip

    def discriminator(images: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = network(images)[:, 0]
        return found

    build(name).term(
        judged(discriminator, torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8))
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", TERMS)
def test_after_step_leaves_weights_alone(name: str) -> None:
    discriminator = Linear(1)
    before = discriminator.weight.detach().clone()
    build(name).after_step(discriminator)
    assert torch.equal(discriminator.weight, before)


@pytest.mark.parametrize("limit", [0.01, 0.1])
def test_clip_clamps(limit: float) -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[5.0, -5.0]]))
        layer.bias.fill_(limit / 2)
    build("clip", limit=limit).after_step(layer)
    assert layer.weight.tolist() == [pytest.approx([limit, -limit])]
    assert layer.bias.item() == pytest.approx(limit / 2)
    assert layer.weight.requires_grad


@pytest.mark.parametrize("name", PENALTIES.names())
def test_when_a_term_is_due(name: str) -> None:
    due = [step for step in range(9) if build(name).due(step)]
    assert due == ([] if name == "clip" else list(range(9)))
    if name != "clip":
        penalty = build(name, interval=4, weight=2.0)
        assert [step for step in range(9) if penalty.due(step)] == [0, 4, 8]
        assert (penalty.weight, penalty.interval) == (2.0, 4)
    assert PENALTIES.describe(name).paper
