"""The contract that every registered model keeps; a model without a row here fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from augment.models.base import MODELS, Batch, Model, Phase
from augment.models.generator import Generator
from augment.models.latents import latents
from augment.registry import PartError
from augment.runtime import checkpoint, seeding
from augment.train import assemble
from augment.train.settings import TrainSettings
from augment.train.step import Engine

SHAPE, CLASSES, COUNT = (1, 8, 8), 3, 6
ROWS: dict[str, dict[str, Any]] = {  # the model's options: one row a model
    "gan": {"noise": 8},
    "cgan": {"noise": 8, "packing": 2},
    "acgan": {"noise": 8, "classifier": "d2d"},
    "infogan": {"noise": 8},
    "flow": {},
    "flow_matching": {},
    "autoencoder": {"latent": 4, "components": 2},
    "vae": {"latent": 4, "prior": "mixture"},
    "pixelcnn": {},
    "dagan": {"latent": 4},
    "pix2pix": {"latent": 4},
    "cyclegan": {"latent": 4},
    "stargan": {"latent": 4},
    "cartoongan": {"latent": 4, "warm_up": 0.0},
    "animegan": {"latent": 4, "warm_up": 0.0},
    "fastgan": {"noise": 8},
    "lapgan": {"noise": 4},
    "progressive": {"noise": 8},
    "projected": {"noise": 8, "width": 8},
    "ssgan": {"noise": 12},
}
_BEND, _UNET = {"name": "bend", "width": 8}, {"name": "unet", "width": 8}
STARTING = {  # from a source image
    "dagan": {"generator": _BEND},
    **{
        name: {"generator": _UNET}
        for name in ("pix2pix", "cyclegan", "stargan", "cartoongan", "animegan")
    },
}
_GROWING = {"name": "growing", "width": 8}
NETWORKS: dict[str, dict[str, Any]] = {  # of models that need their own
    **STARTING,
    "fastgan": {"discriminator": {"name": "fastgan", "width": 8}},
    "flow": {"generator": {"name": "glow", "width": 8, "steps": 2}},
    "flow_matching": {"generator": {"name": "velocity", "width": 8, "steps": 2}},
    "lapgan": {"generator": {"name": "pyramid", "width": 8}},
    "pixelcnn": {"generator": {"name": "pixelcnn", "width": 8, "layers": 2}},
    "progressive": {"generator": _GROWING, "discriminator": _GROWING},
    "projected": {"discriminator": {"name": "patch", "width": 8, "norm": "none"}},
    "ssgan": {"generator": {"name": "ssgan", "width": 8}},
}
pytestmark = pytest.mark.usefixtures("imagenet")
each_model = pytest.mark.parametrize("name", ROWS)


def settings(name: str, **changes: Any) -> TrainSettings:
    network = {"name": "mlp", "width": 8}
    return TrainSettings.model_validate(
        {
            "model": {"name": name, **ROWS[name]},
            "generator": network,
            "discriminator": network,
            "augment": [],
            "batch": COUNT,
            "steps": 4,
        }
        | NETWORKS.get(name, {})
        | changes
    )


def build(name: str) -> Model:
    seeding.everything(0)
    return assemble.build(settings(name), SHAPE, CLASSES)


def batch(number: int, name: str) -> Batch:
    rng = torch.Generator().manual_seed(number)
    real = torch.rand(COUNT, *SHAPE, generator=rng) * 2 - 1
    labels = torch.arange(COUNT) % CLASSES
    if name not in STARTING:
        return Batch(real, labels, number, rng)
    source = real.roll(CLASSES, 0)  # of the same class
    return Batch(real, labels, number, rng, source=source, source_labels=labels)


def feed_of(name: str) -> Callable[[int], Batch]:
    return lambda number: batch(number, name)


def engine(name: str, **changes: Any) -> Engine:
    return Engine(settings(name, **changes), SHAPE, CLASSES, torch.device("cpu"))


def weights(phase: Phase) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in phase.parameters()]


def test_every_registered_model_has_a_row_and_a_paper() -> None:
    assert set(ROWS) == set(MODELS.names())
    assert all(MODELS.describe(name).paper for name in MODELS.names())


@each_model
def test_phases_are_those_that_settings_are_checked_by(name: str) -> None:
    model = build(name)
    phases = model.phases()
    assert tuple(phase.name for phase in phases) == model.phase_names
    assert set(Counter(phase.prefix for phase in phases).values()) == {1}
    parameters = Counter(id(value) for phase in phases for value in phase.parameters())
    assert set(parameters.values()) == {1}  # no optimiser steps another phase's weights


@each_model
def test_losses_are_finite_scalars_that_reach_the_phase(name: str) -> None:
    for phase in build(name).phases():
        terms = phase.losses(batch(0, name))
        assert terms and all(term.ndim == 0 and term.isfinite() for term in terms.values())
        torch.stack(list(terms.values())).sum().backward()
        assert any(value.grad is not None and value.grad.any() for value in phase.parameters())


@each_model
def test_a_step_changes_every_phase_and_logs_it_by_its_prefix(name: str) -> None:
    trained = engine(name)
    before = {key: weights(phase) for key, phase in trained.phases.items()}
    row = trained.step(0, feed_of(name))
    for key, phase in trained.phases.items():
        after = weights(phase)
        assert any((old != new).any() for old, new in zip(before[key], after, strict=True))
        assert f"gradient_{phase.prefix}" in row
        assert any(term.startswith(f"{phase.prefix}_") for term in row)


@each_model
def test_a_batch_is_asked_for_once_and_the_last_ones_are_shared(name: str) -> None:
    numbers: list[int] = []

    def feed(number: int) -> Batch:
        numbers.append(number)
        return batch(number, name)

    trained = engine(name, discriminator_steps=3)
    trained.step(2, feed)
    first = 2 * trained.batches
    assert numbers == list(range(first, first + trained.batches))


@each_model
def test_state_holds_all_that_a_step_follows_from(name: str) -> None:
    first, second = engine(name), engine(name, seed=1)
    first.step(0, feed_of(name))
    second.load({key: value.detach().clone() for key, value in first.state().items()})
    second.settings = first.settings
    rows = [trained.step(1, feed_of(name)) for trained in (first, second)]
    assert all(torch.equal(value, rows[1][key]) for key, value in rows[0].items())
    assert all(torch.equal(value, second.state()[key]) for key, value in first.state().items())


@each_model
def test_who_starts_from_an_image(name: str) -> None:
    model = build(name)
    assert bool(model.needs.source) == model.generator.source == (name in STARTING)


@each_model
def test_averages_follow_their_modules(name: str) -> None:
    model = build(name)
    for _, module in model.averaged():
        for value in module.parameters():
            value.data.fill_(3.0)
    for step in range(400):
        model.on_step(step, 0.9)
    for average, _ in model.averaged():
        assert all(torch.allclose(v, torch.tensor(3.0), atol=1e-3) for v in average.parameters())


@each_model
def test_samples_are_images_that_follow_from_the_seed(name: str) -> None:
    model = build(name)
    conditions = torch.arange(5) % CLASSES
    source = batch(0, name).real[:5] if model.needs.source else None
    first, same, other = (
        model.sample(conditions, generator=torch.Generator().manual_seed(seed), source=source)
        for seed in (0, 0, 1)
    )
    assert first.shape == (5, *SHAPE) and first.abs().max() <= 1
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert model.matched == (model.conditions == CLASSES)


@each_model
def test_a_generator_is_rebuilt_from_its_options_and_weights(name: str, tmp_path: Path) -> None:
    model, resolved = build(name), assemble.resolved_settings(settings(name))
    average = model.average
    meta = {
        "generator": resolved["generator"], "noise": average.noise, "codes": average.codes,
        "styles": average.styles, "components": average.components, "tries": average.tries,
        "temperature": average.temperature,
        "judge": average.judge and resolved["discriminator"],
        "conditions": model.conditions, "matched": model.matched,
        "source": model.needs.source, "shape": SHAPE, "classes": [*"abc"],
        "conditioning": average.conditioning and resolved["conditioning"]["generator"],
    }  # fmt: skip
    checkpoint.save_state(tmp_path, "generator", average.state_dict(), meta)
    network = Generator.load(tmp_path, device="cpu").network
    conditions, source = torch.arange(5) % CLASSES, batch(0, name).real[:5]
    noise, codes = latents(average, 5, torch.Generator().manual_seed(0))
    given_source = source if model.needs.source else None
    first, second = (
        part.eval()(noise, conditions, codes, given_source) for part in (average, network)
    )
    assert torch.allclose(first, second, atol=1e-5) and average.grown == network.grown


@each_model
def test_rates_go_by_the_names_of_phases(name: str) -> None:
    phase = MODELS.describe(name).target.phase_names[-1]  # type: ignore[attr-defined]
    trained = engine(name, rate={phase: 0.25, "default": 0.5, "schedule": "constant"})
    trained.adjust([{"rates": {phase: 0.5}, "penalties": 1.0}])
    trained.step(0, feed_of(name))
    rates = {key: value.param_groups[0]["lr"] for key, value in trained.optimisers.items()}
    assert rates == {key: 0.125 if key == phase else 0.5 for key in trained.phases}


def test_the_rate_of_a_phase_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="train.rate.generator: .* phases of 'vae': autoencoder"):
        assemble.check(settings("vae", rate={"generator": 0.1}))
    with pytest.raises(ValueError, match="train.rate.critic: .* discriminator, generator"):
        assemble.check(settings("gan", rate={"critic": 0.1}))


def test_a_network_that_starts_otherwise_than_its_model_is_refused() -> None:
    mlp, bend = {"name": "mlp", "width": 8}, {"name": "bend", "width": 8}
    for name, network, message in (
        ("dagan", mlp, "'mlp' starts from noise"),
        ("cgan", bend, "'bend' starts from an image"),
    ):
        with pytest.raises(PartError, match=f"train.generator: {message}"):
            assemble.build(settings(name, generator=network), SHAPE, CLASSES)


@pytest.mark.parametrize(
    ("name", "key", "need"),
    [
        ("lapgan", "generator", "pyramid"),
        ("progressive", "generator", "growing"),
        ("progressive", "discriminator", "growing"),
    ],
)
def test_a_network_of_another_kind_than_its_model_needs_is_refused(
    name: str, key: str, need: str
) -> None:
    with pytest.raises(PartError, match=f"train.{key}: 'mlp' .* '{name}', which needs '{need}'"):
        assemble.build(settings(name, **{key: {"name": "mlp", "width": 8}}), SHAPE, CLASSES)


def test_a_network_with_a_density_goes_with_a_model_that_asks_for_it() -> None:
    for name, network, message in (
        ("pixelcnn", "mlp", "'mlp' .* 'pixelcnn', which needs 'pixelcnn' or 'pixelrnn'"),
        ("pixelcnn", "glow", "'glow' .* 'pixelcnn', which needs 'pixelcnn' or 'pixelrnn'"),
        ("cgan", "pixelrnn", "'pixelrnn' has noise for each value of an image, .* 'cgan' does not"),
    ):
        with pytest.raises(PartError, match=f"train.generator: {message}"):
            assemble.check(settings(name, generator=network))


def test_a_model_that_asks_about_whole_images_refuses_patches() -> None:
    patch = {"name": "patch", "width": 8}
    with pytest.raises(PartError, match="train.discriminator: 'patch' judges patches, .* 'cgan'"):
        assemble.build(settings("cgan", discriminator=patch), SHAPE, CLASSES)
    seeding.everything(0)
    model = assemble.build(settings("gan", discriminator=patch), SHAPE, CLASSES)
    first, second = (phase.losses(batch(0, "gan")) for phase in model.phases())
    assert first["adversarial"].isfinite() and second["adversarial"].isfinite()
