"""Flows: what they do is undone, its volume is the Jacobian's, and bits have closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from augment.models.base import Batch
from augment.models.density import LEVEL
from augment.models.flow import MaximumLikelihood
from augment.models.generator import Generator
from augment.models.networks import GENERATORS, Shape
from augment.models.networks.bijections import ActNorm, Flat, Mix, Prepare
from augment.models.networks.invertible import Flow, checkerboard, halves, to_images, to_unit
from augment.registry import PartError
from augment.runtime import checkpoint, seeding
from augment.train import assemble
from augment.train.settings import TrainSettings

FLOWS: dict[str, dict[str, Any]] = {
    "nice": {"width": 16},
    "realnvp": {"width": 8},
    "glow": {"width": 8, "steps": 3},
}
each_flow = pytest.mark.parametrize("name", FLOWS)
TOLD, CLASSES = 3, 3
SMALL = [(1, 8, 8), (1, 7, 5), (3, 5, 4)]  # halved, of odd sides, with one odd side
SIZES = [*SMALL, (1, 28, 28), (3, 32, 16)]


def shaken(name: str, shape: Shape, **options: Any) -> Flow:
    """A flow that nothing in it leaves as it is."""
    seeding.everything(0)
    spec = {"name": name, **FLOWS[name], **options}
    flow = GENERATORS.build(spec, math.prod(shape) + TOLD, shape, 0)
    assert isinstance(flow, Flow)
    flow.encode(torch.rand(8, *shape), torch.randn(8, TOLD))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return flow


def build(name: str, shape: Shape = (1, 8, 8), **changes: Any) -> MaximumLikelihood:
    seeding.everything(0)
    settings = TrainSettings.model_validate(
        {"recipe": name, "generator": FLOWS[name], "batch": 6, "steps": 4, **changes}
    )
    model = assemble.build(settings, shape, CLASSES)
    assert isinstance(model, MaximumLikelihood)
    return model


@each_flow
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_noise_leads_back_to_the_image(name: str, shape: Shape) -> None:
    flow = shaken(name, shape)
    values, told = torch.rand(3, *shape), torch.randn(3, TOLD)
    noise, _ = flow.encode(values, told)
    assert noise.shape == (3, math.prod(shape)) and not torch.allclose(noise, values.flatten(1))
    assert torch.allclose(flow.body.inverse(noise, told), values, atol=1e-4)
    images = flow(torch.cat([noise, told], 1))
    assert torch.allclose(images, to_images(values), atol=1e-3)
    assert torch.allclose(flow(torch.cat([noise, told[:, :1]], 1), told[:, 1:]), images)


@each_flow
@pytest.mark.parametrize("preparation", ["affine", "logit"])
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_the_volume_is_that_of_the_jacobian(name: str, preparation: str, shape: Shape) -> None:
    body = shaken(name, shape, preparation=preparation).double().body
    told = torch.randn(2, TOLD).double()
    values = torch.rand(2, *shape).double()
    _, log_det = body(values, told)
    for place in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat, row=told[[place]]: body(flat.view(1, *shape), row)[0][0],
            values[place].flatten(),
        )
        assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det[place].item())


def test_bits_of_the_identity_are_those_of_a_normal_density() -> None:
    """Every grey value once: z is even on ±1/2, and z² is 1/12 on average."""
    model = build("glow", (1, 16, 16))
    shape = model.parts.shape
    told = model.generator.told(torch.zeros(1, dtype=torch.long)).shape[1]
    model.average.network = Flow(256 + told, shape, 0, Flat(shape), "affine")
    image = torch.arange(256).view(1, *shape) / 127.5 - 1
    bits = model.bits(image, torch.tensor([0]), torch.Generator().manual_seed(0))
    expected = 8 + (1 / 24 + math.log(2 * math.pi) / 2) / math.log(2)
    assert bits.shape == (1,) and bits.item() == pytest.approx(expected, abs=1e-4)


def test_grey_values_become_intervals_and_come_back() -> None:
    levels = torch.arange(256).double() / 127.5 - 1
    low, high = (to_unit(levels + (noise - 0.5) * LEVEL) for noise in (0, 0.999))
    assert torch.allclose(low, torch.arange(256).double() / 256)
    assert torch.allclose(high, (torch.arange(256).double() + 0.999) / 256)
    for values in (low, high):
        assert (to_images(values) - levels).abs().max() <= 1.01 / 255  # half a grey value
    assert to_images(torch.tensor([-0.1, 1.1])).tolist() == [-1, 1]


def test_the_logit_is_that_of_the_paper() -> None:
    values = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    prepared, log_det = Prepare("logit")(values, torch.empty(1, 0))
    assert torch.allclose(prepared.flatten(), torch.logit(torch.tensor([0.05, 0.5, 0.95])))
    slopes = [0.9 / (0.05 * 0.95), 0.9 / 0.25, 0.9 / (0.05 * 0.95)]
    assert log_det.item() == pytest.approx(sum(map(math.log, slopes)), rel=1e-5)


def test_masks() -> None:
    assert checkerboard((1, 2, 3), 0)[0].tolist() == [[0, 1, 0], [1, 0, 1]]
    assert checkerboard((1, 2, 3), 1)[0].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert halves((3, 2, 2), 0).flatten().tolist() == [True, False, False]
    assert halves((3, 2, 2), 1).flatten().tolist() == [False, True, True]


def test_the_first_batch_sets_the_norm_and_no_other() -> None:
    norm, told = ActNorm(2), torch.empty(64, 0)
    first = torch.randn(64, 2, 3, 3) * torch.tensor([4.0, 0.1])[:, None, None] + 5
    norm.eval()
    assert torch.equal(norm(first, told)[0], first) and not norm.seen  # a batch of no training
    norm.train()
    normed, log_det = norm(first, told)
    assert torch.allclose(normed.mean((0, 2, 3)), torch.zeros(2), atol=1e-4)
    assert torch.allclose(normed.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-3)
    assert log_det[0].item() == pytest.approx(9 * norm.log_scale.sum().item())
    before = norm.shift.clone()
    norm(first * 3, told)
    other = ActNorm(2)
    other.load_state_dict(norm.state_dict())
    other(first * 3, told)  # of a run that goes on
    assert torch.equal(norm.shift, before) and torch.equal(other.shift, before)


def test_the_average_takes_over_that_the_norms_are_set() -> None:
    model = build("glow")
    norms = [module for module in model.average.modules() if isinstance(module, ActNorm)]
    assert norms and not any(norm.seen for norm in norms)
    real = torch.rand(6, 1, 8, 8) * 2 - 1
    model.losses(Batch(real, torch.arange(6) % CLASSES, 0, torch.Generator().manual_seed(0)))
    model.on_step(0, 0.99)
    assert all(norm.seen for norm in norms)


def test_channels_are_mixed_by_a_rotation_at_first() -> None:
    seeding.everything(0)
    mix = Mix(6)
    assert torch.allclose(mix.weight() @ mix.weight().T, torch.eye(6), atol=1e-5)
    mixed, log_det = mix(torch.randn(2, 6, 3, 3), torch.empty(2, 0))
    assert mixed.shape == (2, 6, 3, 3) and torch.allclose(log_det, torch.zeros(2), atol=1e-4)


@each_flow
def test_it_learns_the_level_of_each_class(name: str) -> None:
    model = build(name)
    optimiser = torch.optim.Adam(model.phases()[0].parameters(), 1e-2)
    real = torch.tensor([-0.6, 0.0, 0.6]).repeat(8)[:, None, None, None].expand(24, 1, 8, 8)
    labels = torch.arange(24) % CLASSES
    rng = torch.Generator().manual_seed(0)
    real = real + torch.randn(real.shape, generator=rng) * 0.05
    before = model.bits(real, labels, rng).mean()
    for step in range(25):
        terms = model.losses(Batch(real, labels, step, rng))
        optimiser.zero_grad()
        terms["bits"].backward()
        optimiser.step()
        model.on_step(step, 0.8)
    assert model.bits(real, labels, rng).mean() < before - 1
    sampled = model.sample(torch.arange(CLASSES), generator=rng, truncation=0.5)
    assert torch.allclose(sampled.flatten(1).mean(1), torch.tensor([-0.6, 0.0, 0.6]), atol=0.25)


@each_flow
def test_truncated_noise_gives_more_likely_images(name: str) -> None:
    model = build(name)
    nearly_none, whole = (
        model.sample(
            torch.zeros(4, dtype=torch.long),
            generator=torch.Generator().manual_seed(0), truncation=limit,
        )
        for limit in (1e-3, None)
    )  # fmt: skip
    assert nearly_none.std(0).max() < 0.02 < whole.std(0).max()


@pytest.mark.parametrize("network", ["glow", "velocity"])
def test_a_saved_generator_is_rebuilt_with_its_options(network: str, tmp_path: Path) -> None:
    recipe = "glow" if network == "glow" else "flow_matching"
    settings = TrainSettings.model_validate(
        {"recipe": recipe, "generator": {"width": 8, "steps": 2}, "steps": 1}
    )
    average = assemble.build(settings, (1, 8, 8), CLASSES).average
    meta = {
        "generator": assemble.resolved_settings(settings)["generator"],
        "conditioning": assemble.resolved_settings(settings)["conditioning"]["generator"],
        "noise": average.noise, "codes": 0, "styles": 1, "conditions": CLASSES, "matched": True,
        "source": None, "shape": [1, 8, 8], "classes": ["a", "b", "c"],
    }  # fmt: skip
    checkpoint.save_state(tmp_path, "generator", average.state_dict(), meta)
    loaded = Generator.load(tmp_path, device="cpu")
    assert loaded.network.noise == 64
    first, again = (loaded.sample("b", 3, seed=1) for _ in range(2))
    assert torch.equal(first, again) and first.float().std() > 0


def test_networks_that_cannot_be_turned_round_are_refused() -> None:
    with pytest.raises(PartError, match="'mlp' .* 'flow', which needs 'glow' or 'nice' or"):
        assemble.build(
            TrainSettings.model_validate({"recipe": "glow", "generator": "mlp"}), (1, 8, 8), 3
        )
    gan = TrainSettings.model_validate({"recipe": "cgan", "generator": "glow"})
    with pytest.raises(PartError, match="train.generator: 'glow' has noise for each value"):
        assemble.build(gan, (1, 8, 8), 3)


@pytest.mark.parametrize(("shape", "count"), [((1, 28, 28), 2), ((1, 8, 8), 1), ((1, 7, 28), 0)])
def test_an_image_is_halved_while_its_sides_are_even(shape: Shape, count: int) -> None:
    names = [type(module).__name__ for module in shaken("glow", shape).modules()]
    assert names.count("Squeeze") == names.count("Split") == count
