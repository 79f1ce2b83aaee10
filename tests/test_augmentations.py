"""Augmentations: identity at zero strength, label-safe, differentiable, drawn per sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from augment.augmentations import AUGMENTATIONS, compose

# name -> options under which nothing happens; a strong setting that still keeps a label
CASES = {
    "shift": ({"fraction": 0.0}, {"fraction": 0.2}),
    "affine": (
        {"degrees": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0},
        {"degrees": 15.0, "scale": 0.2, "shear": 0.2, "shift": 0.1},
    ),
    "elastic": (
        {"amplitude": 0.0, "degrees": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0},
        {"amplitude": 0.1},
    ),
    "cutout": ({"chance": 0.0}, {"chance": 1.0}),
    "brightness": ({"amount": 0.0}, {"amount": 0.5}),
}
NAMES = AUGMENTATIONS.names()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 64, channels: int = 1, height: int = 16, width: int = 16) -> Tensor:
    """A capital L: neither its mirror images nor its quarter turns look like it."""
    image = -torch.ones(channels, height, width)
    image[:, height // 8 : -height // 8, width // 4 : width // 4 + 3] = 1
    image[:, -height // 8 - 3 : -height // 8, width // 4 : -width // 8] = 1
    return image.expand(count, -1, -1, -1).clone()


def test_every_augmentation_has_a_case() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_identity_at_zero_strength(name: str) -> None:
    images = torch.rand(8, 3, 12, 20, generator=seeded()) * 2 - 1
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][0]})(images, seeded())
    assert torch.allclose(changed, images, atol=1e-5)
    assert AUGMENTATIONS.describe(name).paper


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 3, 32, 128), (1, 1, 28, 28)])
@pytest.mark.parametrize("name", NAMES)
def test_shape_type_and_range(name: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=seeded()) * 2 - 1
    before = images.clone()
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][1]})(images, seeded())
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.abs().max() <= 1 + 1e-6
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_a_sample_and_all_its_channels(name: str) -> None:
    one = batch(32, channels=3)
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][1]})(one, seeded())
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 16
    assert torch.allclose(changed, changed[:, :1].expand_as(changed))


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_generator(name: str) -> None:
    augment = AUGMENTATIONS.build({"name": name, **CASES[name][1]})
    first, again, other = (augment(batch(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("options", [0, 1], ids=["default", "strong"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_flipped_or_turned(name: str, options: int) -> None:
    images = batch(256)
    spec = {"name": name, **(CASES[name][1] if options else {})}
    changed = AUGMENTATIONS.build(spec)(images, seeded())

    def gap(other: Tensor) -> Tensor:
        """Distance to the nearest shifted copy, so that a shift alone decides nothing."""
        places = range(-3, 4)
        moved = [other.roll((y, x), (2, 3)) for y in places for x in places]
        return torch.stack([(changed - one).square().mean((1, 2, 3)) for one in moved]).amin(0)

    others = [images.flip(3), images.flip(2), images.rot90(1, (2, 3)), images.rot90(2, (2, 3))]
    for other in (*others, images.rot90(3, (2, 3))):
        assert (gap(images) < gap(other)).float().mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_images(name: str) -> None:
    images = (batch(8) * 0.25).requires_grad_()
    augment = AUGMENTATIONS.build({"name": name, **CASES[name][1]})
    augment(images, seeded()).square().sum().backward()
    assert images.grad is not None
    reached = images.grad.abs().sum((1, 2, 3))
    assert images.grad.isfinite().all() and (reached > 0).all()


def test_shift_moves_whole_pixels_and_continues_the_border() -> None:
    ramp = torch.arange(8.0).expand(400, 1, 8, 8)  # the value is the column
    moved = AUGMENTATIONS.build({"name": "shift", "fraction": 0.25})(ramp, seeded())
    offsets = moved[:, 0, 0, 4] - 4
    assert sorted(offsets.unique().tolist()) == [-2, -1, 0, 1, 2]
    expected = (torch.arange(8.0) + offsets[:, None]).clamp(0, 7)
    assert torch.equal(moved[:, 0, 3], expected)


@pytest.mark.parametrize("name", ["shift", "affine", "elastic"])
def test_what_moves_brings_no_new_colour(name: str) -> None:
    paper = torch.full((50, 1, 12, 20), 0.7)
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][1]})(paper, seeded())
    assert torch.allclose(changed, paper, atol=1e-5)


def test_affine_stays_within_its_bounds() -> None:
    columns = (2 * torch.arange(33) + 1) / 33 - 1  # the value is the place, -1 … 1
    ramp = columns.expand(500, 1, 33, 33)
    for option, value in (("shift", 0.1), ("scale", 0.3)):
        zero = CASES["affine"][0]
        changed = AUGMENTATIONS.build({"name": "affine", **zero, option: value})(ramp, seeded())
        row = changed[:, 0, 16]
        slope, offset = (row[:, 20] - row[:, 12]) / (16 / 33), row[:, 16]
        spread = {"shift": offset / 2, "scale": slope - 1}[option]
        still = {"shift": slope - 1, "scale": offset}[option]
        assert still.abs().max() < 1e-4
        assert 0.95 * value < spread.abs().max() <= value + 1e-4
        assert spread.min() < 0 < spread.max()


@pytest.mark.parametrize(
    ("fraction", "chance", "box"), [(0.25, 1.0, (4, 8)), (0.5, 1.0, (8, 16)), (0.25, 0.5, (4, 8))]
)
def test_cutout_replaces_one_box_in_a_share_of_images(
    fraction: float, chance: float, box: tuple[int, int]
) -> None:
    images = torch.ones(2000, 1, 16, 32)
    cut = AUGMENTATIONS.build({"name": "cutout", "fraction": fraction, "chance": chance})
    holes = cut(images, seeded())[:, 0] == 0
    touched = holes.flatten(1).any(1)
    assert touched.float().mean().item() == pytest.approx(chance, abs=0.05 if chance < 1 else 0)
    rows, columns = holes.any(2).sum(1)[touched], holes.any(1).sum(1)[touched]
    assert (rows == box[0]).all() and (columns == box[1]).all()
    assert (holes.sum((1, 2))[touched] == box[0] * box[1]).all()
    everywhere = holes.any(0)
    assert everywhere.all()  # corners as well


def test_brightness_adds_one_value_a_sample() -> None:
    images = torch.zeros(500, 1, 8, 8)
    changed = AUGMENTATIONS.build({"name": "brightness", "amount": 0.5})(images, seeded())
    levels = changed.flatten(1)
    assert torch.equal(levels, levels[:, :1].expand_as(levels))
    assert 0.45 < levels.max() <= 0.5 and -0.5 <= levels.min() < -0.45
    assert levels.mean().abs() < 0.05


def test_compose_applies_in_order_from_one_generator() -> None:
    images, rng = batch(), seeded(3)
    expected = images
    for name in ("shift", "cutout"):
        expected = AUGMENTATIONS.build(name)(expected, rng)
    assert torch.equal(compose(["shift", {"name": "cutout"}])(images, seeded(3)), expected)
    assert compose([])(images, seeded()) is images
