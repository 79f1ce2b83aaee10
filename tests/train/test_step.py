"""The engine: what one step does, that state is all there is, and parts that do not go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from augment.models.base import Batch
from augment.registry import PartError
from augment.runtime import precision, seeding
from augment.train import assemble
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings
from augment.train.step import Engine

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("imagenet")
SHAPE = (1, 8, 8)
CLASSES = 3
COUNT = 8

# what travels in a checkpoint beside the weights of a recipe
VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"recipe": name} for name in RECIPES},
    "lecam, lazy r1": {"penalties": ["lecam", {"name": "r1", "interval": 2}]},
    "ada": {"ada": {"images": 64}},
    "packs, noise": {"model": {"packing": 2}, "instance_noise": {"std": 0.5}},
    "half": {"model": {"labels": "half", "pseudo_labels": "none"}},
    "none": {"model": {"labels": "none", "categories": 5, "pseudo_labels": "none"}},
    "guessed": {"model": {"labels": "none", "categories": 5}},
    "attention": {"discriminator": {"name": "resnet", "attention": True, "spectral": True}},
    "cosine": {"rate": {"schedule": {"name": "cosine", "warm_up": 0.5}}},
}


def settings(**changes: Any) -> TrainSettings:
    loaded = TrainSettings.model_validate(
        {
            "steps": 10,
            "batch": COUNT,
            "device": "cpu",
            "labeller": {"network": {"name": "cnn", "width": 8}},
        }
        | changes
    )
    networks = {
        side: {**({"name": spec} if isinstance(spec, str) else spec), "width": 8}
        for side in ("generator", "discriminator")
        for spec in [getattr(loaded, side)]
    }
    return loaded.model_copy(update=networks)


def build(**changes: Any) -> Engine:
    return Engine(settings(**changes), SHAPE, CLASSES, CPU)


def feed_for(made: Engine) -> Callable[[int], Batch]:
    needs = made.model.needs
    use = "all" if needs.guessed else needs.labels

    def feed(number: int) -> Batch:
        rng = seeding.generator(7, number)
        real, few = (torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1 for _ in range(2))
        labels = (torch.arange(COUNT) + number) % CLASSES
        labelled = (few, labels) if use == "half" else None
        labels = labels if use == "all" else torch.full_like(labels, -1)
        source = few if needs.source else None
        return Batch(
            real, labels, number, rng, number / 10, labelled, source=source, source_labels=labels
        )

    return feed


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def different(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


# state


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_taken_up_goes_on_the_same(variant: str) -> None:
    """All that lives across steps is in it, whatever else happened to the process."""
    whole = build(**VARIANTS[variant])
    for number in range(3):
        whole.step(number, feed_for(whole))
    state = copied(whole.state())
    terms = [whole.step(number, feed_for(whole)) for number in (3, 4)]

    again = build(**VARIANTS[variant], seed=5)
    again.settings = whole.settings
    assert again.state().keys() < state.keys()  # it has no memory of gradients yet
    torch.rand(9)
    again.load(state)
    assert different(copied(again.state()), state) == []
    for number, expected in zip((3, 4), terms, strict=True):
        assert different(again.step(number, feed_for(again)), expected) == []
    assert different(again.state(), whole.state()) == []


@pytest.mark.parametrize("recipe", ["wgan", "infogan"])
def test_compiled_networks_learn_the_same(recipe: str) -> None:
    """Without double backward, and with it; the state of one is the state of the other."""
    plain, compiled = build(recipe=recipe), build(recipe=recipe, compile="aot_eager")
    torch._dynamo.utils.counters.clear()
    for number in range(2):
        expected = plain.step(number, feed_for(plain))
        terms = compiled.step(number, feed_for(compiled))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert terms.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(terms[name], expected[name], rtol=1e-3, atol=1e-5)
    for name, value in plain.state().items():
        torch.testing.assert_close(compiled.state()[name], value, rtol=1e-3, atol=1e-5)


def test_a_state_holds_networks_averages_and_optimisers() -> None:
    made = build()
    made.step(0, feed_for(made))
    parts = {name.split(".")[0] for name in made.state()}
    assert parts == {"generator", "discriminator", "average", "head", "optimiser"}
    memory = [name for name in made.state() if name.startswith("optimiser.generator")]
    assert len(memory) == 3 * len(list(made.model.generator.parameters()))
    adaptive = build(penalties=["lecam"], ada={})
    assert {"augment.p", "penalties.0.anchors", "penalties.0.started"} < adaptive.state().keys()


def test_weights_follow_from_the_seed() -> None:
    states = [build(seed=seed).state() for seed in (0, 0, 1)]
    assert different(*states[:2]) == [] != different(*states[1:])


# a step


def test_a_step_follows_from_state_and_number_alone() -> None:
    def found(number: int, noise: int) -> dict[str, Tensor]:
        made = build(recipe="cgan", instance_noise={"std": 0.1}, augment=["shift"])
        torch.manual_seed(noise)
        return made.step(number, feed_for(made))

    assert different(found(3, 0), found(3, 1)) == []
    assert different(found(3, 0), found(4, 0))


def test_a_step_tells_losses_gradients_and_facts() -> None:
    made = build()
    row = made.step(0, feed_for(made))
    assert row.keys() == {
        *(f"d_{name}" for name in ("adversarial", "q_class", "q_codes", "class")),
        *(f"g_{name}" for name in ("adversarial", "q_class", "q_codes")),
        *("gradient_d", "gradient_g", "accuracy", "accuracy_real", "accuracy_fake"),
    }
    assert all(value.shape == () and not value.requires_grad for value in row.values())


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_discriminator_steps_first_and_as_often_as_told(
    repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(discriminator_steps=repeats)
    healthy, numbers, order = feed_for(made), [], []
    for name, optimiser in made.optimisers.items():
        step = optimiser.step

        def watched(*_: Any, name: str = name, step: Any = step) -> None:
            order.append(name)
            step()

        monkeypatch.setattr(optimiser, "step", watched)

    def feed(number: int) -> Batch:
        numbers.append(number)
        return healthy(number)

    made.step(4, feed)
    assert numbers == list(range(4 * repeats, 4 * repeats + repeats))
    assert order == ["discriminator"] * repeats + ["generator"]


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_half_moves_its_own_network(still: str) -> None:
    made = build(recipe="cgan", rate={still: 1e-30}, model="cgan")
    before = copied(made.state())
    made.step(0, feed_for(made))
    moved = [
        name
        for name in before
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        and not torch.allclose(before[name], made.state()[name], atol=1e-9)
    ]
    other = "generator" if still == "discriminator" else "discriminator"
    assert any(name.startswith(other) for name in moved)
    assert not any(name.startswith(still) for name in moved)
    assert any(name.startswith("average") for name in moved) == (other == "generator")


def test_penalties_may_change_the_weights_after_a_step() -> None:
    made = build(recipe="wgan")
    made.step(0, feed_for(made))
    largest = max(weight.abs().max().item() for weight in made.model.discriminator.parameters())
    assert largest == pytest.approx(0.03)


def test_gradients_are_reported_by_their_whole_norm() -> None:
    made = build(recipe="r3gan")
    row = made.step(0, feed_for(made))
    squares = [
        p.grad.square().sum() for p in made.model.generator.parameters() if p.grad is not None
    ]
    assert row["gradient_g"].item() == pytest.approx(math.sqrt(sum(squares)))


def test_rates_follow_settings_schedule_and_remedies() -> None:
    made = build(
        rate={
            "generator": 0.008,
            "discriminator": 0.004,
            "schedule": {"name": "linear", "final": 0.5},
        }
    )

    def rates(number: int) -> tuple[float, float]:
        made.step(number, feed_for(made))
        pair = [
            made.optimisers[name].param_groups[0]["lr"] for name in ("generator", "discriminator")
        ]
        return pair[0], pair[1]

    assert rates(0) == pytest.approx((0.008, 0.004))
    assert rates(5) == pytest.approx((0.006, 0.003))
    made.adjust([{"rates": {"generator": 0.5, "discriminator": 0.1}, "penalties": 2}])
    assert rates(5) == pytest.approx((0.003, 0.0003))


def test_remedies_multiply_and_are_not_applied_twice() -> None:
    made = build(penalties=[{"name": "r1", "weight": 3.0}, "clip"])
    remedy = {"rates": {"generator": 0.5}, "penalties": 2, "name": "left alone"}
    for remedies, rate, weight in (
        ([remedy, remedy], 0.25, 12.0),
        ([remedy], 0.5, 6.0),
        ([], 1.0, 3.0),
    ):
        made.adjust(iter(remedies))
        assert made.rates == {"generator": rate, "discriminator": 1.0}
        assert [penalty.weight for penalty in made.model.parts.penalties] == [weight, 0.0]


def test_half_precision_is_for_passes_without_double_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = build(penalties=[{"name": "r1", "interval": 2}, "lecam"])
    safe: list[bool] = []

    def precision(allowed: bool) -> Any:
        safe.append(allowed)
        return nullcontext()

    monkeypatch.setattr(made, "precision", precision)
    for number in range(3):
        made.step(number, feed_for(made))
    assert safe == [False, True, True, True, False, True]  # discriminator, generator, …


def test_a_pass_in_float32_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(penalties=[{"name": "r1", "interval": 2}])
    threads: list[tuple[bool, int]] = []

    def noted(allowed: bool) -> Any:
        threads.append((allowed, torch.get_num_threads()))
        return nullcontext()

    monkeypatch.setattr(made, "precision", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with precision.fixed("bf16"):
            made.step(0, feed_for(made))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [(False, 2), (True, 1)]  # r1 differentiates a gradient; the generator


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_half_precision_is_for_gpus() -> None:
    made = build()
    assert isinstance(made.precision(True), nullcontext)
    made.device = torch.device("cuda")
    assert isinstance(made.precision(True), torch.autocast)
    assert isinstance(made.precision(False), nullcontext)


# parts that do not go together

BATCH_NORM = {"name": "dcgan", "norm": "batch"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_goes_together(name: str) -> None:
    assemble.check(settings(recipe=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": ["flip"]}, "'flip' changes labels of profile 'glyph'"),
        *(
            (
                {"recipe": "dcgan", "penalties": [penalty], "discriminator": BATCH_NORM},
                rf"train\.penalties: '{name}' .* train\.discriminator\.norm 'batch' .*'none'",
            )
            for name in ("r1", "r2", "gradient", "dragan")
            for penalty in (name, {"name": name, "weight": 2.0})
        ),
        (
            {"penalties": ["lecam", "clip", "r1"], "discriminator": BATCH_NORM},
            r"train\.penalties: 'r1'",
        ),
        (
            {"recipe": "r3gan", "discriminator": BATCH_NORM},
            r"train\.penalties: 'r1' .* train\.discriminator\.norm",
        ),
    ],
)
def test_what_does_not_go_together_is_said(changes: dict[str, Any], message: str) -> None:
    wrong = TrainSettings.model_validate(changes)
    with pytest.raises(PartError, match=message):
        assemble.check(wrong)
    with pytest.raises(PartError, match=message):
        Engine(wrong, SHAPE, CLASSES, CPU)


def test_a_batch_that_fills_no_packs_is_said() -> None:
    wrong = TrainSettings.model_validate({"batch": 9, "model": {"packing": 2}})
    with pytest.raises(PartError, match=r"train\.batch: 9 .* packs of 2 \(train\.model\.packing"):
        Engine(wrong, SHAPE, CLASSES, CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 8, "model": {"packing": 2}},
        {"recipe": "dcgan", "penalties": ["lecam", "consistency", "clip"]},
        {"recipe": "dcgan", "penalties": ["r1"], "discriminator": {"norm": "none"}},
        {"discriminator": "dcgan"},  # whose norm follows from the penalties
        {"generator": "dcgan"},  # its batch norm sees fakes alone
        {"augment": ["flip"], "profile": "natural"},
    ],
)
def test_what_goes_together_is_not_refused(changes: dict[str, Any]) -> None:
    assemble.check(TrainSettings.model_validate(changes))


@pytest.mark.parametrize(
    ("penalties", "norm"), [(["r1"], "none"), (["lecam"], "batch"), ([], "batch")]
)
def test_the_norm_follows_from_the_penalties(penalties: list[str], norm: str) -> None:
    loaded = TrainSettings.model_validate({"discriminator": "dcgan", "penalties": penalties})
    assert assemble.discriminator_of(loaded)["norm"] == norm
    assert assemble.resolved_settings(loaded)["discriminator"]["norm"] == norm
    network = Engine(loaded, (1, 32, 32), CLASSES, CPU).model.discriminator.network
    kinds = [type(layer) for layer in network.body]
    assert (torch.nn.BatchNorm2d in kinds) is (norm == "batch")


@pytest.mark.parametrize(("profile", "flips"), [("glyph", False), ("natural", True)])
def test_augmentations_are_those_of_the_profile_unless_named(profile: str, flips: bool) -> None:
    loaded = TrainSettings.model_validate({"profile": profile})
    assert ("flip" in assemble.augment_of(loaded)) is flips
    named = TrainSettings.model_validate({"profile": profile, "augment": ["shift"]})
    assert assemble.augment_of(named) == ["shift"]
    assert assemble.augment_of(named.model_copy(update={"augment": []})) == []
