"""Models: what every registered one owes, and closed forms with networks of one weight."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augment import seeding
from augment.augmentations import compose
from augment.losses import LOSSES
from augment.models import MODELS
from augment.models.gan import (
    Batch,
    ConditionalGan,
    InfoGan,
    Parts,
    latents,
    state,
    truncate,
)
from augment.networks import DISCRIMINATORS, GENERATORS
from augment.penalties import PENALTIES

CLASSES = 3
SHAPE = (1, 8, 8)
NAMES = MODELS.names()
TERMS = {
    "cgan": {"adversarial"},
    "infogan": {"adversarial", "q_class", "q_codes"},
}  # of both halves
REAL = {"cgan": set(), "infogan": {"class"}}  # of the discriminator's half alone


def build(
    model: str | dict[str, Any] = "cgan",
    *,
    network: str = "mlp",
    loss: str = "non_saturating",
    penalties: Sequence[str | dict[str, Any]] = (),
    augment: Sequence[str] = (),
    seed: int = 0,
) -> Any:
    seeding.everything(seed)
    spec = {"name": network, "width": 8}
    parts = Parts(
        shape=SHAPE,
        classes=CLASSES,
        generator=lambda latent, shape: GENERATORS.build(spec, latent, shape),
        discriminator=lambda shape: DISCRIMINATORS.build(spec, shape),
        loss=LOSSES.build(loss),
        penalties=[PENALTIES.build(penalty) for penalty in penalties],
        augment=compose(augment),
    )
    return MODELS.build(model, parts)


def batch(step: int = 0, count: int = 6, level: float | None = None) -> Batch:
    rng = torch.Generator().manual_seed(step)
    real = torch.rand(count, *SHAPE, generator=rng) * 2 - 1
    if level is not None:
        real = torch.full_like(real, level)
    return Batch(real, torch.arange(count) % CLASSES, step, rng)


def moved(module: nn.Module) -> set[str]:
    """The parameters that have a gradient."""
    return {n for n, p in module.named_parameters() if p.grad is not None and p.grad.any()}


def names(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


def see_the_sum(model: ConditionalGan, scale: float = 1.0) -> None:
    """Let the discriminator's logit be ``scale`` times the sum of the pixels."""
    model.discriminator.network = nn.Flatten()
    model.discriminator.logit = nn.Linear(64, 1)
    model.discriminator.embed = nn.Embedding(CLASSES, 64)
    with torch.no_grad():
        model.discriminator.logit.weight.fill_(scale)
        model.discriminator.logit.bias.zero_()
        model.discriminator.embed.weight.zero_()


def test_every_model_has_its_terms() -> None:
    assert sorted(TERMS) == sorted(REAL) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_discriminator_half(name: str) -> None:
    model = build(name, penalties=["r1", "gradient"])
    losses = model.discriminator_losses(batch())
    assert losses.keys() == TERMS[name] | REAL[name] | {"r1", "gradient"}
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert moved(model.generator) == set()
    assert moved(model.discriminator) == names(model.discriminator)
    assert 0 <= model.accuracy <= 1


@pytest.mark.parametrize("name", NAMES)
def test_generator_half(name: str) -> None:
    model = build(name, loss="relativistic", penalties=["r1"])
    losses = model.generator_losses(batch())
    assert losses.keys() == TERMS[name]
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert moved(model.generator) == names(model.generator)
    before = {key: value.clone() for key, value in model.discriminator.state_dict().items()}
    torch.optim.SGD(model.generator.parameters(), 1.0).step()
    after = model.discriminator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("penalty", [None, *PENALTIES.names()])
@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("name", NAMES)
def test_any_loss_with_any_penalty(name: str, loss: str, penalty: str | None) -> None:
    penalties = [penalty] if penalty else []
    model = build(name, loss=loss, penalties=penalties, augment=["shift", "cutout"])
    for half in (model.discriminator_losses, model.generator_losses):
        total = sum(half(batch()).values())
        total.backward()
        assert total.isfinite()
    model.after_discriminator_step()
    largest = max(weight.abs().max() for weight in model.discriminator.parameters())
    assert (largest <= 0.01) == (penalty == "clip")


@pytest.mark.parametrize("network", DISCRIMINATORS.names())
@pytest.mark.parametrize("name", NAMES)
def test_any_network(name: str, network: str) -> None:
    model = build(name, network=network, penalties=["r1", "r2"])
    for half in (model.discriminator_losses, model.generator_losses):
        total = sum(half(batch()).values())
        total.backward()
        assert total.isfinite()
    drawn = model.sample(torch.tensor([0, 1]), generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, *SHAPE)


