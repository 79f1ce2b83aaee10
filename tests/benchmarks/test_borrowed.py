"""What is borrowed: the bounds of the table, hands that no plain font is of, edges, a quick run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from augment.data.arrays import Arrays
from benchmarks import mnist, tables
from benchmarks.borrowed import __main__, bent, letters, named, translated
from benchmarks.cleaning import glyphs
from benchmarks.results import Row

pytestmark = pytest.mark.usefixtures("elsewhere")
FACTS = {
    "network": "own", "width": 16, "steps": 1, "batch": 1, "device": "cpu", "machine": "x",
    "seconds": 1.0,
}  # fmt: skip
ROWS = {  # case: what was measured of two seeds, of which the median counts
    "letters": [{"held": 0.94, "alone": 0.8}, {"held": 0.962, "alone": 0.9}],
    "characters": [{"held": 0.94, "alone": 0.8}, {"held": 0.95, "alone": 0.9}],
    "unseen": [{"plain": 0.7, "stronger": 0.9, "made": 0.8, "both": 0.9}],
    "helpers": [{"oversampling": 0.8, "stronger": 0.9, "made": 0.92, "real": 1.0}],
    "rare_characters": [{"oversampling": 0.8, "stronger": 0.7, "made": 0.89, "real": 1.0}],
}


def test_shares_and_gains_are_judged_by_their_medians() -> None:
    (line, *_) = tables.tables("borrowed", _rows(ROWS))
    assert line["case"].tolist() == [name.replace("_", " ") for name in ROWS]
    assert line["met"].tolist() == ["yes", "no", "yes", "yes", "no"]
    assert line["gain"].tolist() == ["+10.1%", "+9.5%", "-10.0%", "+2.0%", "+9.0%"]
    assert line["bound"].tolist() == ["95%", "95%", "80%", "+2%", "+10%"]


@pytest.mark.parametrize(
    ("dry", "green", "edges", "answer"),
    [(0.9, 0.95, 0.6, "yes"), (0.95, 0.89, 0.9, "no"), (0.95, 0.95, 0.59, "no")],
)
def test_seasons_must_keep_their_edges(dry: float, green: float, edges: float, answer: str) -> None:
    row = {"to_dry": dry, "to_green": green, "edges_dry": edges, "edges_green": 0.9, "judge": 1.0}
    (line, *_) = tables.tables("borrowed", _rows({"seasons": [row]}))
    assert line["met"].tolist() == [answer]


def test_kept_edges_are_those_of_brightness() -> None:
    """Brightness turned over keeps them, a picture turned by a quarter does not."""
    ramp = np.zeros((1, 3, 8, 8), np.uint8)
    ramp[..., 4:] = 200
    turned = ramp.transpose(0, 1, 3, 2)
    assert translated.kept_edges(ramp, 255 - ramp) == pytest.approx(1)
    assert translated.kept_edges(ramp, turned) < 0.2
    assert translated.kept_edges(ramp, np.zeros_like(ramp)) == 0


def test_hands_take_turns_and_no_two_images_are_alike() -> None:
    """In two images of each of three letters by two fonts each font stands once for each letter."""
    names = {name: glyphs.FONTS[name] for name in [*glyphs.FONTS][:2]}
    data = letters.written(names, "安永花", 2, 28, 0)
    fonts = [name.split()[0] for name in data.ids]
    assert all(set(fonts[place : place + 2]) == set(names) for place in (0, 2, 4))
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    again = letters.written(names, "安永花", 2, 28, 1)
    assert not (again.pixels == data.pixels).all((1, 2, 3)).any()
    assert (letters.written(names, "安永花", 2, 28, 0).pixels == data.pixels).all()
    assert data.pixels.min() == 0 and data.pixels.max() > 200  # light ink on black


def test_plain_fonts_are_of_no_hands_family() -> None:
    files = letters.plain("AB", 20, 0)
    hands = {
        glyphs.path_of(name, names).parent
        for names in (letters.HANDS, glyphs.FONTS)
        for name in names
    }
    assert len(files) == 20 and not hands & {path.parent for path in files}
    assert not {*letters.PRINT} & {*letters.BRUSHES} and letters.CURSIVE not in letters.BRUSHES


def test_only_some_classes_are_left() -> None:
    data = Arrays(np.zeros((4, 1, 2, 2), np.uint8), np.array([3, 1, 0, 3]), [*"abcd"], [*"wxyz"])
    few = bent.only(data, np.array([1, 3]))
    assert few.labels.tolist() == [1, 0, 1]
    assert (few.classes, few.ids) == ([*"xz"], [*"abd"])


def test_enlarged_digits_lie_on_the_middle() -> None:
    data = named.enlarged()
    assert data.shape == (1, 28, 28) and data.classes == mnist.CLASSES
    assert not data.pixels[:, :, :2].any() and data.pixels[:, :, 2:26, 2:26].any((1, 2, 3)).all()


def test_quick_form_prints_and_stores_nothing(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    __main__.main(["--quick", "--device", "cpu"])
    assert "letters" in capsys.readouterr().out
    assert not [*elsewhere.glob("*.json")]


def _rows(cases: Mapping[str, Sequence[Row]]) -> list[Row]:
    return [
        {"row": name, "seed": seed, **FACTS, **measured}
        for name, of in cases.items()
        for seed, measured in enumerate(of)
    ]
