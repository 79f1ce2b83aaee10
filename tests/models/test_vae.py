"""The conditional VAE: both terms against closed forms, and what its codes and classes do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from augment.models.base import Batch
from augment.models.vae import EDGE, ConditionalVae, divergence, negative_log_likelihood
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES = (1, 8, 8), 3


def build(**options: Any) -> ConditionalVae:
    seeding.everything(0)
    network = {"name": "mlp", "width": 8}
    settings = TrainSettings.model_validate(
        {"recipe": "vae", "model": {"latent": 4, **options}}
        | {"generator": network, "discriminator": network}
    )
    model = assemble.build(settings, SHAPE, CLASSES)
    assert isinstance(model, ConditionalVae)
    return model


def batch(real: Tensor) -> Batch:
    labels = torch.arange(len(real)) % CLASSES
    return Batch(real, labels, 0, torch.Generator().manual_seed(0))


def test_divergence_of_known_distributions() -> None:
    standard = torch.zeros(1, 3), torch.zeros(1, 3)
    assert divergence(*standard).item() == 0
    moved = torch.tensor([[1.0, -2.0, 0.0]]), torch.zeros(1, 3)
    assert divergence(*moved).item() == pytest.approx(2.5)  # half the squared length
    wide = torch.zeros(1, 1), torch.full((1, 1), math.log(4.0))
    assert divergence(*wide).item() == pytest.approx((4 - 1 - math.log(4)) / 2)


def test_divergence_agrees_with_torch() -> None:
    mean, log_variance = torch.randn(5, 4), torch.randn(5, 4)
    torch_s = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0, 1)).sum(1)
    assert torch.allclose(divergence(mean, log_variance), torch_s, atol=1e-5)


def test_bernoulli_surprise_of_known_images() -> None:
    grey = torch.zeros(2, 1, 2, 2)  # every pixel is a coin
    ink = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 1, 2, 2)
    surprise = negative_log_likelihood(grey, ink, "bernoulli", 1.0)
    assert torch.allclose(surprise, torch.full((2,), 4 * math.log(2)))
    sure = negative_log_likelihood(ink, ink, "bernoulli", 1.0)
    assert torch.allclose(sure, torch.full((2,), -4 * math.log(1 - EDGE)), atol=1e-4)
    wrong = negative_log_likelihood(ink, -ink, "bernoulli", 1.0)
    assert torch.allclose(wrong, torch.full((2,), -4 * math.log(EDGE)), rtol=1e-3)


def test_both_likelihoods_agree_with_torch() -> None:
    made, real = torch.rand(3, 1, 4, 4) * 1.8 - 0.9, (torch.rand(3, 1, 4, 4) > 0.5).float() * 2 - 1
    coins = Bernoulli((made + 1) / 2).log_prob((real + 1) / 2).flatten(1).sum(1)
    assert torch.allclose(negative_log_likelihood(made, real, "bernoulli", 1), -coins, atol=1e-4)
    bells = Normal(made, 0.3).log_prob(real).flatten(1).sum(1)
    assert torch.allclose(negative_log_likelihood(made, real, "gaussian", 0.3), -bells, atol=1e-4)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_losses_are_the_bound_per_pixel_value(likelihood: str) -> None:
    model = build(likelihood=likelihood, deviation=0.5, beta=3.0)
    torch.nn.init.zeros_(model.encoder.moments.weight)
    model.encoder.moments.bias.data = torch.tensor([1.0] * 4 + [0.0] * 4)  # N(1, 1), four times
    model.generator.forward = lambda *_: torch.zeros(6, *SHAPE)  # type: ignore[method-assign]
    terms = model.losses(batch(torch.ones(6, *SHAPE)))
    assert terms["kl"].item() == pytest.approx(3.0 * 2.0 / 64)
    expected = math.log(2)
    if likelihood == "gaussian":
        expected = (1 / 0.5) ** 2 / 2 + math.log(0.5 * math.sqrt(2 * math.pi))
    assert terms["reconstruction"].item() == pytest.approx(expected, rel=1e-5)


def test_encoder_and_generator_are_told_the_class() -> None:
    model = build()
    image = torch.rand(1, *SHAPE) * 2 - 1
    means = [model.encoder(image, torch.tensor([label]))[0] for label in range(CLASSES)]
    assert not torch.equal(means[0], means[1])
    rng = [torch.Generator().manual_seed(0) for _ in range(2)]
    first, second = (
        model.sample(torch.tensor([label]), generator=source) for label, source in enumerate(rng)
    )
    assert not torch.equal(first, second)


def test_it_learns_to_draw_what_it_is_shown() -> None:
    model = build()
    optimiser = torch.optim.Adam(model.phases()[0].parameters(), 1e-2)
    levels = torch.tensor([-0.8, 0.0, 0.8]).repeat(4)[:, None, None, None]
    real = levels.expand(12, *SHAPE)
    rng = torch.Generator().manual_seed(0)
    for step in range(150):
        terms = model.losses(Batch(real, torch.arange(12) % CLASSES, step, rng))
        optimiser.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        optimiser.step()
        model.on_step(step, 0.9)
    sampled = model.sample(torch.arange(CLASSES), generator=rng).flatten(1).mean(1)
    assert torch.allclose(sampled, torch.tensor([-0.8, 0.0, 0.8]), atol=0.15)
