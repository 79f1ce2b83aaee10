"""Clean: verdicts, decisions, repairs, forms and what the stage leaves behind.

Where models are not what is tested, the checks that ask them are left out.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from augment.clean import out_of_fold, repairs, verdicts
from augment.clean import run as clean
from augment.clean.checks.base import CHECKS, defaults
from augment.clean.checks.evidence import Evidence
from augment.clean.settings import CleanSettings
from augment.data import decisions, files, images, normalise, table
from augment.data.decisions import Decision
from augment.data.normalise import Form, to_form
from augment.readers import builtin
from augment.registry import PartError

MEASURED = [name for name in defaults("glyph") if CHECKS.describe(name).facts["kind"] != "set"]
PLAIN = [name for name in defaults("glyph") if CHECKS.describe(name).facts["kind"] != "learned"]
FACTS = ["id", "path", "label", "split", "verdict", "reasons", "suggested_label", "probability",
         "cluster", "repairs", "decided"]  # fmt: skip
RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_images() -> None:
    """The images of a test do not depend on which tests ran before it."""
    RNG.bit_generator.state = START


def glyph(side: int = 28) -> np.ndarray:
    """White paper with two dark strokes that cross, different every time."""
    image = np.full((side, side), 255, np.uint8)
    for strokes in (image, image.T):
        start, end = RNG.integers(2, side // 4 + 1, 2)
        place = RNG.integers(side // 4, side - side // 4 - 2)
        strokes[place : place + 3, start : side - end] = RNG.integers(0, 60)
    return image


def row(
    pixels: np.ndarray | bytes, label: str | None, split: str = "train", path: str = "x.png"
) -> dict[str, Any]:
    data = pixels if isinstance(pixels, bytes) else images.encode(pixels)
    facts = images.examine(data)
    return {
        "id": hashlib.sha256(data + path.encode()).hexdigest(),
        "image": {"bytes": data, "path": path},
        "label": label,
        "split": split,
        "origin": "real",
        "width": facts.width,
        "height": facts.height,
        "mode": facts.mode,
    }


def ingested(root: Path, rows: Iterable[dict[str, Any]]) -> Path:
    with table.TableWriter(root / "data/ingested", overwrite=True) as writer:
        for sample in rows:
            writer.add(sample)
    return root


def settings(**options: Any) -> CleanSettings:
    """Settings of clean; without the checks that ask models, unless others are named."""
    changes = {"workers": 1, "checks": PLAIN, **options}
    return CleanSettings.model_validate(changes)


def good(count: int = 10, labels: str = "ab") -> Iterator[dict[str, Any]]:
    for label in labels:
        for number in range(count):
            yield row(glyph(), label, path=f"{label}/{number}.png")


def broken() -> list[dict[str, Any]]:
    """What repairs can mend: a line from border to border, a seal beside, ink for paper."""
    ruled, sealed = glyph(), glyph()
    ruled[25] = 40
    sealed[:3, :6] = 60
    scans = {"ruled.png": ruled, "sealed.png": sealed, "inverted.png": 255 - glyph()}
    return [row(pixels, "a", path=path) for path, pixels in scans.items()]


def listed(root: Path) -> list[dict[str, str]]:
    with open(root / "reports/clean.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def verdicts_of(root: Path) -> dict[str, str]:
    return {line["path"]: line["verdict"] for line in listed(root) if line["verdict"] != "keep"}


def stored(root: Path, place: str) -> dict[str, dict[str, Any]]:
    return {sample["image"]["path"]: sample for sample in table.rows(root / "data" / place)}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that learn for a moment only."""
    monkeypatch.setattr(out_of_fold, "gather", partial(out_of_fold.gather, steps=4))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Evidence]]:
    """A learned check "told" that flags images whose path begins so; gives what it was shown."""
    shown: list[Evidence] = []

    def gather(frame: pd.DataFrame, pixels: np.ndarray, **options: Any) -> Evidence:
        nothing = np.zeros((len(frame), 0), np.float32)
        return Evidence(frame, pixels, (), nothing, nothing.reshape(len(frame), 0, 4), nothing)

    def check(evidence: Evidence) -> pd.DataFrame:
        """One that is told."""
        shown.append(evidence)
        odd = pd.Series([*stored(tmp_path, "ingested")]).str.startswith("told")
        return pd.DataFrame({
            "measure": np.where(odd, 0.25, 1.0),
            "suggested_label": odd.map({True: "b", False: None}),
            "probability": np.where(odd, 0.9000001, np.nan),
            "cluster": np.where(odd, 1234567.0, np.nan),
        })  # fmt: skip

    monkeypatch.setattr(out_of_fold, "gather", gather)
    with CHECKS.restored():
        CHECKS.register("told", kind="learned", threshold=0.5, profiles=())(check)
        yield shown


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Two classes of twenty; then a fault of every kind and an unlabelled image, bad and good."""
    shared, leaked, twin = glyph(), glyph(), glyph()
    faulty = [
        row(np.full((28, 28), 255, np.uint8), "a", path="white.png"),
        row(np.full((28, 28), 0, np.uint8), "b", path="black.png"),
        row((glyph() // 16 + 200).astype(np.uint8), "b", path="faint.png"),
        row(glyph(10), "a", path="small.png"),
        row(np.tile(glyph(28), (1, 9)), "b", path="long.png"),
        row(shared, "a", path="conflict-a.png"),
        row(shared, "b", path="conflict-b.png"),
        row(leaked, "a", "train", path="leak-train.png"),
        row(leaked, "a", "test", path="leak-test.png"),
        row(twin, "b", path="twin-1.png"),
        row(np.stack([twin] * 3, axis=2), "b", path="twin-2.png"),
        row(np.full((28, 28), 90, np.uint8), None, path="unlabelled-blank.png"),
        row(glyph(), None, path="unlabelled.png"),
    ]
    return ingested(tmp_path, [*good(20), *faulty])


def test_each_fault_is_dropped_for_its_reason(dirty: Path) -> None:
    clean.run(settings(), dirty)
    sheet = listed(dirty)
    reasons = {line["path"]: line["reasons"] for line in sheet if line["verdict"] == "drop"}
    assert reasons == {
        "white.png": "ink_share;blank;low_contrast",
        "black.png": "ink_share;blank;low_contrast",
        "faint.png": "low_contrast",
        "small.png": "odd_size",
        "long.png": "odd_size;odd_aspect_ratio",
        "conflict-a.png": "label_conflict",
        "conflict-b.png": "exact_duplicate;label_conflict",
        "leak-train.png": "exact_duplicate;split_leak",
        "twin-2.png": "exact_duplicate",
        "unlabelled-blank.png": "ink_share;blank;low_contrast",
    }
    assert list(sheet[0]) == FACTS + [name for name in MEASURED if name in PLAIN]
    assert {line["verdict"] for line in sheet} == {"keep", "drop"}


def test_accounts_add_up(dirty: Path) -> None:
    report = clean.run(settings(), dirty)
    assert report == json.loads((dirty / "reports/clean.json").read_text())
    sheet, kept, dropped = listed(dirty), dirty / "data/clean", dirty / "data/quarantine"
    assert report["in"] == len(sheet) == table.count(dirty / "data/ingested") == 53
    assert report["kept"] == table.validate(kept) == 43
    assert report["dropped"] == table.count(dropped) == 10
    measured = list(sheet[0])[len(FACTS) :]
    for name in measured:
        assert report["checks"][name] == sum(name in line["reasons"].split(";") for line in sheet)
    parts = [*report["classes"].values(), report["unlabelled"]]
    for key in ("in", "kept", "dropped"):
        assert sum(part[key] for part in parts) == report[key]
        assert sum(part[key] for part in report["splits"].values()) == report[key]
    assert report["before"] == {"a": 25, "b": 26}
    assert report["after"] == {"a": 21, "b": 21}
    assert set(report["thresholds"]) == set(measured)
    assert report["verdicts"] == {"keep": 43, "drop": 10, "ask": 0, "repair": 0, "relabel": 0}
    assert set(report["decisions"].values()) == {0}


def test_tables_hold_what_they_should(dirty: Path) -> None:
    report = clean.run(settings(), dirty)
    assert (report["size"], report["mode"]) == ([28, 28], "L")
    before = {sample["id"]: sample for sample in table.rows(dirty / "data/ingested")}
    for sample in table.rows(dirty / "data/clean"):
        old = before[sample["id"]]
        assert (sample["width"], sample["height"], sample["mode"]) == (28, 28, "L")
        assert sample["label"] == old["label"] and sample["split"] == old["split"]
        assert sample["image"]["path"] == old["image"]["path"]
        new = images.pixels(sample["image"]["bytes"], "L")
        assert (new == images.pixels(old["image"]["bytes"], "L")).all()  # the size was right
    for sample in table.rows(dirty / "data/quarantine"):
        assert sample == before[sample["id"]]


def digits(per_class: int, classes: int = 10) -> Iterator[dict[str, Any]]:
    """Real ones, three of five in train, one in valid and in test each."""
    pixels, labels = builtin.digits()
    for label in range(classes):
        for place in np.flatnonzero(labels == label)[:per_class].tolist():
            split = ("train", "train", "valid", "train", "test")[place % 5]
            yield row(pixels[place], str(label), split, f"{label}/{place}.png")


def test_twice_gives_the_same_bytes(tmp_path: Path, quick: None) -> None:
    root = ingested(tmp_path, [*good(), *broken(), row(glyph(), None)])
    places = [root / place for place in ("data/clean", "data/quarantine", "reports")]
    report = clean.run(settings(checks="auto", max_dropped=1.0), root)
    assert report["verdicts"]["repair"] and set(report["thresholds"]) == set(MEASURED)
    first = [files.digest_of_folder(place) for place in places]
    clean.run(settings(checks="auto", max_dropped=1.0), root)
    assert [files.digest_of_folder(place) for place in places] == first


def test_worker_processes_change_nothing(dirty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean.run(settings(), dirty)
    inline = files.digest_of_folder(dirty / "data/clean"), files.digest_of_folder(dirty / "reports")
    monkeypatch.setattr("augment.runtime.workers.INLINE", 0)
    clean.run(settings(workers=2), dirty)
    assert (
        files.digest_of_folder(dirty / "data/clean"),
        files.digest_of_folder(dirty / "reports"),
    ) == inline


def test_a_set_without_fault_loses_nothing(tmp_path: Path) -> None:
    report = clean.run(settings(), ingested(tmp_path, good(30)))
    assert (report["in"], report["kept"], report["verdicts"]["keep"]) == (60, 60, 60)
    assert table.count(tmp_path / "data/quarantine") == 0


def test_random_noise_has_no_faults_that_a_model_could_find(tmp_path: Path, quick: None) -> None:
    rows = [
        row(RNG.integers(0, 256, (28, 28), dtype=np.uint8), label, path=f"{label}/{number}.png")
        for label in "ab" for number in range(20)
    ]  # fmt: skip
    asking = [name for name in MEASURED if name not in PLAIN]
    report = clean.run(settings(checks=asking), ingested(tmp_path, rows))
    assert report["checks"] == dict.fromkeys(asking, 0)


def test_two_images_a_class_are_enough(tmp_path: Path, quick: None) -> None:
    report = clean.run(settings(checks="auto"), ingested(tmp_path, digits(2, 3)))
    assert (report["in"], report["kept"]) == (6, 6)


def test_one_odd_image_in_ten(tmp_path: Path, quick: None) -> None:
    odd = row(np.full((8, 8), 200, np.uint8), "0", path="odd.png")
    report = clean.run(settings(checks="auto"), ingested(tmp_path, [*digits(5, 2), odd]))
    assert verdicts_of(tmp_path) == {"odd.png": "drop"}
    assert report["kept"] == 10


@pytest.mark.parametrize(
    ("checks", "dropped"), [([], 0), (["exact_duplicate"], 3), (["blank"], 3), (["odd_size"], 2)]
)
def test_any_choice_of_checks(dirty: Path, checks: list[str], dropped: int) -> None:
    report = clean.run(settings(checks=checks), dirty)
    assert (report["dropped"], list(report["checks"])) == (dropped, checks)
    assert list(listed(dirty)[0]) == FACTS + checks


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two classes of ten without fault, three images to mend, a blank one and a copy."""
    sound = list(good())
    copy = row(sound[0]["image"]["bytes"], "a", path="copy.png")
    blank = row(np.full((28, 28), 255, np.uint8), "b", path="blank.png")
    return ingested(tmp_path, [*sound, *broken(), blank, copy])


