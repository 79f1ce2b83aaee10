"""Penalties: closed forms on a linear discriminator, gradients to the weights, intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from augment.models.penalties import PENALTIES, ForwardPass, Penalty

LENGTH = 1.5  # of the linear discriminator's weights

# name -> what D(x) = w·x, ‖w‖ = LENGTH, gives from its real and fake logits r and f when the
# augmentation triples an image: the term, and its slope as w grows; None where there is no term
Value = Callable[[Tensor, Tensor], Tensor | float]
CASES: dict[str, tuple[Value, Value] | None] = {
    "r1": (lambda r, f: LENGTH**2 / 2, lambda r, f: LENGTH**2),
    "r2": (lambda r, f: LENGTH**2 / 2, lambda r, f: LENGTH**2),
    "gradient": (lambda r, f: (LENGTH - 1) ** 2, lambda r, f: 2 * (LENGTH - 1) * LENGTH),
    "dragan": (lambda r, f: (LENGTH - 1) ** 2, lambda r, f: 2 * (LENGTH - 1) * LENGTH),
    "lecam": (
        lambda r, f: ((r - f.mean()) ** 2).mean() + ((f - r.mean()) ** 2).mean(),
        lambda r, f: 2 * ((r - f.mean()) * r).mean() + 2 * ((f - r.mean()) * f).mean(),
    ),
    "consistency": (lambda r, f: 4 * (r**2).mean(), lambda r, f: 8 * (r**2).mean()),
    "clip": None,
}
TERMS = [name for name, case in CASES.items() if case]
ON_GRADIENTS = {"r1", "r2", "gradient", "dragan"}


class Linear(nn.Module):
    """D(x) = w·x, whatever the label."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight * LENGTH / weight.norm())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return (self.weight * images).sum(dim=(1, 2, 3))


def forward_pass(
    discriminator: Callable[[Tensor, Tensor], Tensor], real: Tensor, fake: Tensor
) -> ForwardPass:
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    labels = torch.zeros(len(real), dtype=torch.long)
    return ForwardPass(
        discriminator, real, fake, labels,
        discriminator(real, labels), discriminator(fake, labels),
        torch.Generator().manual_seed(0), lambda images, _: images * 3,
    )  # fmt: skip


def build(name: str, **options: Any) -> Penalty:
    penalty: Penalty = PENALTIES.build({"name": name, **options})
    return penalty


def test_every_penalty_has_a_case() -> None:
    assert sorted(CASES) == PENALTIES.names()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (4, 8, 8), (2, 1, 1)], ids=str)
@pytest.mark.parametrize("name", TERMS)
def test_term_of_a_linear_discriminator(name: str, shape: tuple[int, ...]) -> None:
    real, fake = torch.randn(5, *shape), torch.randn(5, *shape) + 1
    discriminator = Linear(*shape)
    seen = forward_pass(discriminator, real, fake)
    term = build(name).term(seen)
    assert term.shape == ()
    pair = seen.real_logits.detach(), seen.fake_logits.detach()
    value, slope = (pytest.approx(float(of(*pair)), rel=1e-4, abs=1e-5) for of in CASES[name] or ())
    assert term.item() == value
    assert (
        build(name, weight=9.0).term(forward_pass(discriminator, real, fake)) == term
    )  # unweighted
    (pull,) = torch.autograd.grad(term, discriminator.weight)
    assert (pull * discriminator.weight).sum().item() == slope


@pytest.mark.parametrize(
    ("name", "real", "fake", "expected"),
    [  # D(x) = Σ x³ / 3: the gradient is x², so its squared norm over 64 pixels is 64 x⁴
        ("r1", 1.0, 0.0, 32.0),
        ("r1", 0.0, 1.0, 0.0),
        ("r2", 0.0, 1.0, 32.0),
        ("r2", 1.0, 0.0, 0.0),
        ("gradient", 1.0, 1.0, 49.0),
        ("gradient", 0.5, 0.5, 1.0),
        ("dragan", 1.0, 0.0, 49.0),
        ("dragan", 0.5, 1.0, 1.0),
        ("consistency", 0.0, 1.0, 0.0),
    ],
)
def test_which_images_count(name: str, real: float, fake: float, expected: float) -> None:
    def cubic(images: Tensor, labels: Tensor) -> Tensor:
        return (images**3 / 3).sum(dim=(1, 2, 3))

    pair = (torch.full((4, 1, 8, 8), value) for value in (real, fake))
    assert build(name).term(forward_pass(cubic, *pair)).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", sorted(ON_GRADIENTS))
