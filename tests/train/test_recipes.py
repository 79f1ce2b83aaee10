"""Recipes: each builds and learns at any size, says only what differs, and can be overridden."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from augment import params
from augment.models.base import Batch
from augment.params import ParamsError
from augment.registry import PartError
from augment.train import assemble
from augment.train.recipes import RECIPES, apply
from augment.train.settings import ConditioningSettings, RateSettings, TrainSettings
from augment.train.step import Engine

NAMES = list(RECIPES)
pytestmark = pytest.mark.usefixtures("imagenet")
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]
KNOWN_AS = (
    "gan dcgan cgan acgan infogan lsgan fgan wgan wgan_gp sngan r3gan vae dagan "
    "pix2pix cyclegan dualgan discogan stargan cartoongan animegan fastgan projected ssgan"
).split()

# recipe -> what it is known by, as resolved settings say it
KNOWN_BY: dict[str, dict[str, Any]] = {
    "infogan": {"model.name": "infogan", "loss.name": "non_saturating", "penalties": []},
    "r3gan": {"model.name": "cgan", "loss.name": "relativistic", "discriminator.name": "resnet"},
    "gan": {"model.name": "gan", "generator.name": "mlp", "generator.layers": 1},
    "dcgan": {"model.name": "gan", "generator.name": "dcgan", "discriminator.norm": "batch"},
    "cgan": {"model.name": "cgan", "conditioning.discriminator.name": "concat"},
    "acgan": {
        "model.name": "acgan",
        "model.classifier": "d2d",
        "loss.name": "non_saturating",
    },
    "lsgan": {"loss.name": "lsgan", "optimiser.betas": (0.5, 0.999)},
    "fgan": {"loss.name": "fgan", "loss.divergence": "jensen_shannon"},
    "wgan": {"loss.name": "wasserstein", "optimiser.name": "rmsprop", "discriminator_steps": 5},
    "wgan_gp": {"loss.name": "wasserstein", "optimiser.betas": (0, 0.9), "discriminator_steps": 5},
    "dagan": {
        "model.name": "dagan",
        "generator.name": "bend",
        "loss.name": "relativistic",
        "discriminator.norm": "none",
    },
    "pix2pix": {
        "model.name": "pix2pix",
        "generator.name": "unet",
        "discriminator.name": "patch",
        "loss.name": "non_saturating",
        "optimiser.betas": (0.5, 0.999),
    },
    "cyclegan": {
        "model.name": "cyclegan",
        "model.distance": "l1",
        "model.buffer": 50,
        "generator.name": "translator",
        "discriminator.name": "patch",
        "loss.name": "lsgan",
    },
    "dualgan": {
        "model.name": "cyclegan",
        "model.distance": "l1",
        "model.buffer": 0,
        "generator.name": "unet",
        "loss.name": "wasserstein",
        "optimiser.name": "rmsprop",
    },
    "discogan": {
        "model.name": "cyclegan",
        "model.distance": "l2",
        "model.buffer": 0,
        "loss.name": "non_saturating",
    },
    "stargan": {
        "model.name": "stargan",
        "model.reconstruction": 10,
        "generator.name": "translator",
        "discriminator.name": "patch",
        "discriminator.norm": "none",
        "loss.name": "wasserstein",
        "discriminator_steps": 5,
    },
    "cartoongan": {
        "model.name": "cartoongan",
        "generator.name": "unet",
        "generator.added": True,
        "discriminator.name": "patch",
        "discriminator.norm": "none",
        "loss.name": "non_saturating",
        "augment": [],
    },
    "animegan": {
        "model.name": "animegan",
        "generator.name": "unet",
        "generator.width": 16,
        "discriminator.spectral": True,
        "loss.name": "lsgan",
        "augment": [],
    },
    "fastgan": {
        "model.name": "fastgan",
        "generator.name": "fastgan",
        "discriminator.name": "fastgan",
        "discriminator.spectral": True,
        "loss.name": "hinge",
    },
    "lapgan": {
        "model.name": "lapgan",
        "generator.name": "pyramid",
        "conditioning.generator.name": "conditional_norm",
        "rate.generator": 2e-4,
    },
    "progressive": {
        "model.name": "progressive",
        "model.grown": 0.5,
        "generator.name": "growing",
        "discriminator.name": "growing",
        "optimiser.betas": (0, 0.99),
    },
    "nice": {
        "model.name": "flow",
        "generator.name": "nice",
        "augment": [],
        "optimiser.betas": (0.9, 0.999),
    },
    "realnvp": {
        "model.name": "flow",
        "generator.name": "realnvp",
        "generator.preparation": "logit",
    },
    "glow": {"model.name": "flow", "generator.name": "glow", "generator.steps": 8},
    "flow_matching": {
        "model.name": "flow_matching",
        "generator.name": "velocity",
        "conditioning.generator.name": "embed",
        "augment": [],
    },
    "pixelcnn": {"model.name": "pixelcnn", "generator.name": "pixelcnn", "rate.default": 5e-3},
    "pixelrnn": {"model.name": "pixelcnn", "generator.name": "pixelrnn", "augment": []},
    "autoencoder": {"model.name": "autoencoder", "model.components": 4, "generator.name": "dcgan"},
    "vae": {
        "model.name": "vae",
        "model.prior": "mixture",
        "generator.name": "dcgan",
        "augment": [],
    },
    "projected": {
        "model.name": "projected",
        "model.features": "efficientnet",
        "generator.name": "fastgan",
        "discriminator.name": "patch",
        "discriminator.spectral": True,
        "loss.name": "hinge",
    },
    "ssgan": {
        "model.name": "ssgan",
        "generator.name": "ssgan",
        "generator.structure": "skeleton",
        "generator.style": 8,
        "conditioning.generator.name": "conditional_norm",
        "discriminator.name": "dcgan",
    },
    "sngan": {"loss.name": "hinge", "discriminator.spectral": True, "discriminator.norm": "none"},
}
PENALISED = {"r3gan": ["r1", "r2"], "wgan": ["clip"], "dagan": ["r1"], "dualgan": ["clip"]}
PENALISED["progressive"] = ["r1"]
PENALISED["wgan_gp"] = PENALISED["stargan"] = ["gradient"]


def settings(name: str, **changes: Any) -> TrainSettings:
    return TrainSettings.model_validate({"recipe": name, "steps": 10, **changes})


def at(tree: Mapping[str, Any], path: str) -> Any:
    for step in path.split("."):
        tree = tree[step]
    return tree


def leaves(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, *path, key)
        else:
            yield (*path, key)


def test_they_are_named_as_people_know_them() -> None:
    assert sorted(NAMES) == sorted(KNOWN_BY)
    assert all(recipe.summary and recipe.paper for recipe in RECIPES.values())


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_people_know(name: str) -> None:
    resolved = assemble.resolved_settings(settings(name))
    for path, expected in KNOWN_BY[name].items():
        assert at(resolved, path) == expected, path
    assert [penalty["name"] for penalty in resolved["penalties"]] == PENALISED.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_they_say_only_what_differs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one line, the settings are others, or make no sense."""
    whole = RECIPES[name]
    intended = assemble.resolved_settings(settings(name))
    for *path, last in leaves(whole.settings):
        shorter: Any = copy.deepcopy(dict(whole.settings))
        node = shorter
        for step in path:
            node = node[step]
        del node[last]
        monkeypatch.setitem(RECIPES, name, whole._replace(settings=shorter))
        try:
            assert assemble.resolved_settings(settings(name)) != intended, [*path, last]
        except PartError:
            continue


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_they_make_a_step_at_any_size(name: str, shape: tuple[int, int, int]) -> None:
    small = {"generator": {"width": 8}, "discriminator": {"width": 8}, "batch": 4, "device": "cpu"}
    made = Engine(settings(name, **small), shape, 3, torch.device("cpu"))
    before = [weight.clone() for weight in made.model.generator.parameters()]

    def feed(number: int) -> Batch:
        rng = torch.Generator().manual_seed(number)
        real = torch.rand(4, *shape, generator=rng) * 2 - 1
        labels = torch.arange(4) % 3
        if not made.model.needs.source:
            return Batch(real, labels, number, rng)
        source, kinds = real.roll(1, 0), labels.roll(1, 0)
        return Batch(real, labels, number, rng, source=source, source_labels=kinds)

    row = made.step(0, feed)
    logged = {f"gradient_{phase.prefix}" for phase in made.phases.values()}
    assert logged <= row.keys() and len(row) > len(logged)
    assert all(value.isfinite() for value in row.values())
    assert all(tensor.isfinite().all() for tensor in made.state().values())
    after = made.model.generator.parameters()
    assert not all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    source = feed(0).real[:3] if made.model.needs.source else None
    rng = torch.Generator().manual_seed(0)
    samples = made.model.sample(torch.arange(3), generator=rng, source=source)
    assert samples.shape == (3, *shape) and samples.abs().max() <= 1


