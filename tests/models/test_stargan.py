"""The translator between classes: what it is told, what its way back loses, who reads what."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.stargan import ClassTranslator
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES, COUNT = (2, 8, 12), 3, 6


def build(**changes: Any) -> ClassTranslator:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "augment": []}
    settings = TrainSettings.model_validate({"recipe": "stargan", **small, **changes})
    model = assemble.build(settings, SHAPE, CLASSES)
    assert isinstance(model, ClassTranslator)
    return model


def images(seed: int) -> Tensor:
    return torch.rand(COUNT, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


def batch() -> Batch:
    labels = torch.arange(COUNT) % CLASSES
    kinds = (labels + 1) % CLASSES
    rng = torch.Generator().manual_seed(0)
    return Batch(images(0), labels, 0, rng, source=images(1), source_labels=kinds)


class Shift(nn.Module):
    """Adds ``step`` to an image that goes to class 2, takes it away on the way to class 0."""

    source = True

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step

    def forward(self, inputs: Tensor, condition: None, *, source: Tensor) -> Tensor:
        kinds = inputs[:, -CLASSES:].argmax(1)
        return source + self.step * (kinds - 1)[:, None, None, None]


def test_the_way_back_is_measured_by_l1_to_the_class_of_the_source() -> None:
    model, shown = build(model={"reconstruction": 4.0}), batch()
    model.generator.network = Shift(0.0)
    assert model.generator_losses(shown)["reconstruction"].item() == 0
    model.generator.network = Shift(0.25)
    expected = 4 * 0.25 * (1 + 1 + 0) / 3  # there and back: -1 + 0, 0 + 1 and 1 - 1 steps
    assert model.generator_losses(shown)["reconstruction"].item() == pytest.approx(expected)


def test_noise_that_is_ignored_lacks_all_variety() -> None:
    model, shown = build(model={"variety": 3.0, "cap": 0.5}), batch()
    model.generator.network = Shift(0.25)
    assert model.generator_losses(shown)["variety"].item() == pytest.approx(1.5)
    for changes in ({"variety": 0.0}, {"latent": 0}):
        assert "variety" not in build(model=changes).generator_losses(shown)


def test_a_head_that_knows_nothing_loses_the_logarithm_of_the_classes() -> None:
    model, shown = build(model={"classification": 2.0}), batch()
    nn.init.zeros_(model.discriminator.category.proxies.weight)
    nn.init.zeros_(model.discriminator.category.proxies.bias)
    expected = pytest.approx(2 * math.log(CLASSES))
    assert model.discriminator_losses(shown)["class_real"].item() == expected
    assert model.generator_losses(shown)["class_fake"].item() == expected


def test_the_discriminator_learns_classes_from_real_images_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, shown = build(penalties=[]), batch()
    read: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(
        model.discriminator,
        "class_loss",
        lambda features, labels: read.append((features, labels)) or features.sum(),
    )
    model.discriminator_losses(shown)
    ((features, labels),) = read
    packed = labels.view(-1, 1)
    assert torch.allclose(features, model.discriminator.features(shown.real, packed))
    assert torch.equal(labels, shown.labels)
    model.generator_losses(shown)
    assert torch.equal(read[1][1], shown.labels) and not torch.allclose(read[1][0], features)


@pytest.mark.parametrize("latent", [0, 4])
def test_class_noise_and_source_reach_the_image(latent: int) -> None:
    model = build(model={"latent": latent})
    for module in model.average.modules():  # the norms start without a condition
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    assert model.generator.noise == latent and model.needs.source == "others"
    source, labels = images(1)[:1].expand(CLASSES, *SHAPE), torch.arange(CLASSES)

    def sample(labels: Tensor, source: Tensor, seed: int = 0) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return model.sample(labels, generator=rng, source=source)

    made = sample(labels * 0, source)
    assert torch.allclose(made[0], made[1], atol=1e-5) == (latent == 0)
    assert (sample(labels, source)[1:] - made[1:]).abs().amax((1, 2, 3)).min() > 1e-2
    assert torch.equal(made, sample(labels * 0, source, seed=1)) == (latent == 0)
    assert (sample(labels * 0, -source) - made).abs().max() > 1e-2


@pytest.mark.parametrize("network", ["patch", "dcgan"])
def test_the_class_is_read_from_patches_or_from_the_whole(network: str) -> None:
    """Two grey levels are told apart."""
    model = build(discriminator={"name": network, "width": 8, "norm": "none"})
    labels = torch.arange(COUNT) % 2
    levels = (labels - 0.5)[:, None, None, None].expand(COUNT, *SHAPE)
    critic = model.discriminator
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss = critic.class_loss(critic.features(levels, labels[:, None]), labels)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
    logits = critic(levels, labels[:, None])
    assert len(logits) == COUNT * (4 * 6 if network == "patch" else 1)