@pytest.mark.parametrize("name", NAMES)
def test_losses_follow_the_batchs_randomness(name: str) -> None:
    model = build(name, augment=["shift"], penalties=["gradient"])
    for half in (model.discriminator_losses, model.generator_losses):
        first, again, other = (half(batch(step)) for step in (1, 1, 2))
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert not torch.equal(first["adversarial"], other["adversarial"])


@pytest.mark.parametrize(("weight", "interval"), [(1.0, 1), (0.5, 4)])
def test_penalties_are_weighted_and_lazy(weight: float, interval: int) -> None:
    model = build(penalties=[{"name": "r1", "weight": weight, "interval": interval}])
    see_the_sum(model)
    for step in range(9):
        due = step % interval == 0
        assert model.penalised(step) is due
        losses = model.discriminator_losses(batch(step))
        assert ("r1" in losses) is due
        if due:
            assert losses["r1"].item() == pytest.approx(32 * weight * interval)


def test_logits_depend_on_the_class_by_projection() -> None:
    model = build()
    see_the_sum(model)
    with torch.no_grad():
        model.discriminator.embed.weight[2].fill_(0.5)
    images = torch.ones(3, *SHAPE)
    assert model.discriminator(images, torch.arange(3)).tolist() == [64, 64, 96]


@pytest.mark.parametrize(("scale", "level", "accuracy"), [(1, 1, 1), (1, -1, 0), (-1, 1, 0)])
def test_accuracy_is_the_share_of_pairs_in_order(scale: float, level: float, accuracy: int) -> None:
    model = build()
    see_the_sum(model, scale)
    model.discriminator_losses(batch(level=level))
    assert model.accuracy == accuracy
    assert not model.accuracy.requires_grad


def test_the_relativistic_generator_sees_its_real_partners() -> None:
    model = build(loss="relativistic")
    see_the_sum(model, 0.01)
    low, high = (
        model.generator_losses(batch(level=level))["adversarial"].item() for level in (-1, 1)
    )
    assert high - low > 0.5


@pytest.mark.parametrize("weights", [(0.2, 0.1), (1.0, 0.5)])
def test_infogan_closed_forms(weights: tuple[float, float]) -> None:
    """Heads of zeros guess nothing: ln K, and three times the codes' mean square."""
    model = build({"name": "infogan", "class_weight": weights[0], "code_weight": weights[1]})
    for head in (model.discriminator.category, model.discriminator.codes):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    _, codes = latents(model.generator, 6, batch().rng)
    for half in (model.discriminator_losses, model.generator_losses):
        losses = half(batch())
        assert losses["q_class"].item() == pytest.approx(math.log(3) * weights[0])
        assert losses["q_codes"].item() == pytest.approx(
            3 * codes.square().mean().item() * weights[1]
        )
        if "class" in losses:
            assert losses["class"].item() == pytest.approx(math.log(3) * weights[0])


def test_infogan_reads_classes_of_real_images_as_well() -> None:
    model = build({"name": "infogan", "class_weight": 0.5})
    given = batch()
    logits, _ = model.discriminator.infer(model.discriminator.network(given.real))
    truth = nn.functional.cross_entropy(logits, given.labels).item() / 2
    assert model.discriminator_losses(given)["class"].item() == pytest.approx(truth)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_infogan_without_continuous_codes() -> None:
    model = build({"name": "infogan", "continuous": 0})
    assert "q_codes" not in model.generator_losses(batch())
    assert model.generator.codes == 0


@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str) -> None:
    model = build(name)

    def draw(labels: Sequence[int], seed: int = 0, **options: Any) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        drawn: Tensor = model.sample(torch.tensor(labels), generator=rng, **options)
        return drawn

    images = draw([0, 1, 2, 0])
    assert images.shape == (4, *SHAPE) and images.dtype == torch.float32
    assert images.abs().max() <= 1 and not images.requires_grad
    assert torch.equal(images, draw([0, 1, 2, 0]))
    assert not torch.equal(images, draw([0, 1, 2, 0], seed=1))
    changed = draw([1, 1, 2, 0])
    assert not torch.equal(images[0], changed[0])
    assert torch.allclose(images[1:], changed[1:], atol=1e-6)
    assert not torch.equal(images[0], images[3])
    spread = [draw([0] * 200, truncation=limit).std(0).mean() for limit in (0.1, 1.0, 50.0)]
    assert spread[0] < 0.5 * spread[1] < 0.5 * spread[2]


