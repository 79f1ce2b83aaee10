"""The plain autoencoder: what each phase teaches, and that a class is a density of codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from augment.models.autoencoder import Autoencoder
from augment.models.base import Batch, Needs
from augment.models.generator import Generator
from augment.runtime import checkpoint, seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

SHAPE, CLASSES = (1, 8, 8), 3
NETWORK = {"name": "mlp", "width": 8}


def build(**options: Any) -> Autoencoder:
    seeding.everything(0)
    settings = TrainSettings.model_validate(
        {"recipe": "autoencoder", "model": {"latent": 2, "components": 2, **options}}
        | {"generator": NETWORK, "discriminator": NETWORK}
    )
    model = assemble.build(settings, SHAPE, CLASSES)
    assert isinstance(model, Autoencoder)
    return model


def batch(step: int, count: int = 24) -> Batch:
    """Images of one grey each, by class, with a little noise."""
    rng = torch.Generator().manual_seed(step)
    labels = torch.arange(count) % CLASSES
    levels = torch.tensor([-0.8, 0.0, 0.8])[labels]
    levels = levels + torch.randn(count, generator=rng) * 0.05
    return Batch(levels[:, None, None, None].expand(count, *SHAPE), labels, step, rng)


def test_the_error_is_the_mean_square() -> None:
    model = build()
    model.generator.decode = lambda *_: torch.zeros(6, *SHAPE)  # type: ignore[method-assign]
    real = torch.full((6, *SHAPE), 0.5)
    terms = model.losses(Batch(real, torch.arange(6) % CLASSES, 0, torch.Generator()))
    assert terms["reconstruction"].item() == 0.25


def test_the_density_does_not_teach_the_encoder() -> None:
    model = build()
    model.density_losses(batch(0))["surprise"].backward()
    assert all(weight.grad is None for weight in model.encoder.parameters())
    assert model.generator.prior is not None
    assert all(weight.grad is not None for weight in model.generator.prior.parameters())


def test_codes_have_one_scale() -> None:
    model = build()
    codes = model.encoder(torch.rand(64, *SHAPE) * 2 - 1)
    assert torch.allclose(codes.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(codes.var(0, correction=0), torch.ones(2), atol=0.01)


def test_it_draws_the_class_that_it_is_asked_for(tmp_path: Path) -> None:
    """Though its networks never hear of classes; and so does the generator that was stored."""
    model = build()
    optimisers = [torch.optim.Adam(phase.parameters(), 3e-3) for phase in model.phases()]
    for step in range(400):
        for phase, optimiser in zip(model.phases(), optimisers, strict=True):
            optimiser.zero_grad()
            sum(phase.losses(batch(step)).values()).backward()  # type: ignore[union-attr]
            optimiser.step()
        model.on_step(step, 0.9)
    labels = torch.arange(90) % CLASSES
    means = model.sample(labels, generator=torch.Generator().manual_seed(0)).mean((1, 2, 3))
    by_class = torch.stack([means[labels == label].median() for label in range(CLASSES)])
    assert torch.allclose(by_class, torch.tensor([-0.8, 0.0, 0.8]), atol=0.15)

    meta = {
        "generator": NETWORK, "noise": model.average.noise, "codes": 0, "styles": 1,
        "components": model.average.components, "conditions": CLASSES, "matched": True,
        "source": None, "conditioning": None, "shape": list(SHAPE), "classes": ["a", "b", "c"],
    }  # fmt: skip
    checkpoint.save_state(tmp_path, "generator", model.average.state_dict(), meta)
    stored = Generator.load(tmp_path, device="cpu")
    levels = [stored.sample(name, 32).float().mean((1, 2, 3)).median() for name in "abc"]
    assert torch.allclose(torch.stack(levels) / 127.5 - 1, by_class, atol=0.1)


def test_it_takes_images_without_a_label_where_asked() -> None:
    assert build().needs == Needs()
    assert build(labels="half").needs == Needs("half", guessed=True)