MENDED = {"ruled.png": ["ruling_lines"], "sealed.png": ["main_component"],
          "inverted.png": ["invert"]}  # fmt: skip


def test_repairs_are_told_and_done_and_the_original_stays(mixed: Path) -> None:
    before = files.digest_of_folder(mixed / "data/ingested")
    report = clean.run(settings(), mixed)
    assert files.digest_of_folder(mixed / "data/ingested") == before
    assert report["verdicts"]["repair"] == len(MENDED)
    sheet = {line["path"]: line for line in listed(mixed)}
    kept, old = stored(mixed, "clean"), stored(mixed, "ingested")
    form = Form((28, 28), "L", "pad")
    for path, names in MENDED.items():
        cured = repairs.REPAIRS.describe(names[0]).facts["cures"]
        assert (sheet[path]["verdict"], sheet[path]["repairs"]) == ("repair", ";".join(names))
        reasons = [*cured, "corner_content"] if path == "sealed.png" else [*cured]
        assert sheet[path]["reasons"].split(";") == reasons  # a seal lies in a corner as well
        assert kept[path]["id"] == old[path]["id"]
        pixels = repairs.REPAIRS.build(names[0])(decoded(old[path]["image"]["bytes"]))
        assert kept[path]["image"]["bytes"] == to_form(images.encode(pixels), form)
        assert (decoded(kept[path]["image"]["bytes"]) != decoded(old[path]["image"]["bytes"])).any()
    assert {path for path, line in sheet.items() if line["repairs"]} == set(MENDED)
    assert not set(MENDED) & set(stored(mixed, "quarantine"))


