"""FastGAN: what excites what, and what the discriminator rebuilds from which of its maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.base import Batch
from augment.models.fastgan import FastGan, quarter
from augment.models.networks import GENERATORS
from augment.models.networks.fastgan import Excitation
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

CLASSES, COUNT = 3, 6


def build(shape: tuple[int, int, int] = (1, 16, 16), **changes: Any) -> Any:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "batch": COUNT}
    settings = TrainSettings.model_validate({"recipe": "fastgan", "augment": []} | small | changes)
    return assemble.build(settings, shape, CLASSES)


def batch(shape: tuple[int, int, int] = (1, 16, 16)) -> Batch:
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(COUNT, *shape, generator=rng) * 2 - 1
    return Batch(real, torch.arange(COUNT) % CLASSES, 0, rng)


def test_an_excitation_multiplies_channels_by_what_it_sees() -> None:
    """Weights of zero leave half of everything; a bias of ln 3 leaves three quarters."""
    excitation = Excitation(4, 2)
    for parameter in excitation.parameters():
        torch.nn.init.zeros_(parameter)
    coarse, fine = torch.randn(3, 4, 7, 9), torch.randn(3, 2, 20, 24)
    assert torch.allclose(excitation(coarse, fine), fine / 2)
    excitation.gate[-2].bias.data = torch.tensor([3.0, 1.0]).log()
    expected = fine * torch.tensor([0.75, 0.5])[:, None, None]
    assert torch.allclose(excitation(coarse, fine), expected)


@pytest.mark.parametrize(
    ("side", "pairs"),
    [(8, [(16, 8)]), (28, [(32, 8)]), (64, [(64, 8)]), (128, [(64, 16), (64, 8)])],
)
def test_maps_excite_those_of_four_sizes_further(side: int, pairs: list[tuple[int, int]]) -> None:
    """Or as many as an image has: of 64 pixels the maps of 4 those of 64."""
    made = GENERATORS.build({"name": "fastgan", "width": 8}, 4, (1, side, side))
    gates = [(gate.gate[1].in_channels, gate.gate[1].out_channels) for gate in made.excitations]
    assert gates == pairs


def test_quarters() -> None:
    image = torch.arange(20.0).view(1, 1, 4, 5)
    corners = [quarter(image, corner).flatten().tolist() for corner in range(4)]
    assert corners == [[0, 1, 5, 6], [3, 4, 8, 9], [10, 11, 15, 16], [13, 14, 18, 19]]


def test_features_hold_two_maps_of_which_the_logit_reads_the_coarser() -> None:
    model = build((1, 28, 28))
    critic, shown = model.discriminator, batch((1, 28, 28))
    critic.eval()
    fine, coarse = critic.network.maps(shown.real)
    assert fine.shape == (COUNT, 8, 14, 14) and coarse.shape == (COUNT, 16, 7, 7)
    labels = shown.labels[:, None]
    features = critic.features(shown.real, labels)
    assert features.shape == (COUNT, 16 * 7 * 7 + 8 * 14 * 14) and critic.width == 16 * 7 * 7
    other = features.clone()
    other[:, critic.width :] = 0
    assert torch.equal(critic.logits_of(features, labels), critic.logits_of(other, labels))
    other[:, : critic.width] = 0
    assert not torch.equal(critic.logits_of(features, labels), critic.logits_of(other, labels))


@pytest.mark.parametrize(("shape", "count"), [((1, 8, 8), 1), ((3, 28, 20), 2), ((2, 36, 72), 2)])
def test_decoders_see_the_maps_and_are_asked_for_the_image(
    shape: tuple[int, int, int], count: int
) -> None:
    model, shown = build(shape), batch(shape)
    critic = model.discriminator.eval()
    half = (COUNT, shape[0], shape[1] // 2, shape[2] // 2)
    seen: list[Tensor] = []
    for decoder in critic.decoders:
        decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = critic.features(shown.real, shown.labels[:, None])
    pairs = critic.rebuilt(features, shown.real, torch.Generator().manual_seed(1))
    assert len(pairs) == len(critic.decoders) == count
    assert all(made.shape == target.shape == half for made, target in pairs)
    maps = critic.network.maps(shown.real)
    assert torch.allclose(seen[0], maps[-1], atol=1e-5)
    corner = int(torch.randint(4, (), generator=torch.Generator().manual_seed(1)))
    if count == 2:
        assert torch.allclose(seen[1], quarter(maps[-2], corner), atol=1e-5)
        assert torch.allclose(pairs[1][1], quarter(shown.real, corner))
    whole = torch.nn.functional.adaptive_avg_pool2d(shown.real, half[2:])
    assert torch.equal(pairs[0][1], whole)


def test_the_loss_is_the_mean_distance_of_the_real_images_as_shown() -> None:
    """Decoders that give mid-grey are as far from it as the images are, halved in size."""
    model = build(model={"reconstruction": 3.0})
    for decoder in model.discriminator.decoders:
        for parameter in decoder.last.parameters():
            torch.nn.init.zeros_(parameter)
    shown = batch()
    plain = Batch(torch.full_like(shown.real, 0.5), shown.labels, 0, shown.rng)
    losses = model.discriminator_losses(plain)
    assert losses["reconstruction"].item() == pytest.approx(3.0 * (0.5 + 0.5))
    assert "reconstruction" not in model.generator_losses(plain)
    assert "reconstruction" not in build(model={"reconstruction": 0.0}).discriminator_losses(plain)


def test_the_decoders_learn_with_the_discriminator_and_reach_its_maps() -> None:
    model = build()
    model.discriminator_losses(batch())["reconstruction"].backward()
    reached = {
        name for name, value in model.discriminator.named_parameters() if value.grad is not None
    }
    assert any(name.startswith("decoders") for name in reached)
    assert {"network.first.0.parametrizations.weight.original"} <= reached
    assert not any(name.startswith(("logit", "conditioning")) for name in reached)
    assert all(value.grad is None for value in model.generator.parameters())


def test_it_needs_a_discriminator_with_maps() -> None:
    with pytest.raises(PartError, match="train.discriminator: .* 'fastgan', which needs 'fastgan'"):
        build(discriminator="dcgan")


def test_packs_are_rebuilt_whole() -> None:
    model: FastGan = build(model={"packing": 2})
    losses = model.discriminator_losses(batch())
    assert losses["reconstruction"].isfinite()
    assert model.discriminator.decoders[0].last.out_channels == 2
