"""Structure and style: what is drawn, what is painted on, who judges what, and who learns when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from augment.models.base import Batch
from augment.models.generator import Generator, GeneratorError
from augment.models.networks import GENERATORS
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.vision.structure import structure_of

SHAPE, CLASSES, COUNT = (1, 8, 8), 3, 6


def build(**changes: Any) -> Any:
    seeding.everything(0)
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "batch": COUNT}
    settings = TrainSettings.model_validate({"recipe": "ssgan", "augment": []} | small | changes)
    return assemble.build(settings, SHAPE, CLASSES)


def batch(done: float = 0.0) -> Batch:
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1
    return Batch(real, torch.arange(COUNT) % CLASSES, 0, rng, done)


def generator_of(model: Any) -> Generator:
    meta = {"classes": ["a", "b", "c"], "shape": SHAPE, "conditions": 3, "matched": True,
            "source": None}  # fmt: skip
    return Generator(model.average, meta, "", {})


def test_the_profile_decides_what_a_structure_is() -> None:
    for profile, structure in (("glyph", "skeleton"), ("natural", "layout")):
        model = build(profile=profile)
        assert model.generator.structure == structure
        resolved = assemble.resolved_settings(TrainSettings(recipe="ssgan", profile=profile))
        assert resolved["generator"]["structure"] == structure
    assert build(generator={"structure": "edges", "width": 8}).generator.structure == "edges"


def test_either_part_has_noise_of_its_own() -> None:
    network = GENERATORS.build({"name": "ssgan", "width": 8, "style": 3}, 10, SHAPE).eval()
    inputs = torch.randn(2, 10)
    style, rest = inputs.clone(), inputs.clone()
    style[:, :3] += 1
    rest[:, 3:] += 1
    before = network.drawing(inputs, None)
    assert torch.equal(network.drawing(style, None), before)
    assert not torch.equal(network.drawing(rest, None), before)
    painted = network.painting(inputs, None, before)
    assert torch.equal(network.painting(rest, None, before), painted)
    assert not torch.equal(network.painting(style, None, before), painted)
    assert torch.equal(network(inputs), painted)
    with pytest.raises(PartError, match="style: 10 of 10 inputs"):
        GENERATORS.build({"name": "ssgan", "style": 10}, 10, SHAPE)


def test_half_of_a_batch_is_painted_on_the_structures_of_real_images() -> None:
    model, shown = build(), batch()
    canvas, images, structures = model.generate(shown).images.split(1, 1)
    half = COUNT // 2
    assert torch.equal(canvas[:half], structure_of(shown.real[:half], "skeleton"))
    assert torch.equal(canvas[half:], structures[half:])
    assert not torch.equal(images[half:], structures[half:])
    pairs = model.show(shown.real, shown)
    assert torch.equal(pairs, torch.cat([structure_of(shown.real, "skeleton"), shown.real], 1))
    made = torch.cat([canvas, images, structures], 1)
    assert torch.equal(model.show(made, shown), made[:, :2])


@pytest.mark.parametrize(("done", "joint"), [(0.49, False), (0.5, True)])
def test_drawing_learns_from_images_late_in_the_run(done: float, joint: bool) -> None:
    model = build(model={"joint": 0.5})
    losses = model.generator_losses(batch(done))
    assert losses.keys() == {"adversarial", "structure"}
    losses["adversarial"].backward(retain_graph=True)
    draw, paint = model.network.draw, model.network.paint
    assert any(value.grad is not None for value in paint.parameters())
    slopes = [value.grad for value in draw.parameters() if value.grad is not None]
    assert any(slope.any() for slope in slopes) is joint
    losses["structure"].backward()
    assert all(value.grad is not None for value in draw.parameters())


def test_each_game_has_its_critic_and_structures_are_weighed() -> None:
    model = build(model={"structure": 2.0})
    plain = build()
    losses, single = (each.discriminator_losses(batch()) for each in (model, plain))
    assert losses["structure"].item() == pytest.approx(2 * single["structure"].item(), rel=1e-4)
    losses["structure"].backward()
    critic = model.discriminator
    assert all(value.grad is not None for value in critic.structure.parameters())
    assert critic.network.body[0].weight.grad is None
    assert critic.network.body[0].weight.shape[1] == 2  # structure and image
    assert all(value.grad is None for value in model.generator.parameters())


def test_a_picture_s_structure_is_painted_on_and_style_varies() -> None:
    model = build()
    generator = generator_of(model)
    assert generator.paints
    picture = np.zeros(SHAPE, np.uint8)
    picture[:, 2:6, 3:5] = 255
    made = generator.sample("b", 3, source=picture)
    seen = torch.from_numpy(picture)[None].float() / 127.5 - 1
    rng = seeding.generator(0, "synth", "b", 0)
    noise = torch.randn(64, model.generator.inputs, generator=rng)
    conditions = torch.full((64,), 1)
    numbers, vector = model.average.numbers(noise, conditions, noise[:, :0])
    canvas = structure_of(seen, "skeleton").expand(64, -1, -1, -1)
    with torch.no_grad():
        expected = model.average.network.painting(numbers, vector, canvas)[:3]
    assert torch.allclose(made.float() / 127.5 - 1, expected, atol=0.01)
    inverted = generator.sample("b", 3, source=255 - picture)
    assert torch.equal(made, inverted)  # dark on light is the same structure
    assert not torch.equal(made, generator.sample("b", 3))


def test_who_paints_on_nothing_says_so() -> None:
    with pytest.raises(PartError, match="train.model 'ssgan' needs one that draws a structure"):
        build(generator="dcgan")
    generator = generator_of(build(model="cgan", generator="dcgan"))
    assert not generator.paints
    with pytest.raises(GeneratorError, match="starts from noise and takes no image"):
        generator.sample("a", 1, source=np.zeros(SHAPE, np.uint8))


def test_a_further_structure_of_a_batch_changes_nothing_but_its_image() -> None:
    model, shown = build(), batch()
    model.generator.eval()
    other = shown.real.clone()
    other[0] = -other[0].flip(1)
    before = model.generate(shown).images
    after = model.generate(replace(batch(), real=other)).images
    assert not torch.equal(before[0], after[0]) and torch.allclose(before[1:], after[1:])
