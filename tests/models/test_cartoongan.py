"""Photographs in the style of a set: what counts as a fake, when content alone counts, and how."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.cartoongan import CartoonGan, deviations, relative_difference
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.vision.edges import smooth_edges

SHAPE, CLASSES, COUNT = (3, 12, 16), 3, 6


def build(recipe: str = "cartoongan", shape: tuple[int, int, int] = SHAPE, **model: Any) -> Any:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "batch": COUNT}
    settings = TrainSettings.model_validate({"recipe": recipe, "model": model} | small)
    return assemble.build(settings, shape, CLASSES)


def images(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    """Noise far below an edge, and an edge down the middle of every second image."""
    rng = torch.Generator().manual_seed(seed)
    noise = (torch.rand(COUNT, *shape, generator=rng) - 0.5) * 0.02
    noise[::2, :, :, shape[2] // 2 :] += 0.8
    return noise


def batch(done: float = 0.5, shape: tuple[int, ...] = SHAPE) -> Batch:
    rng = torch.Generator().manual_seed(0)
    unknown = torch.full((COUNT,), -1)
    labels = torch.arange(COUNT) % CLASSES
    return Batch(
        images(shape), unknown, 0, rng, done, source=images(shape, 1), source_labels=labels
    )


def copier(model: CartoonGan) -> None:
    """Make the generator hand back what it starts from."""
    model.generator.forward = lambda *_, source, **__: source  # type: ignore[assignment,method-assign]


# content


def test_a_copier_loses_no_content() -> None:
    model = build(content=3.0)
    copier(model)
    assert model.generator_losses(batch())["content"].item() == 0


def test_content_is_measured_in_deviations_of_each_feature() -> None:
    before = torch.tensor([[0.0, 2.0], [10.0, 30.0]])[:, None, :].repeat(1, 1, 2)
    before = before.view(1, 2, 1, 4).expand(3, -1, -1, -1)  # 0, 2, 0, 2 and 10, 30, 10, 30
    assert deviations(before).flatten().tolist() == [1, 10]
    moved = before + torch.tensor([1.0, 5.0])[None, :, None, None]
    assert relative_difference(moved, before).item() == pytest.approx((1 + 0.5) / 2)
    plain = before.mean((0, 2, 3), keepdim=True).expand_as(before)
    assert relative_difference(plain, before).item() == pytest.approx(1)
    assert relative_difference(before, before).item() == 0


def test_what_a_photograph_shows_is_kept_and_its_noise_is_not() -> None:
    model, photographs = build(), images(seed=1)
    plain = photographs.mean((2, 3), keepdim=True).expand_as(photographs)
    halves = torch.where(images(seed=2) > 0.4, 0.8, 0.0)
    lost = [
        relative_difference(model.features_of(made), model.features_of(photographs))
        for made in (halves, plain, photographs.flip(3))
    ]
    assert lost[0] < 0.2 * lost[1] and lost[1] < lost[2]


@pytest.mark.parametrize("recipe", ["cartoongan", "animegan"])
def test_while_it_warms_up_only_content_counts(recipe: str) -> None:
    model = build(recipe, warm_up=0.25)
    assert list(model.generator_losses(batch(0.24))) == ["content"]
    assert {"adversarial", "content"} <= model.generator_losses(batch(0.25)).keys()
    assert "adversarial" in build(recipe, warm_up=0.0).generator_losses(batch(0.0))


def test_the_features_never_learn_and_are_no_part_of_a_checkpoint() -> None:
    model = build()
    names = [id(value) for module in model.modules().values() for value in module.state_dict()]
    assert not {id(value) for value in model.features.state_dict()} & set(names)
    assert not any(value.requires_grad for value in model.features.parameters())


# further fakes


class Steepness(nn.Module):
    """One feature a place: how much an image differs from its right neighbour there."""

    width, patches = 1, True

    def forward(self, shown: Tensor) -> Tensor:
        return shown.diff(dim=3).abs().mean(1, keepdim=True)


def telling(model: CartoonGan) -> None:
    """Make the steepness itself the logit."""
    model.discriminator.network = Steepness()
    model.discriminator.logit = nn.Flatten()


def test_blurred_edges_count_as_fakes_where_there_are_any() -> None:
    model, shown = build(smoothed=2.0), batch()
    telling(model)
    edged = shown.real[::2]
    steep, soft = (model.discriminator.network(it) for it in (edged, smooth_edges(edged)))
    loss = nn.functional.softplus
    expected = 2 * (loss(-steep).mean() + loss(soft).mean())
    assert model.discriminator_losses(shown)["smoothed"].item() == pytest.approx(expected.item())
    assert soft.max() < 0.5 * steep.max()


def test_images_without_an_edge_are_no_fakes() -> None:
    model, shown = build(), batch()
    flat = Batch(shown.real[1::2], shown.labels[1::2], 0, shown.rng, 0.5, source=shown.real[1::2])
    assert "smoothed" not in model.discriminator_losses(flat)
    assert "smoothed" not in build(smoothed=0.0).discriminator_losses(shown)


def test_classes_are_those_of_the_photographs() -> None:
    model = build()
    assert model.needs.source == "domain" and model.needs.labels == "none"
    assert model.matched and model.conditions == CLASSES and model.generator.conditioning is None
    source, rng = images(), [torch.Generator().manual_seed(0) for _ in range(2)]
    first, second = (
        model.sample(labels, generator=seeded, source=source)
        for labels, seeded in zip((torch.zeros(COUNT).long(), torch.arange(COUNT) % 3), rng,
                                  strict=True)
    )  # fmt: skip
    assert torch.equal(first, second)
