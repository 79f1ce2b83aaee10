"""A generator that starts from real images: which ones, how a row remakes its image, copies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.codes import run as codes
from augment.codes.settings import CodesSettings
from augment.data import images, table
from augment.data.arrays import Arrays
from augment.data.lookup import images_by_id
from augment.data.places import CLEAN, GENERATOR, SYNTHETIC
from augment.models.base import MODELS
from augment.models.generator import CHUNK, Generator, GeneratorError
from augment.report import run as report
from augment.report.settings import ReportSettings
from augment.runtime import checkpoint
from augment.synth import run as synth
from augment.synth.candidates import Tally, synthesise
from augment.synth.filter import Filter
from augment.synth.inputs import prepare
from augment.synth.measured import Draw
from augment.synth.one_class import fulfil
from augment.synth.quotas import Order, SynthError
from augment.synth.settings import SynthSettings
from augment.train import run as train
from augment.train.settings import TrainSettings

LENIENT = SynthSettings(per_class=3, probability=0.0, copy_quantile=0.0, max_candidates=400.0)
RARE = "9"  # of a single train image


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, digits_table) -> Path:
    """A project with a rare class, whose generator was trained for a few steps."""
    root = tmp_path_factory.mktemp("starting")
    rows = list(table.rows(digits_table(root / "all")))
    first = next(row["id"] for row in rows if (row["label"], row["split"]) == (RARE, "train"))
    with table.TableWriter(root / CLEAN) as writer:
        for row in rows:
            if (row["label"], row["split"]) != (RARE, "train") or row["id"] == first:
                writer.add(row)
    small = {"recipe": "dagan", "steps": 40, "every": 20, "batch": 16, "rate": {"default": 5e-3}}
    changes = {"generator": {"width": 8}, "labeller": {"steps": 20}, "device": "cpu"}
    train.run(TrainSettings.model_validate(small | changes), root)
    return root


@pytest.fixture
def started(root: Path) -> Generator:
    return prepare(LENIENT, root)[0]


@pytest.mark.parametrize("label", ["3", RARE])
def test_a_row_and_its_source_remake_the_image(root: Path, started: Generator, label: str) -> None:
    real = table.frame(root / CLEAN, ["id", "label"], split="train", origin="real")
    members = set(real["id"][real["label"] == label])
    made = list(synthesise(started, None, [Order(label, 100)], Draw(seed=5), Tally()))
    assert {row["source"] for row in made} == members and len(members) == (
        1 if label == RARE else 12
    )
    bare = Generator.load(root / GENERATOR, device="cpu")  # has no real images of its own
    for row in made[::33]:
        number, place = divmod(row["index"], CHUNK)
        data = images_by_id(root / CLEAN, [row["source"]])[row["source"]]
        source = images.pixels(data, "L")[None]
        chunk = next(bare.candidates(label, seed=row["seed"], first=number, source=source))
        again = images.encode(images.channels_last(chunk.pixels)[place])
        assert again == row["image"]["bytes"]


def test_what_was_published_draws_as_the_recipe_says(started: Generator) -> None:
    """Without these facts a generator would draw other images, and nothing would fail."""
    options = MODELS.resolve({"name": "dagan"})
    network = started.network
    assert network.judge is not None and not network.judge.training
    assert network.tries == options["tries"] > 1
    assert network.temperature == options["temperature"] < 1


def test_the_first_candidates_are_the_same_however_many(started: Generator) -> None:
    few, many = started.sample("3", 5, seed=1), started.sample("3", 100, seed=1)
    assert torch.equal(few, many[:5]) and not torch.equal(few, started.sample("3", 5, seed=2))


def test_without_real_images_it_says_what_is_missing(root: Path, tmp_path: Path) -> None:
    bare = Generator.load(root / GENERATOR, device="cpu")
    with pytest.raises(GeneratorError, match=r"starts from real images .* data/clean"):
        bare.sample("3", 4)
    _, _, real = prepare(LENIENT, root)
    with pytest.raises(GeneratorError, match="the generator starts from images of"):
        bare.start_from(dataclasses.replace(real, classes=["a"]))
    (tmp_path / "models").mkdir()
    (tmp_path / GENERATOR).symlink_to(root / GENERATOR)
    with pytest.raises(table.TableError, match="data/clean"):
        fulfil(LENIENT, Order("3", 4), Draw(), root=tmp_path)


def test_a_copy_of_its_source_is_a_copy(root: Path) -> None:
    generator, candidate_filter, _ = prepare(LENIENT, root)
    for parameter in generator.network.network.bend.parameters():
        parameter.data.zero_()
    tally = Tally()
    with pytest.raises(SynthError, match="0 of 2 accepted"):
        list(synthesise(generator, candidate_filter, [Order("3", 2)], Draw(), tally))
    counts = tally.per_class["3"]
    assert counts["rejected"]["copy"] == counts["candidates"]


def test_the_stages_write_sources(root: Path, tmp_path: Path) -> None:
    """The table, an export of one class, the codes' picture and the report's pairs."""
    assert codes.run(CodesSettings(device="cpu"), root)["conditions"] == "classes"
    synth.run(LENIENT, root)
    facts = table.frame(root / SYNTHETIC)
    real = table.frame(root / CLEAN, ["id", "label"], split="train").set_index("id")["label"]
    assert (real[facts["source"]].to_numpy() == facts["label"].to_numpy()).all()
    fulfil(LENIENT, Order(RARE, 3), Draw(seed=2), writer="parquet", out=tmp_path / "out", root=root)
    assert set(table.frame(tmp_path / "out")["source"]) == {real.index[real == RARE][0]}
    report.run(ReportSettings(), root)
    assert "made from it" in (root / "reports/index.html").read_text(encoding="utf-8")
    assert checkpoint.load_state(root / GENERATOR, "generator")[1]["conditioning"] is None


class Pixelwise:
    """A labeller whose features are the pixels, and that agrees with everything."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1).astype(np.float32)

    def both(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.features(pixels), np.ones((len(pixels), 1), np.float32)


def test_what_repeats_the_image_of_a_domain_that_it_started_from_is_a_copy() -> None:
    rng = np.random.default_rng(0)
    glyphs, other = (rng.integers(256, size=(6, 1, 8, 8), dtype=np.uint8) for _ in range(2))
    train = np.full((6, 1, 8, 8), 100, np.uint8)  # flat, four levels apart
    train += 4 * np.arange(6, dtype=np.uint8)[:, None, None, None]
    real, fonts = (
        Arrays(pixels, np.zeros(6, np.int64), [f"{name}{place}" for place in range(6)], ["a"])
        for name, pixels in (("real", train), ("font", glyphs))
    )
    judge: Any = Pixelwise()
    candidate_filter = Filter.fit(judge, real, probability=0.5, quantile=0.0, sources=fonts)
    candidates = np.concatenate([glyphs[:3], other[:3]])
    candidate_filter.start_class()
    accepted = candidate_filter.accept(candidates, 0, 6, fonts.ids)
    assert accepted.tolist() == [False] * 3 + [True] * 3
    assert candidate_filter.rejected["copy"] == 3
    candidate_filter.start_class()
    swapped = [*fonts.ids[1:3], fonts.ids[0], *fonts.ids[3:]]  # each looks like another's start
    assert candidate_filter.accept(candidates, 0, 6, swapped).all()
