from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augment.classifiers import judge
from augment.classifiers.fit import fit_classifier
from augment.data import arrays, images, table
from augment.data.arrays import DatasetError
from augment.data.table import TableError
from augment.errors import AugmentError
from augment.registry import PartError
from augment.score import run as score
from augment.score.scores.base import SCORES, ScoreError
from augment.score.settings import ScoreSettings
from augment.score.uplift import learners

COUNTS = {"train": 30, "valid": 6, "test": 12}
CLASSES = ["2", "10", "é/b"]
FILES = ["confusion.csv", "per_class.csv", "score.json"]


def banded(count: int, seed: int, size: int = 8) -> tuple[np.ndarray, list[str]]:
    """Noise with one brighter band a class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 128, (count, size, size), dtype=np.uint8)
    for place in range(count):
        pixels[place, 2 * (place % 3) : 2 * (place % 3) + 2] += 127
    return pixels, [CLASSES[place % 3] for place in range(count)]


def write(folder: Path, origin: str, parts: list[tuple]) -> None:
    with table.TableWriter(folder, overwrite=True) as writer:
        index = 0
        for split, pixels, labels in parts:
            for image, label in zip(pixels, labels, strict=True):
                height, width = image.shape[:2]
                writer.add(
                    {
                        "id": f"{origin}-{index}",
                        "image": {"bytes": images.encode(image), "path": None},
                        "label": label,
                        "split": split,
                        "origin": origin,
                        "width": width,
                        "height": height,
                        "mode": "L",
                    }
                )
                index += 1


def write_real(root: Path, **counts: int) -> None:
    parts = [
        (split, *banded(counts.get(split, count), seed))
        for seed, (split, count) in enumerate(COUNTS.items())
    ]
    write(root / "data/clean", "real", parts)


def write_synthetic(root: Path, count: int = 33, seed: int = 9, size: int = 8) -> None:
    write(root / "data/synthetic", "synthetic", [("train", *banded(count, seed, size))])


def params(**options: Any) -> ScoreSettings:
    settings = {"steps": 12, "batch": 8, "device": "cpu", **options}
    return ScoreSettings.model_validate(settings)


def outputs(root: Path) -> dict[str, bytes]:
    return {name: (root / "reports" / name).read_bytes() for name in FILES}


@pytest.fixture
def root(tmp_path) -> Path:
    write_real(tmp_path)
    write_synthetic(tmp_path)
    return tmp_path


@pytest.fixture
def fits(monkeypatch) -> list[np.ndarray]:
    """The images that each call of fit_classifier sees."""
    seen: list[np.ndarray] = []
    real = fit_classifier

    def note(pixels, labels, **options):
        seen.append(pixels)
        return real(pixels, labels, **options)

    for module in (judge, learners):
        monkeypatch.setattr(module, "fit_classifier", note)
    return seen


def test_the_report_has_the_agreed_names(root):
    report = score.run(params(), root)
    assert list(report) == [
        "fid",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
        "diversity",
        "duplicate_fraction",
        "label_accuracy",
        "near_copy_fraction",
        "authenticity",
        "floor",
        "per_class",
        "uplift",
        "settings",
    ]
    assert json.loads((root / "reports/score.json").read_text()) == report
    assert set(report["floor"]) == set(report) - {"floor", "per_class", "uplift", "settings"}
    assert list(report["per_class"]) == CLASSES
    assert set(report["per_class"]["2"]) == {
        "kid",
        "density",
        "coverage",
        "diversity",
        "duplicate_fraction",
        "label_accuracy",
        "near_copy_fraction",
        "authenticity",
    }
    uplift = report["uplift"]
    assert list(uplift) == [
        "classic",
        "written",
        "gain",
        "seeds",
        "steps",
        "arms",
        "policy",
        "adopted",
        "dose",
        "chosen_on",
        "low",
        "high",
        "mcnemar",
        "verdict",
        "per_class",
        "parts",
        "samples",
        "learning_curve",
        "equal_images",
        "data_multiplier",
        "controls",
        "confusion",
    ]
    assert uplift["seeds"] == [0, 1, 2] and uplift["policy"] == "elastic"
    assert uplift["steps"] == 4  # a third of score.steps
    assert list(uplift["arms"]) == ["classic", "synthetic@0.5", "synthetic@1"]
    assert list(uplift["per_class"]) == CLASSES
    assert uplift["adopted"] is False and uplift["controls"] == {}
    assert list(uplift["parts"]) == ["synthetic"] and uplift["samples"]["dose"] in (0.5, 1)
    for arm in ("classic", "written", "gain"):
        assert len(uplift[arm]["values"]) == 3
        assert uplift[arm]["mean"] == pytest.approx(np.mean(uplift[arm]["values"]))


def test_the_tables(root):
    report = score.run(params(scores=["labels"]), root)
    with open(root / "reports/confusion.csv", encoding="utf-8", newline="") as file:
        confusion = list(csv.DictReader(file))
    assert [row["actual"] for row in confusion] == banded(33, 9)[1]
    right = np.mean([row["actual"] == row["predicted"] for row in confusion])
    assert report["label_accuracy"] == pytest.approx(right)
    with open(root / "reports/per_class.csv", encoding="utf-8", newline="") as file:
        by_class = list(csv.DictReader(file))
    assert [row["label"] for row in by_class] == CLASSES
    assert [(row["train"], row["synthetic"]) for row in by_class] == [("10", "11")] * 3
    for row in by_class:
        expected = report["per_class"][row["label"]]["label_accuracy"]
        assert float(row["label_accuracy"]) == pytest.approx(expected)


def test_twice_the_same_bytes_and_the_second_time_from_the_cache(root, fits):
    score.run(params(), root)
    first = outputs(root)
    assert len(fits) == 1 + 3 * 3
    score.run(params(), root)
    assert outputs(root) == first and len(fits) == 10
    shutil.rmtree(root / ".augment")
    score.run(params(), root)
    assert outputs(root) == first and len(fits) == 20


def test_a_damaged_cache_does_not_matter(root):
    score.run(params(), root)
    first = outputs(root)
    for path in (root / ".augment").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:-9])
    score.run(params(), root)
    assert outputs(root) == first


def test_new_samples_cost_only_their_own_arm(root, fits):
    score.run(params(), root)
    del fits[:]
    write_synthetic(root, seed=10)
    score.run(params(), root)
    assert [len(pixels) for pixels in fits] == [30 + 15] * 3 + [30 + 30] * 3


def test_training_sees_neither_valid_nor_test(root, fits):
    score.run(params(), root)
    held = {image.tobytes() for seed in (1, 2) for image in banded(12, seed)[0]}
    assert len(held) == 24
    assert not held & {image.tobytes() for pixels in fits for image in pixels}
    assert np.array_equal(fits[0][:, 0], banded(30, 0)[0])  # the judge: real train images alone


def test_copies_are_caught(root):
    write(root / "data/synthetic", "synthetic", [("train", *banded(30, 0))])
    report = score.run(params(scores=["memorisation", "fidelity"]), root)
    assert report["near_copy_fraction"] == 1 and report["authenticity"] == 0
    assert report["fid"] == pytest.approx(0, abs=1e-3) and report["coverage"] == 1


def test_terrible_samples_are_scored_too(root):
    pixels, labels = banded(9, 3)
    write(root / "data/synthetic", "synthetic", [("train", 0 * pixels, labels)])
    report = score.run(params(), root)
    assert report["diversity"] == 0 and report["duplicate_fraction"] == 1
    assert report["label_accuracy"] == pytest.approx(1 / 3)
    write(root / "data/synthetic", "synthetic", [])
    score.run(params(), root)
    written = json.loads((root / "reports/score.json").read_text())
    assert written["fid"] is None and written["floor"]["fid"] > 0
    assert written["uplift"]["gain"]["values"] == [0, 0, 0] and written["uplift"]["dose"] == 0
    assert list(written["uplift"]["arms"]) == ["classic"]


def test_without_a_test_split_there_is_no_uplift_number(root):
    write_real(root, test=0, valid=0)
    report = score.run(params(), root)
    assert np.isnan(report["uplift"]["gain"]["mean"]) and np.isnan(report["floor"]["kid"])
    written = json.loads((root / "reports/score.json").read_text())["uplift"]
    assert written["gain"]["mean"] is None and written["verdict"] is None
    assert written["mcnemar"] is None and written["per_class"]["2"]["low"] is None


def test_the_long_form_shares_what_was_fitted(root, fits):
    score.run(params(), root)
    del fits[:]
    longer = params(uplift={"arms": ["real", "synthetic", "perturbed"], "learning_curve": [0.5]})
    report = score.prove(longer, root)
    assert json.loads((root / "reports/uplift.json").read_text()) == report
    assert [len(pixels) for pixels in fits] == [30] * 3 + [60] * 3 + [15] * 3
    assert list(report["controls"]) == ["perturbed"]
    assert [point["images"] for point in report["learning_curve"]] == [15, 30]


def test_unlabelled_and_adopted_images_make_arms(root, fits):
    (real, labels), (more, _) = banded(30, 0), banded(9, 5)
    held = [(split, *banded(12, seed)) for seed, split in ((1, "valid"), (2, "test"))]
    write(
        root / "data/clean", "real", [("train", real, labels), ("train", more, [None] * 9), *held]
    )
    write(root / "data/adopted", "real", [("train", *banded(4, 6))])
    arms = ["pseudo_labels", "adopted", "adopted+synthetic"]
    report = score.prove(params(uplift={"arms": arms, "seeds": 1, "doses": [1]}), root)
    assert list(report["arms"]) == ["classic", "pseudo_labels", "adopted", "adopted+synthetic@1"]
    assert list(report["parts"]) == ["adopted", "pseudo_labels", "adopted+synthetic"]
    verdicts = {part["verdict"] for part in report["parts"].values()}
    assert verdicts <= {"helps", "no difference", "harms"}
    assert [len(pixels) for pixels in fits][-2:] == [30 + 4, 30 + 4 + 30]
    write(root / "data/adopted", "real", [])
    report = score.prove(params(uplift={"arms": arms, "seeds": 1, "doses": [1]}), root)
    assert list(report["arms"]) == ["classic", "pseudo_labels"] and report["adopted"] is False
    assert list(report["parts"]) == ["pseudo_labels"] and report["samples"] is None


def test_more_images_than_the_setting_are_a_sample(root, fits, monkeypatch, capsys):
    write_real(root, train=120)
    write_synthetic(root, count=240)
    plain = params(scores=["labels", "uplift"], uplift={"doses": [1, 2], "seeds": 1})
    whole = score.run(plain, root)
    assert "sampled" not in whole and "images" not in whole["settings"]
    assert "score:" not in capsys.readouterr().err
    monkeypatch.setattr(arrays, "LARGE", 0)
    few = plain.model_copy(update={"images": 60})
    del fits[:]
    report = score.run(few, root)
    judged = {"train": {"images": 60, "of": 120}, "synthetic": {"images": 120, "of": 240}}
    assert report["sampled"] == judged
    assert report["settings"] == whole["settings"] | {"images": 60}
    assert "score: judged on 60 of 120 train images (score.images)\n" in capsys.readouterr().err
    assert [len(pixels) for pixels in fits] == [60] * 2 + [120, 180]  # judge, classic, doses
    assert not any(isinstance(pixels, np.memmap) for pixels in fits)
    before = outputs(root)
    score.run(few, root)
    assert outputs(root) == before
    assert score.prove(few, root)["sampled"] == judged
    score.run(few.model_copy(update={"seed": 1}), root)
    assert outputs(root)["confusion.csv"] != before["confusion.csv"]


def test_images_of_every_kind_are_a_sample(root, capsys):
    """Class é/b has adopted images alone, which join the train images."""
    pixels, labels = banded(120, 0)
    labels = [None if label == CLASSES[2] else label for label in labels]
    held = [("valid", *banded(60, 1)), ("test", *banded(90, 2))]
    write(root / "data/clean", "real", [("train", pixels, labels), *held])
    more, names = banded(90, 6)
    write(root / "data/adopted", "adopted", [("train", more[2::3], names[2::3])])
    uplift = {"arms": ["pseudo_labels"], "seeds": 1}
    report = score.run(params(scores=["uplift"], images=20, uplift=uplift), root)
    assert report["sampled"] == {
        "train": {"images": 20, "of": 80},
        "adopted": {"images": 10, "of": 30},
        "valid": {"images": 30, "of": 60},  # never fewer than 10 of a class
        "test": {"images": 30, "of": 90},
        "unlabelled": {"images": 20, "of": 40},
        "synthetic": {"images": 30, "of": 33},
    }
    assert "score: judged on 10 of 30 adopted images (score.images)" in capsys.readouterr().err


def test_a_class_without_samples(root):
    pixels, labels = banded(9, 3)
    write(root / "data/synthetic", "synthetic", [("train", pixels[:1], labels[:1])])
    report = score.run(params(scores=["fidelity", "diversity", "labels", "memorisation"]), root)
    assert np.isnan(report["per_class"]["10"]["label_accuracy"])
    assert report["per_class"]["2"]["label_accuracy"] in (0, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scores": ["fidelty"]}, PartError, "unknown score 'fidelty'; known: diversity"),
        ({"scores": [{"name": "fidelity", "k": 3}]}, PartError, "unknown option 'k'"),
        ({"scores": [{"name": "fidelity", "neighbours": 0}]}, PartError, "neighbours"),
        ({"judge": "vgg"}, PartError, "unknown classifier 'vgg'"),
        ({"device": "tpu9"}, AugmentError, "tpu9"),
        ({"inception": "none.pth"}, ScoreError, "score.inception: .*none.pth: no such file"),
        (
            {"scores": [{"name": "inception", "weights": "gone.pth"}]},
            ScoreError,
            "gone.pth: no such file",
        ),
    ],
)
def test_wrong_settings_stop_before_any_work(tmp_path, options, error, message):
    with pytest.raises(error, match=message):  # not the missing tables
        score.run(params(**options), tmp_path)
    assert not any(tmp_path.iterdir())


def test_missing_inputs(root):
    shutil.rmtree(root / "data/synthetic")
    with pytest.raises(TableError, match="data/synthetic: no sample table"):
        score.run(params(), root)
    write_synthetic(root)
    shutil.rmtree(root / "data/clean")
    with pytest.raises(TableError, match="data/clean: no sample table"):
        score.run(params(), root)


def test_inputs_that_do_not_fit(root):
    write_synthetic(root, size=12)
    with pytest.raises(DatasetError, match=r"data/synthetic: .* is \(1, 12, 12\), not \(1, 8, 8\)"):
        score.run(params(), root)
    write(root / "data/synthetic", "synthetic", [("train", banded(1, 0)[0], ["x"])])
    with pytest.raises(DatasetError, match="label 'x'"):
        score.run(params(), root)
    write_real(root, train=0)
    with pytest.raises(ScoreError, match="data/clean: no labelled image in the train split"):
        score.run(params(), root)
    assert not (root / "reports/score.json").exists()


def test_inception_is_asked_for_by_its_file(root, monkeypatch):
    from augment.score.scores import via_torch_fidelity

    paths: list[Path] = []

    def extract(pixels, weights, cuda):
        paths.append(weights)
        rows = pixels[:, 0, 0].astype(np.float32)
        return rows, rows[:, :2]

    monkeypatch.setattr(via_torch_fidelity, "inception", extract)
    monkeypatch.setattr(via_torch_fidelity, "read_weights", lambda path: None)
    report = score.run(params(scores=["labels"], inception="weights.pth"), root)
    assert paths == [root / "weights.pth"] * 3
    declared = SCORES.describe("inception").facts["keys"].keys()
    assert declared | {"label_accuracy"} == report.keys() - {"floor", "per_class", "settings"}
    assert declared | {"label_accuracy"} == report["floor"].keys()
