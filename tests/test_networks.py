"""Networks: every registered one at every kind of shape, and the rules that each promises."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment import seeding
from augment.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.registry import PartError, Registry

SHAPES = [(1, 8, 8), (1, 12, 20), (1, 28, 28), (3, 32, 32), (1, 32, 128), (3, 64, 64)]
EVERY = [(r, name) for r in (GENERATORS, DISCRIMINATORS) for name in r.names()]
IDS = [f"{r.kind.split()[0]}-{name}" for r, name in EVERY]
LATENT = 10


def build(registry: Registry, spec: str | dict[str, Any], shape: Shape) -> nn.Module:
    arguments = (LATENT, shape) if registry is GENERATORS else (shape,)
    network: nn.Module = registry.build(spec, *arguments)
    return network


def given(registry: Registry, shape: Shape, count: int = 3) -> Tensor:
    size = (LATENT,) if registry is GENERATORS else shape
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize(("registry", "name"), EVERY, ids=IDS)
def test_contract(registry: Registry, name: str, shape: Shape) -> None:
    """Shapes, range, and a gradient to every parameter once none is zero."""
    seeding.everything(0)
    network = build(registry, {"name": name, "width": 8}, shape)
    with torch.no_grad():
        for parameter in network.parameters():  # blocks may start as the identity
            parameter.add_(torch.randn_like(parameter) * 0.02)
    inputs = given(registry, shape).requires_grad_()
    found = network(inputs)
    if registry is GENERATORS:
        assert found.shape == (3, *shape)
        assert found.abs().max() <= 1 and found.std() > 0
    else:
        assert found.shape == (3, network.width)
    (found * torch.randn_like(found)).sum().backward()
    assert inputs.grad is not None and (inputs.grad.flatten(1).abs().sum(1) > 0).all()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=IDS)
def test_defaults_seeds_and_memory_format(registry: Registry, name: str) -> None:
    states = []
    for seed in (0, 0, 1):
        seeding.everything(seed)
        states.append(build(registry, name, (1, 8, 8)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])
    network = build(registry, name, (1, 8, 8)).eval()
    inputs = given(registry, (1, 8, 8))
    plain = network(inputs)
    network = network.to(memory_format=torch.channels_last)
    assert torch.allclose(network(inputs), plain, atol=1e-4)
    assert registry.describe(name).paper


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=IDS)
def test_width_sets_the_size_and_is_checked(registry: Registry, name: str) -> None:
    def size(width: int) -> int:
        network = build(registry, {"name": name, "width": width}, (1, 16, 16))
        return sum(parameter.numel() for parameter in network.parameters())

    assert size(16) > 1.5 * size(8)
    with pytest.raises(PartError, match="option 'width'"):
        size(0)


@pytest.mark.parametrize(
    ("shape", "count", "base"),
    [
        ((1, 8, 8), 1, (4, 4)),
        ((1, 12, 12), 1, (6, 6)),
        ((1, 20, 12), 1, (10, 6)),
        ((1, 28, 28), 2, (7, 7)),
        ((3, 32, 32), 3, (4, 4)),
        ((1, 32, 128), 3, (4, 16)),
        ((1, 36, 72), 3, (4, 9)),
        ((1, 4, 4), 0, (4, 4)),
        ((2, 1, 1), 0, (1, 1)),
        ((1, 252, 252), 5, (7, 7)),
        ((1, 256, 256), 6, (4, 4)),
    ],
)
def test_sizes(shape: Shape, count: int, base: tuple[int, int]) -> None:
    found = sizes(shape)
    assert (len(found) - 1, found[0], found[-1]) == (count, shape[1:], base)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((8, 0, 4), [8]),
        ((8, 3, 4), [8, 16, 32, 32]),
        ((5, 2, 1), [5, 5, 5]),
        ((1, 3, 5), [1, 2, 4, 5]),
    ],
)
def test_widths(arguments: tuple[int, int, int], expected: list[int]) -> None:
    assert widths(*arguments) == expected


def test_dcgan_keeps_the_rules_of_the_paper() -> None:
    seeding.everything(0)
    generator = build(GENERATORS, {"name": "dcgan", "width": 64}, (3, 64, 64))
    discriminator = build(DISCRIMINATORS, {"name": "dcgan", "width": 64}, (3, 64, 64))
    for network, kind in ((generator, nn.ConvTranspose2d), (discriminator, nn.Conv2d)):
        layers = list(network.body)  # type: ignore[arg-type]
        names = {type(layer).__name__ for layer in layers}
        assert not any(word in name for name in names for word in ("Linear", "Pool", "Upsample"))
        convolutions = [layer for layer in layers if isinstance(layer, kind)]
        inner = convolutions[1:] if network is generator else convolutions
        assert all(layer.stride == (2, 2) and layer.kernel_size == (4, 4) for layer in inner)
        for layer in convolutions:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
        for before, layer in pairwise(layers):
            if isinstance(layer, nn.BatchNorm2d):
                assert before.bias is None  # the norm would take it away again
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.02)
    names = [type(layer).__name__ for layer in generator.body]  # type: ignore[union-attr]
    assert names == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]
    names = [type(layer).__name__ for layer in discriminator.body]  # type: ignore[union-attr]
    first, rest = ["Conv2d", "LeakyReLU"], ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3
    assert names == [*first, *rest, "Flatten"]
    slopes = [m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_dcgan_without_norm_judges_each_image_by_itself() -> None:
    images = given(DISCRIMINATORS, (1, 16, 16))
    for norm, alone in (("none", True), ("batch", False)):
        seeding.everything(0)
        network = build(DISCRIMINATORS, {"name": "dcgan", "width": 8, "norm": norm}, (1, 16, 16))
        assert torch.allclose(network(images)[:1], network(images[:1]), atol=1e-5) is alone
    with pytest.raises(PartError, match="option 'norm'"):
        build(DISCRIMINATORS, {"name": "dcgan", "norm": "layer"}, (1, 16, 16))


@pytest.mark.parametrize(("layers", "count"), [(1, 2), (3, 4)])
def test_mlp_layers(layers: int, count: int) -> None:
    network = build(GENERATORS, {"name": "mlp", "width": 8, "layers": layers}, (1, 8, 8))
    sizes = [module.out_features for module in network.modules() if isinstance(module, nn.Linear)]
    assert sizes == [8] * layers + [64] and len(sizes) == count


def test_resnet_blocks_start_as_their_shortcut_and_a_bias() -> None:
    network = build(DISCRIMINATORS, {"name": "resnet", "width": 8}, (1, 16, 16))
    for block in network.blocks:  # type: ignore[union-attr]
        x = torch.randn(2, block.inner[1].in_channels, 8, 8)  # type: ignore[union-attr, index]
        gap = block(x) - block.short(x)  # type: ignore[operator, union-attr]
        bias = block.inner[-1].bias[:, None, None]  # type: ignore[union-attr, index]
        assert torch.allclose(gap, bias.expand_as(gap), atol=1e-5)


def largest_singular_values(network: nn.Module, images: Tensor) -> list[float]:
    for _ in range(40):
        network(images)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]


def test_spectral_norm_holds_every_weight_near_one() -> None:
    seeding.everything(0)
    images = given(DISCRIMINATORS, (1, 16, 16))
    spec = {"name": "resnet", "width": 8, "spectral": True}
    found = largest_singular_values(build(DISCRIMINATORS, spec, (1, 16, 16)), images)
    assert len(found) == 10
    assert found == pytest.approx([1.0] * 10, abs=0.05)
    plain = build(DISCRIMINATORS, {**spec, "spectral": False}, (1, 16, 16))
    assert max(abs(math.log(v or 1e-9)) for v in largest_singular_values(plain, images)) > 0.2
