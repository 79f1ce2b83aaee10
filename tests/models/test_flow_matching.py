"""Flow matching: known paths end where they must, and the loss has its known least value."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.base import Batch
from augment.models.flow_matching import FlowMatching
from augment.models.networks.velocity import Generator, integrate
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES = (1, 8, 8), 3
MEAN, DEVIATION = 0.5, 0.25  # of a normal distribution of images


def build(network: dict[str, Any] | None = None, **options: Any) -> FlowMatching:
    seeding.everything(0)
    settings = TrainSettings.model_validate(
        {
            "recipe": "flow_matching",
            "model": options,
            "generator": {"width": 8, "steps": 2, **(network or {})},
        }
    )
    model = assemble.build(settings, SHAPE, CLASSES)
    assert isinstance(model, FlowMatching)
    return model


def shaken(**options: Any) -> Generator:
    network = build(options).generator.network
    assert isinstance(network, Generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def exact(place: Tensor, time: Tensor, mean: float, deviation: float) -> Tensor:
    """The velocity by which standard noise becomes a normal distribution on straight paths."""
    time = time[:, None, None, None]
    variance = (1 - time) ** 2 + (time * deviation) ** 2
    return mean + (time * deviation**2 - (1 - time)) / variance * (place - time * mean)


@pytest.mark.parametrize(("solver", "off"), [("euler", 0.02), ("heun", 0.002)])
def test_a_known_velocity_leads_to_the_known_end(solver: Any, off: float) -> None:
    noise = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    errors = []
    for steps in (20, 40):
        end = integrate(lambda x, t: exact(x, t, MEAN, DEVIATION), noise, steps, solver)
        errors.append((end - (MEAN + DEVIATION * noise)).abs().mean().item())
    assert errors[1] < off
    order = math.log2(errors[0] / errors[1])
    assert order == pytest.approx(1 if solver == "euler" else 2, abs=0.35)


def test_a_straight_path_needs_a_single_step() -> None:
    noise = torch.randn(2, *SHAPE)
    for solver in ("euler", "heun"):
        end = integrate(lambda x, t: torch.full_like(x, 0.5), noise, 1, solver)  # type: ignore[arg-type]
        assert torch.allclose(end, noise + 0.5)


def test_times_run_from_noise_to_image() -> None:
    times: list[float] = []

    def velocity(place: Tensor, time: Tensor) -> Tensor:
        times.append(time[0].item())
        return torch.zeros_like(place)

    integrate(velocity, torch.zeros(1, *SHAPE), 4, "euler")
    assert times == [0, 0.25, 0.5, 0.75]
    times.clear()
    integrate(velocity, torch.zeros(1, *SHAPE), 2, "heun")
    assert times == [0, 0.5, 0.5]  # the last step asks once


def test_guidance_leads_away_from_what_all_classes_share() -> None:
    network = shaken()
    place, time = torch.randn(3, *SHAPE), torch.tensor([0.1, 0.5, 0.9])
    told = torch.randn(3, 32)
    of_class = network.velocity(place, time, told)
    of_all = network.velocity(place, time, torch.zeros_like(told))
    assert not torch.allclose(of_class, of_all, atol=1e-3)
    for weight, expected in ((1.0, of_class), (0.0, of_all), (2.5, 2.5 * of_class - 1.5 * of_all)):
        network.guidance = weight
        assert torch.allclose(network.guided(place, time, told), expected, atol=1e-4)


def test_the_time_is_told() -> None:
    network = shaken()
    place, told = torch.randn(1, *SHAPE), torch.randn(1, 32)
    early, late = (network.velocity(place, torch.tensor([at]), told) for at in (0.2, 0.21))
    assert not torch.allclose(early, late, atol=1e-4)


def test_a_velocity_leads_to_the_image_that_is_expected() -> None:
    network = shaken()
    place, told = torch.randn(2, *SHAPE), torch.randn(2, 32)
    time = torch.tensor([0.4, 0.99])
    image = network.expected(place, time, told)
    assert image.abs().max() <= 1
    for row, left in ((0, 0.6), (1, 0.01)):
        moved = place[row] + left * network.velocity(place, time, told)[row]
        assert torch.allclose(moved, image[row], atol=1e-4)


def test_the_loss_of_the_exact_velocity_is_its_least() -> None:
    """For images as noise is, the mean of (1 - t)² / ((1 - t)² + t²) over all times: a half."""
    model = build()
    count = 2000
    real = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(count, dtype=torch.long)

    def loss(factor: float) -> float:
        network: Any = model.generator.network

        def expected(place: Tensor, time: Tensor, told: Tensor) -> Tensor:
            left = (1 - time)[:, None, None, None]
            return place + left * factor * exact(place, time, 0.0, 1.0)

        network.expected = expected
        rng = torch.Generator().manual_seed(1)
        return model.losses(Batch(real, labels, 0, rng))["squares"].item()

    assert loss(1.0) == pytest.approx(0.5, rel=0.01)
    assert loss(0.9) > loss(1.0) < loss(1.1)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_class_is_withheld_from_a_share(share: float) -> None:
    model = build(unlabelled=share)
    seen: list[Tensor] = []
    network: Any = model.generator.network

    def expected(place: Tensor, time: Tensor, told: Tensor) -> Tensor:
        seen.append(told)
        return place

    network.expected = expected
    real, labels = torch.zeros(400, *SHAPE), torch.arange(400) % CLASSES
    model.losses(Batch(real, labels, 0, torch.Generator().manual_seed(0)))
    silent = (seen[0] == 0).all(1).float().mean().item()
    assert silent == pytest.approx(share, abs=0.08)


def test_it_learns_to_draw_what_it_is_shown() -> None:
    model = build({"solver": "euler", "steps": 4, "guidance": 1.0})
    optimiser = torch.optim.Adam(model.phases()[0].parameters(), 1e-2)
    levels = torch.tensor([-0.8, 0.0, 0.8]).repeat(8)[:, None, None, None]
    real, labels = levels.expand(24, *SHAPE), torch.arange(24) % CLASSES
    rng = torch.Generator().manual_seed(0)
    for step in range(80):
        terms = model.losses(Batch(real, labels, step, rng))
        optimiser.zero_grad()
        terms["squares"].backward()
        optimiser.step()
        model.on_step(step, 0.9)
    sampled = model.sample(torch.arange(CLASSES), generator=rng).flatten(1).mean(1)
    assert torch.allclose(sampled, torch.tensor([-0.8, 0.0, 0.8]), atol=0.2)
    assert model.bits(real, labels, rng) is None


def test_another_network_is_refused() -> None:
    settings = TrainSettings.model_validate({"recipe": "flow_matching", "generator": "unet"})
    with pytest.raises(PartError, match="'flow_matching' needs one of velocity"):
        assemble.build(settings, SHAPE, CLASSES)
