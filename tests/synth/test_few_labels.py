"""A few labels and many images without: who may not be copied, and who teaches the filter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from augment.classifiers.classifier import Classifier
from augment.data import table
from augment.data.arrays import load_arrays
from augment.data.places import CLEAN
from augment.synth.inputs import prepare
from augment.synth.settings import SynthSettings
from augment.train import run as train
from augment.train.settings import TrainSettings

LABELLED = 2  # images of each class; the fixture has twelve


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, digits_table) -> Path:
    root = tmp_path_factory.mktemp("few")
    seen: dict[str, int] = {}
    with table.TableWriter(root / CLEAN) as writer:
        for row in table.rows(digits_table(root / "all")):
            if row["split"] == "train":
                seen[row["label"]] = number = seen.get(row["label"], 0) + 1
                row |= {"label": row["label"] if number <= LABELLED else None}
            writer.add(row)
    return root


def settings(labels: str) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "model": {"labels": labels}, "steps": 2, "every": 2, "batch": 16, "device": "cpu",
            "generator": {"width": 8}, "discriminator": {"width": 8}, "labeller": {"steps": 20},
        }
    )  # fmt: skip


@pytest.mark.parametrize(("labels", "taught"), [("half", 120), ("all", 10 * LABELLED)])
def test_guessed_labels_teach_the_labeller(
    root: Path, labels: str, taught: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    fit = train.fit_classifier

    def counted(pixels: np.ndarray, labels: np.ndarray, **options: object) -> Classifier:
        fitted.append(len(pixels))
        assert set(labels.tolist()) == set(range(10))
        return fit(pixels, labels, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(train, "fit_classifier", counted)
    train.run(settings(labels), root)
    assert fitted == [taught]


def test_an_image_without_a_label_may_not_be_copied(root: Path) -> None:
    train.run(settings("half"), root)
    lenient = SynthSettings(probability=0.0, copy_quantile=0.001)
    _, candidate_filter, labelled = prepare(lenient, root)
    assert len(labelled) == 10 * LABELLED
    every = load_arrays(root / CLEAN, split="train", origin="real", unlabelled=True)
    without = every.pixels[every.labels < 0]
    candidate_filter.start_class()
    accepted = candidate_filter.accept(without, 0, len(without))
    assert not accepted.any() and candidate_filter.rejected["copy"] == len(without) == 100
    assert len(candidate_filter.real_features("3")) == LABELLED
