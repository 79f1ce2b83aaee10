"""Write: what goes in, what is left out, the card, and that the accounts add up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from augment.data import decisions, files, images, table
from augment.data.reports import ClassGain, PartGain, UpliftReport
from augment.errors import AugmentError
from augment.readers.base import READERS
from augment.registry import PartError
from augment.runtime import remote
from augment.write import dose as dose_
from augment.write import gates
from augment.write import run as write
from augment.write.card import card
from augment.write.dose import Dose, DoseError, doses
from augment.write.settings import WriteSettings
from augment.writers.base import WRITERS

Helps = Callable[..., UpliftReport]
LABELS = ("2", "10", "a|b")


def row(number: int, label: str | None, split: str = "train", **facts: Any) -> table.Row:
    pixels = np.full((8, 8), number % 256, np.uint8)
    return {
        "id": f"{number:064x}",
        "image": {"bytes": images.encode(pixels), "path": f"{number}.png"},
        "label": label,
        "split": split,
        "origin": "real",
        "width": 8,
        "height": 8,
        "mode": "L",
        **facts,
    }


def made(number: int, label: str, index: int, **facts: Any) -> table.Row:
    provenance = {"generator": "f" * 64, "seed": 7, "index": index, "codes": [0.5]}
    return row(number, label, "train", origin="synthetic", **{**provenance, **facts})


def save(folder: Path, rows: Iterable[table.Row]) -> None:
    with table.TableWriter(folder, overwrite=True) as writer:
        for row_ in rows:
            writer.add(row_)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of each class four real train images, one valid, one test; six synthetic; two unlabelled."""
    splits = ("train", "train", "train", "train", "valid", "test")
    real = [row(n, LABELS[n % 3], splits[n // 3]) for n in range(18)]
    save(tmp_path / "data/clean", [*real, row(90, None), row(91, None, "test")])
    save(tmp_path / "data/synthetic", [made(100 + n, LABELS[n % 3], 50 - n) for n in range(18)])
    return tmp_path


def settings(**options: Any) -> WriteSettings:
    return WriteSettings.model_validate(options)


def augmented(root: Path) -> pd.DataFrame:
    return table.frame(root / "data/augmented")


def test_real_and_synthetic_go_in(root: Path) -> None:
    report = write.run(settings(), root)
    assert report == json.loads((root / "reports/write.json").read_text())
    written = augmented(root)
    assert table.validate(root / "data/augmented") == 36
    assert (report["real"], report["synthetic"]) == (18, 18)
    assert report["left_out"] == {"unlabelled": 2, "over_dose": 0, "struck_out": 0}
    assert written.loc[written["origin"] == "synthetic", "split"].unique().tolist() == ["train"]
    before = {sample["id"]: sample for sample in table.rows(root / "data/clean")}
    for sample in table.rows(root / "data/augmented"):
        if sample["origin"] == "real":
            assert sample == before[sample["id"]]


def test_accounts_add_up(root: Path) -> None:
    report = write.run(settings(dose=0.5), root)
    assert list(report["classes"]) == ["2", "10", "a|b"]
    for splits in report["classes"].values():
        assert splits == {
            "train": {"real": 4, "synthetic": 2},
            "valid": {"real": 1, "synthetic": 0},
            "test": {"real": 1, "synthetic": 0},
        }
    left_out = report["left_out"]
    assert report["real"] + left_out["unlabelled"] == table.count(root / "data/clean")
    assert report["synthetic"] + left_out["over_dose"] == table.count(root / "data/synthetic")
    assert table.count(root / "data/augmented") == report["real"] + report["synthetic"]


def test_what_a_person_struck_out_stays_out(root: Path) -> None:
    made_ids = {sample["index"]: sample["id"] for sample in table.rows(root / "data/synthetic")}
    said = [(made_ids[35], "drop"), (made_ids[38], "drop"), (made_ids[41], "drop"),
            (made_ids[41], "keep"), (made_ids[44], "drop"), (made_ids[44], "undo"),
            (f"{0:064x}", "drop"), ("gone", "drop"), ("gone too", "keep")]  # fmt: skip
    path = root / decisions.FILE
    decisions.record(path, [decisions.Decision(*sample) for sample in said])
    report = write.run(settings(dose=0.75), root)
    written = augmented(root)
    of_two = written.loc[(written["origin"] == "synthetic") & (written["label"] == "2"), "index"]
    assert sorted(of_two.astype(int)) == [41, 44, 47]  # the dose takes the next ones
    assert report["left_out"] == {"unlabelled": 2, "over_dose": 7, "struck_out": 2}
    assert report["synthetic"] + 7 + 2 == 18 and report["real"] == 18  # clean's are not dropped
    assert report["decisions_gone"] == 2
    assert "struck 2 out" in (root / "data/augmented/README.md").read_text()
    path.write_text("id;action\n")
    before = files.digest_of_folder(root / "data/augmented")
    with pytest.raises(AugmentError, match=r"decisions\.csv, line 1: expected id,action"):
        write.run(settings(), root)
    assert files.digest_of_folder(root / "data/augmented") == before


@pytest.mark.parametrize(
    ("dose", "indices"), [(0.0, []), (0.24, []), (0.25, [35]), (0.75, [35, 38, 41])]
)
def test_dose_takes_the_first_by_index(root: Path, dose: float, indices: list[int]) -> None:
    write.run(settings(dose=dose), root)
    written = augmented(root)
    taken = written.loc[(written["origin"] == "synthetic") & (written["label"] == "2"), "index"]
    assert sorted(taken.astype(int)) == indices


def test_dose_counts_only_real_train_images_of_the_class() -> None:
    synthetic = pd.DataFrame({"label": ["a", "a", "a", "b"], "index": [2, 0, 1, 0]})
    real = pd.Series(["a", "a", "c"])

    def taken(of_a: float | None, of_b: float | None) -> list[bool]:
        by_class = {"a": Dose(of_a, ""), "b": Dose(of_b, "")}
        return dose_.taken(synthetic, real, by_class).tolist()

    assert taken(1.0, 1.0) == [False, True, True, False]
    assert taken(None, 1.0) == [True, True, True, False]
    assert taken(0.5, None) == [False, True, False, True]
    assert dose_.taken(synthetic.iloc[:0], real, {}).tolist() == []


@pytest.mark.parametrize("name", WRITERS.names())
def test_every_writer_with_its_card(name: str, root: Path) -> None:
    report = write.run(settings(writer=name), root)
    folder = root / "data/augmented"
    items = [item for item in READERS.build(name)(str(folder)) if item.reason != "side file"]
    assert len(items) == report["real"] + report["synthetic"]
    assert not [item.reason for item in items if item.reason]
    assert json.loads((folder / "classes.json").read_text()) == ["2", "10", "a|b"]
    facts = pq.read_table(folder / "provenance.parquet")
    assert tuple(facts.schema.names) == table.FACTS
    assert sorted(facts["id"].to_pylist()) == sorted(item.facts["id"] for item in items)
    assert (folder / "README.md").read_text().startswith("---\nlicense: unknown\n")
    assert [path.name for path in (root / "data").iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize("name", WRITERS.names())
def test_twice_gives_the_same_bytes(name: str, root: Path) -> None:
    write.run(settings(writer=name), root)
    first = (
        files.digest_of_folder(root / "data/augmented"),
        files.digest_of_folder(root / "reports"),
    )
    write.run(settings(writer=name), root)
    assert (
        files.digest_of_folder(root / "data/augmented"),
        files.digest_of_folder(root / "reports"),
    ) == first


def test_mistakes_stop_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(PartError, match="unknown writer 'zip'; known: idx"):
        write.run(settings(writer="zip"), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(write.WriteError, match="data/clean: no sample table .* clean first"):
        write.run(settings(), tmp_path)
    save(tmp_path / "data/clean", [row(1, "a")])
    with pytest.raises(write.WriteError, match="data/synthetic: no sample table .* synth first"):
        write.run(settings(), tmp_path)


def test_inputs_that_do_not_fit(root: Path) -> None:
    save(root / "data/synthetic", [made(1, "2", 0, width=16)])
    with pytest.raises(write.WriteError, match="images of 16 × 8 L, and none such in data/clean"):
        write.run(settings(), root)
    save(root / "data/synthetic", [made(1, "2", 0) | {"split": "test"}])
    with pytest.raises(write.WriteError, match="outside the train split"):
        write.run(settings(), root)
    save(root / "data/clean", [row(1, None)])
    with pytest.raises(write.WriteError, match="no labelled images"):
        write.run(settings(), root)
    assert not (root / "data/augmented").exists()


def test_a_writer_that_fails_leaves_the_old_set(root: Path) -> None:
    write.run(settings(), root)
    before = files.digest_of_folder(root / "data/augmented")
    colour = images.encode(np.zeros((8, 8, 3), np.uint8))
    save(root / "data/clean", [row(1, "a"), row(2, "b", image={"bytes": colour, "path": ""})])
    with pytest.raises(Exception, match="idx holds grey"):
        write.run(settings(writer="idx"), root)
    assert files.digest_of_folder(root / "data/augmented") == before
    assert sorted(path.name for path in (root / "data").iterdir()) == [
        "augmented",
        "clean",
        "synthetic",
    ]


def test_an_empty_synthetic_table_writes_the_real_ones(root: Path) -> None:
    save(root / "data/synthetic", [])
    report = write.run(settings(), root)
    assert (report["real"], report["synthetic"]) == (18, 0)
    assert "| generator | none |" in (root / "data/augmented/README.md").read_text()


SCORES = {
    "fid": 1.23456,
    "coverage": 0.9,
    "kid": None,
    "recall": "high",
    "density": float("nan"),
    "floor": {"fid": 0.5},
}


def test_card(root: Path, helps: Helps) -> None:
    scored(root, **SCORES, uplift=helps(seeds=[1, 2]).as_dict())
    report = write.run(settings(licence="cc-by-4.0: really", dose=1.0), root)
    text = (root / "data/augmented/README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0: really"
    assert front["configs"] == [{"config_name": "default", "data_files": "part-*.parquet"}]
    assert "30 images in 3 classes: 18 real ones and 12 made by a generator" in text
    assert "| class | train, real | valid, real | test, real | train, synthetic |" in text
    assert "| a\\|b | 4 | 1 | 1 | 4 |" in text
    assert "| all | 12 | 3 | 3 | 12 |" in text
    assert "| fid | 1.235 | 0.5 |" in text
    assert "| coverage | 0.9 |  |" in text
    assert not any(f"| {name} |" in text for name in ("kid", "recall", "density"))
    assert "| classic | mean 0.9, std 0.01, values 0.89, 0.91 |" in text
    assert "| seeds | 1, 2 |" in text
    assert report["inputs"]["data/clean"] in text and "f" * 64 in text
    assert "someone" not in text  # the source is a path on somebody's machine
    made_by = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert made_by["write"]["dose"] == 1.0 and set(made_by) == {"clean", "train", "synth", "write"}


@pytest.mark.parametrize("scores", [{}, {"floor": 3}, {"fid": None, "uplift": {}}])
def test_card_without_scores(root: Path, scores: dict[str, Any]) -> None:
    report = write.run(settings(), root)
    text = card(report, scores, None, {})
    assert "## Scores" not in text and "## Uplift" not in text and "## Counts" in text


def test_broken_scores_are_named(root: Path, helps: Helps) -> None:
    (root / "reports").mkdir()
    (root / "reports/score.json").write_text("{")
    with pytest.raises(write.WriteError, match=r"score\.json: not JSON"):
        write.run(settings(), root)
    (root / "reports/score.json").write_text("[1]")
    write.run(settings(), root)
    scored(root, uplift=4)
    with pytest.raises(write.WriteError, match=r"score\.json: uplift: expected an object, found 4"):
        write.run(settings(), root)
    scored(root, uplift=helps().as_dict() | {"verdict": 3})
    with pytest.raises(write.WriteError, match=r"uplift\.verdict: expected text, .*score again"):
        write.run(settings(), root)


HELPS = {
    "2": ClassGain(0.1, 0.05, 0.2, "helps", 0.5),
    "10": ClassGain(0.1, 0.05, 0.2, "no difference", 0.0),
    "a|b": ClassGain(0.1, 0.05, 0.2, "helps", 1.0),
}


def scored(root: Path, **scores: Any) -> None:
    files.write_json(root / "reports/score.json", scores)


@pytest.fixture
def helps(uplift_report: Helps) -> Helps:
    """Makes a report of the uplift by which synthetic images help two classes of three."""
    return partial(uplift_report, LABELS, per_class=HELPS)


ADOPTED = {"adopted": PartGain(-0.05, -0.1, -0.01, "harms", None)}


def adopt(root: Path, rows: Iterable[table.Row] | None = None, **facts: Any) -> None:
    """Adopt the unlabelled train image of ``root``."""
    inferred = {"label_source": "inferred", "label_probability": 0.75, **facts}
    save(root / "data/adopted", rows or [row(90, "2", **inferred)])


CHOSEN = [(0.5, "chosen on valid"), (0.0, "harms on valid"), (1.0, "chosen on valid")]
NO_DOSE = {"dose": 0.0, "per_class": dict.fromkeys(LABELS, ClassGain(0.0, 0.0, 0.0, None, 0.0))}


@pytest.mark.parametrize(
    ("setting", "uplift", "expected"),
    [
        (0.5, {}, [(0.5, "set")] * 3),
        (None, {}, [(None, "set")] * 3),
        ({"10": 2.0}, {}, [(0.0, "set"), (2.0, "set"), (0.0, "set")]),
        ("auto", None, [(None, "not measured")] * 3),
        ("auto", {}, CHOSEN),
        *[("auto", {"verdict": verdict}, CHOSEN) for verdict in ("harms", "no difference", None)],
        ("auto", NO_DOSE, [(0.0, "no gain on valid")] * 3),
        ("auto", {**NO_DOSE, "chosen_on": None}, [(0.0, "no valid images")] * 3),
        ("auto", {"per_class": {}}, [(0.0, "not measured")] * 3),
    ],
)
def test_dose_of_each_class_and_why(
    helps: Helps, setting: Any, uplift: dict[str, Any] | None, expected: list
) -> None:
    """What test images said, the verdict, changes no dose: the gates judge that."""
    by_class = doses(setting, LABELS, None if uplift is None else helps(**uplift))
    assert list(by_class) == list(LABELS)
    assert [tuple(dose) for dose in by_class.values()] == expected


def test_auto_takes_what_score_found(root: Path, helps: Helps) -> None:
    scored(root, uplift=helps().as_dict())
    report = write.run(settings(), root)
    assert report["remark"] is None and report["as_measured"]
    assert report["left_out"]["over_dose"] == 12
    assert report["per_class"] == {
        "2": {"real": 4, "adopted": 0, "synthetic": 2, "dose": 0.5, "why": "chosen on valid"},
        "10": {"real": 4, "adopted": 0, "synthetic": 0, "dose": 0.0, "why": "harms on valid"},
        "a|b": {"real": 4, "adopted": 0, "synthetic": 4, "dose": 1.0, "why": "chosen on valid"},
    }
    written = augmented(root)
    assert written.loc[written["origin"] == "synthetic", "label"].value_counts().to_dict() == {
        "a|b": 4,
        "2": 2,
    }
    text = (root / "data/augmented/README.md").read_text()
    assert "| class | real | adopted | synthetic | dose | why |" in text
    assert "| 10 | 4 | 0 | 0 | 0 | harms on valid |" in text
    assert (
        "Verdict on this set: helps. Beside the labelled images it holds samples at dose 1 (none "
        "in 1 of 3 classes); chosen on valid images."
    ) in text
    assert "2 classifiers an arm, 200 steps each" in text
    assert "| synthetic | 0.02 | 0.01 | 0.03 | helps |" in text
    assert "| samples, over the set without them | 0.02 | 0.01 | 0.03 | helps |" in text


def test_auto_without_a_gain_writes_the_real_images_and_says_so(root: Path, helps: Helps) -> None:
    scored(root, uplift=helps(verdict="no difference", **NO_DOSE).as_dict())
    report = write.run(settings(), root)
    assert (report["real"], report["synthetic"]) == (18, 0)
    assert "-S write.dose=null" in report["remark"]
    text = (root / "data/augmented/README.md").read_text()
    assert "No class gains by synthetic images" in text and "-S write.dose=null" in text
    forced = write.run(settings(dose=None), root)
    assert (forced["synthetic"], forced["as_measured"]) == (18, False)
    asked_for = write.run(settings(dose=0), root)
    assert (asked_for["synthetic"], asked_for["remark"]) == (0, None)
    scored(root, uplift=helps(**NO_DOSE, chosen_on=None).as_dict())
    report = write.run(settings(), root)
    assert report["remark"].startswith("without valid images no dose can be chosen: the set holds ")


def test_a_set_that_is_not_the_measured_one_is_said_to_be_another(root: Path, helps: Helps) -> None:
    scored(root, uplift=helps().as_dict())
    same = {"2": 0.5, "a|b": 1.2}  # of four images one more is not enough for 0.2
    assert write.run(settings(dose=same), root)["remark"] is None
    report = write.run(settings(dose=0.5), root)
    assert report["remark"] == (
        "the verdict and the gates are about another set (write.dose is set): the labelled images "
        "with samples at dose 1 (none in 1 of 3 classes)"
    )
    text = (root / "data/augmented/README.md").read_text()
    assert "The verdict and the gates are about another set (write.dose is set)" in text
    assert "Verdict on **another set than this one**: helps. Beside the labelled" in text
    adopt(root)
    report = write.run(settings(adopted=True), root)
    assert "are about another set (write.adopted is set)" in report["remark"]
    assert write.run(settings(adopted=False), root)["remark"] is None
    path = root / decisions.FILE
    struck = next(row for row in table.rows(root / "data/synthetic") if row["index"] == 35)
    decisions.record(path, [decisions.Decision(struck["id"], "drop")])
    remark = write.run(settings(), root)["remark"]
    assert "are about another set (samples are struck out)" in remark
    path.unlink()
    scored(root, uplift=helps(adopted=True, parts=ADOPTED).as_dict())
    assert write.run(settings(), root)["remark"] is None
    save(root / "data/adopted", [])  # since score ran
    remark = write.run(settings(), root)["remark"]
    assert "are about another set (tables changed since score ran)" in remark
    (root / "reports/score.json").unlink()
    assert write.run(settings(dose=0.5), root)["as_measured"] is None


def test_dose_for_a_class_that_is_not_there(root: Path) -> None:
    with pytest.raises(DoseError, match=r"write\.dose: unknown class 'x'; known: 2, 10, a"):
        write.run(settings(dose={"x": 1.0, "2": 1.0}), root)
    report = write.run(settings(dose={"2": 0.5}), root)
    assert {name: one["synthetic"] for name, one in report["per_class"].items()} == {
        "2": 2, "10": 0, "a|b": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", WRITERS.names())
def test_adopted_images_go_in_with_their_provenance(name: str, root: Path) -> None:
    adopt(root)
    files.write_json(
        root / "reports/adopt.json", {"method": "graph", "calibration_error": 0.0123, "x": 1}
    )
    report = write.run(settings(writer=name, dose=1.0), root)
    assert (report["real"], report["adopted"], report["synthetic"]) == (19, 1, 12)
    assert report["left_out"]["unlabelled"] == 1  # the one of the test split
    assert report["per_class"]["2"] == {
        "real": 4, "adopted": 1, "synthetic": 4, "dose": 1.0, "why": "set",
    }  # fmt: skip
    assert report["classes"]["2"]["train"] == {"real": 5, "synthetic": 4}
    assert report["adoption"]["probability"] == {"least": 0.75, "mean": 0.75}
    assert set(report["inputs"]) == {"data/clean", "data/adopted", "data/synthetic"}
    facts = pq.read_table(root / "data/augmented/provenance.parquet").to_pandas()
    inferred = facts[facts["label_source"].notna()]
    assert inferred[["id", "label", "split", "origin", "label_source"]].to_numpy().tolist() == [
        [f"{90:064x}", "2", "train", "real", "inferred"]
    ]
    assert inferred["label_probability"].tolist() == [0.75]
    items = [item for item in READERS.build(name)(str(root / "data/augmented")) if item.facts]
    assert [item.label for item in items if item.facts.get("label_source") == "inferred"] in (
        ["2"], ["0"]  # idx counts its classes
    )  # fmt: skip
    text = (root / "data/augmented/README.md").read_text()
    assert "Of the real ones 1 came without a label" in text and "0.75 at least" in text
    assert "| method | graph |" in text and "| calibration\\_error | 0.0123 |" in text


@pytest.mark.parametrize(
    ("adopted", "uplift", "count", "why"),
    [
        ("auto", None, 1, "not measured"),
        ("auto", {"adopted": True}, 1, "chosen on valid"),
        ("auto", {"adopted": False}, 0, "worse on valid"),
        ("auto", {"adopted": True, "chosen_on": None}, 1, "no valid images"),
        ("auto", {"adopted": False, "parts": {}}, 0, "not measured"),  # adopted since score ran
        (True, {"adopted": False}, 1, "set"),
        (False, {"adopted": True}, 0, "set"),
    ],
)
def test_adopted_where_they_were_chosen(
    root: Path, helps: Helps, adopted: Any, uplift: Any, count: int, why: str
) -> None:
    """The verdict on test images changes nothing."""
    adopt(root)
    if uplift is not None:
        scored(root, uplift=helps(**{"parts": ADOPTED, "verdict": "harms", **uplift}).as_dict())
    report = write.run(settings(adopted=adopted), root)
    assert (report["adopted"], report["adoption"]["why"]) == (count, why)
    spare = f"adopted images stay out: {why} (-S write.adopted=true"
    assert (spare in (report["remark"] or "")) == (adopted == "auto" and not count)
    assert report["real"] == 18 + count == (augmented(root)["origin"] == "real").sum()
    assert report["left_out"]["unlabelled"] == 2 - count
    assert ("data/adopted" in report["inputs"]) == bool(count)


def test_an_empty_table_of_adopted_images(root: Path) -> None:
    before = write.run(settings(), root)
    save(root / "data/adopted", [])
    assert write.run(settings(), root) == before
    assert "inferred" not in (root / "data/augmented/README.md").read_text()


INFERRED = {"label_source": "inferred", "label_probability": 0.9}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([row(91, "2", **INFERRED)], "not an unlabelled train image"),  # of the test split
        ([row(0, "2", **INFERRED)], "not an unlabelled train image"),  # labelled
        ([row(77, "2", **INFERRED)], "not an unlabelled train image"),  # unknown
        ([row(90, "2", **INFERRED)] * 2, "there twice"),
        ([row(90, "2", "valid", **INFERRED)], "not in the train split"),
        ([row(90, "2")], "not real with an inferred label"),
        ([row(90, "2", **INFERRED) | {"origin": "synthetic"}], "not real with an inferred"),
        ([row(90, "x", **INFERRED)], "of a class without a labelled image"),
        ([row(90, None, **INFERRED)], "of a class without a labelled image"),
    ],
)
def test_adopted_images_that_cannot_be(root: Path, rows: list[table.Row], fault: str) -> None:
    adopt(root, rows)
    with pytest.raises(write.WriteError, match=f"data/adopted: image 0+.* is {fault}"):
        write.run(settings(), root)
    assert not (root / "data/augmented").exists()


def test_a_failed_gate_writes_nothing_and_force_says_so(root: Path) -> None:
    write.run(settings(), root)
    report = root / "reports/write.json"
    before = files.digest_of_folder(root / "data"), report.read_bytes()
    scored(root, label_accuracy=0.5, fid=1.0)
    bounds = ["label_accuracy >= 0.9", "fid < 2", "uplift.low >= 0"]
    with pytest.raises(gates.GateError, match="2 of 3 gates failed, nothing is written") as caught:
        write.run(settings(gates=bounds, dose=0.5), root)
    assert str(caught.value).splitlines()[1:] == [
        "gate            value         bound",
        "label_accuracy  0.5           >= 0.9  failed",
        "fid             1             < 2     passed",
        "uplift.low      not measured  >= 0    failed",
    ]
    assert (files.digest_of_folder(root / "data"), report.read_bytes()) == before
    judged = json.loads((root / "reports/gates.json").read_text())["gates"]
    assert [gate["passed"] for gate in judged] == [False, True, False]  # for the page

    report = write.run(settings(gates=bounds, dose=0.5), root, force=True)
    assert report["forced"] and report["synthetic"] == 6
    assert [one["passed"] for one in report["gates"]] == [False, True, False]
    text = (root / "data/augmented/README.md").read_text()
    assert "**Written by force: a gate failed.**" in text
    assert "| label\\_accuracy | 0.5 | \\>= 0.9 | failed |" in text

    report = write.run(settings(gates=["fid < 2"]), root, force=True)  # there was no need to
    assert not report["forced"]
    assert "by force" not in (root / "data/augmented/README.md").read_text()


def test_a_set_is_sent_to_its_destination(root: Path, s3: fsspec.AbstractFileSystem) -> None:
    address = "s3://bucket/augmented"
    write.run(settings(destination=address), root)
    listed = set(remote.listing(address)) - {remote.SENT}
    assert listed == {path.name for path in (root / "data/augmented").iterdir()}
    for name in listed:
        assert (
            s3.cat_file(f"bucket/augmented/{name}") == (root / "data/augmented" / name).read_bytes()
        )
    write.run(settings(destination=address, writer="webdataset"), root)
    assert not any(name.startswith("part-") for name in remote.listing(address))


def test_a_destination_with_other_files_keeps_them_and_the_old_set(root: Path) -> None:
    write.run(settings(), root)
    before = augmented(root)
    (root / "theirs").mkdir()
    (root / "theirs" / "thesis.tex").write_text("all of it")
    with pytest.raises(remote.RemoteError, match=r"theirs holds files .* 'thesis.tex'"):
        write.run(settings(destination="theirs", dose=0), root)
    assert (root / "theirs" / "thesis.tex").read_text() == "all of it"
    assert augmented(root).equals(before)
    write.run(settings(destination="ours"), root)
    assert (root / "ours" / "README.md").exists()
