"""AnimeGAN's terms by hand: Gram matrices, colours kept, and grey images as fakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.animegan import AnimeGan, colour_difference, gram, style_difference
from augment.models.base import Batch
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.vision.colours import without_colour

CLASSES, COUNT = 2, 4


def build(channels: int = 3, **model: Any) -> AnimeGan:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "batch": COUNT}
    settings = TrainSettings.model_validate(
        {"recipe": "animegan", "model": {"warm_up": 0.0, **model}} | small
    )
    model_ = assemble.build(settings, (channels, 12, 12), CLASSES)
    assert isinstance(model_, AnimeGan)
    return model_


def images(channels: int = 3, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(COUNT, channels, 12, 12, generator=rng) * 1.6 - 0.8


def batch(real: Tensor, source: Tensor) -> Batch:
    unknown = torch.full((COUNT,), -1)
    return Batch(real, unknown, 0, torch.Generator().manual_seed(0), 0.5, source=source)


def test_gram_matrix_by_hand() -> None:
    first = torch.tensor([[1.0, 2.0], [0.0, 3.0]])  # two features at two places
    second = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    features = torch.stack([first, second]).view(2, 2, 1, 2)
    assert torch.allclose(gram(features), torch.tensor([[6.0, 7.0], [7.0, 10.0]]) / 4)


def test_style_is_what_goes_together_and_not_where() -> None:
    target = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    assert style_difference(target, target).item() == 0
    moved = target.roll((1, 2), (2, 3)).flip(0)
    assert style_difference(moved, target).item() == pytest.approx(0, abs=1e-5)
    assert style_difference(torch.zeros_like(target), target).item() == pytest.approx(1)
    assert style_difference(2 * target, target).item() == pytest.approx(3, rel=1e-5)
    scaled = target * torch.tensor([1.0, 2, 30, 400])[None, :, None, None]
    other = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    large = other * torch.tensor([1.0, 2, 30, 400])[None, :, None, None]
    assert style_difference(large, scaled).item() == pytest.approx(
        style_difference(other, target).item(), rel=1e-4
    )


def test_colours_by_hand() -> None:
    red, blue = (torch.tensor(it)[None, :, None, None] for it in ([1.0, -1, -1], [-1.0, -1, 1]))
    brightness = 2 * (0.299 - 0.114)
    across, down = 2 * (0.436 + 0.14713), 2 * (0.615 + 0.10001)  # both beyond 1: Huber is linear
    expected = brightness + (across - 0.5) + (down - 0.5)
    assert colour_difference(blue, red).item() == pytest.approx(expected, abs=1e-4)
    near = colour_difference(red + torch.tensor([0.1, 0, 0])[None, :, None, None], red)
    change = 0.1 * 0.299, 0.1 * -0.14713, 0.1 * 0.615
    expected = change[0] + (change[1] ** 2 + change[2] ** 2) / 2
    assert near.item() == pytest.approx(expected, abs=1e-5)


def test_one_channel_has_brightness_alone() -> None:
    grey = images(1)
    assert colour_difference(grey + 0.25, grey).item() == pytest.approx(0.25)
    model = build(1)
    losses = model.discriminator_losses(batch(grey, images(1, 1)))
    assert "grey" not in losses and losses["smoothed"].isfinite()
    assert model.generator_losses(batch(grey, images(1, 1)))["colour"].isfinite()


def test_a_copier_keeps_content_and_colours_and_lacks_the_style() -> None:
    model = build(style=1.0)
    model.generator.forward = lambda *_, source, **__: source  # type: ignore[assignment,method-assign]
    noise, plain = images(), images(seed=1).mean((2, 3), keepdim=True).expand(-1, -1, 12, 12)
    losses = model.generator_losses(batch(noise, plain))
    assert losses["content"].item() == losses["colour"].item() == 0 and losses["style"] > 0.1
    alike = model.generator_losses(batch(noise, noise))
    assert alike["style"].item() == pytest.approx(0, abs=1e-5)


def test_style_sees_no_colour() -> None:
    """Images of one brightness and other colours lack nothing of a grey style."""
    model, real = build(style=2.0), images()
    model.generator.forward = lambda *_, source, **__: source  # type: ignore[assignment,method-assign]
    grey = without_colour(real)
    tinted = grey + torch.tensor([0.1, 0.0, -0.1 * 0.299 / 0.114])[None, :, None, None]
    losses = model.generator_losses(batch(real, tinted))
    assert losses["style"].item() == pytest.approx(0, abs=1e-4)
    assert style_difference(model.features_of(tinted), model.features_of(grey)) > 0.01


def test_grey_images_count_as_fakes_where_the_real_ones_have_colour() -> None:
    coloured, source = images(), images(seed=1)
    model = build()
    assert {"grey", "smoothed"} <= model.discriminator_losses(batch(coloured, source)).keys()
    grey = without_colour(coloured)
    assert "grey" not in model.discriminator_losses(batch(grey, source))
    off = build(grey=0.0, smoothed=0.0).discriminator_losses(batch(coloured, source))
    assert "grey" not in off and "smoothed" not in off
    half = coloured.clone()
    half[::2] = grey[::2]
    seen: list[int] = []
    score = model.discriminator.forward
    model.discriminator.forward = lambda shown, labels: (  # type: ignore[method-assign]
        seen.append(len(shown)) or score(shown, labels)
    )
    model.discriminator_losses(batch(half, source))
    assert seen == [COUNT, COUNT]  # grey ones, and those with blurred edges
