"""Pairs of two domains: what the discriminator sees of them, and the distance to the partner."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.pix2pix import Pix2Pix
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES, COUNT = (2, 8, 12), 3, 6


def build(**changes: Any) -> Pix2Pix:
    seeding.everything(0)
    small = {"recipe": "pix2pix", "batch": COUNT, "augment": []}
    networks = {"generator": {"width": 8}, "discriminator": {"width": 8}}
    model = assemble.build(TrainSettings.model_validate(small | networks | changes), SHAPE, CLASSES)
    assert isinstance(model, Pix2Pix)
    return model


def batch(shift: float = 0.0) -> Batch:
    """Real images that are their sources, lighter by ``shift``."""
    rng = torch.Generator().manual_seed(0)
    source = torch.rand(COUNT, *SHAPE, generator=rng) - 0.5
    return Batch(source + shift, torch.arange(COUNT) % CLASSES, 0, rng, source=source)


class Copier(nn.Module):
    """Gives the source back."""

    source = True

    def forward(self, inputs: Tensor, condition: Tensor | None, *, source: Tensor) -> Tensor:
        return source


@pytest.mark.parametrize(("shift", "weight"), [(0.0, 10.0), (0.25, 10.0), (-0.25, 4.0)])
def test_the_distance_of_a_copier_is_the_shift(shift: float, weight: float) -> None:
    model = build(model={"l1": weight})
    model.generator.network = Copier()
    losses = model.generator_losses(batch(shift))
    assert losses["l1"].item() == pytest.approx(abs(shift) * weight, abs=1e-5)
    assert losses.keys() == {"adversarial", "l1", "variety"}
    assert "variety" not in build(model={"variety": 0.0}).generator_losses(batch(shift))


def test_partners_by_a_key_lie_pixel_on_pixel() -> None:
    """The weight of the distance is the paper's then, unless it is set."""
    for options, weight in (({}, 30.0), ({"key": "stem"}, 100.0), ({"key": "a", "l1": 4.0}, 4.0)):
        model = build(model=options)
        model.generator.network = Copier()
        assert model.generator_losses(batch(0.5))["l1"].item() == pytest.approx(weight / 2)
        assert model.needs.key == options.get("key")
    with pytest.raises(PartError, match=r"train\.model\.key: '\(' is no regular expression"):
        build(model={"key": "("})


def test_a_copier_lacks_all_variety() -> None:
    model = build(model={"variety": 3.0, "cap": 0.5})
    model.generator.network = Copier()
    assert model.generator_losses(batch(0.25))["variety"].item() == pytest.approx(1.5)


def test_the_discriminator_judges_patches_of_the_pair() -> None:
    model, shown = build(), batch()
    assert shown.source is not None
    pairs = model.show(shown.real, shown)
    assert pairs.shape == (COUNT, 2 * SHAPE[0], *SHAPE[1:])
    critic, labels = model.discriminator, model.packed(shown.labels)
    logits = critic(pairs, labels)
    assert len(logits) > COUNT and len(logits) % COUNT == 0
    turned = torch.cat([shown.source.roll(1, 0), shown.real], 1)
    assert not torch.allclose(logits, critic(turned, labels), atol=1e-9)
    assert model.needs.source == "pair" and model.needs.labels == "all" and model.matched


def test_without_noise_a_source_has_one_image() -> None:
    model, shown = build(model={"latent": 0}), batch()
    first, second = (
        model.sample(shown.labels, generator=torch.Generator().manual_seed(seed), source=source)
        for seed, source in ((0, shown.source), (1, shown.source))
    )
    assert torch.equal(first, second)


def test_with_dagan_s_networks_it_bends_the_source() -> None:
    """What it makes is the source at first, where a network that paints begins with noise."""
    model, shown = build(recipe="dagan", model={"name": "pix2pix", "l1": 0.0}), batch(0.25)
    assert model.needs.source == "pair"
    assert model.generator_losses(shown)["l1"].item() == 0
    assert shown.source is not None
    assert (model.generate(shown).images - shown.source).abs().mean() < 0.02
    assert (build().generate(shown).images - shown.source).abs().mean() > 0.2
