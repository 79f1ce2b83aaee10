"""There and back: cycles of known generators, the buffer of fakes, and two discriminators."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.cyclegan import Buffer, CycleGan
from augment.models.latents import LatentGenerator, latents
from augment.models.networks import GENERATORS
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.train.step import Engine

SHAPE, CLASSES, COUNT = (2, 8, 12), 3, 6


def settings(**changes: Any) -> TrainSettings:
    small = {"recipe": "cyclegan", "batch": COUNT, "augment": [], "steps": 10}
    networks = {"generator": {"width": 8}, "discriminator": {"width": 8}}
    return TrainSettings.model_validate(small | networks | changes)


def build(**changes: Any) -> CycleGan:
    seeding.everything(0)
    model = assemble.build(settings(**changes), SHAPE, CLASSES)
    assert isinstance(model, CycleGan)
    return model


def batch(step: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(step)
    real, source = (torch.rand(COUNT, *SHAPE, generator=rng) - 0.5 for _ in range(2))
    return Batch(real, torch.full((COUNT,), -1), step, rng, source=source)


class Shift(nn.Module):
    """Makes the source lighter."""

    source = True

    def __init__(self, amount: float):
        super().__init__()
        self.amount = amount

    def forward(self, inputs: Tensor, condition: Tensor | None, *, source: Tensor) -> Tensor:
        return source + self.amount


class Level(nn.Module):
    """The mean of an image as its one feature."""

    width = 1

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).mean(1, keepdim=True)


def shifting(there: float, back: float, **changes: Any) -> CycleGan:
    """Generators that shift, and discriminators whose logit is the level of an image."""
    model = build(**changes)
    model.generator.network, model.back.network = Shift(there), Shift(back)
    for critic in (model.discriminator, model.back_discriminator):
        critic.network, critic.logit = Level(), nn.Linear(1, 1)
        nn.init.ones_(critic.logit.weight)
        nn.init.zeros_(critic.logit.bias)
    return model


# there and back


def test_generators_that_change_nothing_lose_nothing() -> None:
    losses = shifting(0, 0).generator_losses(batch())
    assert losses["cycle"].item() == 0 and losses["identity"].item() == 0


@pytest.mark.parametrize(
    ("options", "cycle", "identity"),
    [
        ({}, 5 * 2 * 0.5, 2.5 * 0.7),
        ({"cycle": 3.0, "identity": 2.0}, 3 * 2 * 0.5, 6 * 0.7),
        ({"distance": "l2"}, 5 * 2 * 0.25, 2.5 * (0.36 + 0.01)),
    ],
)
def test_cycle_and_identity_of_known_shifts(
    options: dict[str, Any], cycle: float, identity: float
) -> None:
    """Lighter by 0.6 there, darker by 0.1 back: 0.5 after both, whichever comes first."""
    losses = shifting(0.6, -0.1, model=options).generator_losses(batch())
    assert losses["cycle"].item() == pytest.approx(cycle, rel=1e-4)
    assert losses["identity"].item() == pytest.approx(identity, rel=1e-4)


def test_a_weight_of_zero_is_no_term() -> None:
    adversarial = {"adversarial", "back_adversarial"}
    for options, more in (({"identity": 0.0}, {"cycle"}), ({"cycle": 0.0}, set())):
        assert build(model=options).generator_losses(batch()).keys() == adversarial | more


def test_each_discriminator_judges_the_images_of_its_domain() -> None:
    model, shown = shifting(0.5, -0.25), batch()
    assert shown.source is not None
    real, source = (images.flatten(1).mean(1) for images in (shown.real, shown.source))
    losses = model.discriminator_losses(shown)
    expected = ((real - 1).square().mean() + (source + 0.5).square().mean()) / 2
    assert losses["adversarial"].item() == pytest.approx(expected.item(), rel=1e-4)
    expected = ((source - 1).square().mean() + (real - 0.25).square().mean()) / 2
    assert losses["back_adversarial"].item() == pytest.approx(expected.item(), rel=1e-4)
    losses = model.generator_losses(shown)
    expected = (source + 0.5 - 1).square().mean() / 2
    assert losses["adversarial"].item() == pytest.approx(expected.item(), rel=1e-4)
    expected = (real - 0.25 - 1).square().mean() / 2
    assert losses["back_adversarial"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_discriminator_sees_single_images() -> None:
    model, shown = build(), batch()
    assert shown.source is not None
    assert torch.equal(model.show(shown.real, shown), shown.real)
    assert model.needs.source == "domain" and model.needs.labels == "none" and model.matched


def test_generators_learn_from_the_fakes_just_seen() -> None:
    model, shown = build(), batch()
    model.discriminator_losses(shown)
    before = shown.rng.get_state()
    model.generator_losses(shown)
    after, model.translated = shown.rng.get_state(), None
    shown.rng.set_state(before)
    model.generator_losses(shown)
    assert not torch.equal(after, shown.rng.get_state())  # two more draws of noise


# the buffer


def numbered(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count, dtype=torch.float32)[:, None, None, None]


def test_the_first_images_pass_and_half_of_the_later_ones_are_swapped() -> None:
    buffer, rng = Buffer(50, (1, 1, 1)), torch.Generator().manual_seed(0)
    for first in range(0, 50, 10):
        assert torch.equal(buffer(numbered(first, 10), rng), numbered(first, 10))
    assert torch.equal(buffer.images, numbered(0, 50)) and buffer.filled == 50
    given_out, swaps = [*range(50)], 0
    for first in range(50, 2050, 10):
        batch_in, kept = numbered(first, 10), set(buffer.images.flatten().tolist())
        out = buffer(batch_in, rng)
        old = set(out.flatten().tolist()) - set(batch_in.flatten().tolist())
        assert old <= kept and len(out.unique()) == 10
        new = set(batch_in.flatten().tolist()) - set(out.flatten().tolist())
        assert set(buffer.images.flatten().tolist()) == kept - old | new
        swaps += len(old)
        given_out += out.flatten().tolist()
    assert swaps == pytest.approx(1000, abs=4 * (2000 / 4) ** 0.5)  # four standard errors
    ages = [turn - image for turn, image in enumerate(given_out[50:], 50) if turn - image > 10]
    assert sum(ages) / len(ages) == pytest.approx(100, rel=0.2)  # a place is hit every 100 images


def test_a_batch_may_be_larger_than_the_buffer() -> None:
    buffer, rng = Buffer(4, (1, 1, 1)), torch.Generator().manual_seed(0)
    out = buffer(numbered(0, 11), rng)
    assert torch.equal(out[:4], numbered(0, 4)) and len(out) == 11
    assert {*out.flatten().tolist()} <= {*range(11)}
    none = Buffer(0, (1, 1, 1))
    assert torch.equal(none(numbered(0, 11), rng), numbered(0, 11))


def test_what_is_kept_is_part_of_the_state() -> None:
    """A run that goes on from its state swaps the same images as one that was never stopped."""
    device = torch.device("cpu")
    first, second = (
        Engine(settings(model={"buffer": 4}, seed=seed), SHAPE, CLASSES, device) for seed in (0, 1)
    )
    for step in range(2):
        first.step(step, batch)
    state = {name: value.detach().clone() for name, value in first.state().items()}
    assert (state["buffers.0.filled"], state["buffers.1.filled"]) == (4, 4)
    second.load(state)
    second.settings = first.settings
    rows = [engine.step(2, batch) for engine in (first, second)]
    assert all(torch.equal(value, rows[1][name]) for name, value in rows[0].items())
    moved = first.state()["buffers.0.images"]
    assert not torch.equal(moved, state["buffers.0.images"])
    assert torch.equal(moved, second.state()["buffers.0.images"])


# losses and penalties of two discriminators


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient", "dragan", "lecam", "consistency"])
def test_a_penalty_is_one_of_each_discriminator(penalty: str) -> None:
    model = build(penalties=[penalty], loss="relativistic")
    losses = model.discriminator_losses(batch())
    assert losses.keys() == {"adversarial", "back_adversarial", penalty, f"back_{penalty}"}
    torch.stack(list(losses.values())).sum().backward()
    for critic in (model.discriminator, model.back_discriminator):
        assert all(value.grad is not None for value in critic.parameters())
    assert not any(value.grad is not None for value in model.generator.parameters())
    assert model.generator_losses(batch())["back_adversarial"].isfinite()


def test_each_discriminator_has_averages_of_its_logits() -> None:
    model = shifting(0.5, -0.25, penalties=["lecam"])
    model.discriminator_losses(batch())
    first, second = model.penalties
    assert not torch.allclose(first.anchors, second.anchors)
    names = {name for name in model.modules() if "penalties" in name}
    assert names == {"penalties", "back_penalties"}


def test_clipping_reaches_both_discriminators() -> None:
    model = build(recipe="dualgan")
    model.phases()[0].after()
    for critic in (model.discriminator, model.back_discriminator):
        assert max(value.abs().max().item() for value in critic.parameters()) <= 0.03 + 1e-7


# without noise


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", ["bend", "translator", "unet"])
def test_a_generator_without_noise_gives_one_image(name: str) -> None:
    seeding.everything(0)
    network = LatentGenerator(
        lambda *sizes: GENERATORS.build({"name": name, "width": 8}, *sizes), SHAPE, None,
        noise=0, codes=0,
    )  # fmt: skip
    shown = batch()
    first, second = (
        network(*latents(network, COUNT, torch.Generator().manual_seed(seed), truncation=0.5)[:1],
                shown.labels, torch.zeros(COUNT, 0), shown.source)
        for seed in (0, 1)
    )  # fmt: skip
    assert first.shape == shown.real.shape and torch.equal(first, second)


def test_noise_makes_a_source_several_images() -> None:
    shown = batch()
    for latent, same in ((0, True), (8, False)):
        model = build(model={"latent": latent})
        for module in model.average.modules():  # at first the noise scales and shifts by nothing
            if isinstance(module, nn.Linear):
                nn.init.ones_(module.weight)
        first, second = (
            model.sample(shown.labels, generator=torch.Generator().manual_seed(seed),
                         source=shown.source)
            for seed in (0, 1)
        )  # fmt: skip
        assert torch.equal(first, second) == same