DEFAULTS = {
    "recipe": "infogan",
    "generator": {"name": "dcgan", "width": 32},
    "discriminator": {"name": "dcgan", "width": 32},
    "loss": "non_saturating",
    "rate": RateSettings(),
    "conditioning": ConditioningSettings(),
    "penalties": [],
    "ada": None,
}


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({}, "loss", "non_saturating"),
        ({"generator": {"width": 8}}, "generator", {"name": "dcgan", "width": 8}),
        ({"generator": {"limit": 2}}, "generator", {"name": "dcgan", "width": 32, "limit": 2}),
        (
            {"generator": {"name": "dcgan", "limit": 2}},
            "generator",
            {"name": "dcgan", "width": 32, "limit": 2},
        ),
        ({"generator": {"name": "mlp"}}, "generator", {"name": "mlp"}),
        ({"generator": "mlp"}, "generator", "mlp"),
        ({"generator": "resnet"}, "generator", "resnet"),
        ({"loss": {"smoothing": 0.1}}, "loss", {"name": "non_saturating", "smoothing": 0.1}),
        (
            {"rate": {"generator": 1.0}},
            "rate",
            {"default": 1e-3, "generator": 1.0, "schedule": "constant"},
        ),
        (
            {"rate": {"schedule": {"final": 0.5}}},
            "rate",
            {
                "default": 1e-3,
                "schedule": {"name": "constant", "final": 0.5},
            },
        ),
        (
            {"conditioning": {"generator": {"width": 4}}},
            "conditioning",
            {"generator": {"name": "concat", "width": 4}, "discriminator": "projection"},
        ),
        ({"penalties": ["r2"]}, "penalties", ["r2"]),
        ({"ada": {"target": 0.5}}, "ada", {"target": 0.5}),
        ({"recipe": "gan"}, "generator", "mlp"),
        ({"recipe": "gan", "generator": {"width": 8}}, "generator", {"name": "mlp", "width": 8}),
        ({"recipe": "gan"}, "penalties", []),
        ({"recipe": "wgan"}, "generator", {"name": "dcgan", "width": 32}),
        ({"recipe": "wgan", "generator": {"name": "mlp"}}, "generator", {"name": "mlp"}),
        (
            {"recipe": "wgan", "discriminator": {"width": 8}},
            "discriminator",
            {"name": "dcgan", "width": 8, "norm": "none"},
        ),
        (
            {"recipe": "wgan", "rate": {"generator": 1.0}},
            "rate",
            {"default": 1e-3, "generator": 1.0, "schedule": "constant"},
        ),
        ({"recipe": "wgan", "nonsense": 3}, "nonsense", 3),  # left to the settings to refuse
    ],
)
def test_what_is_given_goes_over_the_recipe_over_the_defaults(
    changes: dict[str, Any], key: str, expected: Any
) -> None:
    before = copy.deepcopy(
        (changes, {name: dict(recipe.settings) for name, recipe in RECIPES.items()})
    )
    assert apply(changes, DEFAULTS)[key] == expected
    assert before == (changes, {name: dict(recipe.settings) for name, recipe in RECIPES.items()})


