"""Augmentations: identity at zero strength, label-safe, differentiable, drawn per sample.

Adaptive ones: by how much, to how many images, and how that moves.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from augment.registry import PartError, Spec
from augment.vision.augmentations import AUGMENTATIONS, DEFAULTS, Adaptive, compose, safe

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
    "flip": ({"chance": 0.0}, {"chance": 0.5}),
    "colour": ({"saturation": 0.0, "contrast": 0.0}, {"saturation": 1.0, "contrast": 0.9}),
}
NAMES = AUGMENTATIONS.names()
GLYPH = ["affine", "brightness", "cutout", "elastic", "shift"]


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


@pytest.mark.parametrize(
    "shape",
    [(5, 1, 8, 8), (5, 3, 32, 128), (1, 1, 28, 28), *((5, pack, 8, 12) for pack in (2, 4, 6, 8))],
)
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
    grey = batch(32, channels=3) / 2
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][1]})(grey, seeded())
    distinct = len({tuple(image.flatten().tolist()) for image in changed})
    assert distinct == 2 if name == "flip" else distinct > 16
    assert torch.allclose(changed, changed[:, :1].expand_as(changed))


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_generator(name: str) -> None:
    augment = AUGMENTATIONS.build({"name": name, **CASES[name][1]})
    first, again, other = (augment(batch(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("options", [0, 1], ids=["default", "strong"])
@pytest.mark.parametrize("name", GLYPH)
def test_no_glyph_is_flipped_or_turned(name: str, options: int) -> None:
    images = batch(256)
    spec = {"name": name, **(CASES[name][1] if options else {})}
    changed = AUGMENTATIONS.build(spec)(images, seeded())

    def gap(other: Tensor) -> Tensor:
        """Distance to the nearest shifted copy, so that a shift alone decides nothing."""
        places = range(-3, 4)
        moved = [other.roll((y, x), (2, 3)) for y in places for x in places]
        return torch.stack([(changed - copy).square().mean((1, 2, 3)) for copy in moved]).amin(0)

    others = [images.flip(3), images.flip(2), images.rot90(1, (2, 3)), images.rot90(2, (2, 3))]
    for other in (*others, images.rot90(3, (2, 3))):
        assert (gap(images) < gap(other)).float().mean() > 0.99


@pytest.mark.parametrize("name", GLYPH)
def test_glyphs_keep_their_colour(name: str) -> None:
    """Channels in the same order, whatever moves: red stays above green, green above blue."""
    images = torch.stack([batch(64)[:, 0] * 0.2 + level for level in (0.3, 0.0, -0.3)], 1)
    changed = AUGMENTATIONS.build({"name": name, **CASES[name][1]})(images, seeded())
    red, green, blue = changed.unbind(1)
    cut = (changed == 0).all(1)
    assert ((red > green) & (green > blue) | cut).all()


def test_profiles() -> None:
    """What is safe for whom, said by every augmentation."""
    said = {name: AUGMENTATIONS.describe(name).facts["profiles"] for name in NAMES}
    assert [name for name in NAMES if "glyph" in said[name]] == GLYPH
    assert all("natural" in profiles for profiles in said.values())
    assert set().union(*said.values()) == set(DEFAULTS) == {"glyph", "natural"}
    for profile, policy in DEFAULTS.items():
        safe(policy, profile)
    assert {"flip", "colour"} <= set(DEFAULTS["natural"])


@pytest.mark.parametrize(
    ("spec", "profile", "message"),
    [
        ("flip", "glyph", "'flip' changes labels of profile 'glyph'; allowed: affine, brightness"),
        ({"name": "colour", "contrast": 0.1}, "glyph", "'colour' changes labels"),
        (
            {"name": "affine", "degrees": 90.0},
            "glyph",
            r"'affine': option 'degrees' is at most 30.0 for profile 'glyph' \(found 90.0\)",
        ),
        ({"name": "elastic", "degrees": 30.1}, "glyph", "'elastic': option 'degrees' is at most"),
        ("flop", "natural", "unknown augmentation 'flop'; known: affine"),
        ({"name": "flip", "chance": 2}, "natural", "option 'chance'"),
        ("shift", "digit", "unknown profile 'digit'; known: glyph, natural"),
    ],
)
def test_what_is_not_safe(spec: Spec, profile: str, message: str) -> None:
    with pytest.raises(PartError, match=message):
        safe(["shift", spec], profile)


@pytest.mark.parametrize("name", ["affine", "elastic"])
def test_what_is_just_safe(name: str) -> None:
    safe([{"name": name, "degrees": 30.0}], "glyph")
    safe([{"name": name, "degrees": 180.0}, "flip", "colour"], "natural")
    safe([], "glyph")


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


@pytest.mark.parametrize("chance", [0.25, 0.5, 1.0])
def test_flip_mirrors_left_and_right(chance: float) -> None:
    images = batch(2000, channels=2)
    changed = AUGMENTATIONS.build({"name": "flip", "chance": chance})(images, seeded())
    mirrored = (changed == images.flip(3)).flatten(1).all(1)
    assert (mirrored | (changed == images).flatten(1).all(1)).all()
    assert mirrored.float().mean().item() == pytest.approx(chance, abs=0.04 if chance < 1 else 0)


def test_colour_scales_saturation_around_grey() -> None:
    coloured = torch.tensor([0.3, 0.0, -0.15])  # grey of 0.05
    images = torch.stack([coloured, torch.full((3,), -0.6)], 1)[:, None].expand(1000, 3, 1, 2)
    spec = {"name": "colour", "saturation": 0.8, "contrast": 0.0}
    changed, grey = AUGMENTATIONS.build(spec)(images, seeded())[:, :, 0].unbind(2)
    factors = (changed[:, :1] - 0.05) / 0.25
    assert torch.allclose(changed - 0.05, factors * (coloured - 0.05), atol=1e-6)
    assert torch.allclose(grey, torch.tensor(-0.6))
    assert 0.2 <= factors.min() < 0.25 and 1.75 < factors.max() <= 1.8
    assert factors.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_scales_contrast_around_the_mean_of_the_image(channels: int) -> None:
    images = torch.tensor([0.4, 0.0]).expand(1000, channels, 1, 2)
    spec = {"name": "colour", "saturation": 0.0, "contrast": 0.5}
    changed = AUGMENTATIONS.build(spec)(images, seeded()).flatten(1)
    assert torch.allclose(changed[:, 0] + changed[:, 1], torch.tensor(0.4), atol=1e-6)
    factors = (changed[:, 0] - changed[:, 1]) / 0.4
    assert 0.5 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5


def test_colour_draws_saturation_and_contrast_apart() -> None:
    red, blue = torch.tensor([0.2, 0.0, -0.2]), torch.tensor([-0.2, 0.0, 0.2])
    images = torch.stack([red + 0.1, blue - 0.1], 1)[:, None].expand(1000, 3, 1, 2)
    changed = AUGMENTATIONS.build("colour")(images, seeded())
    greys = changed.mean((1, 2))
    contrast = (greys[:, 0] - greys[:, 1]) / 0.2
    saturation = (changed[:, 0, 0, 0] - changed[:, 2, 0, 0]) / 0.4 / contrast
    together = torch.corrcoef(torch.stack([contrast, saturation]))[0, 1]
    assert contrast.std() > 0.25 and saturation.std() > 0.5 and together.abs() < 0.1


@pytest.mark.parametrize(("channels", "size"), [(2, 1), (4, 1), (8, 1), (6, 3)])
def test_colour_treats_each_image_of_a_pack_as_if_alone(channels: int, size: int) -> None:
    images = torch.rand(16, channels, 6, 6, generator=seeded()) * 2 - 1
    augment = AUGMENTATIONS.build("colour")
    alone = [augment(image, seeded(1)) for image in images.chunk(channels // size, 1)]
    assert torch.allclose(augment(images, seeded(1)), torch.cat(alone, 1), atol=1e-6)


POLICY = DEFAULTS["natural"]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_adaptive_ends(p: float) -> None:
    """Nothing at p = 0; at p = 1 the fixed policy, by the same draws."""
    images, rng = batch(16, channels=6), seeded(3)
    changed = Adaptive(POLICY, p=p)(images, seeded(3))
    if p:
        torch.rand(len(POLICY), len(images), generator=rng)  # who is changed: everyone
    assert torch.equal(changed, compose(POLICY)(images, rng) if p else images)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_adaptive_changes_a_share_of_images_by_each_augmentation_on_its_own(p: float) -> None:
    images = torch.full((4000, 1, 8, 8), 0.5)
    specs: list[Spec] = [{"name": "brightness", "amount": 0.1}, {"name": "cutout", "chance": 1.0}]
    changed = Adaptive(specs, p=p)(images, seeded())
    holed = (changed == 0).flatten(1).any(1)
    lit = (changed.flatten(1).amax(1) - 0.5).abs() > 1e-6
    for mask, share in ((holed, p), (lit, p), (holed & lit, p * p)):
        assert mask.float().mean().item() == pytest.approx(share, abs=0.03)
    assert torch.equal(changed[~holed & ~lit], images[~holed & ~lit])


def test_adaptive_draws_follow_the_generator_and_gradients_pass() -> None:
    images = (batch(32, channels=3) * 0.25).requires_grad_()
    adaptive = Adaptive(POLICY, p=0.5)
    first, again, other = (adaptive(images, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    first.square().sum().backward()
    assert images.grad is not None and (images.grad.abs().sum((1, 2, 3)) > 0).all()


def test_adaptive_p_moves_by_the_share_of_images_seen() -> None:
    adaptive = Adaptive(POLICY, target=0.5, images=1000)
    seen = []
    for sign in (0.51, 1.0, 0.5, 0.49, -1.0, -1.0, 0.6):
        adaptive.update(torch.tensor(sign), 100)
        seen.append(adaptive.p.item())
    assert seen == pytest.approx([0.1, 0.2, 0.2, 0.1, 0, 0, 0.1], abs=1e-6)
    for _ in range(12):
        adaptive.update(torch.tensor(1.0), 100)
    assert adaptive.p.item() == 1
    adaptive.update(torch.tensor(0.0), 250)
    assert adaptive.p.item() == pytest.approx(0.75)


def test_adaptive_defaults() -> None:
    adaptive = Adaptive(POLICY)
    adaptive.update(torch.tensor(0.61), 50)
    assert adaptive.p.item() == pytest.approx(0.01)
    adaptive.update(torch.tensor(0.59), 25)
    assert adaptive.p.item() == pytest.approx(0.005)


def test_adaptive_p_travels_in_checkpoints_and_copies() -> None:
    adaptive = Adaptive(POLICY, p=0.25)
    other = Adaptive(POLICY)
    other.load_state_dict(adaptive.state_dict())
    assert list(adaptive.state_dict()) == ["p"]
    assert other.p.item() == copy.deepcopy(adaptive).p.item() == 0.25
    assert not list(adaptive.parameters())


def test_adaptive_never_waits_for_a_device() -> None:
    """The meta device has no values: whatever asked for one would raise."""
    adaptive = Adaptive(sorted(NAMES), p=0.5).to("meta")
    images = torch.empty(4, 3, 8, 8, device="meta")
    assert adaptive(images, seeded()).shape == images.shape
    adaptive.update(torch.empty((), device="meta"), 4)