def test_what_no_repair_is_asked_for_is_dropped(mixed: Path) -> None:
    clean.run(settings(repairs=["ruling_lines"], max_dropped=0.5), mixed)
    dropped = dict.fromkeys(["sealed.png", "inverted.png", "blank.png", "copy.png"], "drop")
    assert verdicts_of(mixed) == {"ruled.png": "repair", **dropped}


def test_a_repair_that_leaves_a_fault_is_none(mixed: Path) -> None:
    def spoil(image: np.ndarray) -> np.ndarray:
        """Nothing is left."""
        return np.full_like(image, 255)

    with repairs.REPAIRS.restored():
        repairs.REPAIRS.register("spoil", cures=("ruling_line",))(spoil)
        clean.run(settings(repairs=["spoil"], max_dropped=0.5), mixed)
    (line,) = (line for line in listed(mixed) if line["path"] == "ruled.png")
    assert (line["verdict"], line["reasons"], line["repairs"]) == ("drop", "ruling_line", "")
    assert "ruled.png" in stored(mixed, "quarantine")


def test_a_repair_of_one_fault_of_two_is_none(tmp_path: Path) -> None:
    both = glyph() // 16 + 200
    both[27] = 202
    root = ingested(tmp_path, [*good(), row(both.astype(np.uint8), "a", path="both.png")])
    clean.run(settings(), root)
    (line,) = (line for line in listed(root) if line["verdict"] != "keep")
    border, contrast = line["reasons"].split(";")  # a line at the border is either, by its strokes
    assert border in ("ruling_line", "cut_off") and contrast == "low_contrast"
    assert line["repairs"] == ""
    assert stored(root, "quarantine").keys() == {"both.png"}


