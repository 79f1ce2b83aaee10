"""Projected GAN: what never learns, what each discriminator sees, and how the class is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.critic import Critic
from augment.models.losses import Hinge
from augment.models.projected import Mixing
from augment.runtime import checkpoint, seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES, COUNT = (3, 16, 24), 3, 6
pytestmark = pytest.mark.usefixtures("imagenet")


def build(seed: int = 0, **changes: Any) -> Any:
    seeding.everything(seed)
    small = {
        "generator": {"width": 8},
        "discriminator": {"width": 8},
        "batch": COUNT,
        "model": {"width": 8, **changes.pop("model", {})},
    }
    settings = TrainSettings.model_validate(
        {"recipe": "projected", "augment": []} | small | changes
    )
    return assemble.build(settings, SHAPE, CLASSES)


def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1
    return Batch(real, torch.arange(COUNT) % CLASSES, 0, rng)


def fixed(model: Any) -> list[Tensor]:
    return [*model.fixed.state_dict().values(), *model.mixing.state_dict().values()]


def test_what_is_fixed_is_in_no_checkpoint_and_no_optimiser() -> None:
    model = build()
    saved = {
        value.data_ptr()
        for name, module in model.modules().items()
        for value in checkpoint.flatten(name, module.state_dict()).values()
    }
    learned = {value.data_ptr() for phase in model.phases() for value in phase.parameters()}
    pointers = {value.data_ptr() for value in fixed(model)}
    assert not pointers & (saved | learned)
    assert not any(value.requires_grad for value in fixed(model))


def test_what_is_fixed_does_not_follow_the_seed_of_a_run() -> None:
    first, second = build(0), build(1)
    assert all(torch.equal(*pair) for pair in zip(fixed(first), fixed(second), strict=True))
    assert not torch.equal(
        first.generator.network.last.weight, second.generator.network.last.weight
    )


@pytest.mark.parametrize(("features", "sizes"), [
    ("efficientnet", [(16, 24), (8, 12), (4, 6), (2, 3)]), ("filters", [(32, 48), (16, 24)]),
])  # fmt: skip
def test_each_level_has_a_discriminator(features: str, sizes: list[tuple[int, int]]) -> None:
    """A 16 × 24 image is enlarged to 64 × 96, and never made smaller."""
    model = build(model={"features": features, "width": 5}, discriminator="mlp")
    assert model.shapes == [(5, *size) for size in sizes]
    assert model.enlarged(torch.zeros(1, 3, 16, 24)).shape == (1, 3, 64, 96)
    large = torch.zeros(1, 3, 80, 66)
    assert model.enlarged(large) is large
    seen = model.see(batch().real)
    assert [maps.shape[1:] for maps in seen] == model.shapes
    logits = model.discriminator(batch().real, batch().labels[:, None])
    assert logits.shape == (COUNT * len(sizes),)


def test_mixing_tells_a_level_what_coarser_ones_see_and_not_the_reverse() -> None:
    mixing = Mixing([3, 4, 5], 6)
    levels = [torch.randn(2, count, side, side) for count, side in ((3, 8), (4, 4), (5, 2))]
    before = mixing(levels)
    assert [maps.shape for maps in before] == [(2, 6, 8, 8), (2, 6, 4, 4), (2, 6, 2, 2)]
    levels[1] = levels[1] + 1
    changed = [not torch.equal(*pair) for pair in zip(before, mixing(levels), strict=True)]
    assert changed == [True, True, False]
    wide = Mixing([64, 64], 64)([torch.randn(2, 64, side, side) for side in (64, 32)])
    assert all(0.8 < maps[..., 2:-2, 2:-2].std() < 1.2 for maps in wide)


def test_the_loss_is_that_of_the_logits_of_all_levels() -> None:
    model, shown = build(loss="hinge"), batch()
    labels = shown.labels[:, None]
    critic = model.discriminator.eval()
    logits = [
        head.logits_of(head.features(maps, labels), labels)
        for head, maps in zip(critic.heads, model.see(shown.real), strict=True)
    ]
    joined = torch.cat(logits)
    assert torch.allclose(critic(shown.real, labels), joined)
    losses = model.discriminator_losses(shown)
    fakes = model.made[1].images
    expected = Hinge().discriminator(real=joined, fake=critic(fakes, labels))
    assert losses["adversarial"].item() == pytest.approx(expected.item(), abs=1e-4)


def test_gradients_reach_the_generator_through_what_is_fixed() -> None:
    model = build()
    model.generator_losses(batch())["adversarial"].backward()
    assert model.generator.network.last.weight.grad.abs().sum() > 0


class Half(nn.Module):
    """Features 1 and -1 of two patches, so that their mean is 0; with ``shift`` it is that."""

    width, patches, shift = 1, True, 0.0

    def forward(self, images: Tensor) -> Tensor:
        patches = torch.tensor([1.0, -1.0]) + self.shift
        return patches.expand(len(images), 1, 1, 2)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_class_adds_to_all_patches_by_the_mean_of_their_features(shift: float) -> None:
    from augment.models.conditioning import Projection

    network = Half()
    network.shift = shift
    critic = Critic(lambda _: network, (1, 8, 8), Projection(2, (1, 8, 8), 1), 1)
    critic.logit = nn.Flatten()
    critic.conditioning.embed.weight.data = torch.tensor([[10.0], [20.0]])
    logits = critic(torch.zeros(2, 1, 8, 8), torch.tensor([[0], [1]]))
    expected = [1 + 11 * shift, -1 + 11 * shift, 1 + 21 * shift, -1 + 21 * shift]
    assert logits.tolist() == pytest.approx(expected)
