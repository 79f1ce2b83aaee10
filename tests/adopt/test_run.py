"""Adopting: real digits get right labels, calibrated on valid; nobody looks at the test split."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.adopt import calibration, combine
from augment.adopt import run as adopt
from augment.adopt.combine import AdoptError, Held, Opinion
from augment.adopt.opinions import OPINIONS, Pool
from augment.adopt.settings import AdoptSettings
from augment.classifiers import fit, other_domain
from augment.data import files, images, table
from augment.data.arrays import Arrays
from augment.data.places import ADOPTED, CLEAN, REPORTS
from augment.models import class_head
from augment.readers import builtin

CLASSES = [str(digit) for digit in range(10)]
QUICK = {"steps": 60, "rounds": 1, "device": "cpu"}


class Blank:
    """A class head that knows the digits' names and nothing else."""

    classes = CLASSES

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), 10), 0.1, np.float32)


def digits(root: Path, *, labelled: int, valid: int, unlabelled: int) -> dict[str, str]:
    """A cleaned table of real digits, ``labelled`` and ``valid`` of each class; gives the truth."""
    pixels, labels = builtin.digits()
    truth: dict[str, str] = {}
    seen: dict[str, int] = {}
    with table.TableWriter(root / CLEAN) as out:
        for place, (image, label) in enumerate(zip(pixels, map(str, labels), strict=True)):
            number = seen[label] = seen.get(label, 0) + 1
            split = "train" if number <= labelled else "valid"
            row = {"id": f"{place:04}", "label": label, "split": split, "origin": "real"}
            if number > labelled + valid:
                row |= {"label": None, "split": "train"} if len(truth) < unlabelled else {
                    "split": "test"
                }  # fmt: skip
            if row["label"] is None:
                truth[row["id"]] = label
            encoded = images.encode(image)
            out.add(
                row
                | {"image": {"bytes": encoded, "path": ""}, "width": 8, "height": 8, "mode": "L"}
            )
    return truth


def params(**changes: Any) -> AdoptSettings:
    return AdoptSettings.model_validate(QUICK | changes)


def pool(count: int = 200, **changes: Any) -> tuple[Pool, np.ndarray]:
    """Real digits, and what they are."""
    pixels, labels = builtin.digits()
    facts: dict[str, Any] = {
        "upright": True, "home": Path("nowhere"), "device": torch.device("cpu"),
        "steps": 40, "rounds": 1, "batch": 64, "seed": 0,
    }  # fmt: skip
    return Pool(pixels[:count, None], CLASSES, **(facts | changes)), labels[:count]


def few(labels: np.ndarray, count: int) -> np.ndarray:
    """All labels but the first ``count`` of each class are -1."""
    kept = np.full_like(labels, -1)
    for label in range(10):
        kept[np.flatnonzero(labels == label)[:count]] = label
    return kept


def printed(start: int, end: int) -> Arrays:
    """Other digits, dark on light: what another domain is here."""
    pixels, labels = builtin.digits()
    ids = [f"p{place}" for place in range(start, end)]
    shown = slice(start, end)
    return Arrays(255 - pixels[shown, None], labels[shown].astype(np.int64), ids, CLASSES)


def with_domain(root: Path, domain: Arrays) -> None:
    """Add the images of a domain to a cleaned table."""
    rows = list(table.rows(root / CLEAN))
    with table.TableWriter(root / CLEAN, overwrite=True) as out:
        for row in rows:
            out.add(row)
        for name, image, label in zip(domain.ids, domain.pixels, domain.labels, strict=True):
            out.add(rows[0] | {
                "id": name, "image": {"bytes": images.encode(image[0]), "path": ""},
                "label": domain.classes[label], "split": "train", "domain": "printed",
            })  # fmt: skip


def report(root: Path) -> dict[str, Any]:
    written: dict[str, Any] = json.loads((root / REPORTS / "adopt.json").read_text())
    return written


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits of 8 × 8 need fewer steps of the other domain's networks, and one round."""
    monkeypatch.setattr(other_domain, "STEPS", 200)
    monkeypatch.setattr(other_domain, "ROUNDS", other_domain.ROUNDS[:1])


# opinions: least accuracy on 300 digits of which five a class are labelled

LEAST = {"graph": 0.9, "domain": 0.8, "self_training": 0.85, "head": 0.09}


