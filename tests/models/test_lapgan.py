"""LAPGAN: the pyramid in numbers, and the games of its sizes, each by itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.base import Batch
from augment.models.lapgan import PyramidGan
from augment.models.networks import sizes
from augment.models.networks.pyramid import blurred, pyramid, rebuilt, scaled
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES, COUNT = (2, 16, 24), 3, 6
NAMES = ["4x6", "8x12", "16x24"]


def build(**changes: Any) -> PyramidGan:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "penalties": []}
    settings = TrainSettings.model_validate({"recipe": "lapgan", **small, **changes})
    model = assemble.build(settings, SHAPE, CLASSES)
    assert isinstance(model, PyramidGan)
    return model


def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1
    return Batch(real, torch.arange(COUNT) % CLASSES, 0, rng)


def test_a_pyramid_in_numbers() -> None:
    image = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    small, details = pyramid(image, [(1, 1), (2, 2)])
    assert small.flatten().tolist() == [3.0]
    assert details.flatten().tolist() == [-2.0, -1.0, 0.0, 3.0]


def test_between_pixels_it_is_linear() -> None:
    row = blurred(torch.tensor([[[[0.0, 8.0]]]]), (1, 4))
    assert row.flatten().tolist() == [0.0, 2.0, 6.0, 8.0]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 24), (1, 28, 28), (2, 36, 72), (1, 45, 33)])
def test_the_pyramid_rebuilds_an_image_exactly(shape: tuple[int, int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 257, (3, *shape), generator=rng) / 128 - 1
    at = sizes(shape)[::-1]
    levels = pyramid(images, at)
    assert [tuple(level.shape[2:]) for level in levels] == at
    assert torch.allclose(rebuilt(levels), images, atol=1e-6)
    halved = all(2 * a == b for a, b in zip(at[0], at[1], strict=True)) and len(at) == 2
    assert torch.equal(rebuilt(levels), images) or not halved
    assert not torch.allclose(rebuilt([levels[0], *(0 * part for part in levels[1:])]), images)


def test_a_flat_image_has_no_details() -> None:
    small, *details = pyramid(torch.full((1, 1, 16, 16), 0.5), [(4, 4), (8, 8), (16, 16)])
    assert (small == 0.5).all() and all((part == 0).all() for part in details)


def test_details_go_on_the_real_smaller_image_or_on_the_one_just_made() -> None:
    model, real = build(), batch().real
    network = model.network
    for part in network.details:
        for parameter in part.body[-1].parameters():  # type: ignore[index, union-attr]
            torch.nn.init.zeros_(parameter)
    inputs, condition = torch.randn(COUNT, 3, 32), torch.randn(COUNT, 32)
    smaller = scaled(real, network.sizes)
    learned = network.each(inputs, condition, smaller)
    for image, below, size in zip(learned[1:], smaller[:-1], network.sizes[1:], strict=True):
        assert torch.equal(image, blurred(below, size))
    made = network.each(inputs, condition)
    assert torch.equal(made[0], learned[0])
    assert torch.equal(made[2], blurred(blurred(made[0], (8, 12)), (16, 24)))
    assert torch.equal(network(inputs, condition), made[2])


def test_each_size_learns_by_itself() -> None:
    model = build()
    parts = [model.network.small, *model.network.details]
    losses = model.generator_losses(batch())
    assert list(losses) == [f"adversarial_{name}" for name in NAMES]
    for number, loss in enumerate(losses.values()):
        for part in parts:
            part.zero_grad()
        loss.backward(retain_graph=True)
        learning = [any(p.grad is not None and p.grad.any() for p in m.parameters()) for m in parts]
        assert learning == [number == place for place in range(3)]


def test_a_critic_sees_an_image_beside_its_blurred_self() -> None:
    model, shown = build(), batch()
    smaller = scaled(shown.real, model.network.sizes)
    (small, made), *pairs = model.pairs_of(shown)
    assert small.shape == made.shape == (COUNT, 2, 4, 6)
    for number, pair in enumerate(pairs, 1):
        real, fake = pair
        assert torch.equal(real[:, :2], smaller[number])
        assert torch.equal(real[:, 2:], fake[:, 2:])
        assert torch.equal(real[:, 2:], blurred(smaller[number - 1], model.network.sizes[number]))
        assert not torch.allclose(real[:, :2], fake[:, :2], atol=0.1)


def test_losses_of_critics_that_know_nothing() -> None:
    model = build()
    for parameter in model.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    halves = model.discriminator_losses(batch()), model.generator_losses(batch())
    for half, expected in zip(halves, (2 * math.log(2), math.log(2)), strict=True):
        assert [*half] == [f"adversarial_{name}" for name in NAMES]
        assert [term.item() for term in half.values()] == pytest.approx([expected] * 3)


def test_fakes_are_shared_by_both_halves_of_a_step() -> None:
    model, shown = build(), batch()
    model.discriminator_losses(shown)
    state = shown.rng.get_state()
    model.generator_losses(shown)
    assert torch.equal(state, shown.rng.get_state())  # nothing more was drawn
    model.generator_losses(shown)
    assert not torch.equal(state, shown.rng.get_state())


def test_each_critic_has_penalties_of_its_own() -> None:
    model = build(penalties=["lecam", {"name": "clip", "limit": 0.01}])
    terms = model.discriminator_losses(batch())
    assert {f"lecam_{name}" for name in NAMES} < terms.keys()
    assert len(model.penalties) == 6
    anchors = [penalty.anchors for penalty in model.penalties[::2]]  # type: ignore[attr-defined]
    assert not torch.equal(anchors[0], anchors[1]) and not torch.equal(anchors[1], anchors[2])
    names = [key for key in model.modules()["penalties"].state_dict() if key.endswith("anchors")]
    assert len(names) == 3
    model.after_discriminator_step()
    assert all(p.abs().max() <= 0.01 for p in model.discriminator.parameters())


def test_a_sample_is_of_its_class_at_every_size() -> None:
    """Both the smallest image and the details hear of the class."""
    model = build()
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    noise, codes = torch.randn(2, model.generator.inputs), torch.zeros(2, 0)
    smaller = scaled(batch().real[:2], model.network.sizes)
    made: list[list[Tensor]] = []
    for label in (0, 1):
        inputs, vector = model.generator.inputs_of(noise, torch.tensor([label] * 2), codes)
        made.append(model.network.each(inputs, vector, smaller))
    for first, second in zip(*made, strict=True):
        assert not torch.allclose(first, second, atol=1e-3)
