"""Continuous codes: drawn by quantiles, and read back from the images that they made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from augment.data import places
from augment.models import class_head
from augment.models.class_head import Head
from augment.models.generator import CHUNK, Generator
from augment.models.latents import LatentGenerator, latents


def codes(ranges: dict[int, tuple[float, ...]]) -> Tensor:
    """A thousand draws of two codes, the same uniform ones for all ``ranges``."""
    generator = LatentGenerator(lambda *_: nn.Identity(), (1, 8, 8), None, noise=1, codes=2)
    return latents(generator, 1000, torch.Generator().manual_seed(0), ranges=ranges)[1]


def test_quantiles_are_linear_in_between() -> None:
    uniform = codes({})
    assert torch.allclose(codes({1: (-1.0, 1.0)}), uniform, atol=1e-6)
    assert (codes({1: (0.25, 0.25)})[:, 1] == 0.25).all()
    bent = codes({1: (-1.0, 0.8, 1.0)})
    expected = np.interp((uniform[:, 1] + 1) / 2, [0, 0.5, 1], [-1, 0.8, 1])
    assert bent[:, 1].numpy() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(bent[:, 0], uniform[:, 0])


def test_head_reads_the_codes_that_an_image_was_made_with(project: Path) -> None:
    head = class_head.load(project / places.GENERATOR)
    assert isinstance(head, Head)
    source = Generator.load(project / places.GENERATOR, device="cpu").candidates("3", seed=0)
    chunks = [next(source) for _ in range(10)]
    read = np.concatenate([head.codes(chunk.pixels) for chunk in chunks])
    true = np.concatenate([chunk.codes for chunk in chunks])
    together = np.corrcoef(read.T, true.T)[:2, 2:]
    swapped = np.abs(np.fliplr(together)).trace()
    assert read.shape == (10 * CHUNK, 2) and together.trace() > swapped + 0.1, together
    assert head.codes(chunks[0].pixels[5:7]) == pytest.approx(read[5:7], abs=1e-4)
    assert head.codes(chunks[0].pixels[:0]).shape == (0, 2)
