"""Codes drawn where real images are thin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from augment import params
from augment.data import places, table
from augment.data.arrays import load_arrays
from augment.models import class_head
from augment.models.class_head import Head
from augment.models.generator import CHUNK, Generator
from augment.models.latents import _quantile
from augment.runtime import checkpoint
from augment.synth import code_ranges, settings
from augment.synth import run as synth
from augment.synth.candidates import Draw


def at(shares: np.ndarray, knots: tuple[float, ...]) -> np.ndarray:
    return _quantile(torch.from_numpy(shares), knots).numpy()


def test_quantiles_are_linear_in_between() -> None:
    shares = np.linspace(0, 1, 21)
    assert at(shares, (-1.0, 1.0)) == pytest.approx(2 * shares - 1)
    assert at(shares, (0.25, 0.25)) == pytest.approx(np.full(21, 0.25))
    assert at(np.array([0, 0.25, 0.5, 0.75, 1]), (-1.0, 0.8, 1.0)) == pytest.approx(
        [-1, -0.1, 0.8, 0.9, 1]
    )


def test_thin_parts_are_drawn_most() -> None:
    """Eight images in one part of eight: weight 1 / 9 there, 1 elsewhere."""
    knots = code_ranges.wide(np.full((8, 1), 0.6, np.float32))[0]
    assert len(knots) == code_ranges.KNOTS and (knots[0], knots[-1]) == (-1, 1)
    drawn = at(np.linspace(0, 1, 100_001), knots)
    share = ((drawn >= 0.5) & (drawn < 0.75)).mean()
    assert share == pytest.approx((1 / 9) / (7 + 1 / 9), abs=0.01)
    assert (drawn < 0.5).mean() == pytest.approx(6 / (7 + 1 / 9), abs=0.01)
    assert (np.diff(knots) > 0).all()


@pytest.mark.parametrize("read", [np.zeros((0, 1)), np.linspace(-0.99, 0.99, 80)[:, None]])
def test_nothing_known_and_even_codes_are_drawn_uniformly(read: np.ndarray) -> None:
    knots = code_ranges.wide(read.astype(np.float32))[0]
    assert knots == pytest.approx(np.linspace(-1, 1, code_ranges.KNOTS))


def test_codes_beyond_the_ends_count_there_and_each_code_is_its_own() -> None:
    beyond = np.array([[3.0, 0.0], [-2.0, 0.1]], np.float32)
    found = code_ranges.wide(beyond)
    assert found[0] == code_ranges.wide(np.array([[1.0], [-1.0]], np.float32))[0]
    assert found[1] == code_ranges.wide(beyond[:, 1:])[0] != found[0]


@pytest.fixture(scope="module")
def loaded(project: Path) -> params.Params:
    given = params.load(project / "params.yaml")
    group = {**given.synth.model_dump(), "per_class": 6, "codes": "wide"}
    return given.model_copy(update={"synth": settings.SynthSettings.model_validate(group)})


def test_head_reads_the_codes_that_an_image_was_made_with(project: Path) -> None:
    head = class_head.load(project / places.GENERATOR)
    assert isinstance(head, Head)
    made = Generator.load(project / places.GENERATOR, device="cpu")
    source = made.candidates("3", seed=0)
    chunks = [next(source) for _ in range(10)]
    read, drawn = (
        np.concatenate([given(one) for one in chunks])
        for given in (lambda one: head.codes(one.pixels), lambda one: one.codes)
    )
    together = np.corrcoef(read.T, drawn.T)[:2, 2:]
    swapped = np.abs(np.fliplr(together)).trace()
    assert read.shape == (10 * CHUNK, 2) and together.trace() > swapped + 0.1, together
    chunk, read = chunks[0], read[:CHUNK]
    assert head.codes(chunk.pixels[5:7]) == pytest.approx(read[5:7], abs=1e-4)
    assert head.codes(chunk.pixels[:0]).shape == (0, 2)


def test_wide_codes_of_real_digits(project: Path, loaded: params.Params) -> None:
    """What is drawn lies less where the class's train images lie."""
    train = load_arrays(project / places.CLEAN, split="train", origin="real")
    folder = project / places.GENERATOR
    found = code_ranges.by_class(folder, train, torch.device("cpu"))
    assert list(found) == train.classes
    head = class_head.load(folder)
    assert head is not None
    made = Generator.load(folder, device="cpu")
    for name in ("2", "7"):
        real = head.codes(train.pixels[train.labels == train.classes.index(name)])[:, 0]
        counts, edges = np.histogram(real.clip(-1, 1), code_ranges.BINS, (-1, 1))
        thick = int(counts.argmax())
        chunks = made.candidates(name, seed=0, codes=found[name])
        drawn = np.concatenate([next(chunks).codes for _ in range(10)])[:, 0]
        inside = ((drawn >= edges[thick]) & (drawn < edges[thick + 1])).mean()
        assert inside < 1 / code_ranges.BINS


def test_stage_draws_wide_codes_and_repeats_them(
    project: Path, loaded: params.Params, tmp_path: Path
) -> None:
    for place in ("data/clean", "models/generator"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(project / place)
    report = synth.run(loaded, tmp_path)
    rows = list(table.rows(tmp_path / places.SYNTHETIC))
    assert (report["codes"], len(rows)) == ("wide", 60)
    train = load_arrays(project / places.CLEAN, split="train", origin="real")
    folder = project / places.GENERATOR
    known = code_ranges.by_class(folder, train, torch.device("cpu"))
    made = Generator.load(folder, device="cpu")
    for row in rows[::13]:
        number, place = divmod(row["index"], CHUNK)
        first = next(made.candidates(row["label"], seed=0, codes=known[row["label"]], first=number))
        plain = next(made.candidates(row["label"], seed=0, first=number))
        assert row["codes"] == pytest.approx(first.codes[place].tolist(), abs=1e-7)
        assert row["codes"] != pytest.approx(plain.codes[place].tolist(), abs=1e-3)
    synth.run(loaded, tmp_path)
    assert list(table.rows(tmp_path / places.SYNTHETIC)) == rows


def test_codes_that_are_asked_for_come_first(project: Path, loaded: params.Params) -> None:
    draw = Draw(codes={0: (0.5, 0.5)}, wide={"3": {0: (-1.0, 0.0), 1: (0.0, 1.0)}})
    assert draw.codes_of("3") == {0: (0.5, 0.5), 1: (0.0, 1.0)}
    assert draw.codes_of("4") == {0: (0.5, 0.5)}


def test_model_without_codes_is_refused(
    project: Path, loaded: params.Params, tmp_path: Path
) -> None:
    train = load_arrays(project / places.CLEAN, split="train", origin="real")
    with pytest.raises(
        code_ranges.WideningError, match="synth.codes: found wide.*allowed: uniform"
    ):
        code_ranges.by_class(tmp_path, train, torch.device("cpu"))
    tensors, meta = checkpoint.load_state(project / places.GENERATOR, "head")
    kept = {name: one for name, one in tensors.items() if not name.startswith("codes.")}
    checkpoint.save_state(tmp_path, "head", kept, {**meta, "codes": 0})
    with pytest.raises(code_ranges.WideningError, match="no continuous codes"):
        code_ranges.by_class(tmp_path, train, torch.device("cpu"))