@pytest.mark.parametrize(
    ("on_doubt", "verdict"), [("drop", "drop"), ("keep", "keep"), ("ask", "ask")]
)
def test_doubt_is_settled_as_the_settings_say(mixed: Path, on_doubt: str, verdict: str) -> None:
    clean.run(settings(on_doubt=on_doubt, repairs=[]), mixed)
    sheet = {line["path"]: line for line in listed(mixed)}
    doubtful = {*MENDED, "blank.png"}
    assert {sheet[path]["verdict"] for path in doubtful} == {verdict}
    assert all(sheet[path]["reasons"] for path in doubtful)
    assert sheet["copy.png"]["verdict"] == "drop"  # no matter of opinion
    out = {path for path, line in sheet.items() if line["verdict"] in ("drop", "ask")}
    assert stored(mixed, "quarantine").keys() == out
    assert stored(mixed, "clean").keys() == sheet.keys() - out
    assert len(sheet) - len(doubtful) - 1 == len(list(good()))


def test_a_doubt_that_drops_nothing_is_not_to_blame(tmp_path: Path) -> None:
    blanks = [row(np.full((28, 28), 255, np.uint8), "b", path=f"{n}.png") for n in range(4)]
    root = ingested(tmp_path, [*good(), *blanks])
    with pytest.raises(verdicts.CleanError, match="'exact_duplicate' drops 3 of 14 images"):
        clean.run(settings(on_doubt="keep"), root)


def decide(root: Path, *lines: tuple[str, str, str], **options: Any) -> dict[str, Any]:
    """Run clean after decisions: path of the image (or its id), action and label."""
    ids = {path: sample["id"] for path, sample in stored(root, "ingested").items()}
    made = [Decision(ids.get(path, path), action, label) for path, action, label in lines]
    decisions.record(root / decisions.FILE, made)
    return clean.run(settings(**{"max_dropped": 0.5, **options}), root)


def test_decisions_go_before_verdicts(mixed: Path) -> None:
    unknown = row(glyph(), None, path="unknown.png")
    ingested(mixed, [*stored(mixed, "ingested").values(), unknown])
    report = decide(
        mixed,
        ("blank.png", "keep", ""),
        ("copy.png", "keep", ""),
        ("a/1.png", "drop", ""),
        ("a/2.png", "relabel", "b"),
        ("unknown.png", "relabel", "a"),
        ("sealed.png", "keep", ""),
        ("ruled.png", "repair", ""),
        ("a/3.png", "repair", ""),
        ("b/1.png", "drop", ""),
        ("b/1.png", "undo", ""),
    )
    sheet = {line["path"]: line for line in listed(mixed)}
    follows = {path: (line["verdict"], line["decided"]) for path, line in sheet.items()}
    kept, out, old = (stored(mixed, place) for place in ("clean", "quarantine", "ingested"))
    assert follows["blank.png"] == follows["copy.png"] == ("keep", "keep")
    assert sheet["blank.png"]["reasons"] == "ink_share;blank;low_contrast"
    assert sheet["copy.png"]["reasons"] == "exact_duplicate"
    assert follows["a/1.png"] == ("drop", "drop") and sheet["a/1.png"]["reasons"] == ""
    assert follows["a/2.png"] == follows["unknown.png"] == ("relabel", "relabel")
    assert (sheet["a/2.png"]["label"], kept["a/2.png"]["label"]) == ("a", "b")
    assert kept["unknown.png"]["label"] == "a" and old["unknown.png"]["label"] is None
    assert follows["sealed.png"] == ("keep", "keep") and sheet["sealed.png"]["repairs"] == ""
    assert kept["sealed.png"]["image"]["bytes"] == old["sealed.png"]["image"]["bytes"]
    assert follows["ruled.png"] == ("repair", "repair")
    assert sheet["ruled.png"]["repairs"] == "ruling_lines"
    assert follows["a/3.png"] == ("ask", "repair")  # nothing to mend: it stays out and says so
    assert follows["b/1.png"] == ("keep", "")
    assert out.keys() == {"a/1.png", "a/3.png"} and kept.keys() == old.keys() - out.keys()
    assert out["a/1.png"] == old["a/1.png"]
    assert report["decisions"] == {"keep": 3, "drop": 1, "relabel": 2, "repair": 2, "elsewhere": 0}
    assert report["after"] == {"a": 11 + 3 - 3 + 1, "b": 11 + 1}


def test_a_repair_that_a_person_asks_for_turns_no_sound_image_over(mixed: Path) -> None:
    decide(mixed, ("ruled.png", "repair", ""), ("inverted.png", "repair", ""))
    sheet = {line["path"]: line["repairs"] for line in listed(mixed)}
    assert (sheet["ruled.png"], sheet["inverted.png"]) == ("ruling_lines", "invert")


def test_decisions_about_images_that_are_gone_are_counted(mixed: Path) -> None:
    clean.run(settings(max_dropped=0.5), mixed)
    before = (
        files.digest_of_folder(mixed / "data/clean"),
        (mixed / "reports/clean.csv").read_bytes(),
    )
    report = decide(mixed, ("gone", "drop", ""), ("too", "relabel", "z"), ("was", "undo", ""))
    assert report["decisions"] == dict.fromkeys(decisions.ACTIONS, 0) | {"elsewhere": 2}
    assert (
        files.digest_of_folder(mixed / "data/clean"),
        (mixed / "reports/clean.csv").read_bytes(),
    ) == before


