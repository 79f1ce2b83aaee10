"""PixelCNN and PixelRNN: who sees whom, exact probabilities, and samples that follow from noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.base import Batch, Needs
from augment.models.networks import GENERATORS, Shape
from augment.models.networks.grey_values import HALF, Mixtures, log_share, numbers, rounded
from augment.models.networks.pixels import PixelNetwork
from augment.models.pixelcnn import PixelCnn
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

NAMES = ["pixelcnn", "pixelrnn"]
SHAPES = [(1, 8, 10), (3, 9, 8)]
TOLD = 4
LEVELS = torch.arange(256).double() * 2 * HALF - 1
each_network = pytest.mark.parametrize("name", NAMES)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def build(name: str, shape: Shape, layers: int = 4) -> PixelNetwork:
    """A network in double precision whose every weight counts."""
    seeding.everything(0)
    spec = {"name": name, "width": 6, "layers": layers, "mixture": 3}
    network = GENERATORS.build(spec, math.prod(shape) + TOLD - 1, shape, 1).double()
    assert isinstance(network, PixelNetwork)
    for weight in network.parameters():
        weight.data += torch.randn_like(weight) * 0.1
    return network


def images_of(shape: Shape, count: int = 2) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return rounded(torch.rand(count, *shape, generator=rng).double() * 2 - 1)


# --- the distribution of a pixel ------------------------------------------------------------------


def test_shares_of_a_logistic_distribution() -> None:
    """In steps of its scale from its mean: σ(1) - σ(-1) for a value as wide; all shares are 1."""
    mean, scale = torch.zeros(1).double(), torch.tensor([math.log(HALF)]).double()
    inside = math.tanh(0.5)  # σ(1) - σ(-1)
    assert log_share(mean, mean, scale).exp().item() == pytest.approx(inside)
    first = log_share(torch.tensor([-1.0]).double(), mean - 1, scale).exp().item()
    assert first == pytest.approx(1 / (1 + math.exp(-1)))  # with all that lies below
    for centre, log_scale in ((0.3, -6.0), (-1.2, -2.0), (0.99, 0.5)):
        logs = log_share(LEVELS, torch.tensor(centre).double(), torch.tensor(log_scale).double())
        assert logs.isfinite().all() and logs.exp().sum().item() == pytest.approx(1)


def raw_of(channels: int, kinds: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(2)
    return torch.randn(1, numbers(channels, kinds), generator=rng).double()


def test_a_single_wide_distribution_costs_eight_bits() -> None:
    """Nearly even over the middle: its density there is 1 / (4 s)."""
    raw = torch.tensor([[0.0, 0.0, 5.0]]).double()  # weight, mean, log-scale
    nats = Mixtures(raw, 1).surprise(torch.zeros(1, 1).double())
    assert nats.item() == pytest.approx(math.log(4 * math.exp(5) / (2 * HALF)), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_probabilities_of_all_pixels_sum_to_one(channels: int) -> None:
    """Each channel's, whatever the values before it."""
    raw = raw_of(channels).expand(256, -1)
    for channel in range(channels):
        values = torch.full((256, channels), 0.4).double()
        values[:, channel] = LEVELS
        shares = (-Mixtures(raw, channels).surprise(values)[:, channel]).exp()
        assert shares.sum().item() == pytest.approx(1)


def test_values_are_drawn_where_their_share_lies() -> None:
    """A value is drawn by exactly the share of numbers that its probability says."""
    channels, count = 2, 4000
    uniform = (torch.arange(count).double() + 0.5) / count
    raw = raw_of(channels).expand(count, -1)
    first = Mixtures(raw, channels).draw(torch.stack([uniform, uniform], 1))[:, 0]
    assert (first.diff() >= 0).all()
    fixed = torch.full((count,), 0.25).double()  # the same first value for all
    values = Mixtures(raw, channels).draw(torch.stack([fixed, uniform], 1))
    assert values[:, 0].unique().numel() == 1
    for channel, column in ((0, first), (1, values[:, 1])):
        level = column.mode().values
        point = values[:1].clone()
        point[:, channel] = level
        share = (-Mixtures(raw[:1], channels).surprise(point)[0, channel]).exp().item()
        assert (column == level).double().mean().item() == pytest.approx(share, abs=2 / count)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_noise_are_grey_values_too(share: float) -> None:
    values = Mixtures(raw_of(3), 3).draw(torch.full((1, 3), share).double())
    assert torch.equal(values, torch.full((1, 3), 2 * share - 1).double())


# --- who sees whom --------------------------------------------------------------------------------