def test_the_logit_of_an_image_is_the_mean_of_its_patches(name: str) -> None:
    """Four patches of D(x) = w·x and four of D(x) = 0: half the gradient of D(x) = w·x."""
    whole = Linear(1, 8, 8)

    def patches(images: Tensor, labels: Tensor) -> Tensor:
        logits = whole(images, labels)
        return torch.stack([logits, torch.zeros_like(logits)] * 4, 1).flatten()

    term = build(name).term(forward_pass(patches, torch.ones(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)))
    length = LENGTH / 2
    expected = length**2 / 2 if name in ("r1", "r2") else (length - 1) ** 2
    assert term.item() == pytest.approx(expected, abs=1e-5)


def test_gradient_interpolates_per_sample_and_repeats() -> None:
    seen: list[Tensor] = []

    def watching(images: Tensor, labels: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.square().sum(dim=(1, 2, 3))

    real, fake = torch.zeros(16, 3, 8, 8), torch.ones(16, 3, 8, 8)
    terms = [build("gradient").term(forward_pass(watching, real, fake)) for _ in range(2)]
    shares = seen[2].flatten(1)
    assert (shares == shares[:, :1]).all()  # one share for all pixels of a sample
    assert len(shares[:, 0].unique()) == 16
    assert 0 <= shares.min() and shares.max() <= 1 and shares[:, 0].std() > 0.15
    assert torch.equal(seen[2], seen[5]) and terms[0] == terms[1]


@pytest.mark.parametrize("name", ["gradient", "dragan"])
def test_gradient_of_a_flat_discriminator_is_finite(name: str) -> None:
    weight = torch.zeros(1, 8, 8, requires_grad=True)

    def flat(images: Tensor, labels: Tensor) -> Tensor:
        return (weight * images).sum(dim=(1, 2, 3))

    term = build(name).term(forward_pass(flat, torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)))
    assert term.item() == pytest.approx(1, abs=1e-5)
    (pull,) = torch.autograd.grad(term, weight)
    assert pull.isfinite().all()


def test_dragan_looks_around_the_real_images_and_repeats() -> None:
    seen: list[Tensor] = []

    def watching(images: Tensor, labels: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.square().sum(dim=(1, 2, 3))

    real = torch.cat([torch.full((8, 3, 8, 8), 1.0), torch.full((8, 3, 8, 8), -3.0)])  # std 2
    terms = [build("dragan").term(forward_pass(watching, real, real + 9)) for _ in range(2)]
    noise = seen[2] - real
    assert 0 <= noise.min() < 0.01 and 0.99 < noise.max() <= 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.03)
    assert len(noise.unique()) > 0.95 * noise.numel()  # one draw for each pixel
    assert torch.equal(seen[2], seen[5]) and terms[0] == terms[1]


@pytest.mark.parametrize(("k", "expected"), [(0.0, 2.25), (1.0, 0.25), (3.0, 2.25)])
def test_dragan_wants_norm_k(k: float, expected: float) -> None:
    images = torch.randn(4, 1, 8, 8)
    term = build("dragan", k=k).term(forward_pass(Linear(1, 8, 8), images, images))
    assert term.item() == pytest.approx(expected, abs=1e-5)


def logits(real: list[float], fake: list[float], dtype: torch.dtype = torch.float) -> ForwardPass:
    """A pass with logits alone."""
    none = torch.empty(0)
    pair = (torch.tensor(values, dtype=dtype) for values in (real, fake))
    return ForwardPass(lambda images, _: images, none, none, none, *pair, torch.Generator())


def test_lecam_remembers() -> None:
    lecam = build("lecam", decay=0.75)
    assert lecam.term(logits([1, 3], [-2, -4])).item() == (16 + 36 + 16 + 36) / 2
    assert lecam.state_dict()["anchors"].tolist() == [2, -3]
    # the anchors move a quarter of the way from 2 to 6 and from -3 to 1
    assert lecam.term(logits([6], [1])).item() == (6 + 2) ** 2 + (1 - 3) ** 2
    again = build("lecam", decay=0.75)
    again.load_state_dict(lecam.state_dict())
    last = logits([0.3, 0.1], [7, 0.9])
    assert again.term(last) == lecam.term(last) != build("lecam", decay=0.75).term(last)


