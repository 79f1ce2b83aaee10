"""Networks: every registered one at every kind of shape, and the rules that each promises."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import Attention, ConditionalNorm, First, Flatten
from augment.registry import PartError, Registry
from augment.runtime import seeding

SHAPES = [
    (1, 8, 8),
    (1, 12, 20),
    (1, 28, 28),
    (3, 32, 32),
    (1, 32, 128),  # a word
    (2, 36, 72),  # 9 is halved to 4
    (8, 48, 20),  # a pack of two with four channels
    (3, 64, 64),
]
LARGE = [(6, 96, 96), (1, 252, 100), (1, 256, 256)]
FULL_NOISE = ("nice", "realnvp", "glow", "velocity")  # a number for each value, and no norm to tell
QUICK: dict[str, dict[str, Any]] = {"velocity": {"steps": 1}, "glow": {"steps": 2}}
LIVELY = {name: {"width": 8} for name in ("nice", "realnvp")}  # two ReLUs may both be silent
EVERY = [  # those with a density take as much noise as an image has values: see test_pixels
    (r, name)
    for r in (GENERATORS, DISCRIMINATORS)
    for name in r.names()
    if not getattr(r.describe(name).target, "density", False)
]
FROM_NOISE = [
    name
    for r, name in EVERY
    if r is GENERATORS
    and name not in FULL_NOISE
    and not getattr(r.describe(name).target, "source", False)
]
NORMED = [name for name in FROM_NOISE if name != "growing"]  # whose norm has no statistics
IDS = [f"{r.kind.split()[0]}-{name}" for r, name in EVERY]
LATENT = 10
CONDITION = 6
OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {  # beside the defaults
    ("generator", "resnet"): [{"norm": "batch"}, {"attention": True}],
    ("generator", "pyramid"): [{"doublings": 1, "layers": 1}],
    ("generator", "ssgan"): [{"structure": "layout"}],
    ("generator", "unet"): [{"added": True}, {"norm": "layer"}],
    ("discriminator", "fastgan"): [{"norm": "none", "spectral": False}],
    ("discriminator", "mlp"): [{"layers": 2}],
    ("discriminator", "dcgan"): [{"norm": "none"}, {"norm": "none", "spectral": True}],
    ("discriminator", "growing"): [{"features": 16}],
    ("discriminator", "patch"): [{"layers": 3}, {"norm": "none", "spectral": True}],
    ("discriminator", "resnet"): [{"attention": True}, {"attention": True, "spectral": True}],
}
VARIANTS = [
    pytest.param(
        r,
        {"name": name, "width": 8, **QUICK.get(name, {}), **options},
        condition,
        id=f"{key}-{options}-{condition}",
    )
    for (r, name), key in zip(EVERY, IDS, strict=True)
    for options in [{}, *OPTIONS.get((r.kind.split()[0], name), [])]
    for condition in ([0, CONDITION] if r is GENERATORS else [0])
]


def latent_of(name: str, shape: Shape) -> int:
    """How many numbers of z a generator takes."""
    return LATENT + math.prod(shape) * (name in FULL_NOISE)


def build(
    registry: Registry, spec: str | dict[str, Any], shape: Shape, condition: int = 0
) -> nn.Module:
    latent = latent_of(spec if isinstance(spec, str) else spec["name"], shape)
    arguments = (latent, shape, condition) if registry is GENERATORS else (shape,)
    network: nn.Module = registry.build(spec, *arguments)
    return network


def inputs_of(
    network: nn.Module,
    registry: Registry,
    shape: Shape,
    condition: int = 0,
    count: int = 3,
    name: str = "",
) -> list[Tensor]:
    """What the network ``name`` takes: z and, where it has one, a condition; or images."""
    latent = (latent_of(name, shape),)
    if name == "pyramid":
        latent = (int(network.levels), *latent)
    shapes = [latent, *[(condition,)] * bool(condition)] if registry is GENERATORS else [shape]
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(count, *size, generator=rng) for size in shapes]


def busy(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a pass uses: a grown network has outgrown the ends of smaller sizes."""
    ends = getattr(network, "ends", [])
    idle = tuple(f"ends.{number}." for number in range(len(ends) - 1))
    return {name: p for name, p in network.named_parameters() if not name.startswith(idle)}


def source_of(network: nn.Module, shape: Shape, count: int = 3) -> dict[str, Tensor]:
    """The images that a network starts from, if it does."""
    if not getattr(network, "source", False):
        return {}
    rng = torch.Generator().manual_seed(1)
    return {"source": (torch.rand(count, *shape, generator=rng) * 2 - 1).requires_grad_()}


