"""Class heads, and the two uses that live on them: few labels, and none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from augment.codes import probe
from augment.codes import run as codes
from augment.codes.settings import CodesSettings
from augment.data import files, table
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import CLEAN, CODES, GENERATOR
from augment.models import class_head
from augment.models.base import Needs
from augment.models.generator import Generator, GeneratorError
from augment.registry import PartError
from augment.runtime import checkpoint
from augment.runtime.checkpoint import CheckpointError
from augment.train import run as train
from augment.train.settings import TrainSettings

LABELLED = 2  # train images of each digit that keep their label
TINY: dict[str, Any] = {
    "generator": {"width": 8},
    "discriminator": {"width": 8},
    "steps": 20,
    "every": 10,
    "batch": 16,
    "labeller": {"network": {"name": "cnn", "width": 8}, "steps": 10},
    "device": "cpu",
}

Digits = Callable[..., Path]


def params(use: str, **changes: Any) -> TrainSettings:
    model = {"noise": 8, "labels": use, **changes.pop("model", {})}
    return TrainSettings.model_validate(TINY | {"model": model} | changes)


def few_labels(root: Path, digits_table: Digits) -> Path:
    """Digits of which two train images a class keep their label, and valid lacks one."""
    whole = digits_table(root / "whole", per_class=10)
    seen: dict[tuple[str, str], int] = {}
    with table.TableWriter(root / CLEAN) as writer:
        for row in table.rows(whole):
            key = row["split"], row["label"]
            seen[key] = seen.get(key, 0) + 1
            open_ = row["split"] == "train" and seen[key] > LABELLED
            if open_ or key == ("valid", "0") and seen[key] == 1:
                row["label"] = None
            writer.add(row)
    return root


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, digits_table: Digits
) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Trains once for each use: the project, and the report."""
    runs: dict[tuple[str, int], tuple[Path, dict[str, Any]]] = {}

    def run(use: str, packing: int = 1) -> tuple[Path, dict[str, Any]]:
        if (use, packing) not in runs:
            root = few_labels(tmp_path_factory.mktemp(use), digits_table)
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(sys.modules, "dvclive.live", None)
                report = train.run(params(use, model={"packing": packing}), root)
            runs[use, packing] = root, report
        return runs[use, packing]

    return run


def images(root: Path, split: str, *, unlabelled: bool = False) -> Arrays:
    return load_arrays(root / CLEAN, split=split, origin="real", unlabelled=unlabelled)