def test_lecam_averages_in_full_precision() -> None:
    lecam = build("lecam", decay=0.999)
    for _ in range(2):
        lecam.term(logits([1], [0], torch.bfloat16))
    term = lecam.term(logits([2], [1], torch.bfloat16))
    assert term.item() == pytest.approx(1.999**2 + 0.001**2)
    assert lecam.state_dict()["anchors"].tolist() == pytest.approx([1.001, 0.001])


def test_consistency_of_fakes_is_asked_for() -> None:
    real, fake = torch.randn(5, 1, 8, 8), torch.randn(5, 1, 8, 8)
    seen = forward_pass(Linear(1, 8, 8), real, fake)
    expected = 4 * (seen.real_logits.square().mean() + seen.fake_logits.square().mean())
    assert build("consistency", fake=True).term(seen).item() == pytest.approx(expected.item())


def test_consistency_draws_from_the_pass() -> None:
    def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
        return images + torch.randn(images.shape, generator=generator)

    def term(augment: Callable[[Tensor, torch.Generator], Tensor], seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        seen = forward_pass(Linear(1, 8, 8), torch.ones(4, 1, 8, 8), torch.ones(4, 1, 8, 8))
        seen = dataclasses.replace(seen, augment=augment, generator=generator)
        return build("consistency").term(seen).item()

    assert term(noisy, 0) == term(noisy, 0) != term(noisy, 1)
    assert term(lambda images, _: images, 0) == 0


def test_a_pass_has_no_augmentation_unless_given() -> None:
    images = torch.randn(2, 1, 8, 8)
    assert logits([0], [0]).augment(images, torch.Generator()) is images


class Once(torch.autograd.Function):
    """Cubes that can be differentiated once, as by a compiled network."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        return images**3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 3 * ctx.saved_tensors[0] ** 2


@pytest.mark.parametrize("name", PENALTIES.names())
def test_facts(name: str) -> None:
    facts = PENALTIES.describe(name).facts
    assert facts["double_backward"] is build(name).double_backward is (name in ON_GRADIENTS)
    assert facts.get("per_image", False) is (name in ON_GRADIENTS)


@pytest.mark.parametrize("name", TERMS)
def test_double_backward_is_as_said(name: str) -> None:
    linear = Linear(1, 8, 8)

    def discriminator(images: Tensor, labels: Tensor) -> Tensor:
        return linear(Once.apply(images), labels)

    penalty = build(name)
    term = penalty.term(
        forward_pass(discriminator, torch.ones(4, 1, 8, 8), torch.ones(4, 1, 8, 8) * 2)
    )
    if penalty.double_backward:
        with pytest.raises(RuntimeError, match="once_differentiable"):
            term.backward()
    else:
        term.backward()
        assert linear.weight.grad is not None and linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", PENALTIES.names())
def test_state_is_in_buffers_and_nothing_is_learned(name: str) -> None:
    penalty = build(name)
    assert isinstance(penalty, nn.Module) and not list(penalty.parameters())
    assert set(penalty.state_dict()) == ({"anchors", "started"} if name == "lecam" else set())


@pytest.mark.parametrize("name", TERMS)
def test_gradient_reaches_every_weight(name: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(144, 4), nn.Softplus(),
        nn.Linear(4, 1, bias=False),
    )  # fmt: skip

    def discriminator(images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = network(images)[:, 0]
        return logits

    build(name).term(
        forward_pass(discriminator, torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8))
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", TERMS)
def test_after_step_leaves_weights_alone(name: str) -> None:
    discriminator = Linear(1, 8, 8)
    before = discriminator.weight.detach().clone()
    build(name).after_step(discriminator.parameters())
    assert torch.equal(discriminator.weight, before)


@pytest.mark.parametrize("limit", [0.01, 0.1])
def test_clip_clamps(limit: float) -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[5.0, -5.0]]))
        layer.bias.fill_(limit / 2)
    build("clip", limit=limit).after_step(layer.parameters())
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
