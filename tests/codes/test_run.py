"""The codes stage: matching, naming, what is measured of planted codes, and names looked up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from augment.codes import matching
from augment.codes import run as codes_
from augment.codes.probe import BUDGET, Probe, name_codes
from augment.codes.run import run
from augment.codes.settings import CodesSettings
from augment.data import contact_sheets, files, images
from augment.data.places import CLEAN, CODES, GENERATOR, REPORTS
from augment.data.table import TableWriter
from augment.models import class_head, code_names, generator
from augment.models.code_names import CodesError
from augment.runtime import checkpoint
from augment.vision.factors import FACTORS

CLASSES = ["2", "10", "a"]
SIDE = 24
SETTINGS = CodesSettings()
REPORT = f"{REPORTS}/codes.json"
PICTURE = f"{REPORTS}/codes.png"


def glyph(kind: int, lean: float = 0.0, shift: float = 0.0) -> np.ndarray:
    """A bar (1, SIDE, SIDE); the corner says which class it is, too faint to be ink."""
    image = np.zeros((1, SIDE, SIDE), np.uint8)
    for up in range(12):
        left = round(10 + lean * (up - 6) / 2 + 3 * shift)
        image[0, 17 - up, left : left + 3] = 250
    image[0, 0, 0] = kind
    return image


@dataclass
class FakeGenerator:
    """Categories draw the classes in another order; code 0 leans leftwards, code 1 shifts.

    Code 2 only turns the first class into the second, beyond ±0.9.
    """

    matched: bool = False
    order: tuple[int, ...] = (1, 2, 0)  # the class that each condition draws
    continuous: int = 3
    rule: None = None  # it starts from noise
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    shape: tuple[int, int, int] = (1, SIDE, SIDE)
    digest: str = "0" * 64
    conditions: set[int] = field(default_factory=set)  # all that images were made with

    @property
    def categories(self) -> int:
        return len(self.order)

    @property
    def network(self) -> SimpleNamespace:
        return SimpleNamespace(codes=self.continuous)

    def images(self, conditions, codes, *, seed, same_noise=False):
        assert conditions.dtype == np.int64 and codes.dtype == np.float32
        assert codes.shape == (len(conditions), self.continuous) and (np.abs(codes) <= 1).all()
        self.conditions |= set(conditions.tolist())
        codes = np.pad(codes, ((0, 0), (0, 3 - self.continuous)))
        noise = np.random.default_rng(seed).normal(0, 0.1, len(conditions))
        noise = np.full(len(conditions), noise[0]) if same_noise else noise
        kinds = np.array(self.order)[conditions]
        kinds = np.where((kinds == 0) & (np.abs(codes[:, 2]) > 0.9), 1, kinds)
        leans = noise - codes[:, 0]
        return np.stack([glyph(*row) for row in zip(kinds, leans, codes[:, 1], strict=True)])


class Reader:
    """Labeller and head: reads the corner, sure to 90 %."""

    def __init__(self, order: tuple[int, ...]):
        self.order = order

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        kinds = pixels[:, 0, 0, 0][:, None]
        right = np.array(self.order) == kinds
        return (0.1 / len(self.order) + 0.9 * right / right.sum(1, keepdims=True).clip(1)).astype(
            "f4"
        )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A cleaned table: one labelled train image a class, two in valid, an unlabelled one."""
    rows = [("train", kind, 0.0) for kind in range(3)]
    rows += [("valid", kind, lean) for kind in range(3) for lean in (0.5, -0.5)]
    with TableWriter(tmp_path / CLEAN) as writer:
        for split, kind, lean in [*rows, ("train", 9, 0.0)]:
            data = images.encode(glyph(kind, lean)[0])
            writer.add(
                {
                    "id": hashlib.sha256(data).hexdigest(),
                    "image": {"bytes": data, "path": "none"},
                    "label": CLASSES[kind] if kind < 3 else None,
                    "split": split,
                    "origin": "real",
                    "width": SIDE,
                    "height": SIDE,
                    "mode": "L",
                }
            )
    return tmp_path


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a fake in the place of what ``train`` wrote."""

    def put(fake: FakeGenerator, *, head: bool = True) -> None:
        reader = Reader(fake.order) if head else None
        monkeypatch.setattr(generator.Generator, "load", lambda *_, **__: fake)
        monkeypatch.setattr(class_head, "load", lambda *_: reader)
        monkeypatch.setattr(codes_, "load_classifier", lambda *_: Reader((0, 1, 2)))

    return put


def sure(categories: list[int], count: int, certainty: float = 0.8) -> np.ndarray:
    probabilities = np.full((len(categories), count), (1 - certainty) / (count - 1))
    probabilities[np.arange(len(categories)), categories] = certainty
    return probabilities


def test_one_image_a_class_is_enough_to_match() -> None:
    owned = matching.match(sure([2, 0, 1], 3), np.array([0, 1, 2]), ["x", "y", "z"])
    assert owned == {"x": [2], "y": [0], "z": [1]}


def test_matching_takes_the_best_whole_and_not_the_best_single() -> None:
    """Both classes prefer category 0; the one that loses less gives way, by the probabilities."""
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1]])
    owned = matching.match(probabilities, np.array([0, 1]), ["x", "y"])
    assert owned == {"x": [1], "y": [0]}
    owned = matching.match(probabilities[::-1], np.array([0, 1]), ["x", "y"])
    assert owned == {"x": [0], "y": [1]}
    probabilities = np.array([[0.5, 0.45, 0.05], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])
    owned = matching.match(probabilities, np.array([0, 1, 2]), ["x", "y", "z"])
    assert owned == {"x": [0], "y": [1], "z": [2]}  # though category 1 is likeliest in x


def test_every_class_counts_the_same() -> None:
    """Two hundred images of x lean to category 0 a little, the one of y leans to it more."""
    probabilities = np.array([[0.55, 0.45]] * 200 + [[0.7, 0.3]])
    labels = np.array([0] * 200 + [1])
    assert matching.match(probabilities, labels, ["x", "y"]) == {"x": [1], "y": [0]}
    table = matching.contingency(probabilities, labels, 2)
    assert table == pytest.approx(np.array([[0.55, 0.45], [0.7, 0.3]]))


def test_a_class_may_own_several_categories_best_first() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array(
        [[0.3, 0.4, 0.3, 0.0], [0.2, 0.1, 0.7, 0.0], [0.3, 0.0, 0.7, 0.0]]
        + [[0.0, 0.9, 0.0, 0.1], [0.1, 0.5, 0.0, 0.4]]
    )
    owned = matching.match(probabilities, labels, ["x", "y"])
    assert owned == {"x": [2, 0], "y": [1, 3]}
    assert (
        matching.accuracy(probabilities, labels, owned) == 1.0
    )  # sums decide, not single categories
    assert matching.accuracy(sure([2, 1, 3, 0], 4), np.array([0, 0, 1, 1]), owned) == 0.5
    assert np.isnan(matching.accuracy(probabilities[:0], labels[:0], owned))


def test_what_cannot_be_matched_is_said() -> None:
    with pytest.raises(CodesError, match="^2 categories cannot be matched to 3 classes"):
        matching.match(sure([0, 1, 0], 2), np.array([0, 1, 2]), CLASSES)
    with pytest.raises(CodesError, match="no labelled train image of class '10'"):
        matching.match(sure([0, 1], 3), np.array([0, 2]), CLASSES)


def test_names_go_to_the_strongest_and_once_only() -> None:
    spearman = {
        "slant": np.array([-0.9, 0.8, 0.1, np.nan]),
        "width": np.array([0.85, 0.6, 0.5, np.nan]),
        "size": np.array([0.0, 0.49, 0.3, np.nan]),
    }
    assert name_codes(spearman) == {
        "slant": {"code": 0, "sign": -1, "spearman": -0.9},
        "width": {"code": 1, "sign": 1, "spearman": 0.6},
    }
    assert name_codes({"slant": np.array([0.5])})["slant"]["sign"] == 1
    assert name_codes({"slant": np.array([0.4999, np.nan])}) == {}
    assert name_codes({"slant": np.empty(0)}) == {}


def test_planted_codes_are_found(project: Path, trained: Callable[..., None]) -> None:
    fake = FakeGenerator()
    trained(fake)
    report = run(SETTINGS, project)
    assert report["classes"] == {"2": [2], "10": [0], "a": [1]}
    assert report["conditions"] == "categories"
    assert report["accuracy"] == {"train": 1.0, "valid": 1.0}
    purity = pytest.approx((0.9 + 0.1 / 3) / (0.9 + 0.1))
    assert report["categories"] == [
        {"category": number, "class": name, "purity": purity}
        for number, name in enumerate(["10", "a", "2"])
    ]
    assert report["table"]["2"] == pytest.approx([0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3])
    slant, shift, turn = report["continuous"]
    assert (slant["name"], shift["name"], turn["name"]) == ("slant", "horizontal", None)
    assert slant["spearman"].keys() == set(FACTORS.names())
    assert -1 <= slant["spearman"]["slant"] < -0.95 and 0.9 < shift["spearman"]["horizontal"] <= 1
    assert slant["class_changes"] == shift["class_changes"] == 0  # the turned one stays turned
    assert turn["per_class"] == {"2": pytest.approx(2 / 8), "10": 0, "a": 0}
    assert turn["class_changes"] == pytest.approx(2 / 24)
    names = report["names"]
    assert names.keys() == {"slant", "horizontal"}
    assert (names["slant"]["code"], names["slant"]["sign"]) == (0, -1)
    lookup = json.loads((project / CODES).read_text())
    assert lookup == {key: report[key] for key in ("generator", "classes", "names")}
    assert json.loads((project / REPORT).read_text())["names"] == names


def test_picture_has_a_row_a_class_and_a_block_a_code(
    project: Path, trained: Callable[..., None]
) -> None:
    trained(FakeGenerator())
    run(SETTINGS, project)
    picture = images.pixels((project / PICTURE).read_bytes(), "RGB")
    tile = 2 * SIDE + 2
    assert picture.shape[0] - 3 * (tile + 2) == 50
    assert picture.shape[1] % 3 == 0 and 9 * tile < picture.shape[1] / 3 < 9 * tile + 60
    blocks = np.split(picture[50:], 3, axis=1)
    for block in blocks:  # the middle of every traversal is the same image, the ends are not
        assert (block[:, -5 * tile : -4 * tile] == blocks[0][:, -5 * tile : -4 * tile]).all()
    assert (blocks[0][:, -tile:] != blocks[1][:, -tile:]).any()
    heads = np.split(picture[:50], 3, axis=1)
    assert all((head < 128).any() for head in heads) and (heads[0] != heads[2]).any()


def test_the_same_twice(project: Path, trained: Callable[..., None]) -> None:
    trained(FakeGenerator())
    written = []
    for _ in range(2):
        run(SETTINGS, project)
        written.append([(project / name).read_bytes() for name in (CODES, REPORT, PICTURE)])
    assert written[0] == written[1]


def test_more_categories_than_classes(project: Path, trained: Callable[..., None]) -> None:
    fake = FakeGenerator(order=(1, 2, 0, 2))
    trained(fake)
    report = run(SETTINGS, project)
    assert report["classes"] == {"2": [2], "10": [0], "a": [1, 3]}
    assert [entry["class"] for entry in report["categories"]] == ["10", "a", "2", "a"]
    assert report["categories"][3]["purity"] == pytest.approx(0.475 / (0.475 + 2 * 0.025))
    assert fake.conditions == {0, 1, 2}  # a class is shown by its best category
    assert report["accuracy"]["valid"] == 1.0


def test_conditions_that_are_classes_need_no_head(
    project: Path, trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(FakeGenerator(matched=True, order=(0, 1, 2)))
    monkeypatch.setattr(class_head, "load", None)
    report = run(SETTINGS, project)
    assert report["conditions"] == "classes" and report["classes"] is None
    assert report["accuracy"] == report["table"] == {} and report["categories"] == []
    assert report["names"]["slant"]["sign"] == -1
    assert report["continuous"][2]["per_class"]["2"] == pytest.approx(2 / 8)
    assert (project / PICTURE).exists()


@pytest.mark.parametrize("matched", [True, False])
def test_without_codes_the_picture_shows_samples(
    project: Path, trained: Callable[..., None], matched: bool
) -> None:
    trained(FakeGenerator())
    run(SETTINGS, project)
    trained(FakeGenerator(matched=matched, continuous=0, order=(0, 1, 2)), head=False)
    report = run(SETTINGS, project)
    assert report["conditions"] == ("classes" if matched else "none")
    assert report["classes"] is None and report["names"] == {} and report["continuous"] == []
    picture = images.pixels((project / PICTURE).read_bytes(), "RGB")
    rows = (
        picture.shape[0] / contact_sheets.grid(np.zeros((9, 1, SIDE, SIDE), np.uint8), 9).shape[0]
    )
    assert rows == (3 if matched else 1)
    assert json.loads((project / CODES).read_text())["classes"] is None


def test_fewer_categories_than_classes_are_an_error(
    project: Path, trained: Callable[..., None]
) -> None:
    trained(FakeGenerator(order=(1, 0)))
    with pytest.raises(CodesError, match="2 categories cannot be matched to 3 classes"):
        run(SETTINGS, project)
    assert not (project / CODES).exists()


@pytest.mark.filterwarnings("error")
def test_many_classes_cost_no_more_and_blank_images_measure_nothing() -> None:
    sizes = []

    class Blank(FakeGenerator):
        def images(self, conditions, codes, *, seed, same_noise=False):
            sizes.append(len(conditions))
            return np.zeros((len(conditions), 1, 8, 8), np.uint8)

    shown = {str(number): number for number in range(20)}
    probe = Probe(Blank(), Reader((0, 1, 2)), shown, 0)
    spearman = probe.correlations()
    assert sum(sizes) == BUDGET
    assert all(np.isnan(values).all() and len(values) == 3 for values in spearman.values())
    sizes.clear()
    assert (probe.class_changes() == 0).all()
    assert BUDGET / 2 < sum(sizes) <= BUDGET


def test_names_are_looked_up(project: Path, trained: Callable[..., None]) -> None:
    with pytest.raises(CodesError, match="run augment codes"):
        code_names.code_named("slant", project)
    for suffix in ("json", "safetensors"):
        files.write_text(project / GENERATOR / f"generator.{suffix}", "weights")
    trained(FakeGenerator(digest=checkpoint.digest_of_checkpoint(project / GENERATOR, "generator")))
    run(SETTINGS, project)
    assert code_names.code_named("slant", project) == (0, -1)
    assert code_names.code_named("horizontal", project) == (1, 1)
    with pytest.raises(CodesError, match="unknown code 'slnat'; known: .*slant"):
        code_names.code_named("slnat", project)
    files.write_text(project / GENERATOR / "generator.json", "others")
    with pytest.raises(CodesError, match="is of another generator; run augment codes"):
        code_names.code_named("slant", project)
    for damaged in ("{", "[]", "{}"):
        files.write_text(project / CODES, damaged)
        with pytest.raises(CodesError, match="damaged; run augment codes"):
            code_names.code_named("slant", project)