@pytest.mark.parametrize("name", ["stylegan", None, 3, ["gan"], {"name": "gan"}])
def test_unknown_recipes_are_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown recipe .*; known: infogan, r3gan, gan"):
        apply({"recipe": name}, DEFAULTS)
    (tmp_path / "params.yaml").write_text("ingest: {source: x}")
    with pytest.raises(ParamsError, match=r"train: unknown recipe .*; known: "):
        params.load(
            tmp_path / "params.yaml", [f"train.recipe={name!r}" if name else "train.recipe="]
        )


def test_overrides_go_over_the_file_over_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "ingest: {source: x}\n"
        "train: {recipe: wgan_gp, batch: 16, rate: {generator: 0.5}, generator: {width: 8}}\n"
    )
    overrides = ["train.rate.discriminator=0.25", "train.batch=32", "train.loss=hinge"]
    settings = params.load(tmp_path / "params.yaml", overrides).train
    assert (settings.rate.generator, settings.rate.discriminator) == (0.5, 0.25)
    assert settings.rate.schedule == "constant" and settings.discriminator_steps == 5
    assert (settings.batch, settings.loss) == (32, "hinge")
    assert settings.generator == {"name": "dcgan", "width": 8}
    other = params.load(tmp_path / "params.yaml", ["train.recipe=gan"]).train
    assert other.generator == {"name": "mlp", "width": 8}
    assert (other.model, other.batch, other.discriminator_steps) == ("gan", 16, 1)
