"""A step that two processes share is the step of one process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from augment.data.arrays import Arrays
from augment.registry import PartError
from augment.runtime import precision, process_group
from augment.runtime.process_group import ProcessGroup
from augment.train import follow
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings

CPU = torch.device("cpu")
COUNT, CLASSES = 24, 3
STEPS = 50
# A norm over an image's few places takes away a bias, and what stands before it has a gradient of
# rounding alone; the game then magnifies rounding. Each step of these begins at the same weights.
SENSITIVE = {
    "autoencoder", "realnvp", "pix2pix", "cyclegan", "dualgan", "discogan", "stargan", "wgan",
    "projected", "cartoongan",
}  # fmt: skip
WEIGHTS = 3e-3  # that the largest difference of a weight may be, of its tensor's largest
LOSSES = 1e-4
# Rounding may carry a value over the corner of a ReLU or of a hinge, which changes a gradient by
# an image's share: so many steps of each variant, where that was seen, and by no more than SHARE.
CORNERS = {"projected": 3}
SHARE = 5e-3


@pytest.fixture(scope="module")
def group() -> Iterator[ProcessGroup]:
    with (
        precision.fixed("full"),
        process_group.group(2, "cpu", follow.__name__) as processes,
    ):
        assert processes is not None
        yield processes


def settings(**changes: object) -> TrainSettings:
    """Of small networks; an epsilon that lets no gradient of rounding alone move a weight."""
    loaded = TrainSettings.model_validate(
        {
            "steps": STEPS,
            "batch": 8,
            "device": "cpu",
            "optimiser": {"name": "adam", "betas": [0.5, 0.999], "eps": 1e-4},
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


@pytest.fixture(scope="module")
def images() -> Arrays:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 8, 8), dtype=np.uint8)
    ids = [str(number) for number in range(COUNT)]
    return Arrays(pixels, np.arange(COUNT) % CLASSES, ids, ["a", "b", "c"])


def furthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference of two states' weights, by the largest weight of its tensor."""
    assert first.keys() == second.keys()
    return max(
        (float((values - second[name]).abs().max() / (values.abs().max() + 0.01)), name)
        for name, values in first.items()
        if values.numel() and values.is_floating_point() and not name.startswith("optimiser")
    )


SHALLOW = {"name": "translator", "blocks": 1}
VARIANTS = {  # of recipes that would take long less than their default
    **{name: {"recipe": name} for name in RECIPES},
    **{name: {"recipe": name, "generator": SHALLOW} for name in ("cyclegan", "discogan")},
    **{name: {"recipe": name, "discriminator_steps": 2} for name in ("wgan", "wgan_gp", "dualgan")},
    "stargan": {"recipe": "stargan", "generator": SHALLOW, "discriminator_steps": 2},
    "realnvp": {"recipe": "realnvp", "generator": {"name": "realnvp", "halvings": 1}},
    "projected": {
        "recipe": "projected",
        "model": {"name": "projected", "features": "filters", "width": 16},
    },
    "ada": {"ada": {"images": 64}, "augment": ["shift"]},
    "packs, noise": {"model": {"packing": 2}, "instance_noise": {"std": 0.5}},
    "lazy penalties": {
        "recipe": "wgan_gp",
        "penalties": [{"name": "r1", "interval": 2}, "r2", "lecam", "dragan", "consistency"],
    },
    "uneven packs": {"model": {"packing": 8}},  # one row, which nobody can share
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_learn_what_one_does(
    variant: str, group: ProcessGroup, images: Arrays
) -> None:
    """Weights after STEPS steps, and every loss and gradient on the way."""
    made = settings(**VARIANTS[variant])
    alone, feed = follow.engine_of(made, images, images, CLASSES, CPU, None)
    shared, same = follow.engine_of(made, images, images, CLASSES, CPU, group)
    corners = 0
    for number in range(STEPS):
        row, other = (
            {name: float(value) for name, value in engine.step(number, batches.at).items()}
            for engine, batches in ((alone, feed), (shared, same))
        )
        assert row.keys() == other.keys()
        if variant in SENSITIVE:
            assert other == pytest.approx(row, rel=SHARE, abs=SHARE)
            corners += other != pytest.approx(row, rel=LOSSES, abs=LOSSES)
            assert furthest(alone.state(), shared.state()) < (WEIGHTS, "")
            shared.load(alone.state())
    assert corners <= CORNERS.get(variant, 0)
    assert furthest(alone.state(), shared.state()) < (WEIGHTS, "")


def test_a_network_computes_its_share_alone(group: ProcessGroup, images: Arrays) -> None:
    """Otherwise two processes would only do the same work twice."""
    shared, feed = follow.engine_of(settings(), images, None, CLASSES, CPU, group)
    rows: list[int] = []
    body = shared.model.generator.network.body  # type: ignore[union-attr]
    body.register_forward_hook(lambda module, seen, made: rows.append(len(made)))
    shared.step(0, feed.at)
    assert set(rows) == {4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 9}, "train.batch: 9 images are no multiple of 2 processes"),
        ({"compile": "aot_eager"}, "train.compile: 'aot_eager' is for one device"),
    ],
)
def test_what_cannot_be_shared_is_said_before_anyone_begins(
    changes: dict[str, object], message: str, group: ProcessGroup, images: Arrays
) -> None:
    with pytest.raises(PartError, match=message):
        follow.engine_of(settings(**changes), images, None, CLASSES, CPU, group)