def test_decisions_are_no_fault_of_a_check(tmp_path: Path) -> None:
    root = ingested(tmp_path, good())
    report = decide(root, *((f"b/{number}.png", "drop", "") for number in range(9)))
    assert report["after"] == {"a": 10, "b": 1}
    blank = row(np.full((28, 28), 255, np.uint8), "a", path="blank.png")
    ingested(root, [*stored(root, "ingested").values(), blank])
    with pytest.raises(verdicts.CleanError, match="'ink_share' drops 1 of 11"):
        decide(root, max_dropped=0.0)
    assert decide(root, ("blank.png", "drop", ""), max_dropped=0.0)["after"] == {"a": 10, "b": 1}
    with pytest.raises(verdicts.CleanError, match="1 of 2 classes would be left"):
        decide(root, ("b/9.png", "drop", ""))


def test_a_bad_line_of_decisions_stops_before_any_work(mixed: Path) -> None:
    (mixed / decisions.FILE).write_text(decisions.HEADER + "x,burn,,,,\n")
    with pytest.raises(decisions.DecisionError, match="decisions.csv, line 2: unknown action"):
        clean.run(settings(), mixed)
    assert not (mixed / "reports").exists() and not (mixed / "data/clean").exists()


def test_a_missing_library_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    root = ingested(tmp_path, good())
    with pytest.raises(
        verdicts.CleanError, match=r"'wrong_label' needs cleanlab.*augment\[clean\]"
    ):
        clean.run(settings(checks="auto"), root)
    assert not (root / "reports").exists()
    assert clean.run(settings(), root)["kept"] == 20


def test_models_drop_no_test_image(tmp_path: Path, told: list[Evidence]) -> None:
    odd = [row(glyph(), "a", split, f"told-{split}.png") for split in table.SPLITS]
    unknown = row(glyph(), None, path="told-unknown.png")
    root = ingested(tmp_path, [*good(), *odd, unknown])
    report = clean.run(settings(checks=["told"]), root)
    dropped = ["told-train.png", "told-valid.png", "told-unknown.png"]
    assert verdicts_of(root) == dict.fromkeys(dropped, "drop")
    assert "told-test.png" in stored(root, "clean")
    sheet = {line["path"]: line for line in listed(root)}
    notes = ("reasons", "suggested_label", "probability", "cluster", "told")
    for path in (*dropped, "told-test.png"):
        assert [sheet[path][name] for name in notes] == ["told", "b", "0.9", "1234567", "0.25"]
    assert [sheet["a/0.png"][name] for name in notes] == ["", "", "", "", "1"]
    assert report["splits"]["test"] | {"verdicts": 0} == {
        "in": 1, "kept": 1, "dropped": 0, "verdicts": 0, "checks": {"told": 1},
    }  # fmt: skip
    decide(root, ("told-test.png", "drop", ""), ("told-train.png", "keep", ""), checks=["told"])
    assert verdicts_of(root) == dict.fromkeys(["told-test.png", *dropped[1:]], "drop")


def test_models_learn_from_what_is_left(mixed: Path, told: list[Evidence]) -> None:
    clean.run(settings(checks=[*PLAIN, "told"]), mixed)
    (evidence,) = told
    frame = evidence.frame.set_axis([*stored(mixed, "ingested")])
    taught = frame.index[frame["label"].notna()]
    assert set(frame.index) - set(taught) == {"blank.png", "copy.png"}
    assert evidence.pixels.shape == (25, 1, 32, 32)
    places = {path: place for place, path in enumerate(frame.index)}
    kept = stored(mixed, "clean")
    for path in ("a/0.png", "inverted.png", "ruled.png"):  # as they are after repair
        pixels = decoded(kept[path]["image"]["bytes"])
        assert (evidence.pixels[places[path], 0] == normalise.small(pixels, 32)[..., 0]).all()