def test_every_opinion_has_a_row() -> None:
    assert set(OPINIONS.names()) == set(LEAST)


@pytest.mark.parametrize("name", sorted(LEAST))
def test_an_opinion_is_a_probability_for_each_image(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_head, "load", lambda *_: Blank())
    domain = printed(1000, 1400) if name == "domain" else None
    count = 600 if domain else 300
    pooled, labels = pool(count, domain=domain)
    probabilities = OPINIONS.build(name)(pooled, few(labels, 5))
    assert probabilities.shape == (count, 10) and probabilities.dtype == np.float64
    assert probabilities.min() >= 0
    assert probabilities.sum(1) == pytest.approx(np.ones(count), abs=1e-4)
    assert (probabilities.argmax(1) == labels).mean() >= LEAST[name]
    again = OPINIONS.build(name)(pool(count, domain=domain)[0], few(labels, 5))
    assert (again == probabilities).all()
    changed = few(labels, 5)
    changed[labels == 3] = -1  # without a label of a class only a domain says that it is one
    if name == "domain":
        assert (OPINIONS.build(name)(pooled, changed) == probabilities).all()
    elif OPINIONS.describe(name).facts["hides"]:
        assert (OPINIONS.build(name)(pooled, changed).argmax(1) != 3).all()


def test_self_training_may_start_from_labels_alone_and_takes_what_it_is_sure_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pooled, labels = pool(300, rounds=2, steps=60)
    shown: list[np.ndarray] = []
    taught = fit.fit_classifier

    def watched(pixels: np.ndarray, targets: np.ndarray, **options: Any) -> Any:
        shown.append(targets)
        return taught(pixels, targets, **options)

    monkeypatch.setattr(fit, "fit_classifier", watched)
    OPINIONS.build({"name": "self_training", "start": "labels"})(pooled, few(labels, 5))
    assert len(shown[0]) == 50 < len(shown[1]) <= 300
    shown.clear()
    OPINIONS.build({"name": "self_training", "sure": 1.0})(pooled, few(labels, 5))
    assert len(shown[0]) == 300 and 50 <= len(shown[1]) < 300


def test_a_head_of_other_classes_or_of_none_has_no_opinion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pooled, labels = pool(20)
    assert OPINIONS.build("head")(pooled, labels) is None  # there is none
    for classes in (None, CLASSES[:9]):
        monkeypatch.setattr(Blank, "classes", classes)
        monkeypatch.setattr(class_head, "load", lambda *_: Blank())
        assert OPINIONS.build("head")(pooled, labels) is None


# combinations


def opinion(*rows: list[float]) -> Opinion:
    return Opinion(np.array(rows), np.array(rows))


def test_agreement_and_mean_in_closed_form() -> None:
    ways = combine.combinations({"a": opinion([0.8, 0.1, 0.1]), "b": opinion([0.2, 0.7, 0.1])})
    assert list(ways) == ["agreement", "mean", "a", "b"]
    least = np.array([0.2, 0.1, 0.1])
    assert ways["agreement"].pool[0] == pytest.approx(least / least.sum())
    roots = np.sqrt([0.16, 0.07, 0.01])
    assert ways["mean"].held[0] == pytest.approx(roots / roots.sum())
    assert list(combine.combinations({"a": opinion([1.0, 0.0])})) == ["a"]


def test_the_best_on_held_images_is_chosen_and_a_bad_opinion_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    good = np.eye(3)[labels] * 0.8 + 0.2 / 3
    good[::5] = np.roll(good[::5], 1, axis=1)  # a fifth is wrong
    bad = rng.dirichlet([1, 1, 1], 300)
    held = Held(np.arange(300), labels, "valid")
    both = {"bad": opinion(*bad.tolist()), "good": opinion(*good.tolist())}
    best, combination = combine.combine(both, held)
    assert combination.opinions is not None
    assert combination.opinions["good"]["accuracy"] == pytest.approx(0.8)
    assert combination.calibration_error is not None and combination.calibration_error < 0.05
    assert (best.held.argmax(1) == labels).mean() >= 0.79
    sharp = Opinion(*[calibration.tempered(good, 0.2)] * 2)
    best, combination = combine.combine({"good": sharp}, held)
    assert combination.method == "good" and combination.opinions is not None
    assert combination.temperature == combination.opinions["good"]["temperature"] > 4
    assert best.held.max(1).mean() == pytest.approx(0.8, abs=0.01)
    assert combination.calibration_error is not None and combination.calibration_error < 0.01
    assert combination.calibration_error_before == pytest.approx(0.2, abs=0.01)


