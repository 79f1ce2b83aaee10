"""Progressive growing: when a size comes, what fades, the layers in numbers, and going on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.networks.growing import (
    BatchDeviation,
    Discriminator,
    Generator,
    Growing,
    PixelNorm,
    as_grown,
    enlarge,
    equalised,
    stage_of,
)
from augment.models.progressive import ProgressiveGan, growth
from augment.runtime import checkpoint, seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.train.step import Engine

SHAPE, CLASSES, COUNT = (2, 16, 20), 3, 6
STEPS = 16  # the full size from the ninth on


def settings(**changes: Any) -> TrainSettings:
    small = {"generator": {"width": 4}, "discriminator": {"width": 4}, "steps": STEPS}
    return TrainSettings.model_validate({"recipe": "progressive", **small, **changes})


def images(count: int = COUNT) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def feed(number: int) -> Batch:
    rng = torch.Generator().manual_seed(number)
    labels = torch.arange(COUNT) % CLASSES
    return Batch(images(), labels, number, rng, done=number / STEPS)


def networks() -> tuple[Generator, Discriminator]:
    seeding.everything(0)
    return Generator(5, SHAPE, width=4), Discriminator(SHAPE, width=4)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (0.0, 0.0), (0.124, 0.0),  # the smallest size is held
        (0.1875, 0.5), (0.25, 1.0),  # the next one is mixed in
        (0.3, 1.0), (0.375, 1.0), (0.40625, 1.25), (0.4375, 1.5), (0.5, 2.0), (1.0, 2.0),
    ],
)  # fmt: skip
def test_sizes_come_as_the_run_goes_on(done: float, expected: float) -> None:
    assert growth(done, 3, 0.5) == pytest.approx(expected)


def test_growth_from_the_first_step_or_of_a_single_size_is_full() -> None:
    assert growth(0.0, 3, 0.0) == 2.0
    assert growth(0.0, 1, 0.5) == 0.0


def test_steps_of_a_size_follow_from_the_steps_of_the_run() -> None:
    for steps in (80, 800):
        at = [growth(step / steps, 3, 0.5) for step in range(steps)]
        assert at == sorted(at)
        assert sum(value == 0 for value in at) == steps // 8 + 1  # fading begins with a share of 0
        assert sum(value == 2 for value in at) == steps // 2


@pytest.mark.parametrize(
    ("value", "stage"), [(0.0, (0, 1.0)), (0.25, (1, 0.25)), (1.0, (1, 1.0)), (1.75, (2, 0.75))]
)
def test_stages(value: float, stage: tuple[int, float]) -> None:
    assert stage_of(value) == stage


def test_a_generated_image_is_mixed_of_two_sizes() -> None:
    generator, _ = networks()
    inputs = torch.randn(3, 5)
    made = {}
    for value in (0.0, 0.25, 1.0, 2.0):
        generator.grow(value)
        made[value] = generator(inputs)
    assert torch.allclose(made[0.25], torch.lerp(made[0.0], made[1.0], 0.25), atol=1e-6)
    for value, size in ((0.0, (4, 5)), (1.0, (8, 10))):
        small = nn.functional.interpolate(made[value], size)  # each pixel of it is repeated
        assert torch.equal(enlarge(small, SHAPE[1:]), made[value])
    assert not torch.allclose(made[2.0][..., ::2], made[2.0][..., 1::2], atol=1e-3)


def test_real_images_are_mixed_alike() -> None:
    image = torch.tensor([[[[0.0, 4.0], [4.0, 8.0]]]])
    at = [(1, 1), (2, 2)]
    assert as_grown(image, at, 0.0).flatten().tolist() == [4.0] * 4
    assert as_grown(image, at, 0.25).flatten().tolist() == [3.0, 4.0, 4.0, 5.0]
    assert torch.equal(as_grown(image, at, 1.0), image)


def test_the_game_grows_with_the_share_of_the_run_that_is_over() -> None:
    model = assemble.build(settings(), SHAPE, CLASSES)
    assert isinstance(model, ProgressiveGan) and model.follows_length
    for number, expected in ((0, 0.0), (3, 0.5), (7, 1.5), (12, 2.0)):
        shown = feed(number)
        model.discriminator_losses(shown)
        assert [float(network.growth) for network in model.networks] == [expected] * 2
        assert torch.equal(
            model.real_of(shown), as_grown(shown.real, [(4, 5), (8, 10), (16, 20)], expected)
        )
        assert torch.equal(model.real_of(shown), shown.real) is (expected == 2)
        assert float(model.average.network.growth) == 2.0  # type: ignore[arg-type]
    model.on_step(12, 0.9)
    assert model.average.grown == model.generator.grown == 2.0


def test_the_discriminator_sees_no_more_than_has_grown() -> None:
    _, discriminator = networks()
    for value in (0.0, 1.0):
        discriminator.grow(value)
        coarse = as_grown(images(), discriminator.sizes, value)
        assert torch.allclose(discriminator(images()), discriminator(coarse), atol=1e-5)
    discriminator.grow(1.01)
    assert not torch.allclose(discriminator(images()), discriminator(coarse), atol=1e-5)


def test_a_size_that_is_hardly_mixed_in_changes_hardly_anything() -> None:
    inputs = torch.randn(COUNT, 5), images()
    for network, given_input in zip(networks(), inputs, strict=True):
        network.grow(1.0)
        before = network(given_input)
        network.grow(1.0 + 1e-5)
        assert torch.allclose(network(given_input), before, atol=1e-3)
        network.grow(1.5)
        assert not torch.allclose(network(given_input), before, atol=1e-2)


def test_every_parameter_is_used_at_some_time_and_none_too_early() -> None:
    inputs = torch.randn(COUNT, 5), images()
    for network, given_input in zip(networks(), inputs, strict=True):
        at: list[set[str]] = []
        for value in (0.0, 0.5, 1.0, 1.5, 2.0):
            network.zero_grad()
            network.grow(value)
            (network(given_input) * torch.randn(1)).square().sum().backward()
            at.append({name for name, p in network.named_parameters() if p.grad is not None})
        assert set.union(*at) == {name for name, _ in network.named_parameters()}
        ends = [sorted({name[5] for name in names if name.startswith("ends.")}) for names in at]
        assert ends == [["0"], ["0", "1"], ["1"], ["1", "2"], ["2"]]
        assert not any(name.startswith("blocks.2.") for names in at[:3] for name in names)


def test_pixel_norm_in_numbers() -> None:
    x = torch.tensor([3.0, 4.0])[None, :, None, None]
    assert PixelNorm()(x).flatten().tolist() == pytest.approx([3 / 12.5**0.5, 4 / 12.5**0.5])
    assert torch.equal(PixelNorm()(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_deviation_of_a_batch_in_numbers() -> None:
    x = torch.zeros(2, 3, 2, 2)
    x[1, 0] = 4.0  # one channel of three deviates by 2
    seen = BatchDeviation()(x)
    assert torch.equal(seen[:, :3], x)
    assert torch.allclose(seen[:, 3], torch.full((2, 2, 2), 2 / 3), atol=1e-3)
    alike = BatchDeviation()(x[:1].expand(4, -1, -1, -1))
    assert alike[:, 3].abs().max() < 2e-4


@pytest.mark.parametrize(
    ("layer", "fan"), [(nn.Conv2d(8, 64, 3), 72), (nn.Linear(50, 400), 50)], ids=["map", "dense"]
)
def test_equalised_rates_in_numbers(layer: nn.Conv2d | nn.Linear, fan: int) -> None:
    seeding.everything(0)
    equal = equalised(layer, gain=3.0)
    (weight,) = (p for p in equal.parameters() if p.dim() > 1)
    assert weight.std().item() == pytest.approx(1.0, rel=0.05)  # what Adam changes
    assert torch.allclose(layer.weight, weight * 3 / math.sqrt(fan))  # what images see
    assert layer.bias is not None and not layer.bias.any()


def test_all_weights_are_equalised() -> None:
    for network in networks():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert nn.utils.parametrize.is_parametrized(module, "weight")


def engine() -> Engine:
    return Engine(settings(), SHAPE, CLASSES, torch.device("cpu"))


def test_a_run_goes_on_in_the_middle_of_a_fade_as_if_never_ended(tmp_path: Path) -> None:
    whole, second = engine(), engine()
    for number in range(8):
        whole.step(number, feed)
    fading = whole.model.generator.network
    assert isinstance(fading, Growing) and float(fading.growth) == 1.5
    checkpoint.save_state(tmp_path, "state", whole.state(), {})
    tensors, _ = checkpoint.load_state(tmp_path, "state")
    assert tensors["average.network.growth"] == tensors["discriminator.network.growth"] == 1.5
    second.load(tensors)
    for trained in (whole, second):
        for number in (8, 9):
            trained.step(number, feed)
    states = whole.state(), second.state()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