def test_codes_matter_and_can_be_given() -> None:
    model = build("infogan")
    labels = torch.zeros(2, dtype=torch.long)

    def draw(codes: Tensor | None) -> Tensor:
        drawn: Tensor = model.sample(
            labels, generator=torch.Generator().manual_seed(0), codes=codes
        )
        return drawn

    low, high = (draw(torch.full((2, 2), value)) for value in (-1.0, 1.0))
    assert (low - high).abs().mean() > 1e-3
    _, drawn = latents(model.average, 2, torch.Generator().manual_seed(0))
    assert torch.equal(draw(None), draw(drawn))


@pytest.mark.parametrize("name", NAMES)
def test_samples_come_from_the_average(name: str) -> None:
    model = build(name, network="dcgan")
    rng = torch.Generator()
    before = model.sample(torch.arange(3), generator=rng.manual_seed(0))
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(1)
    assert torch.equal(before, model.sample(torch.arange(3), generator=rng.manual_seed(0)))
    assert not any(weight.requires_grad for weight in model.average.parameters())
    assert not model.average.training and model.generator.training


@pytest.mark.parametrize(
    ("step", "decay", "share"),
    [(0, 0.995, 0.9), (8, 0.995, 0.5), (90, 0.995, 0.09), (10**6, 0.995, 0.005), (8, 0.1, 0.9)],
)
def test_the_average_warms_up(step: int, decay: float, share: float) -> None:
    model = build(network="dcgan")
    with torch.no_grad():
        for mean, now in zip(model.average.parameters(), model.generator.parameters(), strict=True):
            mean.fill_(2)
            now.fill_(3)
        for now in model.generator.buffers():
            now.fill_(7)
    model.on_step(step, decay)
    for mean in model.average.parameters():
        assert torch.allclose(mean, torch.full_like(mean, 2 + share))
    assert all((mean == 7).all() for mean in model.average.buffers())
    assert all((now == 3).all() for now in model.generator.parameters())


def test_latents_are_normal_noise_and_uniform_codes() -> None:
    model = build("infogan")
    noise, codes = latents(model.generator, 4000, torch.Generator().manual_seed(0))
    assert noise.shape == (4000, 62) and codes.shape == (4000, 2)
    assert noise.mean().abs() < 0.01 and noise.std().item() == pytest.approx(1, abs=0.01)
    assert codes.std().item() == pytest.approx(3**-0.5, abs=0.01)
    assert -1 <= codes.min() < -0.99 and 0.99 < codes.max() <= 1


def test_ranges_and_truncation_leave_the_rest_of_the_draw() -> None:
    generator = build("infogan").generator

    def draw(**options: Any) -> tuple[Tensor, Tensor]:
        return latents(generator, 500, torch.Generator().manual_seed(0), **options)

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


@pytest.mark.parametrize(
    ("q_class", "q_codes", "message"),
    [
        (0.2 * math.log(3) * 1.001, 0.0, r"class loss 1\.10\d against ln K = 1\.099"),
        (0.2 * math.log(3) * 0.999, 0.0, None),
        (0.0, 0.1 * 0.996, r"code loss 0\.996 against 1 for a blind guess"),
        (0.0, 0.1 * 0.994, None),
    ],
)
def test_infogan_says_when_codes_are_ignored(
    q_class: float, q_codes: float, message: str | None
) -> None:
    found = build("infogan").ignored({"g_q_class": q_class, "g_q_codes": q_codes})
    if message is None:
        assert found is None
    else:
        assert re.fullmatch(message, found)


def test_what_is_not_asked_for_is_not_ignored() -> None:
    row = {"g_q_class": 9.0, "g_q_codes": 9.0}
    assert build("cgan").ignored(row) is None
    assert (
        build({"name": "infogan", "class_weight": 0, "code_weight": 0}).ignored(
            {"g_q_class": 0.0, "g_q_codes": 0.0}
        )
        is None
    )


@pytest.mark.parametrize("name", NAMES)
def test_state_holds_the_three_networks(name: str) -> None:
    model = build(name)
    assert state(model) == {
        "generator": model.generator,
        "discriminator": model.discriminator,
        "average": model.average,
    }
    assert isinstance(model, InfoGan) == (name == "infogan")
    seeds = [build(name, seed=seed).generator.state_dict() for seed in (0, 0, 1)]
    for (a, b), same in zip(pairwise(seeds), (True, False), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a) is same
