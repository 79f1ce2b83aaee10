"""Continuous codes: drawn between bounds. Styles: picked by a number of the noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from augment.models.latents import LatentGenerator, Ranges, latents


def codes(ranges: Ranges) -> Tensor:
    """A thousand draws of two codes, the same uniform ones for all ``ranges``."""
    generator = LatentGenerator(lambda *_: nn.Identity(), (1, 8, 8), None, noise=1, codes=2)
    return latents(generator, 1000, torch.Generator().manual_seed(0), ranges=ranges)[1]


def test_ranges_are_uniform_between_their_ends_and_leave_the_rest() -> None:
    uniform = codes({})
    assert torch.allclose(codes({1: (-1.0, 1.0)}), uniform, atol=1e-6)
    assert (codes({1: (0.25, 0.25)})[:, 1] == 0.25).all()
    upper = codes({1: (0.0, 1.0)})
    assert torch.allclose(upper[:, 1], (uniform[:, 1] + 1) / 2)
    assert torch.equal(upper[:, 0], uniform[:, 0])


def styled(counts: list[list[float]]) -> LatentGenerator:
    """A generator of one-pixel images that shows which kind of condition it is told."""

    class Told(nn.Module):
        inputs, condition = 1, 0

        def forward(self, kinds: Tensor) -> tuple[Tensor, None]:
            return kinds[:, None].float(), None

    class Last(nn.Module):
        def forward(self, inputs: Tensor, condition: None) -> Tensor:
            return inputs[:, -1]

    generator = LatentGenerator(
        lambda *_: Last(), (1, 8, 8), Told(), noise=3, codes=0,
        conditions=len(counts), styles=len(counts[0]),
    )  # fmt: skip
    generator.counts.copy_(torch.tensor(counts))
    return generator


def test_styles_are_picked_as_often_as_they_were_seen() -> None:
    """And what else is random does not tell which: the noise stays normal."""
    generator = styled([[1, 0, 3], [0, 0, 0]])
    noise, none = latents(generator, 40_000, torch.Generator().manual_seed(0))
    assert noise.shape == (40_000, 4)
    first = torch.zeros(len(noise), dtype=torch.long)
    shares = torch.bincount(generator(noise, first, none).long(), minlength=3) / len(noise)
    assert torch.allclose(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.01)
    never_seen = torch.bincount(generator(noise, first + 1, none).long() - 3) / len(noise)
    assert torch.allclose(never_seen, torch.full((3,), 1 / 3), atol=0.01)


def test_a_style_can_be_told() -> None:
    generator = styled([[1, 0, 3], [1, 1, 1]])
    noise, none = latents(generator, 4, torch.Generator().manual_seed(0))
    conditions, styles = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 2])
    assert generator(noise, conditions, none, styles=styles).tolist() == [0, 1, 4, 5]


def test_styles_are_counted_by_condition() -> None:
    generator = styled([[0, 0], [0, 0]])
    for _ in range(2):
        generator.note(torch.tensor([0, 1, 1, 1]), torch.tensor([1, 0, 0, 1]))
    assert generator.counts.tolist() == [[0, 2], [4, 2]]


def test_truncation_leaves_the_styles() -> None:
    """A rare style stays as frequent as it is; only how it looks is bounded."""
    generator = styled([[1, 9]])
    free, bounded = (
        latents(generator, 2000, torch.Generator().manual_seed(0), truncation=limit)[0]
        for limit in (None, 0.5)
    )
    assert torch.equal(free[:, -1], bounded[:, -1])
    assert bounded[:, :-1].abs().max() <= 0.5 < free[:, :-1].abs().max()


def test_each_level_has_noise_of_its_own_and_the_same_class_and_codes() -> None:
    class Levels(nn.Module):
        levels = 3

    class Told(nn.Module):
        inputs, condition = 1, 0

        def forward(self, kinds: Tensor) -> tuple[Tensor, None]:
            return kinds[:, None].float(), None

    generator = LatentGenerator(lambda *_: Levels(), (1, 8, 8), Told(), noise=2, codes=1)
    noise, values = latents(generator, 4, torch.Generator().manual_seed(0), truncation=0.5)
    assert noise.shape == (4, 6) and noise.abs().max() <= 0.5
    numbers = torch.arange(6.0)[None]
    inputs, vector = generator.inputs_of(numbers, torch.tensor([7]), torch.tensor([[0.5]]))
    assert inputs.tolist() == [[[0, 1, 7, 0.5], [2, 3, 7, 0.5], [4, 5, 7, 0.5]]] and vector is None