@each_shape
@each_network
def test_a_value_is_told_of_those_before_it_and_of_no_other(name: str, shape: Shape) -> None:
    """By gradients, of each channel of each pixel: rows from the top, R before G before B."""
    network, told = build(name, shape), torch.randn(1, TOLD).double()
    channels, height, side = shape
    place = torch.arange(height * side).view(1, height, side) * channels
    order = place + torch.arange(channels)[:, None, None]  # of each value: (C, H, W)
    images = images_of(shape, 1).requires_grad_()
    # the target is no part of the graph: what is left is what the distribution was told
    mixtures = Mixtures(network.raw(images, told), channels)
    edge = torch.tensor(0.1).double()
    logs = mixtures.weights[:, 0].log_softmax(1)
    for channel in range(channels):
        mean, scale = mixtures.of(channel, images)
        below = (logs.softmax(1) * ((edge - mean) / scale.exp()).sigmoid()).sum(1)[0]
        for row in range(height):
            for column in range(side):
                (slope,) = torch.autograd.grad(below[row, column], images, retain_graph=True)
                later = order >= order[channel, row, column]
                assert not slope[0][later].any(), (channel, row, column)
                nearest = (order == order[channel, row, column] - 1).nonzero()
                if channel or column:
                    assert slope[0][tuple(nearest[0])] != 0, (channel, row, column)
                if row:  # and there is no blind spot above, at either side
                    seen = slope[0][:, row - 1, max(column - 1, 0) : column + 2]
                    assert seen.all(), (channel, row, column)
        logs = logs + log_share(images.detach()[:, channel, None], mean, scale)


@each_network
def test_the_condition_reaches_every_pixel(name: str) -> None:
    network, images = build(name, (1, 8, 8)), images_of((1, 8, 8), 1)
    told = torch.randn(1, TOLD).double().requires_grad_()
    nats = network.surprise(images, told)
    (slope,) = torch.autograd.grad(nats[0, 0, 0, 0], told, retain_graph=True)
    assert slope.all()
    nats.sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


# --- samples --------------------------------------------------------------------------------------


@each_shape
@each_network
def test_each_pixel_computed_once_gives_the_same_image(name: str, shape: Shape) -> None:
    """As computing the whole network anew for each pixel."""
    network, values = build(name, shape), math.prod(shape)
    inputs, condition = torch.randn(3, values + TOLD - 1).double(), torch.randn(3, 1).double()
    told = torch.cat([inputs[:, values:], condition], 1)
    uniform = torch.special.ndtr(inputs[:, :values]).view(3, *shape)
    slow = torch.zeros(3, *shape).double()
    with torch.no_grad():
        for row in range(shape[1]):
            for column in range(shape[2]):
                raw = network.raw(slow, told)[:, :, row, column]
                slow[:, :, row, column] = Mixtures(raw, shape[0]).draw(uniform[:, :, row, column])
        assert torch.equal(network(inputs, condition), slow)
    assert slow.unique().numel() > 50 and torch.equal(rounded(slow), slow)


def test_too_little_noise_is_refused() -> None:
    with pytest.raises(PartError, match=r"\(1, 8, 8\) takes 64 numbers of noise, found 10"):
        GENERATORS.build("pixelcnn", 10, (1, 8, 8))


# --- the model ------------------------------------------------------------------------------------


def model_of(**options: Any) -> PixelCnn:
    seeding.everything(0)
    network = {"width": 8, "layers": 1, "mixture": 2}
    settings = TrainSettings.model_validate(
        {"recipe": "pixelcnn", "model": options, "generator": network}
    )
    model = assemble.build(settings, (1, 8, 8), 2)
    assert isinstance(model, PixelCnn)
    return model


def batch(step: int, count: int = 16) -> Batch:
    """Stripes of two grey values, the other way round in the other class."""
    labels = torch.arange(count) % 2
    sign = (labels * 2.0 - 1)[:, None, None, None]
    stripes = (torch.arange(8) % 2 * 2.0 - 1).expand(count, 1, 8, 8) * sign
    return Batch(stripes, labels, step, torch.Generator().manual_seed(step))


def test_bits_are_the_exact_cost_of_grey_values() -> None:
    """Of one wide distribution, those of the closed form; and the loss is the same in nats."""
    model = model_of()
    for generator in (model.generator, model.average):
        end = generator.network.end
        torch.nn.init.zeros_(end.weight)  # type: ignore[union-attr]
        end.bias.data = torch.tensor([0.0, 0.0, 0.0, 0.0, 5.0, 5.0])  # type: ignore[union-attr]
    images, labels = torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 1])
    bits = model.bits(images, labels, torch.Generator())
    expected = math.log2(4 * math.exp(5) / (2 * HALF))
    assert torch.allclose(bits, torch.full((3,), expected), rtol=1e-4)
    terms = model.losses(Batch(images, labels, 0, torch.Generator()))
    assert terms["surprise"].item() == pytest.approx(expected * math.log(2), rel=1e-4)


def test_it_learns_each_class_exactly() -> None:
    model = model_of()
    (phase,) = model.phases()
    optimiser = torch.optim.Adam(phase.parameters(), 1e-2)
    for step in range(60):
        optimiser.zero_grad()
        phase.losses(batch(step))["surprise"].backward()
        optimiser.step()
        model.on_step(step, 0.8)
    real = batch(0)
    assert model.bits(real.real, real.labels, real.rng).max() < 0.1
    made = model.sample(real.labels, generator=torch.Generator().manual_seed(0))
    assert (made == real.real).float().mean() > 0.95


def test_it_takes_images_without_a_label_where_asked() -> None:
    assert model_of().needs == Needs()
    assert model_of(labels="half").needs == Needs("half", guessed=True)
