"""Handwriting named by fonts: a draw, the bounds, and the quick form with a font of Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from augment.data.arrays import Arrays
from benchmarks import mnist, no_labels, tables

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_both_bounds_are_judged() -> None:
    """99 % in the median and 98 % in the worst of five draws; a line for each number of fonts."""
    names = (
        "files alone seeds_right agreed spread adopted adopted_right sure width steps batch seed"
    )
    facts = dict.fromkeys(names.split(), 1) | dict.fromkeys(("network", "device", "machine"), "x")
    draws = {
        10: (0.992, 0.99, 0.98, 0.99, 0.99),
        20: (0.999, 0.999, 0.979, 0.999, 0.999),
        30: (0.989, 0.989, 0.989, 0.999, 0.999),
        40: (0.999, 0.999, 0.999, 0.999),
    }
    rows = [facts | {"fonts": fonts, "held": held} for fonts, of in draws.items() for held in of]
    (table,) = tables.tables("no_labels", rows)
    assert table["met"].tolist() == ["yes", "no", "no", "no"]
    assert table["worst"].tolist() == ["0.9800", "0.9790", "0.9890", "0.9990"]
    assert table["draws"].tolist() == ["5", "5", "5", "4"]


def test_a_draw_takes_whole_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Arrays(np.zeros((40, 1, 4, 4), np.uint8), np.arange(40) % 10, [""] * 40, mnist.CLASSES)
    fonts = tuple(f"font {place // 10}" for place in range(40))
    monkeypatch.setattr(no_labels, "glyphs", lambda _: (data, fonts))
    assert np.bincount(no_labels.draw("", 3, 0).labels).tolist() == [3] * 10
    assert len(no_labels.draw("", 9, 0)) == 40


def test_quick_form_prints_and_stores_nothing(
    tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    font = ImageFont.load_default(10)
    assert isinstance(font, ImageFont.FreeTypeFont)
    (tmp_path / "fonts").mkdir()
    for name in "ab":
        (tmp_path / f"fonts/{name}.ttf").write_bytes(font.path.getvalue())  # type: ignore[union-attr]
    no_labels.main(["--quick", "--device", "cpu", "--source", str(tmp_path / "fonts")])
    assert "fonts alone" in capsys.readouterr().out
    assert not list(elsewhere.glob("*.json"))
