"""Models: what every one owes in every use, and closed forms with networks that see sums."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch
from augment.models.critic import data_to_data
from augment.models.infogan import information
from augment.models.latents import LatentGenerator, latents, truncate
from augment.models.losses import LOSSES
from augment.models.penalties import PENALTIES
from augment.registry import PartError
from augment.runtime import seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

CLASSES = 3
SHAPE = (2, 8, 12)
SIZE = math.prod(SHAPE)
COUNT = 12  # images of a batch


class Use(NamedTuple):
    """A use of a model: its options, and the terms of both halves, of D's alone, of G's alone."""

    spec: dict[str, Any]
    both: set[str] = set()
    discriminator: set[str] = set()
    generator: set[str] = set()


CODES = {"q_class", "q_codes"}
ALONE = {"pseudo_labels": "none"}
USES = {
    "gan": Use({"name": "gan"}),
    "cgan": Use({"name": "cgan"}),
    "acgan": Use({"name": "acgan"}, {"class_fake"}, {"class_real"}),
    "acgan d2d": Use({"name": "acgan", "classifier": "d2d"}, set(), {"class_real"}, {"class_fake"}),
    "infogan": Use({"name": "infogan"}, CODES, {"class"}),
    "infogan d2d": Use(
        {"name": "infogan", "classifier": "d2d"}, {"q_codes"}, {"class"}, {"q_class"}
    ),
    "infogan guessed": Use(
        {"name": "infogan", "labels": "half"}, {"q_codes"}, {"class"}, {"q_class"}
    ),
    "infogan half": Use({"name": "infogan", "labels": "half", **ALONE}, CODES, {"class", "q_real"}),
    "infogan none": Use({"name": "infogan", "labels": "none", "categories": 5, **ALONE}, CODES),
}
TOLD = {
    "cgan",
    "acgan",
    "acgan d2d",
    "infogan",
    "infogan d2d",
    "infogan guessed",
}  # the generator draws the classes of the batch
SHOWN = TOLD - {"acgan", "acgan d2d", "infogan d2d"}  # where the discriminator is shown the class
UNSURE = {"infogan half", "infogan none"}  # conditions are drawn
each_use = pytest.mark.parametrize("use", USES)


def build(use: str = "cgan", *, seed: int = 0, network: str = "mlp", **changes: Any) -> Any:
    """The model of a use, without penalties and augmentations unless given."""
    spec = {"name": network, "width": 8}
    model = USES[use].spec | {"noise": 8} | changes.pop("model", {})
    bare: dict[str, Any] = {"penalties": [], "augment": [], "loss": "non_saturating"}
    settings = TrainSettings.model_validate(
        {"generator": spec, "discriminator": spec, "model": model, "batch": COUNT}
        | {"labeller": {"network": {"name": "cnn", "width": 8}}}
        | bare
        | changes
    )
    seeding.everything(seed)
    return assemble.build(settings, SHAPE, CLASSES)


def batch(
    use: str = "cgan", step: int = 0, *, level: float | None = None, done: float = 0
) -> Batch:
    rng = torch.Generator().manual_seed(step)
    real, few = (torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1 for _ in range(2))
    real = real if level is None else torch.full_like(real, level)
    labels = torch.arange(COUNT) % CLASSES
    labelled = (few, labels.flip(0)) if use == "infogan half" else None
    if use in UNSURE:
        labels = torch.full_like(labels, -1)
    return Batch(real, labels, step, rng, done, labelled)


def halves(model: Any) -> tuple[Callable[[Batch], dict[str, Tensor]], ...]:
    return model.discriminator_losses, model.generator_losses


def reached(module: nn.Module) -> set[str]:
    """The parameters to which a gradient has come."""
    return {name for name, p in module.named_parameters() if p.grad is not None}


def names(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


def see_the_sum(model: Any, scale: float = 1.0) -> Any:
    """Let the discriminator's logit be ``scale`` times the sum of the pixels."""
    inputs = SIZE * model.packing
    model.discriminator.network = nn.Flatten()
    model.discriminator.conditioning = None
    model.discriminator.logit = nn.Linear(inputs, 1)
    nn.init.constant_(model.discriminator.logit.weight, scale)
    nn.init.zeros_(model.discriminator.logit.bias)
    return model


