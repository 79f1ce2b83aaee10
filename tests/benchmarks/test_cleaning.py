"""The planted faults are what their list says, and what is measured on them is counted right."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from augment.data import images, table
from benchmarks import tables
from benchmarks.cleaning import __main__ as command
from benchmarks.cleaning import (
    board,
    faults,
    glyphs,
    judging,
    planting,
    sets,
    speed,
    unlabelled,
)
from benchmarks.cleaning.planting import FAULTS, Plant, Planted

pytestmark = pytest.mark.usefixtures("elsewhere")
RNG = np.random.default_rng
fonts = pytest.mark.skipif(
    any(next(glyphs.FOLDER.rglob(name), None) is None for name in glyphs.FONTS),
    reason="Debian's brush and CJK fonts are not installed",
)


@pytest.fixture(scope="module")
def digits() -> sets.Collection:
    return sets.load("digits", 0, 0, 600)


@pytest.fixture(scope="module")
def planted(digits: sets.Collection) -> Planted:
    return planting.plant(digits, 3)


def places(planted: Planted, fault: str, variant: str = "") -> list[int]:
    return [
        place
        for place, one in enumerate(planted.plants)
        if one.fault == fault and variant in ("", one.variant)
    ]


def test_three_per_cent_of_each_and_no_image_twice(planted: Planted) -> None:
    counts = Counter(one.fault for one in planted.plants)
    added = sum(counts[fault] for fault in planting.ADDED)
    assert counts == {"": 600 - 18 * 6, **dict.fromkeys(FAULTS, 18)} and added == 54
    befallen = [one.source for one in planted.plants if one.fault]
    assert len(set(befallen)) == len(befallen)
    kept = [one.source for one in planted.plants if one.fault not in planting.ADDED]
    assert sorted(kept) == list(range(600))
    for fault, variants in FAULTS.items():
        counts = Counter(planted.plants[place].variant for place in places(planted, fault))
        assert set(counts) == set(variants) and max(counts.values()) - min(counts.values()) <= 1


def test_planting_follows_from_the_seed(digits: sets.Collection, planted: Planted) -> None:
    again, other = planting.plant(digits, 3), planting.plant(digits, 4)
    assert again.plants == planted.plants != other.plants
    for place in (places(planted, fault)[0] for fault in FAULTS):
        np.testing.assert_array_equal(again.pixels(place), planted.pixels(place))


def test_dirt_can_be_kept_out_of_a_split(digits: sets.Collection, planted: Planted) -> None:
    dirty = planting.plant(digits, 3, splits=("train", "valid"))
    assert {one.split for one in dirty.plants if one.fault} == {"train", "valid"}
    clean = [one.source for one in dirty.plants if one.split == "test"]
    before = [one.source for one in planted.plants
              if one.split == "test" and one.fault not in planting.ADDED]  # fmt: skip
    assert sorted(clean) == sorted(before) and 80 < len(clean) < 160


def test_labels_are_true_but_where_they_are_the_fault(planted: Planted) -> None:
    labels = planted.collection.labels
    for place, plant in enumerate(planted.plants):
        truth = "" if plant.fault in ("blank", "no_class") else labels[plant.source]
        assert plant.truth == truth
        assert (plant.label == labels[plant.source]) == (plant.fault != "wrong_label")
        twin = planted.plants[planted.twin(place)]
        assert twin.source == plant.source and twin.fault not in planting.ADDED
        if plant.fault in planting.ADDED:
            assert twin.fault == "" and twin.label == plant.label


def test_untouched_images_are_as_they_were(planted: Planted) -> None:
    same = [*places(planted, "wrong_label"), *places(planted, "duplicate", "exact")]
    for place in [*places(planted, "")[:50], *same]:
        np.testing.assert_array_equal(planted.pixels(place), planted.original(place))


def test_every_other_fault_changes_the_image(planted: Planted) -> None:
    for place, plant in enumerate(planted.plants):
        if plant.fault not in ("", "wrong_label") and plant.variant != "exact":
            assert not np.array_equal(planted.pixels(place), planted.original(place)), plant


def test_digits_that_turned_are_themselves_are_not_turned(planted: Planted) -> None:
    turned = [planted.plants[place] for place in places(planted, "turned")]
    assert {(one.label, one.variant) for one in turned}.isdisjoint(
        {("0", "90"), ("0", "180"), ("0", "270"), ("1", "180"), ("8", "180")}
    )
    for place in places(planted, "turned"):
        quarters = int(planted.plants[place].variant) // 90
        np.testing.assert_array_equal(
            planted.pixels(place), np.rot90(planted.original(place), quarters)
        )
    for place in places(planted, "inverted"):
        np.testing.assert_array_equal(planted.pixels(place), 255 - planted.original(place))


def test_near_duplicates_are_as_near_as_said(planted: Planted) -> None:
    for place in places(planted, "duplicate", "shift"):
        before, after = (np.pad(one.astype(int), 2, "edge") for one in
                         (planted.original(place), planted.pixels(place)))  # fmt: skip
        moves = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)]
        inner = (slice(4, -4),) * 2
        assert any(np.array_equal(np.roll(before, move, (0, 1))[inner], after[inner])
                   for move in moves)  # fmt: skip
    for place in places(planted, "duplicate", "brightness"):
        before, after = planted.original(place).astype(float), planted.pixels(place)
        inside = (before > 60) & (after < 255)
        ratio = np.median(after[inside] / before[inside])
        assert 0.09 < abs(ratio - 1) < 0.21
        np.testing.assert_allclose(after, np.clip(before * ratio, 0, 255), atol=2)
    for place in places(planted, "duplicate", "jpeg"):
        gap = np.abs(planted.original(place).astype(int) - planted.pixels(place))
        assert 0.1 < gap.mean() < 10


def test_scaled_by_five_per_cent_about_the_middle() -> None:
    image = np.zeros((201, 201), np.uint8)
    image[50:151, 50:151] = 200
    sides = {round((faults.scaled(image, RNG(seed)) > 100).sum() ** 0.5) for seed in range(9)}
    assert sorted(sides) == pytest.approx([0.95 * 101, 1.05 * 101], abs=1)
    assert faults.scaled(image, RNG(0))[100, 100] == 200


def test_cut_off_loses_ink_at_a_border(planted: Planted) -> None:
    for place in places(planted, "cut_off"):
        before, after = (faults.page(one(place)).ink for one in
                         (planted.original, planted.pixels))  # fmt: skip
        assert 0.08 < 1 - after.sum() / before.sum() < 0.5
        edges = (after[0], after[-1], after[:, 0], after[:, -1])
        assert max(edge.max() for edge in edges) > 0.3


def test_blank_is_paper(planted: Planted) -> None:
    blanks = [planted.pixels(place) for place in places(planted, "blank")]
    for page in blanks:
        assert np.median(page) <= 2 and np.ptp(page.astype(int)) < 40


def test_lines_run_from_edge_to_edge_and_hide_nothing(planted: Planted) -> None:
    for place in places(planted, "secondary", "ruling"):
        before, after = planted.original(place), planted.pixels(place)
        assert (after >= before).all() and 20 < (after != before).sum() < 320
        assert (faults.page(after).ink.max(0) > 0.3).all() or (
            faults.page(after).ink.max(1) > 0.3
        ).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("draw", [faults.neighbour, faults.sealed])
def test_a_smaller_thing_stands_beside_the_whole_character(draw, seed: int) -> None:
    down, right = np.ogrid[-50:50, -50:50]
    disc = np.hypot(down, right) < 35
    after = draw(np.where(disc, 30, 220).astype(np.uint8), RNG(seed), disc.astype(np.float32))
    parts, count = ndimage.label(faults.page(after).ink > 0.3, np.ones((3, 3)))
    assert count == 2
    small, large = sorted(
        (box[0].stop - box[0].start, box[1].stop - box[1].start)
        for box in ndimage.find_objects(parts)
    )
    assert 15 <= min(small) <= max(small) <= 33 and small[0] == pytest.approx(small[1], abs=1)
    assert 50 <= large[0] == pytest.approx(large[1], abs=2)


def test_no_two_blank_pages_are_alike() -> None:
    first, second = (faults.blank(np.zeros((28, 28), np.uint8), RNG(seed)) for seed in (0, 1))
    assert (first != second).any() and first.max() < 10 and second.max() < 10


def test_what_is_of_no_class_keeps_the_sets_levels(planted: Planted) -> None:
    for variant in ("scribble", "foreign"):
        for place in places(planted, "no_class", variant):
            after, before = (
                faults.page(draw(place)) for draw in (planted.pixels, planted.original)
            )
            assert after.paper == before.paper == 0 and after.contrast > 0
            assert 0.02 < (after.ink > 0).mean() < 0.6
    for place in places(planted, "no_class", "texture"):
        assert planted.pixels(place).std() > 10


def test_files_and_list_say_the_same(planted: Planted, tmp_path: Path) -> None:
    few = Planted(planted.collection, planted.plants, 3)
    few.write(tmp_path)
    filed = list(csv.DictReader((tmp_path / "files/labels.csv").open(encoding="utf-8")))
    listed = list(csv.DictReader((tmp_path / "planted.csv").open(encoding="utf-8")))
    assert [(one["label"], one["split"]) for one in filed] == [
        (one.label, one.split) for one in planted.plants
    ]
    assert len(listed) == 18 * 9
    at = {one["path"]: place for place, one in enumerate(filed)}
    for line in listed:
        place = at[line["path"]]
        plant = planted.plants[place]
        assert (line["fault"], line["variant"], line["truth"]) == (
            plant.fault, plant.variant, plant.truth,
        )  # fmt: skip
        stored = np.asarray(images.decode((tmp_path / "files" / line["path"]).read_bytes()))
        np.testing.assert_array_equal(stored, planted.pixels(place))
        assert at[line["original"]] == planted.twin(place)


def test_of_two_duplicates_one_has_to_go(digits: sets.Collection) -> None:
    plants = [Plant(0, "a", "a", "train"), Plant(0, "a", "a", "test", "duplicate", "shift"),
              Plant(1, "b", "a", "train", "wrong_label"), Plant(2, "a", "a", "train", "secondary"),
              Plant(3, "a", "a", "train")]  # fmt: skip
    planted = Planted(digits, plants, 0)

    def judged(*verdicts: str) -> tuple[list[bool], ...]:
        """``listed`` is a test image that a model speaks against."""
        sheet = pd.DataFrame({"verdict": verdicts, "reasons": "cut_off"})
        sheet.loc[sheet["verdict"] == "keep", "reasons"] = ""
        sheet = sheet.replace({"verdict": {"listed": "keep"}})
        flags = judging.verdicts(planted, sheet, np.ones(5, bool))
        return tuple(array.tolist() for array in flags)

    lost, mended, caught = judged("keep", "keep", "keep", "keep", "keep")
    assert not any(lost + mended + caught)
    lost, mended, caught = judged("drop", "keep", "relabel", "repair", "ask")
    assert lost == [False, False, False, False, True]  # the copy stands for its original
    assert mended == [False, False, False, True, False] and caught[1:4] == [True] * 3
    lost, _, caught = judged("drop", "drop", "ask", "drop", "keep")
    assert lost[0] and caught[1] and caught[2]
    lost, _, caught = judged("keep", "repair", "keep", "keep", "keep")
    assert not caught[1]
    lost, _, caught = judged("keep", "listed", "listed", "keep", "listed")
    assert caught == [False, True, True, False, True] and lost == [False, True, True, False, True]


def test_the_set_without_labels_has_ten_of_each_class_and_duplicates_alone(
    digits: sets.Collection,
) -> None:
    planted = unlabelled.without_labels(digits, 3)
    plants = planted.plants
    assert {plant.fault for plant in plants} == {"", "duplicate"}
    assert len(planted) - len(digits.labels) == sum(plant.fault != "" for plant in plants) > 0
    assert {plant.split for plant in plants} == {"train"}
    named = [plant for plant in plants if plant.label]
    assert Counter(plant.label for plant in named) == {
        label: min(unlabelled.LABELLED, count) for label, count in Counter(digits.labels).items()
    }
    assert all(plant.label == plant.truth and not plant.fault for plant in named)


@pytest.mark.parametrize(
    ("arms", "share"), [((0.8, 0.88, 0.9), 0.8), ((0.9, 0.9, 0.9), None), ((0.8, 0.7, 0.9), -1)]
)
def test_recovered(arms: tuple[float, float, float], share: float | None) -> None:
    recovered = board.recovered(*(pd.Series([arm]) for arm in arms)).item()
    assert np.isnan(recovered) if share is None else recovered == pytest.approx(share)


def row(part: str, **values: object) -> dict[str, object]:
    setting = {"network": "own", "width": 8, "steps": 2, "batch": 64, "device": "cpu"}
    return {**setting, "machine": "a machine", "part": part, "seed": 0, **values}


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, "yes"),
        ({"recall": 0.949}, "no"),
        ({"lost": 0.011}, "no"),
        ({"mended": 0.89}, "no"),
        ({"mended": None}, "no"),
        ({"what": "blank", "mended": 0.0}, "no"),
        ({"what": "blank", "mended": 0.0, "recall": 0.97}, "yes"),
        ({"what": "wrong_label", "set": "mnist", "recall": 0.89}, "no"),
        ({"what": "wrong_label", "set": "glyphs 100 × 100", "recall": 0.85}, "yes"),
        ({"what": "wrong_label", "set": "digits", "recall": 0.0}, ""),
    ],
)
def test_bounds_of_faults(changes: dict[str, object], met: str) -> None:
    values = {"what": "secondary", "set": "mnist", "count": 9, "recall": 0.95, "lost": 0.01,
              "mended": 0.9, "named": 1.0, "changed": 0.0}  # fmt: skip
    (table,) = tables.tables("cleaning", [row("faults", **{**values, **changes})])
    assert table["met"].item() == met


def test_the_worst_seed_counts_and_tables_are_told_apart() -> None:
    values = {"what": "blank", "set": "digits", "count": 9, "mended": None, "named": 1.0}
    rows = [row("faults", **values, recall=recall, lost=lost, changed=0.0)
            for recall, lost in ((1.0, 0.0), (0.5, 0.02))]  # fmt: skip
    rows += [row("unlabelled", set="mnist", what="1", count=9, recall=1.0, lost=lost)
             for lost in (0.0, 0.5)]  # fmt: skip
    rows += [row("worth", set="digits", what="classifier", dirty=0.8, cleaned=0.89, clean=0.9)]
    rows += [row("speed", set="", what="a", measured=None, bound="≥ 2", met=None, detail="why")]
    of_faults, unlabelled, worth, fast = tables.tables("cleaning", rows)
    columns = ["found", "clean ones lost", "seeds"]
    assert of_faults[columns].values.tolist() == [["0.500", "0.0200", "2"]]
    columns = ["class", "planted", "found", "others lost", "met"]
    assert unlabelled[columns].values.tolist() == [["1", "18", "1.000", "0.5000", "no"]]
    assert worth[["recovered", "met"]].values.tolist() == [["90%", "yes"]]
    assert fast[["measured", "met"]].values.tolist() == [["", ""]]


def test_missing_font_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(glyphs, "FOLDER", tmp_path)
    with pytest.raises(glyphs.FontError, match="kouzan-mouhitsu.ttf.*fonts-kouzan-mouhitsu"):
        glyphs.Scans(12, 2)


@fonts
def test_every_font_has_every_character() -> None:
    assert len(set(glyphs.CHARACTERS)) == len(glyphs.CHARACTERS) == 100
    for path in glyphs.Scans(2, 1).fonts:
        assert all(glyphs.drawable(path, one) for one in glyphs.CHARACTERS), path.name


@fonts
def test_scans_are_dark_on_paper_of_mixed_sizes_and_repeat() -> None:
    scans = glyphs.Scans(2, 9)
    assert scans.labels == ["安"] * 9 + ["永"] * 9
    every = list(scans)
    for place, image in enumerate(every):
        assert 170 <= min(image.shape) <= max(image.shape) <= 400
        page = faults.page(image)
        assert page.paper > 200 and page.contrast < -90
        assert 0.02 < (page.ink > 0.5).mean() < 0.5
        if place % 6 == 0:
            np.testing.assert_array_equal(scans[place], image)
    assert len({image.shape for image in every}) > 12
    with pytest.raises(ValueError, match="2 to 100, found 101"):
        glyphs.Scans(101, 2)


def test_quick_form_prints_and_stores_nothing(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "kept"
    command.main(
        ["--quick", "--sets", "digits", "--parts", "faults,worth", "--limit", "200", "--judge", "2",
         "--recipe", "", "--device", "cpu", "--keep", str(keep)]
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "no class" in said and "recovered" in said
    assert not list(elsewhere.glob("*.json"))
    assert (keep / "digits-0/planted.csv").exists()
    assert table.count(keep / "digits-0/data/ingested") == 200 + 3 * 6


@fonts
def test_tools_that_are_not_installed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    ours, *others = speed.rates(speed.write(tmp_path, 4))
    assert ours["measured"] > 0 and {"blank", "low_contrast"} <= set(speed.image_checks())
    assert [(one["measured"], one["met"]) for one in others] == [(None, None)] * 2
    assert "extra bench" in others[0]["detail"]