def inferred(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / GENERATOR / "inferred.parquet")


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("use", ["all", "half", "none"])
def test_an_images_probabilities_are_its_own(
    trained: Callable[..., Any], use: str, packing: int
) -> None:
    root, _ = trained(use, packing)
    head, again = (class_head.load(root / GENERATOR, "cpu") for _ in range(2))
    assert head is not None and again is not None
    pixels = images(root, "train", unlabelled=True).pixels
    probabilities = head.predict(pixels)
    assert probabilities.shape == (60, 10) and probabilities.dtype == np.float32
    assert probabilities.min() >= 0 and probabilities.sum(1) == pytest.approx(np.ones(60), abs=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 1e-4  # images differ
    assert (again.predict(pixels) == probabilities).all()
    for places in ([0], [*range(7, 20)], [*range(60)][::-1]):
        assert head.predict(pixels[places]) == pytest.approx(probabilities[places], abs=1e-5)
    assert head.predict(pixels[:0]).shape == (0, 10)
    twice = np.concatenate([pixels, pixels])  # more than one chunk
    assert head.predict(twice) == pytest.approx(
        np.concatenate([probabilities, probabilities]), abs=1e-5
    )


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("use", ["all", "half"])
def test_what_is_saved_is_what_was_measured(
    trained: Callable[..., Any], use: str, packing: int
) -> None:
    root, report = trained(use, packing)
    head = class_head.load(root / GENERATOR, "cpu")
    assert head is not None
    valid = images(root, "valid")
    right = head.predict(valid.pixels).argmax(1) == valid.labels
    assert report["head_accuracy"] == right.mean()


def test_half_labels_every_unlabelled_train_image_and_no_other(
    trained: Callable[..., Any],
) -> None:
    root, report = trained("half")
    facts = table.frame(root / CLEAN)
    open_ = facts[facts["label"].isna() & (facts["split"] == "train")]
    guesses = inferred(root)
    assert list(guesses.columns) == ["id", "label", "probability"]
    assert sorted(guesses["id"]) == sorted(open_["id"]) and len(guesses) == 40
    assert set(guesses["label"]) <= set(report["classes"]) == {str(digit) for digit in range(10)}
    assert guesses["probability"].between(0.1, 1).all()
    counts = {"train": 20, "valid": 19, "unlabelled": 40, "by_domain": 0, "helpers": 0}
    assert report["images"] == counts

    head = class_head.load(root / GENERATOR, "cpu")
    assert head is not None
    pool = images(root, "train", unlabelled=True)
    by_id = dict(zip(pool.ids, head.predict(pool.pixels), strict=True))
    for row in guesses.itertuples():
        assert row.label == report["classes"][by_id[row.id].argmax()]
        assert row.probability == pytest.approx(by_id[row.id].max(), abs=1e-5)


def test_half_learns_from_its_labels(trained: Callable[..., Any]) -> None:
    _, report = trained("half")
    first, last = report["history"]
    assert last["d_class"] < first["d_class"]
    assert "d_q_real" not in first and "g_q_class" in first  # the others' labels are guessed


def test_half_without_guesses_learns_from_two_views(
    tmp_path: Path, digits_table: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dvclive.live", None)
    root = few_labels(tmp_path, digits_table)
    report = train.run(params("half", model={"pseudo_labels": "none"}), root)
    assert "d_q_real" in report["history"][0]


def test_half_without_unlabelled_images_learns_from_all(
    trained: Callable[..., Any],
    tmp_path: Path,
    digits_table: Digits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "dvclive.live", None)
    digits_table(tmp_path / CLEAN, per_class=5)
    report = train.run(params("half", steps=2), tmp_path)
    assert report["images"]["unlabelled"] == 0
    assert "d_class" in report["history"][0]
    assert len(inferred(tmp_path)) == 0
    root, _ = trained("half")
    empty, full = (
        pq.read_schema(one / GENERATOR / "inferred.parquet").remove_metadata()
        for one in (tmp_path, root)
    )
    assert empty == full


def test_all_infers_nothing(trained: Callable[..., Any]) -> None:
    root, report = trained("all")
    assert not (root / GENERATOR / "inferred.parquet").exists()
    counts = {"train": 20, "valid": 19, "unlabelled": 0, "by_domain": 0, "helpers": 0}
    assert report["images"] == counts


def test_none_samples_no_class_before_its_codes_are_matched(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "BUDGET", 100)
    root, report = trained("none")
    assert "head_accuracy" not in report
    assert not (root / GENERATOR / "inferred.parquet").exists()
    assert report["images"]["unlabelled"] == 40
    generator = Generator.load(root / GENERATOR, device="cpu")
    assert not generator.matched and generator.categories == 10
    with pytest.raises(GeneratorError, match="class '3': .* run `augment codes`"):
        generator.sample("3", 1)

    matched = codes.run(CodesSettings(), root)
    generator = Generator.load(root / GENERATOR, device="cpu")
    assert generator.sample("3", 2).shape == (2, 1, 8, 8)
    assert sorted(sum(matched["classes"].values(), [])) == list(range(10))

    written = json.loads((root / CODES).read_text())
    files.write_json(root / CODES, written | {"generator": "0" * 64})  # of another generator
    with pytest.raises(GeneratorError, match="run `augment codes`"):
        Generator.load(root / GENERATOR, device="cpu").sample("3", 1)
    files.write_json(root / CODES, written)


def test_labels_are_not_looked_at_where_there_are_none(
    trained: Callable[..., Any], tmp_path: Path, digits_table: Digits
) -> None:
    """The pool of ``none`` is all train images, and no label of theirs."""
    root, _ = trained("none")
    data = images(root, "train")
    pool = train.load_pool(Needs(labels="none"), data, root / CLEAN)
    assert len(pool) == 60 and (pool.labels == -1).all()
    half = train.load_pool(Needs(labels="half"), data, root / CLEAN)
    assert sorted(half.ids) == sorted(pool.ids)
    assert (half.labels >= 0).sum() == 20 and half.classes == data.classes
    assert train.load_pool(Needs(), data, root / CLEAN) is data


def test_where_there_is_no_head_there_is_none(tmp_path: Path) -> None:
    assert class_head.load(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"discriminator": {"name": "mlp"}}, {"conditions": 7}, {"shape": [8, 8]}]
)
def test_a_head_of_other_facts_is_refused(
    trained: Callable[..., Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    root, _ = trained("half")
    tensors, meta = checkpoint.load_state(root / GENERATOR, "head")
    checkpoint.save_state(tmp_path, "head", tensors, meta | change)
    with pytest.raises(CheckpointError, match=r"head\.json: is no class head"):
        class_head.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditioning": {"discriminator": "concat"}}, r"^train\.conditioning\.discriminator: "),
        ({"conditioning": {"discriminator": "embed"}}, r"^train\.conditioning\.discriminator: "),
        ({"model": {"categories": 5}}, "option 'categories' goes with labels: none"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(
    tmp_path: Path, digits_table: Digits, changes: dict[str, Any], message: str
) -> None:
    digits_table(tmp_path / CLEAN, per_class=5)
    with pytest.raises(PartError, match=message):
        train.run(params("all", **changes), tmp_path)
    assert not (tmp_path / ".augment").exists()
