"""Densities of codes against torch's, and nats in bits against a density that is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from augment.models.density import (
    FLOOR,
    LEVEL,
    ClassMixture,
    bits_a_dimension,
    dequantised,
    picked,
)
from augment.models.latents import LatentGenerator, latents
from augment.runtime import seeding

CLASSES, COMPONENTS, SIZE = 2, 3, 2


def mixture() -> ClassMixture:
    """One whose classes and components differ, with numbers that correlate."""
    seeding.everything(0)
    density = ClassMixture(CLASSES, COMPONENTS, SIZE).double()
    for parameter in density.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    return density


def torch_s(density: ClassMixture, label: int) -> MixtureSameFamily:
    parts = MultivariateNormal(
        density.means[label] * 10, scale_tril=density.factors(density.roots[label])
    )
    return MixtureSameFamily(Categorical(logits=density.weights[label] * 10), parts)


def test_the_density_of_a_class_is_that_of_its_mixture() -> None:
    density, codes = mixture(), torch.randn(20, SIZE).double()
    labels = torch.arange(20) % CLASSES
    expected = [torch_s(density, int(k)).log_prob(x) for k, x in zip(labels, codes, strict=True)]
    assert torch.allclose(density.log_density(codes, labels), torch.stack(expected))


def test_codes_are_spread_as_the_density_says() -> None:
    density, rng = mixture(), torch.Generator().manual_seed(0)
    normal = torch.randn(100_000, SIZE + 1, generator=rng).double()
    for label in range(CLASSES):
        codes = density(normal, torch.full((len(normal),), label))
        expected = torch_s(density, label)
        assert torch.allclose(codes.mean(0), expected.mean, atol=0.05)
        assert torch.allclose(codes.var(0), expected.variance, rtol=0.05)
        nats = -density.log_density(codes, torch.full((len(codes),), label)).mean()
        moments = MultivariateNormal(expected.mean, codes.T.cov()).entropy()
        assert nats < moments  # of all densities with these moments the normal one has the most


def test_no_component_shrinks_to_a_point() -> None:
    density = mixture()
    density.roots.data.fill_(-100.0)
    widths = density.factors(density.roots).diagonal(dim1=-2, dim2=-1)
    assert torch.allclose(widths, torch.full_like(widths, FLOOR))


def test_places_are_picked_by_their_weights() -> None:
    normal = torch.randn(40_000, generator=torch.Generator().manual_seed(0))
    places = picked(normal, torch.tensor([[1.0, 0.0, 3.0]]).expand(40_000, 3))
    shares = torch.bincount(places, minlength=3) / len(places)
    assert torch.allclose(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.01)


def test_a_generator_is_fed_with_codes_of_its_prior() -> None:
    """And truncation leaves the component that the last number picks."""
    seeding.everything(0)
    seen: list[torch.Tensor] = []

    class Last(torch.nn.Module):
        def forward(self, inputs: torch.Tensor, condition: None) -> torch.Tensor:
            seen.append(inputs)
            return inputs

    generator = LatentGenerator(
        lambda *_: Last(), (1, 8, 8), None, noise=SIZE, codes=0, conditions=CLASSES,
        components=COMPONENTS,
    )  # fmt: skip
    assert (generator.inputs, generator.components) == (SIZE + 1, COMPONENTS)
    free, bounded = (
        latents(generator, 50, torch.Generator().manual_seed(0), truncation=limit)
        for limit in (None, 0.5)
    )
    assert torch.equal(free[0][:, -1], bounded[0][:, -1])
    labels = torch.arange(50) % CLASSES
    generator(free[0], labels, free[1])
    assert generator.prior is not None
    assert torch.equal(seen[0], generator.prior(free[0], labels))
    codes = torch.ones(50, SIZE)
    generator.decode(codes, labels, free[1])
    assert torch.equal(seen[1], codes)


def test_dequantised_images_stay_within_their_grey_value() -> None:
    images = torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None].expand(3, 1, 50, 50)
    moved = dequantised(images, torch.Generator().manual_seed(0)) - images
    assert moved.abs().max() <= LEVEL / 2 < 1.01 * moved.abs().max()
    assert moved.mean().abs() < LEVEL / 50


@pytest.mark.parametrize("values", [1, 64])
def test_evenly_spread_values_take_eight_bits(values: int) -> None:
    """All 256 grey values are equally likely where the density is even over their range."""
    nats = torch.tensor([values * math.log(256 * LEVEL)])
    assert bits_a_dimension(nats, values).item() == pytest.approx(8)
    half = torch.tensor([values * math.log(128 * LEVEL)])
    assert bits_a_dimension(half, values).item() == pytest.approx(7)
