"""Features of content: what they tell apart, and where the weights of a package come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from augment.registry import PartError
from augment.vision import content
from augment.vision.content import Filters, content_features, pyramid_features

Weights = Callable[[int], dict[str, Tensor]]
SHAPES = [(1, 8, 8), (3, 33, 20), (4, 12, 16)]


def images(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of weights, without any in it yet: the path of its file."""
    folder = tmp_path / content.PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemError('its code must not run')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "models/efficientnet-lite0-12345678.pth"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_filters_see_edges_and_colours(shape: tuple[int, ...]) -> None:
    filters = Filters()
    features = filters(images(shape))
    assert features.shape == (2, 7 * shape[0], *shape[1:])
    plain = torch.full((1, *shape), 0.5)
    assert torch.allclose(filters(plain)[:, : shape[0]], plain, atol=1e-6)
    assert filters(plain)[:, shape[0] :].abs().max() < 1e-5
    ramp = torch.linspace(-1, 1, shape[2]).expand(1, *shape)
    middle = filters(ramp)[0, shape[0] :, shape[1] // 2, shape[2] // 2]
    rightwards, downwards = middle.view(3, shape[0], 2).unbind(2)
    assert downwards.abs().max() < 1e-6
    sharpest = rightwards[0]  # wider blurs reach the border of a small image
    assert torch.allclose(sharpest, torch.tensor(2 / (shape[2] - 1)), rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_of_the_package_go_where_they_belong(
    shape: tuple[int, ...], package: Path, plausible: Weights
) -> None:
    """A stem that copies every second pixel, and blocks that hand on what they get."""
    torch.save(plausible(3), package)
    network = content_features("efficientnet")
    assert not any(weight.requires_grad for weight in network.parameters())
    made = network(images(shape))
    assert made.shape == (2, 24, *(math.ceil(math.ceil(side / 2) / 2) for side in shape[1:]))
    plain = network(torch.full((1, *shape), 0.25)) if shape[0] < 4 else None
    if plain is not None:
        inside = plain[0, :, 1, 1]  # three colours of 0.25; the last block adds its input
        assert inside[0].item() == pytest.approx(1.5, abs=1e-4) and not inside[1:].any()
    assert not torch.equal(made, network(images(shape, 1)))


def test_missing_or_damaged_weights_are_said(package: Path, plausible: Weights) -> None:
    with pytest.raises(PartError, match=r"train.model.features: .* pip install 'augment\[feat"):
        content_features("efficientnet")
    weights = plausible(3)
    weights["_conv_stem.weight"] = torch.zeros(1, 1, 1, 1)
    torch.save(weights, package)
    with pytest.raises(PartError, match=f"{package.name} is damaged"):
        content_features("efficientnet")
    torch.save(nn.Linear(1, 1), package)  # a pickle of code
    with pytest.raises(PartError, match=f"{package.name} is damaged"):
        content_features("efficientnet")
    package.write_bytes(b"nothing")
    with pytest.raises(PartError, match=f"{package.name} is damaged"):
        content_features("efficientnet")


@pytest.mark.usefixtures("imagenet")
@pytest.mark.parametrize("shape", [(1, 32, 64), (3, 33, 40)], ids=str)
def test_a_pyramid_has_maps_of_four_sizes(shape: tuple[int, ...]) -> None:
    """Each half as large as the one before it, rounded up, from a quarter on."""
    levels = pyramid_features("efficientnet").levels(images(shape))
    assert [level.shape[1] for level in levels] == [24, 40, 112, 320]
    for level, part in zip(levels, (4, 8, 16, 32), strict=True):
        assert level.shape[2:] == tuple(math.ceil(side / part) for side in shape[1:])
    finest = content_features("efficientnet")(images(shape))
    assert torch.allclose(levels[0] * content.DEVIATIONS[0], finest, atol=1e-4)


def test_a_pyramid_of_filters_halves_the_image() -> None:
    levels = pyramid_features("filters").levels(torch.full((2, 3, 32, 16), 0.5))
    assert [level.shape for level in levels] == [(2, 21, 16, 8), (2, 21, 8, 4)]
    assert all(torch.allclose(level[:, :3], torch.tensor(0.5)) for level in levels)