def test_without_held_images_opinions_must_agree() -> None:
    held = Held(np.arange(0), np.arange(0), None)
    best, combination = combine.combine({"a": opinion([0.9, 0.1]), "b": opinion([0.3, 0.7])}, held)
    assert combination == calibration.Combination("agreement")
    assert best.pool[0] == pytest.approx([0.75, 0.25])


# what is held


def test_valid_is_held_and_train_images_where_it_is_too_small() -> None:
    train = np.repeat([0, 1, 2, -1], [9, 9, 1, 5])
    held = combine.hold_out(train, np.zeros(20, np.int64), 0)
    assert held.source == "valid" and held.places.tolist() == list(range(24, 44))
    held = combine.hold_out(train, np.array([2, 1]), 0)
    assert held.source is not None and "hidden in turn" in held.source
    assert sorted(held.places) == [*range(18), 24, 25]  # the only image of class 2 stays
    assert dict(zip(held.places, held.labels, strict=True)) == {
        **{place: int(train[place]) for place in range(18)}, 24: 2, 25: 1,
    }  # fmt: skip
    held = combine.hold_out(train, np.array([2]), 0)  # 19 in all
    assert held.source is None and held.places.tolist() == [24]
    folds = combine.folds(train, 0)
    assert sorted(np.concatenate(folds)) == list(range(18))
    for fold in folds:
        assert np.bincount(train[fold]).tolist() == [3, 3]


