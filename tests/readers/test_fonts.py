"""The reader fonts: what it draws, what it rejects, and that it draws the same again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from augment.data import images
from augment.errors import AugmentError
from augment.readers import READERS, recognise
from augment.readers.base import SIDE_FILE, Item


def font_bytes() -> bytes:
    """The font that Pillow itself brings along: Latin letters and digits."""
    font = ImageFont.load_default(10)
    assert isinstance(font, ImageFont.FreeTypeFont)
    data: bytes = font.path.getvalue()  # type: ignore[union-attr]
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fonts" / "sans").mkdir(parents=True)
    for name in ("a.ttf", "sans/b.TTF"):
        (tmp_path / "fonts" / name).write_bytes(font_bytes())
    return tmp_path / "fonts"


def read(source: Path | str, **options: Any) -> list[Item]:
    return list(READERS.build({"name": "fonts", **options}, str(source))())


def pixels(item: Item) -> np.ndarray:
    assert isinstance(item.data, bytes)
    return images.pixels(item.data, "L")


def ink(item: Item) -> tuple[int, int]:
    """Height and width of the ink."""
    rows, columns = np.nonzero(pixels(item) < 128)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_every_font_draws_every_character(folder: Path) -> None:
    items = read(folder, characters="01A", sizes=[0.5, 0.8])
    assert Counter(item.label for item in items) == {"0": 4, "1": 4, "A": 4}
    assert {item.group for item in items} == {"a.ttf", "sans/b.TTF"}
    assert {item.reason for item in items} == {""}
    assert len({item.path for item in items}) == 12
    assert items[0].path == "a.ttf/U+0030.0.png"
    assert {pixels(item).shape for item in items} == {(32, 32)}


def test_it_is_recognised(folder: Path) -> None:
    assert recognise(str(folder)) == recognise(str(folder / "a.ttf")) == "fonts"
    assert recognise("builtin:fonts") == "fonts" and recognise("builtin:digits") == "builtin"
    (folder / "picture.png").write_bytes(images.encode(np.zeros((8, 8), np.uint8)))
    assert recognise(str(folder)) == "image_folder"


@pytest.mark.parametrize(("size", "side"), [(0.5, 40), (0.75, 40), (1.0, 24)])
def test_the_longer_side_of_the_glyph_is_the_size(folder: Path, size: float, side: int) -> None:
    for item in read(folder / "a.ttf", sizes=[size], side=side):
        assert max(ink(item)) == pytest.approx(size * side, abs=1.5), item.path


def test_it_stands_in_the_middle(folder: Path) -> None:
    for item in read(folder / "a.ttf", ink="light"):
        rows, columns = np.nonzero(pixels(item) > 127)
        for places in (rows, columns):
            assert (places.min() + places.max()) / 2 == pytest.approx(15.5, abs=1)


def test_a_stroke_adds_ink_and_ink_may_be_light(folder: Path) -> None:
    thin, thick = read(folder / "a.ttf", characters="3", strokes=[0.0, 0.06])
    assert pixels(thick).mean() < pixels(thin).mean() - 5
    (light,) = read(folder / "a.ttf", characters="3", ink="light")
    np.testing.assert_array_equal(pixels(light), 255 - pixels(thin))


def test_a_slant_leans_to_the_right(folder: Path) -> None:
    def lean(item: Item) -> float:
        rows, columns = np.nonzero(pixels(item) < 128)
        upper = columns[rows < rows.mean()].mean()
        return float(upper - columns[rows > rows.mean()].mean())

    left, upright, right = read(folder / "a.ttf", characters="l", slants=[-20, 0, 20])
    assert lean(left) < -3 and abs(lean(upright)) < 1 and lean(right) > 3


def test_warps_differ_and_come_again(folder: Path) -> None:
    plain = read(folder, characters="5")
    bent = read(folder, characters="5", variants=2, warp=0.1)
    again = read(folder, characters="15", variants=2, warp=0.1)
    assert [item.data for item in bent] == [item.data for item in again if item.label == "5"]
    assert len({item.data for item in bent}) == 4
    assert not {item.data for item in plain} & {item.data for item in bent}
    others = read(folder, characters="5", variants=2, warp=0.1, seed=1)
    assert not {item.data for item in others} & {item.data for item in bent}


def test_a_character_that_the_font_lacks_is_rejected(folder: Path) -> None:
    reasons = Counter((item.label, item.reason) for item in read(folder, characters="7永"))
    assert reasons == {("7", ""): 2, ("永", "the font lacks this character"): 2}


def test_words_are_classes_too(folder: Path) -> None:
    words = read(folder / "a.ttf", characters=["ab", "b"])
    assert [(item.label, item.path) for item in words] == [
        ("ab", "a.ttf/U+0061-U+0062.0.png"),
        ("b", "a.ttf/U+0062.0.png"),
    ]
    assert ink(words[0])[1] > ink(words[0])[0]


def test_what_is_no_font_is_rejected(folder: Path) -> None:
    (folder / "broken.otf").write_bytes(b"OTTO" + bytes(40))
    (folder / "readme.txt").write_text("fonts")
    reasons = {item.path: item.reason for item in read(folder, characters="1")}
    assert reasons == {
        "a.ttf/U+0031.0.png": "",
        "broken.otf": "not a font",
        "readme.txt": SIDE_FILE,
        "sans/b.TTF/U+0031.0.png": "",
    }


def test_installed_fonts_by_a_word(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent))
    (folder / "sans" / "unlikely-name.ttf").write_bytes(font_bytes())
    items = read("builtin:fonts/unlikely-Name", characters="1")
    assert [item.path for item in items] == ["sans/unlikely-name.ttf/U+0031.0.png"]
    with pytest.raises(AugmentError, match=r"builtin:fonts/nobody-has-this: no font here"):
        read("builtin:fonts/nobody-has-this")


@pytest.mark.parametrize("characters", ["", " ", ["a", " "], []])
def test_blank_characters_stop_it(folder: Path, characters: object) -> None:
    with pytest.raises(AugmentError, match="characters"):
        read(folder, characters=characters)


def test_a_folder_without_fonts_stops_it(tmp_path: Path) -> None:
    with pytest.raises(AugmentError, match=r"no font here; fonts end in \.ttf"):
        read(tmp_path)
