"""The GAN that starts from an image: what bending does, what pairs are, what is rewarded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.data.arrays import Arrays, DatasetError
from augment.models.base import Batch
from augment.models.dagan import PairedGan, mismatched
from augment.models.latents import latents
from augment.models.networks.bend import (
    Generator,
    as_sharp,
    ascent,
    bent,
    enlarger,
    steepness,
)
from augment.models.pairs import difference, narrowness
from augment.models.sources import source_places
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES, COUNT = (2, 8, 12), 3, 6
BOUNDS = (0.25, 0.5, 1.0)  # flow, affine, weight


def images(count: int = COUNT, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.9


def settings(**changes: Any) -> TrainSettings:
    small = {"recipe": "dagan", "batch": COUNT, "augment": [], "penalties": []}
    return TrainSettings.model_validate(
        small | {"generator": {"width": 8}, "discriminator": {"width": 8}} | changes
    )


def build(**changes: Any) -> PairedGan:
    seeding.everything(0)
    model = assemble.build(settings(**changes), SHAPE, CLASSES)
    assert isinstance(model, PairedGan)
    return model


def batch(step: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(step)
    labels = torch.arange(COUNT) % CLASSES
    return Batch(images(), labels, step, rng, source=images(seed=1))


def nothing(count: int = COUNT) -> tuple[Tensor, Tensor]:
    """Maps and an affine map that leave every image as it is."""
    return torch.zeros(count, 3, *SHAPE[1:]), torch.zeros(count, 6)


# bending


def test_zeros_give_the_source() -> None:
    source = images()
    assert torch.allclose(bent(source, *nothing(), BOUNDS), source, atol=1e-5)


def test_a_flow_of_whole_pixels_moves_them() -> None:
    source = images()
    maps, affine = nothing()
    maps[:, 0] = 1  # a quarter of 12 pixels: each is read three pixels to its right
    moved = bent(source, maps, affine, BOUNDS)
    assert torch.allclose(moved[..., :-3], source[..., 3:], atol=1e-4)
    assert torch.allclose(moved[..., -3:], source[..., -1:].expand_as(moved[..., -3:]), atol=1e-4)
    maps, affine = nothing()
    maps[:, 1] = -1
    up = bent(source, maps, affine, BOUNDS)
    assert torch.allclose(up[..., 2:, :], source[..., :-2, :], atol=1e-4)


def test_an_affine_map_shrinks_and_moves() -> None:
    source = images(shape=(1, 8, 8))
    affine = torch.zeros(COUNT, 6)
    affine[:, [0, 4]] = 1  # places one and a half times as far from the centre
    ramp = torch.linspace(-7 / 8, 7 / 8, 8).expand(COUNT, 1, 8, 8) * 0.5
    shrunk = bent(ramp, torch.zeros(COUNT, 3, 8, 8), affine, BOUNDS)
    expected = (ramp * 1.5).clamp(ramp.min(), ramp.max())
    assert torch.allclose(shrunk, expected, atol=0.02)  # torch reads ramps not quite exactly
    affine = torch.zeros(COUNT, 6)
    affine[:, 2] = 1  # half of half the width: two pixels
    moved = bent(source, torch.zeros(COUNT, 3, 8, 8), affine, BOUNDS)
    assert torch.allclose(moved[..., :-2], source[..., 2:], atol=1e-4)


def edge(*pixels: float) -> Tensor:
    """An image (1, 1, 8, N) whose rows are ``pixels``."""
    return torch.tensor(pixels, dtype=torch.float32).expand(1, 1, 8, len(pixels)).contiguous()


@pytest.mark.parametrize(("weight", "width"), [(1, 6), (-1, 2), (0.5, 5)])
def test_weight_makes_a_stroke_wider_or_thinner_and_leaves_its_edges(
    weight: float, width: int
) -> None:
    source = edge(-1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1)
    maps = torch.zeros(1, 3, 8, 12)
    maps[:, 2] = weight
    changed = bent(source, maps, torch.zeros(1, 6), BOUNDS)
    assert ((changed + 1) / 2).sum(3).flatten().tolist() == pytest.approx([width] * 8, abs=0.5)
    assert steepness(changed) > 0.5 * steepness(source)
    assert torch.allclose(bent(source, maps * 0, torch.zeros(1, 6), BOUNDS), source, atol=1e-5)


def test_the_way_to_lighter_pixels_is_up_the_slope_and_nowhere_on_flat_ground() -> None:
    way = ascent(edge(-1, -1, -1, -1, 1, 1, 1, 1))
    assert way[:, 1].abs().max() == 0 and (way[..., 3:5] > 0).sum() == 2 * 8
    assert (way[:, 0, :, [0, 1, 6, 7]] == 0).all() and way.norm(dim=1).max() < 1
    assert torch.allclose(ascent(edge(-1, 1).mT)[:, 1], ascent(edge(-1, 1))[:, 0].mT)


def test_steepness_is_of_edges_and_not_of_how_many_there_are() -> None:
    sharp, soft = edge(-1, -1, 1, 1, -1, -1), edge(-1, -1, 0, 1, 1, 1)
    assert steepness(sharp).item() == pytest.approx(2, abs=1e-4)
    assert steepness(soft).item() == pytest.approx(1, abs=1e-4)
    assert steepness(edge(-1, -1, 1, 1, 1, 1)).item() == pytest.approx(2, abs=1e-4)


def test_what_is_blurred_becomes_as_sharp_as_its_source_and_flat_images_stay() -> None:
    sharp = images(shape=(2, 12, 12)).sign()
    blurred = functional.avg_pool2d(functional.pad(sharp, (1, 1, 1, 1), mode="replicate"), 3, 1)
    assert (steepness(blurred) < 0.5 * steepness(sharp)).all()
    stroke, source = edge(-1, -0.8, 0, 0.8, 0.8, 0, -0.8, -1), edge(-1, -1, 0, 1, 1, 0, -1, -1)
    assert steepness(stroke) < steepness(source) - 0.05
    assert steepness(as_sharp(stroke, source)).item() == pytest.approx(1, abs=0.03)
    assert torch.equal(as_sharp(sharp, sharp), sharp)
    flat = torch.full((2, 1, 8, 8), 0.3)
    assert torch.allclose(as_sharp(flat, flat), flat)


def test_maps_are_enlarged_as_torch_enlarges_them() -> None:
    maps = images(shape=(3, 4, 6))
    expected = functional.interpolate(maps, (28, 40), mode="bicubic", align_corners=False)
    assert torch.allclose(enlarger(4, 28) @ maps @ enlarger(6, 40).T, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (4, 20, 50)])
def test_it_starts_as_nearly_a_copier(shape: tuple[int, int, int]) -> None:
    seeding.everything(0)
    network = Generator(8, shape, width=8)
    smooth = torch.linspace(-0.5, 0.5, shape[2]).expand(3, *shape)
    made = network(torch.randn(3, 8), source=smooth)
    assert made.shape == smooth.shape
    assert difference(made, smooth).max() < 0.02 and not torch.equal(made[0], made[1])


# pairs


def test_mismatched_are_of_two_classes_wherever_there_are_two() -> None:
    labels = torch.tensor([0, 1, 0, 2, 2, 2])
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        others, apart = mismatched(labels, rng)
        assert apart.all() and (labels[others] != labels).all()
    _, apart = mismatched(torch.ones(4, dtype=torch.int64), torch.Generator())
    assert not apart.any()


def test_the_discriminator_sees_the_source_beside_the_image() -> None:
    model, shown = build(), batch()
    pairs = model.show(shown.real, shown)
    assert pairs.shape == (COUNT, 2 * SHAPE[0], *SHAPE[1:])
    assert torch.equal(pairs[:, : SHAPE[0]], shown.source) and shown.source is not None
    assert torch.equal(pairs[:, SHAPE[0] :], shown.real)
    critic, labels = model.discriminator, model.packed(shown.labels)
    turned = torch.cat([shown.source.roll(1, 0), shown.real], 1)
    assert not torch.allclose(critic(pairs, labels), critic(turned, labels), atol=1e-9)
    assert model.needs.source and model.matched and model.generator.conditioning is None


class Agreement(nn.Module):
    """Features of a pair: how much the means of its two images differ, as one number."""

    width = 1

    def forward(self, pairs: Tensor) -> Tensor:
        first, second = pairs.flatten(1).chunk(2, 1)
        return -(first.mean(1) - second.mean(1)).abs()[:, None]


def test_a_mismatched_pair_counts_as_fake() -> None:
    """Images of class k are of level k / 4, and the logit is minus the difference of levels."""
    model = build(loss="non_saturating", model={"mismatch": 2.0})
    model.discriminator.network = Agreement()
    model.discriminator.logit = nn.Linear(1, 1)
    nn.init.ones_(model.discriminator.logit.weight)
    nn.init.zeros_(model.discriminator.logit.bias)
    labels = torch.tensor([0, 1] * 3)
    levels = (labels / 4)[:, None, None, None].expand(COUNT, *SHAPE)
    shown = Batch(levels, labels, 0, torch.Generator().manual_seed(0), source=levels)
    losses = model.discriminator_losses(shown)
    expected = math.log(2) + math.log1p(math.exp(-0.25))  # logits 0 and -0.25
    assert losses["mismatch"].item() == pytest.approx(2 * expected, abs=1e-5)
    single = Batch(levels, labels * 0, 0, torch.Generator().manual_seed(0), source=levels)
    assert "mismatch" not in model.discriminator_losses(single)
    assert "mismatch" not in build(model={"mismatch": 0.0}).discriminator_losses(shown)


# variety


def test_the_reward_ends_at_its_cap() -> None:
    base = torch.zeros(3, 1, 2, 2)
    others = torch.tensor([0.0, 0.1, 0.9])[:, None, None, None].expand(3, 1, 2, 2)
    usual = torch.tensor(0.4)  # lacks 0.5, 0.25 and nothing of the cap
    assert narrowness(base, others, usual, 0.5).item() == pytest.approx(0.25)
    assert narrowness(base, others, torch.tensor(0.0), 0.0).item() == 0
    assert difference(base, others).tolist() == pytest.approx([0, 0.1, 0.9])


def test_a_copier_lacks_all_variety() -> None:
    model, shown = build(model={"variety": 3.0, "cap": 0.5}), batch()
    for parameter in model.generator.network.bend.parameters():
        nn.init.zeros_(parameter)
    losses = model.generator_losses(shown)
    assert losses["variety"].item() == pytest.approx(1.5, abs=1e-4)
    assert "variety" not in build(model={"variety": 0.0}).generator_losses(shown)


# tries


class Level(nn.Module):
    """A generator that gives its source plus the first number of its noise."""

    source = True

    def forward(self, inputs: Tensor, condition: Tensor | None, *, source: Tensor) -> Tensor:
        return source + inputs[:, :1, None, None]


def test_of_several_tries_the_judge_keeps_the_one_that_goes_best_with_its_source() -> None:
    model = build(model={"tries": 3, "latent": 4})
    average, source = model.average, images()
    assert average.judge is not None and average.inputs == 12 and model.generator.inputs == 4
    average.network = Level()
    average.judge.network, average.judge.logit = Agreement(), nn.Identity()
    noise, codes = latents(average, COUNT, torch.Generator().manual_seed(0))
    labels = torch.zeros(COUNT, dtype=torch.int64)
    made = average(noise, labels, codes, source)
    first = noise.view(COUNT, 3, 4)[..., 0]  # of each try
    least = first.gather(1, first.abs().argmin(1, keepdim=True))
    assert torch.allclose(made - source, least[..., None, None].expand_as(source), atol=1e-6)
    alone = average(noise[2:3], labels[2:3], codes[2:3], source[2:3])
    assert torch.allclose(alone, made[2:3])  # the other images of a chunk have no say


def test_samples_are_of_cooler_noise_than_what_is_learned_from() -> None:
    model = build(model={"temperature": 0.25, "tries": 1})
    cool, whole = (
        latents(part, COUNT, torch.Generator().manual_seed(0))[0]
        for part in (model.average, model.generator)
    )
    assert torch.equal(cool, whole / 4)
    narrow, _ = latents(model.average, 99, torch.Generator().manual_seed(0), truncation=0.5)
    assert 0.05 < narrow.abs().max() <= 0.125


def test_the_judge_is_the_averaged_discriminator() -> None:
    model, single = build(), build(model={"tries": 1})
    assert single.average.judge is None and single.average.inputs == single.generator.inputs
    judge = model.average.judge
    assert judge is not None
    before = judge.logit[0].weight.clone()
    with torch.no_grad():
        model.discriminator.logit[0].weight.add_(1)
        model.generator.network.bend.bias.add_(1)
    model.on_step(0, decay=0.999)  # the first step keeps a tenth of the old
    assert torch.allclose(judge.logit[0].weight, before + 0.9, atol=1e-5)
    assert torch.allclose(
        model.average.network.bend.bias, model.generator.network.bend.bias, atol=0.2
    )
    assert not any(parameter.requires_grad for parameter in model.average.parameters())


# sources


def arrays(labels: list[int], names: str = "abcdefgh") -> Arrays:
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 1, 8, 8), np.uint8
    )
    ids = list(names[: len(labels)])
    return Arrays(pixels, np.array(labels), ids, ["x", "y", "z"])


def test_sources_are_of_the_class_and_take_turns() -> None:
    data = arrays([0, 1, 0, 1, 1])
    labels = np.array([0, 1, 1, 1, 0])
    places = source_places(data, labels, 7)
    assert (data.labels[places] == labels).all()
    assert sorted(places[labels == 1].tolist()) == [1, 3, 4]
    assert (places == source_places(data, labels, 7)).all()
    turns = [source_places(data, np.array([1]), 7, number)[0] for number in range(6)]
    assert sorted(turns[:3]) == sorted(turns[3:]) == [1, 3, 4]
    with pytest.raises(DatasetError, match="class 'z': no real image"):
        source_places(data, np.array([2]), 7)


def test_sources_do_not_depend_on_the_order_of_the_table() -> None:
    data = arrays([0, 1, 0, 1, 1])
    turned = data.take(np.arange(5)[::-1])
    labels = np.array([0, 1, 1, 1, 0])
    names = [
        [kept.ids[place] for place in source_places(kept, labels, 3)] for kept in (data, turned)
    ]
    assert names[0] == names[1]