def test_held_labels_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An opinion that knows a label it was told by heart tells nothing of held images."""
    told: list[np.ndarray] = []

    def parrot(_: Pool, labels: np.ndarray) -> np.ndarray:
        told.append(labels.copy())
        return np.where(labels[:, None] >= 0, np.eye(11)[labels][:, :10], 0.1)

    monkeypatch.setattr(OPINIONS, "build", lambda spec: parrot)
    pooled, labels = pool(130)
    train = few(labels, 3)
    _, combination = combine.label_pool(pooled, train[:100], labels[100:], ["graph"])
    assert len(told) == 1 and (told[0][100:] == -1).all()
    assert combination.opinions is not None and combination.opinions["graph"]["accuracy"] < 0.3
    assert (combination.held_out, combination.valid, combination.calibrated_on) == (30, 30, "valid")
    told.clear()
    probabilities, combination = combine.label_pool(pooled, train, labels[:0], ["graph"])
    assert combination.opinions is not None and combination.opinions["graph"]["accuracy"] < 0.3
    assert (combination.held_out, combination.valid, combination.accuracy_valid) == (30, 0, None)
    assert len(told) == 1 + combine.FOLDS and (told[0] == train).all()
    assert (probabilities[train >= 0].argmax(1) == labels[train >= 0]).all()


def test_the_head_is_not_asked_about_labels_it_has_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(class_head, "load", lambda *_: Blank())
    pooled, labels = pool(130)
    _, combination = combine.label_pool(
        pooled, few(labels, 3)[:100], labels[100:], ["graph", "head"]
    )
    assert set(combination.opinions or ()) == {"graph", "head"}
    _, combination = combine.label_pool(pooled, few(labels, 3), labels[:0], ["graph", "head"])
    assert set(combination.opinions or ()) == {"graph"}
    with pytest.raises(AdoptError, match=r"adopt\.labellers: none .*; add graph"):
        combine.label_pool(pooled, few(labels, 3), labels[:0], ["head"])
    with pytest.raises(AdoptError, match="'graph' stands twice"):
        combine.label_pool(pooled, labels, labels[:0], ["graph", {"name": "graph"}])


# the stage


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    root = tmp_path_factory.mktemp("adopted")
    truth = digits(root, labelled=10, valid=10, unlabelled=1000)
    adopt.run(params(labellers=["graph", "head", "self_training"], steps=120), root)
    return root, truth


def test_adopted_labels_of_real_digits_are_right(adopted: tuple[Path, Mapping[str, str]]) -> None:
    root, truth = adopted
    facts = table.frame(root / ADOPTED)
    right = facts["label"] == facts["id"].map(truth)
    assert len(facts) >= 900 and right.mean() >= 0.93
    sure = facts["label_probability"] >= 0.95
    assert 400 <= sure.sum() <= 900 and right[sure].mean() >= 0.95  # the hard ones come as well
    assert facts["label_probability"].mean() == pytest.approx(right.mean(), abs=0.05)
    assert table.validate(root / ADOPTED) == len(facts)
    assert set(facts["split"]) == {"train"} and set(facts["origin"]) == {"real"}
    assert set(facts["label_source"]) == {"inferred"}
    assert facts["label_probability"].between(0.65, 1).all()
    assert facts["id"].is_monotonic_increasing and set(facts["id"]) <= set(truth)


def test_the_report_says_how(adopted: tuple[Path, Mapping[str, str]]) -> None:
    root, truth = adopted
    written = report(root)
    facts = table.frame(root / ADOPTED)
    assert (written["unlabelled"], written["adopted"]) == (len(truth), len(facts))
    counts = facts["label"].value_counts()
    assert written["per_class"] == {name: int(counts.get(name, 0)) for name in CLASSES}
    assert written["method"] in ("agreement", "mean", "graph", "self_training")
    assert written["calibrated_on"] == "valid" and written["held_out"] == written["valid"] == 100
    assert written["calibration_error"] < 0.06 and written["threshold"] == 0.65
    assert written["accuracy_valid"] >= 0.93 and written["temperature"] > 0
    assert set(written["opinions"]) == {"graph", "self_training"}


def test_images_stay_as_they_were(adopted: tuple[Path, Mapping[str, str]]) -> None:
    root, _ = adopted
    clean = {row["id"]: row for row in table.rows(root / CLEAN)}
    for row in table.rows(root / ADOPTED):
        before = clean[row["id"]]
        changed = {name for name in row if row[name] != before[name]}
        assert changed == {"label", "label_source", "label_probability"}


def test_the_test_split_changes_nothing(tmp_path: Path) -> None:
    settings = params(labellers=["graph"])
    digits(tmp_path / "one", labelled=5, valid=5, unlabelled=300)
    with table.TableWriter(tmp_path / "two" / CLEAN) as out:
        for row in table.rows(tmp_path / "one" / CLEAN):
            out.add(row | ({"label": "0"} if row["split"] == "test" else {}))
    for name in ("one", "two"):
        adopt.run(settings, tmp_path / name)
    same = [files.digest_of_folder(tmp_path / name / ADOPTED) for name in ("one", "two")]
    assert same[0] == same[1] and report(tmp_path / "one") == report(tmp_path / "two")


def test_of_very_many_images_a_sample_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = digits(tmp_path, labelled=20, valid=25, unlabelled=400)
    options = {"labellers": ["graph"], "probability": 0.0}
    assert "sampled" not in adopt.run(params(**options), tmp_path)
    assert set(table.frame(tmp_path / ADOPTED, ["id"])["id"]) == set(truth)
    assert "adopt.images" not in capsys.readouterr().err
    written = adopt.run(params(**options, images=150), tmp_path)
    assert written["unlabelled"] == 400 and written["valid"] == 150
    assert written["sampled"] == {
        "labelled": {"images": 150, "of": 200},
        "unlabelled": {"images": 150, "of": 400},
        "valid": {"images": 150, "of": 250},
    }
    ids = list(table.frame(tmp_path / ADOPTED, ["id"])["id"])
    assert written["adopted"] == len(ids) == 150 and set(ids) < set(truth) and ids == sorted(ids)
    told = capsys.readouterr().err
    assert "adopt: 150 of 400 unlabelled images are looked at (adopt.images)\n" in told
    assert "adopt: 150 of 200 labelled images are looked at (adopt.images)\n" in told


def test_without_valid_images_the_report_says_so(tmp_path: Path) -> None:
    truth = digits(tmp_path, labelled=1, valid=0, unlabelled=300)
    written = adopt.run(params(labellers=["graph"], probability=0.5), tmp_path)
    assert (written["valid"], written["accuracy_valid"], written["temperature"]) == (0, None, None)
    assert written["calibrated_on"] is None and written["calibration_error"] is None
    facts = table.frame(tmp_path / ADOPTED)
    assert len(facts) == written["adopted"] > 30
    assert (facts["label"] == facts["id"].map(truth)).mean() >= 0.9


def test_nothing_unlabelled_is_an_empty_table_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "augment.adopt.label", None)  # whose import would raise
    digits(tmp_path, labelled=3, valid=3, unlabelled=0)
    written = adopt.run(params(device="nowhere"), tmp_path)
    assert table.count(tmp_path / ADOPTED) == 0 and report(tmp_path) == written
    assert (written["unlabelled"], written["adopted"], written["method"]) == (0, 0, None)
    assert written["per_class"] == dict.fromkeys(CLASSES, 0)


def test_a_label_to_start_from_is_needed(tmp_path: Path, digits_table: Callable[..., Path]) -> None:
    with table.TableWriter(tmp_path / CLEAN) as out:
        for row in table.rows(digits_table(tmp_path / "whole", per_class=5)):
            keep = row["split"] != "train" or row["label"] == "0"
            out.add(row if keep else row | {"label": None})
    with pytest.raises(AdoptError, match=r"data/clean: no two classes with a labelled image"):
        adopt.run(params(), tmp_path)


# another domain


def test_without_a_label_the_domain_s_seeds_start(tmp_path: Path) -> None:
    """Not one label: the domain names the classes, and what is adopted is as right as it says."""
    truth = digits(tmp_path, labelled=0, valid=0, unlabelled=600)
    with_domain(tmp_path, printed(1000, 1400))
    written = adopt.run(params(steps=120), tmp_path)
    facts = table.frame(tmp_path / ADOPTED)
    right = facts["label"] == facts["id"].map(truth)
    assert len(facts) == written["adopted"] >= 450 and right.mean() >= 0.93
    assert facts["label_probability"].mean() <= right.mean() + 0.03
    assert set(facts["id"]) <= set(truth)  # no image of the domain
    assert written["domain"]["seeds"] >= 100 and written["domain"]["checked"] == 0
    assert written["domain"]["silent"] is None
    assert written["calibrated_on"] == combine.BY_DOMAIN and written["valid"] == 0
    assert set(written["per_class"]) == set(CLASSES) and min(written["per_class"].values()) > 20


def test_labels_check_what_the_domain_says(tmp_path: Path) -> None:
    """Labels of some classes and wrong ones: the report counts them; the seeds name the rest."""
    truth = digits(tmp_path, labelled=2, valid=0, unlabelled=600)
    with_domain(tmp_path, printed(1000, 1400))
    rows = list(table.rows(tmp_path / CLEAN, domain=table.EVERY))
    with table.TableWriter(tmp_path / CLEAN, overwrite=True) as out:
        for row in rows:
            real = row["label"] is not None and row["domain"] is None
            if not (real and row["label"] in "89"):  # of these no image has a label
                out.add(row | {"label": "0"} if real and row["label"] == "1" else row)
    written = adopt.run(params(labellers=["graph"], probability=0.3), tmp_path)
    assert written["domain"]["checked"] == 16 and 2 <= written["domain"]["wrong"] <= 5
    facts = table.frame(tmp_path / ADOPTED)
    assert {"8", "9"} <= set(facts["label"]) <= set(CLASSES)
    assert (facts["label"] == facts["id"].map(truth)).mean() >= 0.8


def test_a_domain_that_does_not_fit_says_nothing(tmp_path: Path) -> None:
    """Without a label there is then nothing to start from; with labels they are used alone."""
    noise = printed(0, 60)
    pixels = np.random.default_rng(0).integers(0, 256, noise.pixels.shape).astype(np.uint8)
    digits(tmp_path / "none", labelled=0, valid=0, unlabelled=100)
    with_domain(tmp_path / "none", dataclasses.replace(noise, pixels=pixels))
    with pytest.raises(AdoptError, match="the other domain says nothing: "):
        adopt.run(params(), tmp_path / "none")
    digits(tmp_path / "few", labelled=3, valid=0, unlabelled=100)
    with_domain(tmp_path / "few", dataclasses.replace(noise, pixels=pixels))
    written = adopt.run(params(labellers=["graph", "domain"], probability=0.3), tmp_path / "few")
    assert written["domain"]["silent"] and written["domain"]["wrong"] is None
    assert set(written["opinions"] or {"graph": 0}) == {"graph"} and written["adopted"] > 0