def generate(model: Any, levels: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the generator's images be of these grey levels."""
    images = levels[:, None, None, None] * torch.ones(SHAPE)
    conditions = torch.arange(COUNT) % CLASSES
    fakes = Fakes(images, conditions, torch.zeros(COUNT, 0), conditions)
    monkeypatch.setattr(model, "generate", lambda _: fakes)


def test_every_adversarial_model_has_a_use() -> None:
    targets = {name: MODELS.describe(name).target for name in MODELS.names()}
    games = {name for name, model in targets.items() if issubclass(model, AdversarialModel)}
    # those that start from an image have tests of their own
    games -= {"dagan", "pix2pix", "cyclegan", "stargan", "cartoongan", "animegan"}
    games -= {"fastgan", "projected", "ssgan"}  # and those that do not take every network
    assert {use.spec["name"] for use in USES.values()} == games


# the contract


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("loss", LOSSES.names())
@each_use
def test_discriminator_half(use: str, loss: str, packing: int) -> None:
    model = build(use, loss=loss, model={"packing": packing})
    losses = model.discriminator_losses(batch(use))
    assert losses.keys() == {"adversarial"} | USES[use].both | USES[use].discriminator
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert reached(model.generator) == set()
    assert reached(model.discriminator) == names(model.discriminator)
    assert model.facts.keys() == {"accuracy", "accuracy_real", "accuracy_fake"}
    assert all(0 <= fact <= 1 and not fact.requires_grad for fact in model.facts.values())


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("loss", LOSSES.names())
@each_use
def test_generator_half(use: str, loss: str, packing: int) -> None:
    model = build(use, loss=loss, model={"packing": packing})
    losses = model.generator_losses(batch(use))
    assert losses.keys() == {"adversarial"} | USES[use].both | USES[use].generator
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert reached(model.generator) == names(model.generator)
    before = {name: p.detach().clone() for name, p in model.discriminator.named_parameters()}
    torch.optim.SGD(model.generator.parameters(), 1.0).step()
    after = dict(model.discriminator.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("penalty", PENALTIES.names())
@each_use
def test_any_penalty(use: str, penalty: str) -> None:
    model = build(use, penalties=[penalty], augment=["shift"], model={"packing": 2})
    losses = model.discriminator_losses(batch(use))
    assert (penalty in losses) == (penalty != "clip")
    sum(losses.values()).backward()
    assert all(
        p.grad.isfinite().all() for p in model.discriminator.parameters() if p.grad is not None
    )
    model.after_discriminator_step()
    largest = max(weight.abs().max() for weight in model.discriminator.logit_parameters())
    assert (largest <= 0.01) == (penalty == "clip")


@pytest.mark.parametrize("network", ["dcgan", "resnet"])
@each_use
def test_any_network(use: str, network: str) -> None:
    model = build(use, network=network)
    for half in halves(model):
        total = sum(half(batch(use)).values())
        total.backward()
        assert total.isfinite()
    samples = model.sample(torch.tensor([0, 1]), generator=torch.Generator().manual_seed(0))
    assert samples.shape == (2, *SHAPE)


@pytest.mark.parametrize("half", [0, 1], ids=["discriminator", "generator"])
@each_use
def test_all_randomness_is_the_batchs(use: str, half: int) -> None:
    """Same batch, same losses; and the global state is not touched."""

    def losses(step: int, seed: int) -> dict[str, Tensor]:
        model = build(
            use,
            augment=["shift", "cutout"],
            penalties=["gradient", "dragan", "consistency"],
            instance_noise={"std": 0.1},
        )
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        terms: dict[str, Tensor] = halves(model)[half](batch(use, step))
        assert torch.equal(torch.get_rng_state(), before)
        return terms

    first, again, other = losses(1, 1), losses(1, 2), losses(2, 1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["adversarial"], other["adversarial"])


@each_use
def test_modules_are_all_there_is(use: str) -> None:
    model = build(use, penalties=["lecam"], ada={})
    head = {"head"} if use.startswith("infogan") else set()
    modules = {name for name, value in vars(model).items() if isinstance(value, nn.Module)}
    assert model.modules().keys() == modules | {"penalties", "augment"}
    assert modules == {"generator", "discriminator", "average"} | head
    assert "augment" not in build(use).modules()
    states = [build(use, seed=seed).generator.state_dict() for seed in (0, 0, 1)]
    for (a, b), same in zip(pairwise(states), (True, False), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a) is same


# penalties


@pytest.mark.parametrize(("weight", "interval"), [(1.0, 1), (0.5, 4)])
def test_penalties_are_weighted_and_lazy(weight: float, interval: int) -> None:
    model = see_the_sum(
        build(penalties=[{"name": "r1", "weight": weight, "interval": interval}, "lecam"])
    )
    for step in range(9):
        due = step % interval == 0
        losses = model.discriminator_losses(batch(step=step))
        assert "lecam" in losses and ("r1" in losses) is due
        if due:
            assert losses["r1"].item() == pytest.approx(SIZE / 2 * weight * interval)


@pytest.mark.parametrize(
    ("penalties", "steps"),
    [
        ([], []),
        (["clip", "lecam", "consistency"], []),
        (["r1"], [0, 1, 2, 3, 4, 5]),
        ([{"name": "r1", "interval": 3}, "lecam"], [0, 3]),
        ([{"name": "r1", "interval": 3}, {"name": "r2", "interval": 2}], [0, 2, 3, 4]),
    ],
)
def test_double_backward_is_announced_and_only_then_are_images_tracked(
    penalties: list[Any], steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(penalties=penalties)
    assert [step for step in range(6) if model.second_order(step)] == steps
    network, tracked = model.discriminator.network, []
    network.register_forward_pre_hook(lambda _, inputs: tracked.append(inputs[0].requires_grad))
    for step in range(6):
        tracked.clear()
        model.discriminator_losses(batch(step=step))
        assert tracked[:2] == [step in steps] * 2


# the adversarial game


@pytest.mark.parametrize(
    ("scale", "level", "expected"),
    [
        (1, 1, (1, 1, 0.25)),
        (1, -1, (0, 0, 0.25)),
        (-1, 1, (0, 0, 0.75)),
        (-1, -1, (1, 1, 0.75)),
    ],
)
def test_facts_are_shares_of_logits(
    scale: float, level: float, expected: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the generated images is darker than grey."""
    model = see_the_sum(build(), scale)
    generate(model, torch.linspace(-0.25, 0.85, COUNT), monkeypatch)
    model.discriminator_losses(batch(level=level))
    shares = [model.facts[key].item() for key in ("accuracy", "accuracy_real", "accuracy_fake")]
    assert shares == list(expected)


@pytest.mark.parametrize("loss", LOSSES.names())
def test_both_halves_are_those_of_the_loss(loss: str) -> None:
    """From logits worked out beside the model."""
    model = see_the_sum(build(loss=loss), 0.01)
    noise, _ = latents(model.generator, COUNT, batch().rng)
    real = batch().real.sum((1, 2, 3)) / 100
    fake = model.generator(noise, batch().labels, noise[:, :0]).sum((1, 2, 3)) / 100
    part = LOSSES.build(loss)
    expected = part.discriminator(real=real, fake=fake), part.generator(fake=fake, real=real)
    for half, value in zip(halves(model), expected, strict=True):
        assert half(batch())["adversarial"].item() == pytest.approx(value.item(), abs=1e-5)


@pytest.mark.parametrize("use", sorted(SHOWN))
def test_discriminators_are_told_the_class(use: str) -> None:
    model = build(use)
    packs, labels = batch().real, torch.arange(COUNT)[:, None] % CLASSES
    logits = model.discriminator(packs, labels)
    assert not torch.allclose(logits, model.discriminator(packs, (labels + 1) % CLASSES))


@pytest.mark.parametrize("use", sorted(USES.keys() - SHOWN))
def test_other_discriminators_are_not(use: str) -> None:
    assert build(use).discriminator.conditioning is None


# conditions


@pytest.mark.parametrize("use", sorted(TOLD))
def test_told_conditions_are_the_classes_beside(use: str) -> None:
    data = batch()
    model = build(use)
    assert torch.equal(model.draw_conditions(data), data.labels)
    assert model.matched and model.conditions == CLASSES


@pytest.mark.parametrize(("use", "kinds"), [("infogan half", CLASSES), ("infogan none", 5)])
def test_other_conditions_are_drawn_uniformly(use: str, kinds: int) -> None:
    model = build(use)
    assert model.conditions == kinds and model.matched == (use == "infogan half")
    data = replace(batch(use), labels=torch.full((6000,), -1))
    conditions = model.draw_conditions(data)
    assert conditions.dtype == torch.long and conditions.shape == (6000,)
    shares = conditions.bincount(minlength=kinds) / 6000
    assert len(shares) == kinds and (shares - 1 / kinds).abs().max() < 0.02
    torch.manual_seed(3)
    again = model.draw_conditions(replace(data, rng=batch(use).rng))
    assert torch.equal(conditions, again)
    assert not torch.equal(again, model.draw_conditions(data))


def test_without_conditions_nothing_depends_on_them() -> None:
    model = build("gan")
    assert model.conditions == 0 and not model.matched
    assert model.draw_conditions(batch()).tolist() == [0] * COUNT
    draws = [
        model.sample(torch.tensor([label]), generator=torch.Generator().manual_seed(0))
        for label in (0, 2)
    ]
    assert torch.equal(*draws)


def test_categories_are_as_many_as_classes_unless_given() -> None:
    assert build("infogan none", model={"categories": None}).conditions == CLASSES


# packs, noise and augmentation


def test_packs_hold_neighbours_in_order() -> None:
    model = build(model={"packing": 3})
    images = torch.rand(COUNT, *SHAPE)
    packs = model.show(images, batch())
    assert packs.shape == (COUNT // 3, 3 * SHAPE[0], *SHAPE[1:])
    for pack in range(COUNT // 3):
        members = packs[pack].split(SHAPE[0])
        assert all(torch.equal(image, images[3 * pack + n]) for n, image in enumerate(members))
    assert model.packed(torch.arange(COUNT)).tolist() == torch.arange(COUNT).view(-1, 3).tolist()
    single = build().show(images, batch())
    assert torch.equal(single, images)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_packs_do_not_depend_on_the_layout_of_memory(layout: torch.memory_format) -> None:
    images = torch.rand(COUNT, *SHAPE)
    packs = build(model={"packing": 2}).show(images.contiguous(memory_format=layout), batch())
    assert torch.equal(packs[1, SHAPE[0] :], images[3])


@each_use
def test_a_pack_is_all_real_or_all_generated(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data, seen = build(use, model={"packing": 2}), batch(use), []
    features = model.discriminator.features

    def watched(packs: Tensor, labels: Tensor) -> Tensor:
        seen.append(packs.detach().reshape(COUNT, *SHAPE))
        result: Tensor = features(packs, labels)
        return result

    monkeypatch.setattr(model.discriminator, "features", watched)
    model.discriminator_losses(data)
    real, fake, *_ = seen
    assert torch.equal(real, data.real)
    assert not any((made == image).all() for made in fake for image in data.real)


@each_use
def test_a_packs_logit_knows_its_own_images_only(use: str) -> None:
    critic = build(use, model={"packing": 2}).discriminator
    packs, labels = torch.rand(4, 2 * SHAPE[0], *SHAPE[1:]), torch.tensor([[0, 1]] * 4)
    before = critic(packs, labels)
    packs[2] += 1
    changed = (critic(packs, labels) - before).abs() > 1e-6
    assert before.shape == (4,) and changed.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("done", "share"), [(0.0, 1.0), (0.1, 0.75), (0.3, 0.25), (0.4, 0.0), (0.41, 0.0), (1.0, 0.0)]
)
def test_instance_noise_falls_to_nothing(done: float, share: float) -> None:
    model = build(instance_noise={"std": 0.8, "until": 0.4})
    grey = torch.zeros(200, *SHAPE)
    shown = model.show(grey, batch(done=done))
    if share == 0:
        assert torch.equal(shown, grey)
    else:
        assert shown.std().item() == pytest.approx(0.8 * share, rel=0.02)
        assert shown.mean().abs() < 0.02
    assert torch.equal(shown, model.show(grey, batch(done=done)))


def test_all_that_the_discriminator_sees_is_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = see_the_sum(build(instance_noise={"std": 5.0}, loss="relativistic"))
    spreads: list[float] = []
    features = model.discriminator.features

    def watched(packs: Tensor, labels: Tensor) -> Tensor:
        spreads.append(packs.std().item())
        result: Tensor = features(packs, labels)
        return result

    monkeypatch.setattr(model.discriminator, "features", watched)
    for half in halves(model):
        half(batch())
    assert len(spreads) == 4 and all(4 < spread < 6 for spread in spreads)


@pytest.mark.parametrize(
    ("loss", "level", "rises"),
    [
        ("hinge", 0.5, True),
        ("hinge", -0.5, False),
        ("relativistic", -0.5, True),
        ("relativistic", -1.0, False),
    ],
)
def test_the_augmentations_probability_follows_the_discriminator(
    loss: str, level: float, rises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real logits above 0, or above those of fakes at -0.75: up by what the batch is worth."""
    model = see_the_sum(build(loss=loss, ada={"images": 120}))
    generate(model, torch.full((COUNT,), -0.75), monkeypatch)
    model.parts.augment.p.fill_(0.5)
    model.discriminator_losses(batch(level=level))
    assert model.facts["p"].item() == pytest.approx(0.6 if rises else 0.4)
    model.generator_losses(batch(level=level))
    assert model.parts.augment.p.item() == pytest.approx(0.6 if rises else 0.4)


# the classifier of AC-GAN


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_acgan_classifies_real_and_generated_images(weight: float) -> None:
    model = build("acgan", model={"weight": weight})
    nn.init.zeros_(model.discriminator.category.proxies.weight)
    with torch.no_grad():  # the same for every image: class probabilities of 1/6, 1/3, 1/2
        model.discriminator.category.proxies.bias.copy_(torch.tensor([1.0, 2.0, 3.0]).log())
    expected = weight * (math.log(6) + math.log(3) + math.log(2)) / 3
    for half in halves(model):
        losses = half(batch())
        for name in losses.keys() - {"adversarial"}:
            assert losses[name].item() == pytest.approx(expected)


UNIT = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
PROXIES = torch.tensor([[0.8, 0.6], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("unit", "proxies", "labels", "expected"),
    [
        # both images 0.8 along their proxies, 0.6 along each other: (0.8 - 0.98) / 0.5 = -0.36 and
        # (0.6 + 0.02) / 0.5 = 1.24, so that each costs ln(1 + e^1.6)
        (UNIT, PROXIES, [0, 1], math.log1p(math.exp(1.6))),
        # the other way round: 0 and 0.96 along their proxies, the one within the margin
        (UNIT, PROXIES, [1, 0], (math.log1p(math.exp(3.2)) + math.log1p(math.exp(1.28))) / 2),
        # opposite, each at its proxy: both margins are met, and 1 : 1 remains
        (torch.eye(2)[[0, 0]] * torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0, 0], [-1, 0]]),
         [0, 1], math.log(2)),
        # of one class: nothing to be told from
        (UNIT, PROXIES, [1, 1], 0.0),
    ],
)  # fmt: skip
def test_data_to_data(unit: Tensor, proxies: Tensor, labels: list[int], expected: float) -> None:
    loss = data_to_data(unit, proxies, torch.tensor(labels), 0.5, 0.98, -0.02)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("proxy", "other", "pulled"),
    [
        (-0.5, 3.0, True),  # cos 0.5 = 0.878 to its proxy: drawn back
        (-0.1, 3.0, False),  # cos 0.1 = 0.995: within the margin
        (0.0, 0.5, True),  # cos 0.5 to an image of another class: driven back
        (0.0, 2.0, False),  # cos 2 = -0.416: past the margin
    ],
)
def test_data_to_data_stops_at_its_margins(proxy: float, other: float, pulled: bool) -> None:
    """The slope as an image turns from 0 towards one of another class and from its proxy."""
    turn = torch.tensor(0.0, requires_grad=True)

    def unit(*angles: Tensor | float) -> Tensor:
        turns = torch.stack([torch.as_tensor(angle) for angle in angles])
        return torch.stack([turns.cos(), turns.sin()], 1)

    loss = data_to_data(
        unit(turn, other), unit(proxy, other), torch.tensor([0, 1]), 0.5, 0.98, -0.02
    )
    (slope,) = torch.autograd.grad(loss, turn)
    assert (slope > 0.1) == pulled and (slope == 0) != pulled


@pytest.mark.parametrize("value", [0, -1])
def test_d2d_needs_a_temperature(value: float) -> None:
    with pytest.raises(PartError, match="option 'temperature': .* greater than 0"):
        MODELS.resolve({"name": "acgan", "temperature": value})


def test_d2d_compares_directions_of_the_pass() -> None:
    """Worked out beside the model from its own features; with margins and weight as given."""
    options = {"weight": 3.0, "temperature": 0.25, "margin_positive": 0.9, "margin_negative": 0.1}
    model = build("acgan d2d", model=options)
    data, critic = batch(), model.discriminator
    vectors = critic.category.project(critic.network(data.real))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    proxies = critic.category.proxies.weight
    proxies = proxies / proxies.norm(dim=1, keepdim=True)
    expected = 3 * data_to_data(unit, proxies, data.labels, 0.25, 0.9, 0.1).item()
    assert model.discriminator_losses(data)["class_real"].item() == pytest.approx(expected)


# the class head and codes of InfoGAN


def answer(model: Any, odds: list[float]) -> Any:
    """Let the head give the same class probabilities for every image, and codes of zero."""
    critic = model.discriminator
    last = critic.category if critic.recogniser is None else critic.recogniser.head
    for layer in (last, critic.codes):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        last.bias.copy_(torch.tensor(odds).log().repeat(len(last.bias) // len(odds)))
    return model


def surprise(odds: list[float], labels: Tensor) -> float:
    """Mean cross-entropy of labels under these odds."""
    return -(torch.tensor(odds) / sum(odds)).log()[labels].mean().item()


ODDS = {
    "infogan": [1.0, 2, 3],
    "infogan guessed": [1.0, 2, 3],
    "infogan half": [1.0, 2, 3],
    "infogan none": [1.0, 2, 3, 4, 5],
}


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("weights", [(0.2, 0.1), (1.0, 0.5)])
@pytest.mark.parametrize("use", ODDS)
def test_codes_cost_what_the_head_does_not_know_of_them(
    use: str, weights: tuple[float, float], packing: int
) -> None:
    """Cross-entropy of the condition; three times the square of a code that is guessed as zero."""
    options = {"class_weight": weights[0], "code_weight": weights[1], "packing": packing}
    model = answer(build(use, model=options), ODDS[use])
    fakes = model.generate(batch(use))
    expected = surprise(ODDS[use], fakes.conditions) * weights[0]
    for half in halves(model):
        losses = half(batch(use))
        if use != "infogan guessed" or half == model.generator_losses:
            assert losses["q_class"].item() == pytest.approx(expected, rel=1e-5)
        error = 3 * fakes.codes.square().mean().item()
        assert losses["q_codes"].item() == pytest.approx(error * weights[1], rel=1e-5)


def test_with_labels_the_head_learns_real_classes_by_its_weight() -> None:
    model = answer(build("infogan", model={"class_weight": 0.5}), ODDS["infogan"])
    expected = surprise(ODDS["infogan"], batch().labels) / 2
    assert model.discriminator_losses(batch())["class"].item() == pytest.approx(expected)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_half_asks_for_answers_to_real_images_that_share_information(weight: float) -> None:
    """An answer that is always the same shares none of the ln K nats."""
    model = answer(build("infogan half", model={"real_weight": weight}), ODDS["infogan half"])
    losses = model.discriminator_losses(batch("infogan half"))
    assert losses["q_real"].item() == pytest.approx(weight * math.log(3), abs=1e-5)


def test_half_shows_the_head_varied_views() -> None:
    """Labelled images, its own samples, real ones twice, each image lighter by its own draw."""
    model, data, seen = build("infogan half"), batch("infogan half"), []
    fakes = model.generate(batch("infogan half")).images

    def lighter(images: Tensor, rng: torch.Generator) -> Tensor:
        return images + torch.rand(len(images), 1, 1, 1, generator=rng)

    model.parts = replace(model.parts, vary=lighter)
    recogniser = model.discriminator.recogniser
    recogniser.register_forward_pre_hook(lambda _, shown: seen.append(shown[0].detach()))
    model.discriminator_losses(data)
    assert data.labelled is not None and len(seen) == 1
    offsets = torch.stack(
        [
            view - of
            for view, of in zip(
                seen[0].chunk(4), (data.labelled[0], fakes, data.real, data.real), strict=True
            )
        ]
    ).flatten(2)
    assert (offsets.std(2) < 1e-6).all() and len(offsets.mean(2).unique()) == 4 * COUNT

    seen.clear()
    before = [buffer.clone() for buffer in recogniser.buffers()]
    model.generator_losses(batch("infogan half"))
    assert len(seen) == 1
    offset = (seen[0] - fakes).flatten(1)
    assert (offset.std(1) < 1e-6).all() and len(offset.mean(1).unique()) == COUNT
    assert all(map(torch.equal, before, recogniser.buffers())) and recogniser.training


def test_where_labels_are_guessed_the_head_is_shown_no_samples() -> None:
    model, seen = build("infogan guessed"), []
    recogniser = model.discriminator.recogniser
    recogniser.register_forward_pre_hook(lambda _, shown: seen.append(len(shown[0])))
    model.discriminator_losses(batch("infogan guessed"))
    assert seen == [COUNT]


INFORMATION = {
    "each class, surely, both times": (torch.eye(4).repeat(5, 1), torch.eye(4).repeat(5, 1), 4),
    "two of four classes": (torch.eye(4)[[0, 2] * 9], torch.eye(4)[[0, 2] * 9], 2),
    "always the same class": (torch.eye(4)[[1] * 9], torch.eye(4)[[1] * 9], 1),
    "no idea": (torch.full((9, 4), 0.25), torch.full((9, 4), 0.25), 1),
    "independent": (torch.eye(2)[[0, 0, 1, 1]], torch.eye(2)[[0, 1, 0, 1]], 1),
}


@pytest.mark.parametrize("case", INFORMATION)
def test_information(case: str) -> None:
    """The logarithm of how many classes two views agree to tell apart."""
    first, second, told = INFORMATION[case]
    assert information(first, second).item() == pytest.approx(math.log(told), abs=1e-5)
    assert information(second, first) == information(first, second)


def test_information_of_doubtful_answers() -> None:
    """Right with 0.8 both times: a joint of 0.34 and 0.16, written out."""
    sure = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    expected = 2 * 0.34 * math.log(0.34 / 0.25) + 2 * 0.16 * math.log(0.16 / 0.25)
    assert information(sure, sure).item() == pytest.approx(expected, rel=1e-5)


def test_information_takes_neither_view_for_the_first() -> None:
    """A joint of 1/4, 1/4, 0, 1/2 counts as one of 1/4, 1/8, 1/8, 1/2 with margins 3/8 and 5/8."""
    first, second = torch.eye(2)[[0, 0, 1, 1]], torch.eye(2)[[0, 1, 1, 1]]
    cells = ((1 / 4, 9 / 64), (1 / 8, 15 / 64), (1 / 8, 15 / 64), (1 / 2, 25 / 64))
    expected = sum(share * math.log(share / alone) for share, alone in cells)
    assert information(first, second).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("label", [0, 2])
def test_half_learns_the_known_labels_whole(label: int) -> None:
    """Its class term is of the labelled images beside the batch, whatever the weights."""
    options = {"class_weight": 0.5, "real_weight": 0.0}
    model = answer(build("infogan half", model=options), ODDS["infogan half"])
    data = batch("infogan half")
    labelled = data.real, torch.full((COUNT,), label)
    losses = model.discriminator_losses(replace(data, labelled=labelled))
    assert losses["class"].item() == pytest.approx([math.log(6), 0, math.log(2)][label])


def test_half_learns_from_the_batch_where_all_of_it_is_labelled() -> None:
    model = answer(build("infogan half"), ODDS["infogan half"])
    data = replace(batch("infogan half"), labelled=None, labels=torch.full((COUNT,), 1))
    assert model.discriminator_losses(data)["class"].item() == pytest.approx(math.log(3))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_infogan_without_continuous_codes() -> None:
    model = build("infogan", model={"continuous": 0})
    for half in halves(model):
        assert "q_codes" not in half(batch())
    assert model.generator.codes == 0
    assert model.ignored({"g_q_class": 0.0}) is None


def test_each_image_of_a_pack_is_read_by_itself() -> None:
    """Logits and codes come in the order of the images: here the sum of each."""
    model = build("infogan", model={"packing": 2, "continuous": 1})
    critic = model.discriminator
    critic.network, critic.hidden = nn.Flatten(), nn.Identity()
    critic.category, critic.codes = (nn.Linear(2 * SIZE, 2 * kinds) for kinds in (CLASSES, 1))
    with torch.no_grad():
        for layer, kinds in ((critic.category, CLASSES), (critic.codes, 1)):
            layer.bias.zero_()
            layer.weight.zero_()
            layer.weight[:kinds, :SIZE] = 1
            layer.weight[kinds:, SIZE:] = 1
    images = torch.rand(COUNT, *SHAPE)
    features = critic.network(model.show(images, batch()))
    sums = images.sum((1, 2, 3))
    assert torch.allclose(critic.read(features)[:, 0], sums)
    assert torch.allclose(critic.recognise(images, features), sums[:, None].expand(-1, CLASSES))


@pytest.mark.parametrize(
    ("q_class", "q_codes", "message"),
    [
        (2 * math.log(3) * 1.001, 0.0, r"class loss 1\.10\d against ln K = 1\.099"),
        (2 * math.log(3) * 0.999, 0.0, None),
        (0.0, 0.1 * 0.996, r"code loss 0\.996 against 1 for a blind guess"),
        (0.0, 0.1 * 0.994, None),
    ],
)
def test_infogan_says_when_codes_are_ignored(
    q_class: float, q_codes: float, message: str | None
) -> None:
    reason = build("infogan").ignored({"g_q_class": q_class, "g_q_codes": q_codes})
    if message is None:
        assert reason is None
    else:
        assert re.fullmatch(message, reason)


def test_chance_is_that_of_the_categories() -> None:
    row = {"g_q_class": 2 * math.log(4), "g_q_codes": 0.0}
    assert build("infogan").ignored(row) is not None
    assert build("infogan none").ignored(row) is None


def test_what_is_not_asked_for_is_not_ignored() -> None:
    row = {"g_q_class": 9.0, "g_q_codes": 9.0}
    assert all(
        build(use).ignored(row) is None for use in USES.keys() - ODDS.keys() - {"infogan d2d"}
    )
    told_by_batch = build("infogan d2d")  # chance there follows from the batch
    assert told_by_batch.ignored({"g_q_class": 9.0, "g_q_codes": 0.0}) is None
    assert told_by_batch.ignored(row) is not None
    careless = build("infogan", model={"class_weight": 0, "code_weight": 0})
    assert careless.ignored({"g_q_class": 0.0, "g_q_codes": 0.0}) is None


@pytest.mark.parametrize("name", ["concat", "embed"])
def test_the_answer_is_not_painted_on_the_question(name: str) -> None:
    with pytest.raises(PartError, match=r"train\.conditioning\.discriminator: .*use projection"):
        build("infogan", conditioning={"discriminator": name})
    build("cgan", conditioning={"discriminator": name})
    for use in UNSURE:  # they tell the discriminator nothing, however it would be told
        assert build(use, conditioning={"discriminator": name}).discriminator.conditioning is None


@pytest.mark.parametrize("labels", ["all", "half"])
def test_categories_go_without_labels(labels: str) -> None:
    with pytest.raises(PartError, match="option 'categories' goes with labels: none"):
        build("infogan none", model={"labels": labels})


# samples and averages


@each_use
def test_sample(use: str) -> None:
    model = build(use)

    def draw(conditions: list[int], seed: int = 0, **options: Any) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        images: Tensor = model.sample(torch.tensor(conditions), generator=rng, **options)
        return images

    images = draw([0, 1, 2, 0])
    assert images.shape == (4, *SHAPE) and images.dtype == torch.float32
    assert images.abs().max() <= 1 and not images.requires_grad
    assert torch.equal(images, draw([0, 1, 2, 0]))
    assert not torch.equal(images, draw([0, 1, 2, 0], seed=1))
    changed = draw([1, 1, 2, 0])
    assert torch.equal(images[0], changed[0]) == (use == "gan")
    assert torch.allclose(images[1:], changed[1:], atol=1e-6)
    assert not torch.equal(images[0], images[3])
    spread = [draw([0] * 200, truncation=limit).std(0).mean() for limit in (0.1, 1.0, 50.0)]
    assert spread[0] < spread[1] < spread[2]


def test_codes_matter_and_can_be_given() -> None:
    model = build("infogan")
    labels = torch.zeros(2, dtype=torch.long)

    def draw(codes: Tensor | None) -> Tensor:
        images: Tensor = model.sample(
            labels, generator=torch.Generator().manual_seed(0), codes=codes
        )
        return images

    low, high = (draw(torch.full((2, 2), value)) for value in (-1.0, 1.0))
    assert (low - high).abs().mean() > 1e-3
    _, codes = latents(model.average, 2, torch.Generator().manual_seed(0))
    assert torch.equal(draw(None), draw(codes))


@each_use
def test_samples_come_from_the_average(use: str) -> None:
    model = build(use, network="dcgan")
    rng = torch.Generator()
    before = model.sample(torch.arange(3), generator=rng.manual_seed(0))
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(1)
    assert torch.equal(before, model.sample(torch.arange(3), generator=rng.manual_seed(0)))
    assert not model.average.training and model.generator.training
    for average, module in model.averaged():
        assert not any(weight.requires_grad for weight in average.parameters())
        assert all(weight.requires_grad for weight in module.parameters())


def test_the_head_is_averaged_too() -> None:
    for use in USES:
        pairs = dict(build(use).averaged())
        assert len(pairs) == (2 if use.startswith("infogan") else 1)
    model = build("infogan")
    assert model.averaged() == [
        (model.average, model.generator),
        (model.head, model.discriminator),
    ]


@pytest.mark.parametrize(
    ("step", "decay", "share"),
    [(0, 0.995, 0.9), (8, 0.995, 0.5), (90, 0.995, 0.09), (10**6, 0.995, 0.005), (8, 0.1, 0.9)],
)
def test_averages_warm_up(step: int, decay: float, share: float) -> None:
    model = build("infogan half", network="dcgan")
    with torch.no_grad():
        for average, module in model.averaged():
            for mean, now in zip(average.parameters(), module.parameters(), strict=True):
                mean.fill_(2)
                now.fill_(3)
            for mean, now in zip(average.buffers(), module.buffers(), strict=True):
                mean.fill_(2)
                now.fill_(3)
    model.on_step(step, decay)
    for average, module in model.averaged():
        for mean in average.parameters():
            assert torch.allclose(mean, torch.full_like(mean, 2 + share))
        buffers = dict(average.named_buffers())
        assert any(name.endswith("running_var") for name in buffers)
        for name, mean in buffers.items():  # statistics like the weights, counts as they are
            expected = 2 + share if "running" in name else 3
            assert torch.allclose(mean.float(), torch.full_like(mean, expected, dtype=torch.float))
        assert all((now == 3).all() for now in module.parameters())


# latents


def fed(codes: int) -> LatentGenerator:
    def network(*_: Any) -> nn.Module:
        return nn.Flatten()

    return LatentGenerator(network, SHAPE, None, noise=62, codes=codes)


def test_latents_are_normal_noise_and_uniform_codes() -> None:
    noise, codes = latents(fed(2), 4000, torch.Generator().manual_seed(0))
    assert noise.shape == (4000, 62) and codes.shape == (4000, 2)
    assert noise.mean().abs() < 0.01 and noise.std().item() == pytest.approx(1, abs=0.01)
    assert codes.std().item() == pytest.approx(3**-0.5, abs=0.01)
    assert -1 <= codes.min() < -0.99 and 0.99 < codes.max() <= 1


def test_ranges_and_truncation_leave_the_rest_of_the_draw() -> None:
    def draw(**options: Any) -> tuple[Tensor, Tensor]:
        return latents(fed(2), 500, torch.Generator().manual_seed(0), **options)

    noise, codes = draw()
    same, narrow = draw(ranges={1: (0.25, 0.5)})
    assert torch.equal(same, noise) and torch.equal(narrow[:, 0], codes[:, 0])
    assert torch.allclose(narrow[:, 1], 0.25 + (codes[:, 1] + 1) / 8)
    assert 0.25 <= narrow[:, 1].min() and narrow[:, 1].max() <= 0.5
    assert (draw(ranges={0: (2.0, 2.0)})[1][:, 0] == 2).all()
    assert (draw(ranges={0: (1.0, -1.0)})[1][:, 0] + codes[:, 0]).abs().max() < 1e-6
    bounded, same = draw(truncation=0.5)
    assert torch.equal(same, codes) and torch.equal(bounded, truncate(noise, 0.5))


@pytest.mark.parametrize("limit", [0.1, 0.5, 2.0, 6.0, 100.0])
def test_truncate_keeps_order_and_bound(limit: float) -> None:
    noise = torch.linspace(-6, 6, 1001)
    bounded = truncate(noise, limit)
    assert bounded.isfinite().all() and bounded.abs().max() <= limit
    assert (bounded.diff() >= 0).all() and (bounded[200:801].diff() > 0).all()
    assert torch.allclose(bounded, -bounded.flip(0), atol=1e-6)
    assert bounded.dtype == noise.dtype
    if limit == 100:
        assert torch.allclose(bounded, noise, atol=1e-4)


def test_truncated_noise_is_a_normal_cut_off() -> None:
    """Its spread, written out: the variance of a normal distribution between -1 and 1."""
    bounded = truncate(torch.randn(100_000, generator=torch.Generator().manual_seed(0)), 1.0)
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * density / math.erf(1 / math.sqrt(2))
    assert bounded.var().item() == pytest.approx(variance, rel=0.02)


def test_q_is_taught_how_real_images_rank_by_a_factor() -> None:
    """Three times the mean square, of what is known alone, and of the first codes."""
    model = build("infogan", model={"factors": ["slant"], "code_weight": 0.5})
    model.discriminator.codes.weight.data.zero_()
    model.discriminator.codes.bias.data.copy_(torch.tensor([0.25, 9.0]))
    ranks = torch.full((COUNT, 1), torch.nan)
    ranks[:2, 0] = torch.tensor([0.75, -0.25])
    losses = model.discriminator_losses(replace(batch(), codes=ranks))
    assert losses["codes"].item() == pytest.approx(3 * (0.5**2 + 0.5**2) / 2 * 0.5)
    losses["codes"].backward()
    assert all(p.grad.isfinite().all() for p in model.discriminator.codes.parameters())
    unknown = model.discriminator_losses(replace(batch(), codes=torch.full_like(ranks, torch.nan)))
    assert unknown["codes"].item() == 0
    assert "codes" not in model.discriminator_losses(batch())
    plain = build("infogan").discriminator_losses(replace(batch(), codes=ranks))
    assert "codes" not in plain


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (["lean"], "option 'factors': 'lean' is none of .*slant"),
        (["slant", "width", "size"], "3 factors for 2 continuous codes"),
    ],
)
def test_factors_that_make_no_sense_are_refused(factors: list[str], message: str) -> None:
    with pytest.raises(PartError, match=message):
        build("infogan", model={"factors": factors})


@pytest.mark.parametrize("use", ["acgan", "infogan", "infogan half"])
def test_clip_leaves_heads_alone(use: str) -> None:
    """What the logit does not depend on may be of any size: it bounds no slope of D."""
    model = build(use, penalties=[{"name": "clip", "limit": 1e-4}])
    heads = names(model.discriminator) - {
        name for name, p in model.discriminator.named_parameters()
        if any(p is weight for weight in model.discriminator.logit_parameters())
    }  # fmt: skip
    assert heads
    model.after_discriminator_step()
    for name, parameter in model.discriminator.named_parameters():
        largest = parameter.abs().max().item()
        assert largest <= 1e-4 + 1e-9 or name in heads
    weights = dict(model.discriminator.named_parameters())
    assert max(weights[name].abs().max() for name in heads) > 0.01


def test_both_networks_are_told_styles() -> None:
    """The fakes have those of the real images; they count for how often each is picked."""
    model = build("infogan", model={"styles": 3})
    styles = torch.arange(COUNT) % 3
    data = replace(batch("infogan"), styles=styles)
    fakes = model.generate(data)
    assert torch.equal(fakes.conditions, data.labels)
    assert torch.equal(fakes.styled, data.labels * 3 + styles)
    assert torch.equal(model.generator.counts.sum(1), torch.bincount(data.labels).float())
    other = replace(data, styles=(styles + 1) % 3, rng=batch("infogan").rng)
    assert not torch.equal(model.generate(other).images, fakes.images)
    scores = [
        model.discriminator(data.real, model.packed(data.labels * 3 + of_each)[:, 0:1])
        for of_each in (styles, (styles + 1) % 3)
    ]
    assert not torch.equal(*scores)


@pytest.mark.parametrize("use", ["infogan d2d", "infogan none", "infogan half"])
def test_styles_go_with_classes_that_are_told(use: str) -> None:
    build(use, model={"styles": 1})
    with pytest.raises(PartError, match="'styles' goes with labels"):
        build(use, model={"styles": 2})


def test_the_generator_learns_from_the_fakes_that_were_just_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With their gradients, and once: another batch, or the same a second time, is made anew."""
    model = build("infogan")
    made: list[Fakes] = []
    whole = model.generate
    monkeypatch.setattr(model, "generate", lambda data: made.append(whole(data)) or made[-1])
    data = batch("infogan")
    model.discriminator_losses(data)
    losses = model.generator_losses(data)
    assert len(made) == 1 and made[0].images.requires_grad
    sum(losses.values()).backward()
    assert any(weight.grad.any() for weight in model.generator.parameters())
    model.generator_losses(data)
    assert len(made) == 2
    model.discriminator_losses(data)
    model.generator_losses(batch("infogan", 1))
    assert len(made) == 4


def test_the_discriminator_s_losses_do_not_reach_the_generator() -> None:
    model = build("infogan")
    sum(model.discriminator_losses(batch("infogan")).values()).backward()
    assert all(weight.grad is None for weight in model.generator.parameters())
