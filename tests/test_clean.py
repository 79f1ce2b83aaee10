"""Clean: verdicts, forms and what the stage leaves behind."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augment import clean, forms, images, table, verdicts
from augment.checks import CHECKS, defaults
from augment.forms import Form, normalise
from augment.params import Params
from augment.registry import PartError

MEASURED = [name for name in defaults("glyph") if CHECKS.describe(name).facts["kind"] != "set"]
RNG = np.random.default_rng(0)


def glyph(side: int = 28) -> np.ndarray:
    """White paper with a few dark strokes, different every time."""
    image = np.full((side, side), 255, np.uint8)
    for _ in range(3):
        row, column = RNG.integers(1, side - 7, 2)
        image[row : row + 3, column : column + 6] = RNG.integers(0, 60)
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
        for one in rows:
            writer.add(one)
    return root


def settings(**options: Any) -> Params:
    return Params.model_validate({"ingest": {"source": "x"}, "clean": {"workers": 1, **options}})


def good(count: int = 10, labels: str = "ab") -> Iterator[dict[str, Any]]:
    for label in labels:
        for number in range(count):
            yield row(glyph(), label, path=f"{label}/{number}.png")


def listed(root: Path) -> list[dict[str, str]]:
    with open(root / "reports/clean.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
    reasons = {one["path"]: one["reasons"] for one in sheet if one["verdict"] == "drop"}
    assert reasons == {
        "white.png": "blank;low_contrast",
        "black.png": "blank;low_contrast",
        "faint.png": "low_contrast",
        "small.png": "odd_size",
        "long.png": "odd_size;odd_aspect_ratio",
        "conflict-a.png": "label_conflict",
        "conflict-b.png": "exact_duplicate;label_conflict",
        "leak-train.png": "exact_duplicate;split_leak",
        "twin-2.png": "exact_duplicate",
        "unlabelled-blank.png": "blank;low_contrast",
    }
    names = list(sheet[0])
    assert names[:6] == ["id", "path", "label", "split", "verdict", "reasons"]
    assert sorted(names[6:]) == sorted(MEASURED)
    assert {one["verdict"] for one in sheet} == {"keep", "drop"}


def test_accounts_add_up(dirty: Path) -> None:
    report = clean.run(settings(), dirty)
    assert report == json.loads((dirty / "reports/clean.json").read_text())
    sheet, kept, dropped = listed(dirty), dirty / "data/clean", dirty / "data/quarantine"
    assert report["in"] == len(sheet) == table.count(dirty / "data/ingested") == 53
    assert report["kept"] == table.validate(kept) == 43
    assert report["dropped"] == table.count(dropped) == 10
    for name in MEASURED:
        assert report["checks"][name] == sum(name in one["reasons"].split(";") for one in sheet)
    parts = [*report["classes"].values(), report["unlabelled"]]
    for key in ("in", "kept", "dropped"):
        assert sum(part[key] for part in parts) == report[key]
        assert sum(part[key] for part in report["splits"].values()) == report[key]
    assert report["before"] == {"a": 25, "b": 26}
    assert report["after"] == {"a": 21, "b": 21}
    assert set(report["thresholds"]) == set(MEASURED)


def test_tables_hold_what_they_should(dirty: Path) -> None:
    report = clean.run(settings(), dirty)
    assert (report["size"], report["mode"]) == ([28, 28], "L")
    before = {one["id"]: one for one in table.rows(dirty / "data/ingested")}
    for one in table.rows(dirty / "data/clean"):
        old = before[one["id"]]
        assert (one["width"], one["height"], one["mode"]) == (28, 28, "L")
        assert one["label"] == old["label"] and one["split"] == old["split"]
        assert one["image"]["path"] == old["image"]["path"]
        new = images.pixels(one["image"]["bytes"], "L")
        assert (new == images.pixels(old["image"]["bytes"], "L")).all()  # the size was right
    for one in table.rows(dirty / "data/quarantine"):
        assert one == before[one["id"]]


def test_twice_gives_the_same_bytes(dirty: Path) -> None:
    places = [dirty / place for place in ("data/clean", "data/quarantine", "reports")]
    clean.run(settings(), dirty)
    first = [table.digest(place) for place in places]
    clean.run(settings(), dirty)
    assert [table.digest(place) for place in places] == first


def test_worker_processes_change_nothing(dirty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean.run(settings(), dirty)
    inline = table.digest(dirty / "data/clean"), table.digest(dirty / "reports")
    monkeypatch.setattr("augment.workers._INLINE", 0)
    clean.run(settings(workers=2), dirty)
    assert (table.digest(dirty / "data/clean"), table.digest(dirty / "reports")) == inline


def test_a_set_without_fault_loses_nothing(tmp_path: Path) -> None:
    report = clean.run(settings(), ingested(tmp_path, good()))
    assert (report["in"], report["kept"]) == (20, 20)
    assert table.count(tmp_path / "data/quarantine") == 0


@pytest.mark.parametrize(
    ("checks", "dropped"), [([], 0), (["exact_duplicate"], 3), (["blank"], 3), (["odd_size"], 2)]
)
def test_any_choice_of_checks(dirty: Path, checks: list[str], dropped: int) -> None:
    report = clean.run(settings(checks=checks), dirty)
    assert (report["dropped"], list(report["checks"])) == (dropped, checks)
    assert list(listed(dirty)[0])[6:] == checks


def test_order_is_kept(tmp_path: Path) -> None:
    clean.run(settings(), ingested(tmp_path, good(100)))
    paths = [one["path"] for one in listed(tmp_path) if one["verdict"] == "keep"]
    assert [one["image"]["path"] for one in table.rows(tmp_path / "data/clean")] == paths


def test_labels_of_any_kind_survive_the_sheet(tmp_path: Path) -> None:
    labels = ['a,"b"', "line\nbreak", "carriage\rreturn", "../x", "字" * 300, "NA", " 7"]
    rows = [row(glyph(), label, path=f"{n}.png") for n, label in enumerate(labels * 2)]
    clean.run(settings(), ingested(tmp_path, rows))
    assert [one["label"] for one in listed(tmp_path)] == labels * 2


def test_thresholds_can_be_set(tmp_path: Path) -> None:
    root = ingested(tmp_path, [*good(), row((glyph() // 2).astype(np.uint8), "a")])
    assert clean.run(settings(), root)["dropped"] == 0
    report = clean.run(settings(thresholds={"low_contrast": 0.6}), root)
    assert (report["dropped"], report["thresholds"]["low_contrast"]) == (1, 0.6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checks": ["blnak"]}, "unknown check 'blnak'; known: blank"),
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
    before = table.digest(root / "data/clean")
    blank = np.full((28, 28), 255, np.uint8)
    blanks = [row(blank // n, "b", path=f"{n}.png") for n in (1, 2, 3)]
    ingested(root, [*good(), *blanks])
    with pytest.raises(verdicts.CleanError, match=r"'blank' drops 3 of 13 images of class 'b'"):
        clean.run(settings(), root)
    assert sum(one["verdict"] == "drop" for one in listed(root)) == 3
    assert table.digest(root / "data/clean") == before
    assert clean.run(settings(max_dropped=0.25), root)["dropped"] == 3


def test_two_classes_must_be_left(tmp_path: Path) -> None:
    root = ingested(tmp_path, [*good(labels="a"), row(np.zeros((28, 28), np.uint8), "b")])
    with pytest.raises(verdicts.CleanError, match="'blank' drops 1 of 1 images of class 'b'"):
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
    assert forms.auto_size(sides) == expected


def test_size_and_mode_may_be_set(tmp_path: Path) -> None:
    root = ingested(tmp_path, good())
    report = clean.run(settings(size=[16, 32], mode="RGB"), root)
    assert (report["size"], report["mode"]) == ([16, 32], "RGB")
    one = next(table.rows(root / "data/clean"))
    assert (one["width"], one["height"], one["mode"]) == (32, 16, "RGB")
    assert images.pixels(one["image"]["bytes"], "RGB").shape == (16, 32, 3)
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
    pixels[..., 0] += forms.GREY_LEVELS
    assert forms.is_grey(pixels)
    pixels[0, :10, 0] += 1  # one percent of the pixels
    assert forms.is_grey(pixels)
    pixels[1, 0, 0] += 1
    assert not forms.is_grey(pixels)


def decoded(data: bytes, mode: str = "L") -> np.ndarray:
    return images.pixels(data, mode)


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    for resize in ("pad", "fit", "crop"):
        assert (
            decoded(normalise(images.encode(image), Form((16, 16), "L", resize))) == image
        ).all()


def test_pad_continues_the_paper() -> None:
    image = np.full((16, 8), 200, np.uint8)
    image[4:12, 2:6] = 10
    out = decoded(normalise(images.encode(image), Form((16, 16), "L", "pad")))
    assert (out[:, :4] == 200).all() and (out[:, 12:] == 200).all()
    assert (out[:, 4:12] == image).all()  # the height fits, so nothing was resampled
    colour = np.full((8, 16, 3), (10, 20, 30), np.uint8)
    out = decoded(normalise(images.encode(colour), Form((16, 16), "RGB", "pad")), "RGB")
    assert (out == (10, 20, 30)).all()


def test_fit_stretches_and_crop_cuts_the_centre() -> None:
    image = np.zeros((16, 32), np.uint8)
    image[:, 8:24] = 255
    crop = decoded(normalise(images.encode(image), Form((16, 16), "L", "crop")))
    assert (crop == 255).all()
    fit = decoded(normalise(images.encode(image), Form((16, 16), "L", "fit")))
    assert fit[:, 0].max() == 0 and fit[:, 8].min() == 255


@pytest.mark.parametrize("resize", ["pad", "fit", "crop"])
@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (7, 9), (40, 40)])
def test_every_form_has_its_size(resize: str, shape: tuple[int, int]) -> None:
    data = images.encode(RNG.integers(0, 256, shape, dtype=np.uint8))
    assert decoded(normalise(data, Form((12, 20), "L", resize))).shape == (12, 20)
    assert decoded(normalise(data, Form((12, 20), "RGB", resize)), "RGB").shape == (12, 20, 3)