def test_test_images_move_no_threshold(tmp_path: Path) -> None:
    faint = (glyph() // 4 + 150 for _ in range(60))
    rows = list(good())
    before = clean.run(settings(), ingested(tmp_path, rows))["thresholds"]
    held = [row(image.astype(np.uint8), "a", "test", f"{n}.png") for n, image in enumerate(faint)]
    report = clean.run(settings(max_dropped=1.0), ingested(tmp_path, [*rows, *held]))
    assert report["thresholds"] == before


def test_order_is_kept(tmp_path: Path) -> None:
    clean.run(settings(), ingested(tmp_path, good(100)))
    paths = [line["path"] for line in listed(tmp_path) if line["verdict"] == "keep"]
    assert [sample["image"]["path"] for sample in table.rows(tmp_path / "data/clean")] == paths


def test_labels_of_any_kind_survive_the_sheet(tmp_path: Path) -> None:
    labels = ['a,"b"', "line\nbreak", "carriage\rreturn", "../x", "字" * 300, "NA", " 7"]
    rows = [row(glyph(), label, path=f"{n}.png") for n, label in enumerate(labels * 2)]
    clean.run(settings(), ingested(tmp_path, rows))
    assert [line["label"] for line in listed(tmp_path)] == labels * 2


def test_thresholds_can_be_set(tmp_path: Path) -> None:
    root = ingested(tmp_path, [*good(), row((glyph() // 2).astype(np.uint8), "a")])
    assert clean.run(settings(), root)["dropped"] == 0
    report = clean.run(settings(thresholds={"low_contrast": 0.6}), root)
    assert (report["dropped"], report["thresholds"]["low_contrast"]) == (1, 0.6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checks": ["blnak"]}, "unknown check 'blnak'; known: absent_class, blank"),
        ({"checks": ["blank", {"name": "blank"}]}, "'blank' stands twice"),
        ({"checks": ["blank"], "thresholds": {"odd_size": 0.1}}, "'odd_size' is not among"),
    ],
)
def test_mistakes_stop_before_any_work(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((PartError, verdicts.CleanError), match=message):
        clean.run(settings(**options), tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_ingested(tmp_path: Path) -> None:
    with pytest.raises(table.TableError, match="no sample table"):
        clean.run(settings(), tmp_path)
    with pytest.raises(verdicts.CleanError, match="no images"):
        clean.run(settings(), ingested(tmp_path, []))


def test_a_check_that_drops_too_much_stops_and_leaves_the_old_result(tmp_path: Path) -> None:
    root = ingested(tmp_path, good())
    clean.run(settings(), root)
    before = files.digest_of_folder(root / "data/clean")
    blank = np.full((28, 28), 255, np.uint8)
    blanks = [row(blank // n, "b", path=f"{n}.png") for n in (1, 2, 3)]
    ingested(root, [*good(), *blanks])
    with pytest.raises(verdicts.CleanError, match=r"'ink_share' drops 3 of 13 images of class 'b'"):
        clean.run(settings(), root)
    assert sum(line["verdict"] == "drop" for line in listed(root)) == 3
    assert files.digest_of_folder(root / "data/clean") == before
    assert clean.run(settings(max_dropped=0.25), root)["dropped"] == 3


def test_images_without_a_label_are_protected(tmp_path: Path) -> None:
    """All of them together against any check, but a few of them not."""
    blanks = [row(np.full((28, 28), 255 - n, np.uint8), None, path=f"{n}.png") for n in range(6)]
    few = [row(glyph(), None, path=f"few/{n}.png") for n in range(13)]
    report = clean.run(settings(), ingested(tmp_path, [*good(), *blanks, *few]))
    assert report["unlabelled"]["dropped"] == 6
    more = [row(glyph(), None, path=f"more/{n}.png") for n in range(5)]
    ingested(tmp_path, [*good(), *blanks, *few, *more])
    with pytest.raises(
        verdicts.CleanError, match=r"'ink_share' drops 6 of 24 images without a label, more than"
    ):
        clean.run(settings(), tmp_path)
    many = [row(glyph(), None, path=f"many/{n}.png") for n in range(6)]
    ingested(tmp_path, [*good(), *blanks, *few, *more, *many])
    assert clean.run(settings(), tmp_path)["unlabelled"]["dropped"] == 6


def test_verdicts_of_a_large_set_go_by_row() -> None:
    """More images than are judged at once; the faults of every 1,000th, and four decisions."""
    count = 40_000
    facts = pd.DataFrame({"label": ["a"] * count, "split": "train"}).astype({"label": "str"})
    measures = pd.DataFrame({"blank": 1.0, "ink_share": 1.0}, index=facts.index)
    measures.loc[::1000, "blank"] = 0.0
    mended = pd.Series([()] * count, dtype=object)
    mended[[7, 30_007]] = [("invert",), ("invert",)]
    told = {
        5: Decision("5", "drop"), 20_000: Decision("20000", "keep"),
        20_005: Decision("20005", "relabel", "b"), 30_000: Decision("30000", "repair"),
    }  # fmt: skip
    limits = {"blank": 0.05, "ink_share": 0.5}
    judged = verdicts.decide_verdicts(facts, measures, limits, mended, told, settings())
    expected = pd.Series("keep", index=facts.index)
    expected[::1000] = "drop"
    expected[[5, 7, 20_000, 20_005, 30_000, 30_007]] = [
        "drop", "repair", "keep", "relabel", "ask", "repair",
    ]  # fmt: skip
    assert judged["verdict"].tolist() == expected.tolist()
    assert judged.index.tolist() == facts.index.tolist()
    assert judged.index[judged["reasons"] == "blank"].tolist() == [*range(0, count, 1000)]
    assert judged.index[judged["label"] == "b"].tolist() == [20_005]
    assert judged.index[judged["decided"] != ""].tolist() == list(told)
    blamed = judged.index[judged["faults"].astype(bool)].tolist()
    assert blamed == [row for row in range(0, count, 1000) if row not in told]
    assert (judged["kept"] == ~expected.isin(["drop", "ask"])).all()
    assert judged.index[judged["repairs"].astype(bool)].tolist() == [7, 30_007]


def test_unlabelled_images_that_look_like_a_class_are_protected() -> None:
    """30 of 40 that look like a, of 240 without a label; blank ones look like nothing."""
    count = 40 + 200 + 20
    facts = pd.DataFrame({"label": pd.Series([None] * 240 + ["a"] * 10 + ["b"] * 10)})
    resembled = pd.Series(["a"] * 40 + ["b"] * 200 + ["a"] * 10 + ["b"] * 10)

    def judged(*names: str) -> pd.DataFrame:
        faults = [names] * 30 + [()] * (count - 30)
        return pd.DataFrame(
            {"faults": faults, "label": facts["label"], "kept": [not f for f in faults]}
        )

    message = "'near_duplicate' drops 30 of 40 images without a label that look like class 'a'"
    with pytest.raises(verdicts.CleanError, match=message):
        verdicts.stop(facts, judged("near_duplicate"), resembled, 0.2)
    verdicts.stop(facts, judged("near_duplicate", "blank"), resembled, 0.2)
    verdicts.stop(facts, judged("near_duplicate"), resembled, 0.75)


def test_a_small_set_is_told_that_models_abstain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = clean.run(settings(checks="auto"), ingested(tmp_path, good(12, "abcd")))
    assert report["abstained"].startswith("wrong_label, turned abstained: 12.0 labelled train")
    assert f"clean: {report['abstained']}" in capsys.readouterr().err
    assert clean.run(settings(), tmp_path)["abstained"] is None
    assert clean.run(settings(checks=["near_duplicate"]), tmp_path)["abstained"] is None


def word(thin: int) -> np.ndarray:
    """Five letters on paper of 32 × 128; the strokes of the last are ``thin`` pixels wide."""
    image = np.full((32, 128), 255, np.uint8)
    for place in range(5):
        letter = image[6:26, 24 * place + 3 :][:, :20]
        wide = thin if place == 4 else 4
        for strokes in (letter, letter.T):
            start = RNG.integers(3, 13)
            strokes[start : start + wide] = RNG.integers(0, 60)
    return image


def test_no_letter_of_a_word_is_taken_for_a_second_character(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    widths = [4] * 16 + [1] * 2
    words = [row(word(thin), label, path=f"{n}") for label in "ab" for n, thin in enumerate(widths)]
    report = clean.run(settings(checks="auto"), ingested(tmp_path, words))
    lines = "secondary_content, corner_content abstained: most images are lines or words"
    assert report["abstained"].startswith(lines)
    assert f"clean: {lines}" in capsys.readouterr().err
    assert (report["size"], report["verdicts"]["repair"]) == ([32, 128], 0)
    limits = {"secondary_content": 0.5}
    assert (
        clean.run(settings(checks="auto", thresholds=limits), tmp_path)["verdicts"]["repair"] == 4
    )
    assert clean.run(settings(), tmp_path)["verdicts"]["repair"] == 4


def test_near_duplicates_alone_need_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        out_of_fold, "fit_network", lambda *_, **__: pytest.fail("a model is fitted")
    )
    root = ingested(tmp_path, good(30))
    assert clean.run(settings(checks=["near_duplicate"]), root)["in"] == 60
    with pytest.raises(pytest.fail.Exception, match="a model is fitted"):
        clean.run(settings(checks=["outlier"]), root)


def test_two_classes_must_be_left(tmp_path: Path) -> None:
    root = ingested(tmp_path, [*good(labels="a"), row(np.zeros((28, 28), np.uint8), "b")])
    with pytest.raises(verdicts.CleanError, match="'ink_share' drops 1 of 1 images of class 'b'"):
        clean.run(settings(), root)
    with pytest.raises(verdicts.CleanError, match="1 of 2 classes would be left"):
        clean.run(settings(max_dropped=1.0), root)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(10, 0.2, 2), (9, 0.2, 1), (15, 0.2, 3), (2, 0.2, 1), (1, 0.2, 0), (1, 1.0, 1), (9, 0.0, 0)],
)
def test_allowed(count: int, share: float, expected: int) -> None:
    assert verdicts.allowed(count, share) == expected


@pytest.mark.parametrize(
    ("sides", "expected"),
    [([8], 8), ([12], 8), ([13], 16), ([30], 28), ([31], 32), ([10, 60, 62], 64), ([400], 128)],
)
def test_auto_size(sides: list[int], expected: int) -> None:
    assert normalise.auto_size(sides) == expected


WORDS = [(32, width) for width in (100, 120, 128, 136, 150)]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(28, 28)] * 9, (28, 28)),
        ([(200, 180), (180, 200), (300, 256)], (128, 128)),
        ([(64, 96)] * 9, (96, 96)),  # photographs, 3 : 2
        (WORDS, (32, 128)),
        ([shape[::-1] for shape in WORDS], (128, 32)),
        ([*WORDS * 3, (32, 20), (32, 28), (32, 40)], (32, 128)),  # with "I", "a" and "to"
        ([(40, 640)] * 9, (8, 128)),
        ([(300, 601)] * 9, (64, 128)),
        ([*WORDS, *[(28, 28)] * 5], (64, 64)),  # half of them words
        ([*WORDS * 2, *[shape[::-1] for shape in WORDS]], (128, 128)),  # a third lies across
    ],
    ids=str,
)
def test_auto_shape(shapes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    heights, widths = np.array(shapes).T
    assert normalise.auto_shape(heights, widths) == expected


def test_words_keep_their_aspect(tmp_path: Path) -> None:
    """Forty words 32 px high become 32 × 128; none has paper above it, none is stretched."""

    def word(width: int) -> np.ndarray:
        image = np.full((32, width), 255, np.uint8)
        image[4:28, 6 : width - 6 : 9] = 20
        return image

    rows = [
        row(word(int(width)), "ab"[number % 2], path=f"{number}.png")
        for number, width in enumerate(np.linspace(110, 146, 40))
    ]
    report = clean.run(settings(checks=[]), ingested(tmp_path, rows))
    assert (report["size"], report["kept"], report["after"]) == ([32, 128], 40, {"a": 20, "b": 20})
    narrow = images.pixels(stored(tmp_path, "clean")["0.png"]["image"]["bytes"], "L")
    assert narrow.shape == (32, 128) and (narrow[4:28] < 100).any(axis=1).all()
    assert (narrow[:, :9] == 255).all() and (narrow[:, -9:] == 255).all()  # paper at its sides


def test_size_and_mode_may_be_set(tmp_path: Path) -> None:
    root = ingested(tmp_path, good())
    report = clean.run(settings(size=[16, 32], mode="RGB"), root)
    assert (report["size"], report["mode"]) == ([16, 32], "RGB")
    sample = next(table.rows(root / "data/clean"))
    assert (sample["width"], sample["height"], sample["mode"]) == (32, 16, "RGB")
    assert images.pixels(sample["image"]["bytes"], "RGB").shape == (16, 32, 3)
    with pytest.raises(ValueError, match="multiples of 4"):
        settings(size=30)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def test_mode_is_grey_unless_a_kept_image_has_colour(tmp_path: Path) -> None:
    noisy = np.clip(
        np.stack([glyph().astype(int)] * 3, 2) + RNG.integers(-4, 5, (28, 28, 3)), 0, 255
    )
    grey = [*good(), row(jpeg(noisy.astype(np.uint8)), "a")]
    assert clean.run(settings(), ingested(tmp_path, grey))["mode"] == "L"
    red = np.stack([glyph()] * 3, axis=2)
    red[:5, :5] = (200, 30, 30)
    assert clean.run(settings(), ingested(tmp_path, [*grey, row(red, "b")]))["mode"] == "RGB"


def test_is_grey_from_both_sides() -> None:
    pixels = np.full((10, 100, 3), 100, np.uint8)
    pixels[..., 0] += normalise.GREY_LEVELS
    assert normalise.is_grey(pixels)
    pixels[0, :10, 0] += 1  # one percent of the pixels
    assert normalise.is_grey(pixels)
    pixels[1, 0, 0] += 1
    assert not normalise.is_grey(pixels)


def decoded(data: bytes, mode: str = "L") -> np.ndarray:
    return images.pixels(data, mode)


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    for resize in ("pad", "fit", "crop"):
        assert (decoded(to_form(images.encode(image), Form((16, 16), "L", resize))) == image).all()


def test_pad_continues_the_paper() -> None:
    image = np.full((16, 8), 200, np.uint8)
    image[4:12, 2:6] = 10
    out = decoded(to_form(images.encode(image), Form((16, 16), "L", "pad")))
    assert (out[:, :4] == 200).all() and (out[:, 12:] == 200).all()
    assert (out[:, 4:12] == image).all()  # the height fits, so nothing was resampled
    colour = np.full((8, 16, 3), (10, 20, 30), np.uint8)
    out = decoded(to_form(images.encode(colour), Form((16, 16), "RGB", "pad")), "RGB")
    assert (out == (10, 20, 30)).all()


def test_fit_stretches_and_crop_cuts_the_centre() -> None:
    image = np.zeros((16, 32), np.uint8)
    image[:, 8:24] = 255
    crop = decoded(to_form(images.encode(image), Form((16, 16), "L", "crop")))
    assert (crop == 255).all()
    fit = decoded(to_form(images.encode(image), Form((16, 16), "L", "fit")))
    assert fit[:, 0].max() == 0 and fit[:, 8].min() == 255


@pytest.mark.parametrize("resize", ["pad", "fit", "crop"])
@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (7, 9), (40, 40)])
def test_every_form_has_its_size(resize: str, shape: tuple[int, int]) -> None:
    data = images.encode(RNG.integers(0, 256, shape, dtype=np.uint8))
    assert decoded(to_form(data, Form((12, 20), "L", resize))).shape == (12, 20)
    assert decoded(to_form(data, Form((12, 20), "RGB", resize)), "RGB").shape == (12, 20, 3)


def test_a_domain_is_brought_to_form_and_not_judged(tmp_path: Path) -> None:
    """Blank and inverted images of a domain stay, and shift no threshold of the set's own."""
    scans = [row(glyph(), "ab"[place % 2], path=f"{place}") for place in range(12)]
    odd = [np.full((40, 40), 255, np.uint8), 255 - glyph(40)]
    fonts = [row(odd[place], "ac"[place], path=f"f{place}") | {"domain": "f"} for place in (0, 1)]
    alone = clean.run(settings(), ingested(tmp_path / "alone", scans))
    report = clean.run(settings(), ingested(tmp_path / "both", [fonts[0], *scans, fonts[1]]))
    assert report.pop("domains") == {"f": {"a": 1, "c": 1}} and alone.pop("domains") == {}
    assert report == alone
    cleaned = tmp_path / "both/data/clean"
    assert list(table.rows(cleaned)) == list(table.rows(tmp_path / "alone/data/clean"))
    there = list(table.rows(cleaned, domain="f"))
    assert [sample["label"] for sample in there] == ["a", "c"]
    assert {(sample["width"], sample["height"], sample["mode"]) for sample in there} == {
        (28, 28, "L")
    }
    assert table.count(tmp_path / "both/data/quarantine") == alone["dropped"]


def test_without_a_label_a_domain_names_the_classes(tmp_path: Path) -> None:
    scans = [row(glyph(), None, path=f"{place}") for place in range(24)]
    fonts = [row(glyph(), label, path=label) | {"domain": "f"} for label in "ab"]
    report = clean.run(settings(checks="auto"), ingested(tmp_path / "one", [*scans, *fonts]))
    assert report["unlabelled"]["kept"] >= 20 and report["classes"] == {}
    with pytest.raises(verdicts.CleanError, match="0 of 0 classes would be left"):
        clean.run(settings(), ingested(tmp_path / "none", scans))
