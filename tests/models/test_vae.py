"""The conditional VAE: both terms against closed forms, and what its codes and classes do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from augment.models.base import Batch, Needs
from augment.models.density import LEVEL
from augment.models.vae import (
    DEVIATION,
    EDGE,
    ConditionalVae,
    divergence,
    negative_log_likelihood,
)
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


def fixed(model: ConditionalVae, mean: float, log_variance: float) -> None:
    """Let ``model`` code every image alike and draw grey from any code."""
    torch.nn.init.zeros_(model.encoder.moments.weight)
    model.encoder.moments.bias.data = torch.tensor([mean] * 4 + [log_variance] * 4)
    for generator in (model.generator, model.average):
        generator.decode = lambda codes, *_: torch.zeros(len(codes), *SHAPE)  # type: ignore[method-assign]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_losses_are_the_bound_per_pixel_value(likelihood: str) -> None:
    model = build(likelihood=likelihood, deviation=0.5, beta=3.0, prior="normal")
    fixed(model, 1.0, 0.0)  # N(1, 1), four times
    terms = model.losses(batch(torch.ones(6, *SHAPE)))
    assert terms["kl"].item() == pytest.approx(3.0 * 2.0 / 64)
    expected = math.log(2)
    if likelihood == "gaussian":
        expected = (1 / 0.5) ** 2 / 2 + math.log(0.5 * math.sqrt(2 * math.pi))
    assert terms["reconstruction"].item() == pytest.approx(expected, rel=1e-5)


def test_bits_are_the_bound_on_grey_values_whatever_beta() -> None:
    """Of 0 and 1, with a code that tells 4 · ½ nats; noise of a grey value adds its variance."""
    model = build(deviation=0.5, beta=3.0, prior="normal")
    fixed(model, 1.0, 0.0)
    images = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)]).repeat(500, 1, 1, 1)
    labels = torch.zeros(1000, dtype=torch.long)
    bits = model.bits(images, labels, torch.Generator().manual_seed(0))
    assert bits is not None and bits.shape == (1000,) and model.encoder.training
    density = math.log(0.5 * math.sqrt(2 * math.pi)) + LEVEL**2 / 12 / (2 * 0.5**2)
    for place, square in ((0, 0.0), (1, 1.0)):
        nats = density + square / (2 * 0.5**2) + 4 / 2 / 64
        expected = nats / math.log(2) + math.log2(127.5)
        assert bits[place::2].mean().item() == pytest.approx(expected, abs=1e-4)
    assert build(likelihood="bernoulli").bits(images, labels, torch.Generator()) is None


def test_a_learned_prior_takes_the_place_of_the_normal_one() -> None:
    """One component at the code's own mean and variance: nothing is told. Elsewhere, as much."""
    model = build(prior="mixture", components=1)
    fixed(model, 2.0, 0.0)
    assert model.generator.prior is not None
    images, labels = torch.zeros(4000, *SHAPE), torch.zeros(4000, dtype=torch.long)
    for mean, nats in ((2.0, 0.0), (1.0, 2.0)):
        model.generator.prior.means.data.fill_(mean / 10)
        rng = torch.Generator().manual_seed(0)
        kl = model.bound(model.generator, images, labels, rng)[1]
        assert kl.mean().item() == pytest.approx(nats, abs=0.1)
    assert build(prior="normal").generator.prior is None


def test_the_usual_deviation_grows_with_the_image() -> None:
    assert build().deviation == DEVIATION
    settings = TrainSettings.model_validate({"recipe": "vae"})
    large = assemble.build(settings, (1, 32, 32), CLASSES)
    assert isinstance(large, ConditionalVae) and large.deviation == pytest.approx(2 * DEVIATION)


def test_it_takes_images_without_a_label_where_asked() -> None:
    assert build().needs == Needs()
    assert build(labels="half").needs == Needs("half", guessed=True)


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
