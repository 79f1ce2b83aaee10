"""Conditioning: the contract of either side, and what each part does in closed form."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

from augment.models.conditioning import (
    DISCRIMINATOR_CONDITIONS,
    GENERATOR_CONDITIONS,
    DiscriminatorCondition,
    GeneratorCondition,
)
from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape
from augment.registry import PartError
from augment.runtime import seeding

PARTED = (  # tests of their own
    *("pixelcnn", "pixelrnn", "nice", "realnvp", "glow", "velocity"),
    *("pyramid", "growing", "ssgan"),
)
FROM_NOISE = [
    name
    for name in GENERATORS
    if name not in PARTED and not getattr(GENERATORS.describe(name).target, "source", False)
]
WHOLE = [  # a discriminator of patches is told no class
    name
    for name in DISCRIMINATORS
    if name != "growing"  # it has outgrown the ends of smaller sizes
    and not getattr(DISCRIMINATORS.describe(name).target, "patches", 0)
]
CLASSES = 3
SHAPE: Shape = (2, 8, 12)
LABELS = torch.tensor([2, 0, 1, 2])
PACKS = torch.tensor([[2, 0], [0, 0], [1, 2]])

# name -> numbers joined to z, width of the condition; planes for packs of one and of two
GENERATOR_SIZES = {"concat": (CLASSES, 0), "embed": (32, 0), "conditional_norm": (0, 32)}
PLANES = {"concat": (CLASSES, 2 * CLASSES), "embed": (1, 2), "projection": (0, 0)}


def generator_part(name: str) -> GeneratorCondition:
    seeding.everything(0)
    part: GeneratorCondition = GENERATOR_CONDITIONS.build(name, CLASSES)
    return part


def discriminator_part(name: str, members: int = 2, width: int = 5) -> DiscriminatorCondition:
    seeding.everything(0)
    part: DiscriminatorCondition = DISCRIMINATOR_CONDITIONS.build(name, CLASSES, SHAPE, members)
    part.connect(width)
    return part


def shaken(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


def silent(*modules: nn.Module) -> list[str]:
    """Parameters that no gradient has reached."""
    pairs = [pair for module in modules for pair in module.named_parameters()]
    return [name for name, p in pairs if p.grad is None or not p.grad.any()]


def test_every_part_has_a_row() -> None:
    assert sorted(GENERATOR_SIZES) == GENERATOR_CONDITIONS.names()
    assert sorted(PLANES) == DISCRIMINATOR_CONDITIONS.names()


@pytest.mark.parametrize("name", GENERATOR_CONDITIONS.names())
def test_generator_contract(name: str) -> None:
    """Sizes as said; rows that depend on the own label only and tell all classes apart."""
    part = generator_part(name)
    assert (part.inputs, part.condition) == GENERATOR_SIZES[name]
    inputs, condition = part(LABELS)
    assert inputs.shape == (4, part.inputs) and inputs.dtype == torch.float32
    assert (condition is None) == (part.condition == 0)
    told = inputs
    if condition is not None:
        assert condition.shape == (4, part.condition)
        told = condition
    assert torch.equal(told[0], told[3])
    assert len(told.unique(dim=0)) == CLASSES
    assert GENERATOR_CONDITIONS.describe(name).paper and inspect.getdoc(type(part).forward)


@pytest.mark.parametrize("network", FROM_NOISE)
@pytest.mark.parametrize("name", GENERATOR_CONDITIONS.names())
def test_labels_reach_the_images(name: str, network: str) -> None:
    """Once its weights have moved; and gradients reach what is learned.

    A network that starts from an image is told no label.
    """
    part = generator_part(name)
    arguments = (4 + part.inputs, SHAPE, part.condition)
    generator = shaken(GENERATORS.build({"name": network, "width": 8}, *arguments))
    z = torch.randn(4, 4)

    def images(labels: Tensor) -> Tensor:
        inputs, condition = part(labels)
        made: Tensor = generator(torch.cat([z, inputs], 1), condition)
        return made

    shown = images(LABELS)
    assert not torch.allclose(shown, images((LABELS + 1) % CLASSES), atol=1e-3)
    (shown * torch.randn_like(shown)).sum().backward()
    assert silent(part, generator) == []


def test_one_hot_rows() -> None:
    rows, _ = generator_part("concat")(LABELS)
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(("name", "index"), [("embed", 0), ("conditional_norm", 1)])
def test_learned_vectors(name: str, index: int) -> None:
    part = GENERATOR_CONDITIONS.build({"name": name, "width": 7}, CLASSES)
    table = torch.arange(21.0).view(3, 7)
    part.load_state_dict({"embed.weight": table})
    assert torch.equal(part(LABELS)[index], table[LABELS])
    with pytest.raises(PartError, match="option 'width'"):
        GENERATOR_CONDITIONS.build({"name": name, "width": 0}, CLASSES)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("name", DISCRIMINATOR_CONDITIONS.names())
def test_discriminator_contract(name: str, members: int) -> None:
    """The images stay as they are, planes follow; one term a pack; either tells labels apart."""
    part = discriminator_part(name, members)
    labels = PACKS[:, :members]
    images = torch.randn(3, members * SHAPE[0], *SHAPE[1:])
    assert part.planes == PLANES[name][members - 1]
    added = part.add(images, labels)
    assert added.shape == (3, images.shape[1] + part.planes, *SHAPE[1:])
    assert torch.equal(added[:, : images.shape[1]], images)
    features = torch.randn(3, 5)
    term = part.logit(features, labels)
    assert term.shape == (3,) and bool(term.any()) is (part.planes == 0)
    other = (labels + 1) % CLASSES
    assert torch.equal(added, part.add(images, other)) is (part.planes == 0)
    assert torch.equal(term, part.logit(features, other)) is (part.planes > 0)
    assert DISCRIMINATOR_CONDITIONS.describe(name).paper and inspect.getdoc(type(part))


@pytest.mark.parametrize("network", WHOLE)
@pytest.mark.parametrize("name", DISCRIMINATOR_CONDITIONS.names())
def test_labels_reach_the_logit(name: str, network: str) -> None:
    """Of every network; and gradients reach what is learned, and the images."""
    seeding.everything(0)
    part = DISCRIMINATOR_CONDITIONS.build(name, CLASSES, SHAPE, 2)
    shape = (2 * SHAPE[0] + part.planes, *SHAPE[1:])
    critic = shaken(DISCRIMINATORS.build({"name": network, "width": 8}, shape))
    part.connect(critic.width)
    images = torch.randn(3, 2 * SHAPE[0], *SHAPE[1:], requires_grad=True)

    def logits(labels: Tensor) -> Tensor:
        features = critic(part.add(images, labels))
        total: Tensor = features.tanh().sum(1) + part.logit(features, labels)
        return total

    before = logits(PACKS)
    assert ((before - logits((PACKS + 1) % CLASSES)).abs() > 1e-4).all()
    (before * torch.tensor([1.0, 2.0, -1.5])).sum().backward()
    assert silent(part, critic) == []
    assert images.grad is not None and (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_one_hot_planes() -> None:
    added = discriminator_part("concat").add(torch.randn(3, 4, 8, 12), PACKS)[:, 4:]
    expected = torch.tensor([[0, 0, 1, 1, 0, 0], [1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1]])
    assert torch.equal(added, expected[:, :, None, None].expand_as(added).float())


def test_learned_planes() -> None:
    part = discriminator_part("embed")
    table = torch.arange(3.0 * 8 * 12).view(3, -1)
    part.load_state_dict({"embed.weight": table})
    added = part.add(torch.randn(3, 4, 8, 12), PACKS)[:, 4:]
    assert torch.equal(added, table.view(3, 8, 12)[PACKS])


def test_projection_is_a_mean_of_inner_products() -> None:
    part = discriminator_part("projection", width=2)
    part.load_state_dict({"embed.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [-1.0, 0.5]])})
    features = torch.tensor([[1.0, 1.0], [2.0, -1.0], [0.5, 4.0]])
    # pack 0: ((-1 + 0.5) + (1 + 2)) / 2; pack 1: 2 - 2; pack 2: ((1.5 + 16) + (-0.5 + 2)) / 2
    assert part.logit(features, PACKS).tolist() == [1.25, 0.0, 9.5]


def test_projection_starts_as_large_as_the_features() -> None:
    part = DISCRIMINATOR_CONDITIONS.build("projection", 200, SHAPE, 1)
    part.connect(64)
    assert part.embed.weight.shape == (200, 64)
    assert part.embed.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    term = part.logit(torch.randn(2000, 64), torch.arange(200).repeat(10)[:, None])
    assert term.std().item() == pytest.approx(1, rel=0.1)