def shaken(network: nn.Module, scale: float = 0.02) -> nn.Module:
    """``network`` with no parameter at zero; blocks may start as the identity."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return network


def check(registry: Registry, spec: dict[str, Any], condition: int, shape: Shape) -> None:
    """Shapes, range, and a gradient to every input and parameter."""
    seeding.everything(0)
    scale = 0.002 if spec["name"] in FULL_NOISE else 0.02  # many more inputs; all clamped otherwise
    network = shaken(build(registry, spec, shape, condition), scale)
    inputs = [
        tensor.requires_grad_()
        for tensor in inputs_of(network, registry, shape, condition, name=spec["name"])
    ]
    source = source_of(network, shape)
    output = network(*inputs, **source)
    inputs += source.values()
    if registry is GENERATORS:
        assert output.shape == (3, *shape)
        assert output.abs().max() <= 1 and output.std() > 0
    else:
        assert output.shape[:2] == (3, network.width)
        assert output.ndim == (4 if getattr(network, "patches", False) else 2)
    (output * torch.randn_like(output)).sum().backward()
    for tensor in inputs:
        assert tensor.grad is not None and (tensor.grad.flatten(1).abs().sum(1) > 0).all()
    silent = [n for n, p in busy(network).items() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize(("registry", "spec", "condition"), VARIANTS)
def test_contract(registry: Registry, spec: dict[str, Any], condition: int, shape: Shape) -> None:
    check(registry, spec, condition, shape)


@pytest.mark.parametrize("shape", LARGE, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize(("registry", "name"), EVERY, ids=IDS)
def test_large_images(registry: Registry, name: str, shape: Shape) -> None:
    spec = {"name": name, "width": 2, **QUICK.get(name, {}), **LIVELY.get(name, {})}
    check(registry, spec, 0, shape)


@pytest.mark.parametrize("added", [True, False])
def test_what_is_painted_on_the_source_keeps_it(added: bool) -> None:
    """A last layer of zeros paints nothing; without a source below it that is mid-grey."""
    network = build(GENERATORS, {"name": "unet", "width": 8, "added": added}, (3, 16, 16))
    for parameter in network.last.parameters():
        torch.nn.init.zeros_(parameter)
    source = torch.rand(2, 3, 16, 16) * 2 - 1
    painted = network(torch.zeros(2, LATENT), source=source)
    assert torch.allclose(painted, source if added else torch.zeros(1), atol=0.011)


@pytest.mark.parametrize("condition", [0, CONDITION])
def test_mlp_takes_points(condition: int) -> None:
    check(GENERATORS, {"name": "mlp", "layers": 3}, condition, (2, 1, 1))
    check(DISCRIMINATORS, {"name": "mlp", "layers": 3}, 0, (2, 1, 1))


@pytest.mark.parametrize(("registry", "spec", "condition"), VARIANTS)
def test_half_precision(registry: Registry, spec: dict[str, Any], condition: int) -> None:
    network = build(registry, spec, (1, 16, 16), condition)
    with torch.autocast("cpu", torch.bfloat16):
        source = source_of(network, (1, 16, 16))
        inputs = inputs_of(network, registry, (1, 16, 16), condition, name=spec["name"])
        output = network(*inputs, **source)
        output.float().square().mean().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in busy(network).values())


@pytest.mark.parametrize(
    ("registry", "spec"), [v.values[:2] for v in VARIANTS if v.values[0] is DISCRIMINATORS]
)
def test_gradient_penalties_reach_the_discriminator(
    registry: Registry, spec: dict[str, Any]
) -> None:
    seeding.everything(0)
    network = shaken(build(registry, spec, (1, 16, 16)))
    network = network.to(memory_format=torch.channels_last)  # what the fused attention takes
    (images,) = inputs_of(network, registry, (1, 16, 16))
    logits = network(images.requires_grad_()).tanh().sum()
    (slope,) = torch.autograd.grad(logits, images, create_graph=True)
    slope.square().sum().backward()
    weights = {name: p.grad for name, p in busy(network).items() if p.dim() > 1}
    assert [name for name, grad in weights.items() if grad is None or not grad.any()] == []


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=IDS)
def test_defaults_seeds_and_memory_format(registry: Registry, name: str) -> None:
    states = []
    for seed in (0, 0, 1):
        seeding.everything(seed)
        states.append(build(registry, name, (1, 8, 8)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])
    network = build(registry, name, (1, 8, 8)).eval()
    inputs = inputs_of(network, registry, (1, 8, 8), name=name)
    source = source_of(network, (1, 8, 8))
    plain = network(*inputs, **source)
    network = network.to(memory_format=torch.channels_last)
    assert torch.allclose(network(*inputs, **source), plain, atol=1e-4)
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
    steps = sizes(shape)
    assert (len(steps) - 1, steps[0], steps[-1]) == (count, shape[1:], base)


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
    assert names == ["First", "BatchNorm2d", "ReLU"] + (
        ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 3 + ["ConvTranspose2d", "Tanh"]
    )
    names = [type(layer).__name__ for layer in discriminator.body]  # type: ignore[union-attr]
    first, rest = ["Conv2d", "LeakyReLU"], ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3
    assert names == [*first, *rest, "Flatten"]
    slopes = [m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_dcgan_without_norm_judges_each_image_by_itself() -> None:
    images = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
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


@pytest.mark.parametrize("name", NORMED)
def test_a_condition_makes_every_norm_conditional(name: str) -> None:
    seeding.everything(0)
    network = build(GENERATORS, {"name": name, "width": 8}, (1, 16, 16), CONDITION)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    conditional = [m for m in network.modules() if isinstance(m, ConditionalNorm)]
    assert len(norms) == len(conditional) > 0
    assert not any(norm.affine for norm in norms)
    (inputs,) = inputs_of(network, GENERATORS, (1, 16, 16))
    first, other = torch.randn(2, 3, CONDITION)
    assert torch.equal(network(inputs, first), network(inputs, other))  # γ and β start at zero
    shaken(network)
    assert not torch.allclose(network(inputs, first), network(inputs, other), atol=1e-3)


def test_conditional_norm_is_batch_norm_until_it_learns() -> None:
    x = torch.randn(5, 3, 4, 4) * 2 + 1
    norm = ConditionalNorm(nn.BatchNorm2d(3, affine=False), 2)
    condition = torch.randn(5, 2)
    plain = nn.BatchNorm2d(3)(x)
    assert torch.allclose(norm(x, condition), plain)
    with torch.no_grad():  # γ = 2c₀ for channel 0, β = 3c₁ + 1 for channel 2
        norm.affine.weight[0, 0] = 2
        norm.affine.weight[5, 1] = 3
        norm.affine.bias[5] = 1
    normed = norm(x, condition)
    scale = 1 + 2 * condition[:, 0, None, None]
    shift = 3 * condition[:, 1, None, None] + 1
    assert torch.allclose(normed[:, 0], plain[:, 0] * scale, atol=1e-5)
    assert torch.allclose(normed[:, 1], plain[:, 1])
    assert torch.allclose(normed[:, 2], plain[:, 2] + shift, atol=1e-5)


@pytest.mark.parametrize("twice", [False, True])
def test_attention_is_that_of_the_paper(twice: bool) -> None:
    seeding.everything(0)
    attention = Attention(16, twice=twice)
    x = torch.randn(2, 16, 3, 5).to(memory_format=torch.channels_last)
    assert torch.equal(attention(x), x)
    with torch.no_grad():
        attention.gain.fill_(0.5)
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    assert query.shape == (2, 2, 3, 5)  # an eighth of the channels
    places = [divmod(place, 5) for place in range(15)]
    seen = torch.zeros_like(value)
    for n in range(2):
        for row, column in places:
            match = torch.stack([query[n, :, row, column] @ key[n, :, i, j] for i, j in places])
            share = match.exp() / match.exp().sum()
            for weight, (i, j) in zip(share, places, strict=True):
                seen[n, :, row, column] += weight * value[n, :, i, j]
    assert torch.allclose(attention(x), x + 0.5 * attention.out(seen), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 8, 8), (4, 4)),
        ((1, 16, 16), (8, 8)),
        ((1, 28, 28), (14, 14)),
        ((3, 32, 32), (16, 16)),
        ((1, 32, 128), (16, 64)),
        ((1, 48, 48), (12, 12)),
        ((3, 64, 64), (16, 16)),
    ],
)
@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=["generator", "critic"])
def test_attention_sits_where_the_shorter_side_is_near_16(
    registry: Registry, shape: Shape, size: tuple[int, int]
) -> None:
    network = build(registry, {"name": "resnet", "width": 4, "attention": True}, shape)
    map_sizes: list[torch.Size] = []
    layers = [m for m in network.modules() if isinstance(m, Attention)]
    for layer in layers:
        layer.register_forward_hook(
            lambda module, inputs, output: map_sizes.append(output.shape[2:])
        )
    network(*inputs_of(network, registry, shape))
    assert map_sizes == [size]


def largest_singular_values(network: nn.Module, images: Tensor) -> list[float]:
    for _ in range(40):
        network(images)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"name": "resnet"}, 10),
        ({"name": "resnet", "attention": True}, 14),
        ({"name": "dcgan", "norm": "none"}, 2),
    ],
    ids=str,
)
def test_spectral_norm_holds_every_weight_near_one(spec: dict[str, Any], count: int) -> None:
    seeding.everything(0)
    images = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    spec = {**spec, "width": 8}
    normed = build(DISCRIMINATORS, {**spec, "spectral": True}, (1, 16, 16))
    largest = largest_singular_values(normed, images)
    assert largest == pytest.approx([1.0] * count, abs=0.05)
    plain = largest_singular_values(build(DISCRIMINATORS, spec, (1, 16, 16)), images)
    assert max(abs(math.log(value or 1e-9)) for value in plain) > 0.2


@pytest.mark.parametrize("bias", [False, True])
def test_the_first_layer_is_the_transposed_convolution_that_it_says(bias: bool) -> None:
    seeding.everything(0)
    first = First(6, 5, (4, 3), bias=bias)
    plain = nn.ConvTranspose2d(6, 5, (4, 3), bias=bias)
    plain.load_state_dict(first.state_dict())
    vectors = torch.randn(7, 6, 1, 1)
    torch.testing.assert_close(first(vectors), plain(vectors))
    assert first(vectors).is_contiguous(memory_format=torch.channels_last)


def test_flatten_keeps_every_number_and_copies_none() -> None:
    images = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    flat = Flatten()(images)
    assert flat.shape == (2, 60) and flat.data_ptr() == images.data_ptr()
    assert flat[1, 0:3].tolist() == images[1, :, 0, 0].tolist()
