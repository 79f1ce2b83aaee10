"""Randomness follows from a seed and a purpose, and from nothing else."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch

from augment.runtime import seeding


def test_derive_is_the_head_of_a_digest() -> None:
    head = hashlib.sha256(b"7\0step\x003").digest()[:8]
    assert seeding.derive(7, "step", 3) == int.from_bytes(head, "big") // 2
    assert seeding.derive(7, "step", 3) < 2**63


def test_seed_and_every_word_count() -> None:
    draws = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "ab"), (0, "a", 1), (0, "a1")]
    assert len({seeding.derive(*draw) for draw in draws}) == len(draws)


def test_unit_is_uniform() -> None:
    draws = np.array([seeding.unit(0, place) for place in range(2000)])
    assert 0 <= draws.min() < 0.01 and 0.99 < draws.max() < 1
    assert draws.mean() == pytest.approx(0.5, abs=0.02)
    assert draws.std() == pytest.approx(12**-0.5, abs=0.01)


def test_generators_repeat() -> None:
    assert (seeding.rng(3, "x").random(5) == seeding.rng(3, "x").random(5)).all()
    assert (seeding.rng(3, "x").random(5) != seeding.rng(3, "y").random(5)).all()
    a, b, c = (torch.rand(5, generator=seeding.generator(3, word)) for word in ("x", "x", "y"))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_generators_leave_global_states_alone() -> None:
    seeding.everything(0)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    seeding.everything(0)
    seeding.rng(1).random(9), torch.rand(9, generator=seeding.generator(1)), seeding.unit(2)
    seeding.places(10, 4, 1, 0)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_everything_depends_on_purpose() -> None:
    draws = []
    for step in (1, 2, 1):
        seeding.everything(0, "step", step)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[2]
    assert all(a != b for a, b in zip(draws[0], draws[1], strict=True))


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (10, 10), (3, 7), (1, 2), (5, 1)])
def test_places_go_through_every_sample_epoch_by_epoch(count: int, batch: int) -> None:
    steps = 3 * count  # whole epochs, whatever the batch
    walked = np.concatenate([seeding.places(count, batch, step, 0) for step in range(steps)])
    epochs = walked.reshape(-1, count)
    assert (np.sort(epochs) == np.arange(count)).all()
    if count >= 5:
        assert len({tuple(epoch) for epoch in epochs}) > 1
        other = np.concatenate([seeding.places(count, batch, step, 1) for step in range(steps)])
        assert (other != walked).any()


def test_places_of_a_step_do_not_depend_on_earlier_ones() -> None:
    in_order = [seeding.places(20, 8, step, 5).tolist() for step in range(9)]
    backwards = [seeding.places(20, 8, step, 5).tolist() for step in range(8, -1, -1)]
    assert in_order == backwards[::-1]
