"""Contact sheets: every pixel in its place, whole factors, captions, odd counts."""

from __future__ import annotations

import numpy as np
import pytest

from augment.data import contact_sheets
from augment.data.contact_sheets import GAP, PAPER


def tiles(count: int, channels: int = 1, height: int = 8, width: int = 8) -> np.ndarray:
    """Distinct dark images, so that paper and tile cannot be confused."""
    size = count * channels * height * width
    return (np.arange(size) % 200).astype(np.uint8).reshape(count, channels, height, width)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "target", "factor"),
    [
        (8, 8, 48, 6),
        (28, 28, 48, 2),
        (64, 64, 48, 1),
        (200, 200, 48, 1),
        (8, 32, 48, 2),
        (8, 8, 8, 1),
    ],
)
def test_grid(channels: int, height: int, width: int, target: int, factor: int) -> None:
    images = tiles(5, channels, height, width)
    picture = contact_sheets.grid(images, 3, target=target)
    tall, wide = height * factor + GAP, width * factor + GAP
    assert picture.shape == (2 * tall + GAP, 3 * wide + GAP, 3) and picture.dtype == np.uint8
    covered = np.zeros(picture.shape[:2], bool)
    for place, tile in enumerate(images):
        top, left = GAP + place // 3 * tall, GAP + place % 3 * wide
        shown = picture[top : top + tall - GAP, left : left + wide - GAP]
        covered[top : top + tall - GAP, left : left + wide - GAP] = True
        large = np.kron(tile.transpose(1, 2, 0), np.ones((factor, factor, 1), np.uint8))
        assert (shown == large).all()
    assert (picture[~covered] == PAPER).all()


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_by_class_has_a_captioned_row_a_class(count: int) -> None:
    picture = contact_sheets.by_class(
        {"a": tiles(4), "a long name 漢": tiles(count)}, columns=4, target=8
    )
    row = 8 + 2 * GAP
    margin = picture.shape[1] - 4 * (8 + GAP) - GAP
    assert picture.shape == (2 * row, margin + 4 * (8 + GAP) + GAP, 3)
    assert (picture[:row, margin:] == contact_sheets.grid(tiles(4), 4, target=8)).all()
    shown = tiles(count)[:4]
    expected = np.full((4, 1, 8, 8), PAPER, np.uint8)
    expected[: len(shown)] = shown
    assert (picture[row:, margin:] == contact_sheets.grid(expected, 4, target=8)).all()
    for top in (0, row):
        assert (picture[top : top + row, :margin] < 128).any()  # ink of the caption


def test_beside_puts_two_sheets_under_their_titles() -> None:
    left = {"a": tiles(3), "b": tiles(2)}
    right = {name: 199 - images for name, images in left.items()}
    picture = contact_sheets.beside(left, right, 3, ("real", "made"), target=8)
    sides = [contact_sheets.by_class(side, 3, target=8) for side in (left, right)]
    height, width, _ = sides[0].shape
    head = picture.shape[0] - height
    assert picture.shape == (height + head, 2 * width + 4 * GAP, 3)
    assert (picture[head:, :width] == sides[0]).all() and (
        picture[head:, -width:] == sides[1]
    ).all()
    assert (picture[:head, :width] < 128).any() and (picture[:head, -width:] < 128).any()
    with pytest.raises(ValueError):
        contact_sheets.beside(left, right, 3, ("one title",), target=8)
    again = contact_sheets.beside(left, right, 3, ("real", "made"), target=8)
    assert (again == picture).all()


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("7", "7"),
        ("lower_case_a", "lower_case_a"),
        ("a é", "a U+00E9"),
        ("日", "U+65E5"),
        ("a\nb", "a U+000A b"),
        ("日本語", "U+65E5 U+672C…"),
        ("w" * 300, "wwwwwwwwww…"),
    ],
)
def test_captions_are_drawn_in_letters_that_the_font_has(name: str, caption: str) -> None:
    assert contact_sheets.fitted(name) == caption


def test_captions_of_other_letters_differ() -> None:
    first, second = (contact_sheets.by_class({name: tiles(1)}, 1, target=48) for name in "日月")
    assert first.shape == second.shape and (first != second).any()


def test_of_very_many_classes_the_first_are_shown() -> None:
    classes = {str(number): tiles(1) for number in range(contact_sheets.ROWS + 3)}
    first_classes = dict(list(classes.items())[: contact_sheets.ROWS])
    picture, all_of_them = (
        contact_sheets.by_class(named, 2, target=8) for named in (classes, first_classes)
    )
    assert (picture[: len(all_of_them)] == all_of_them).all()
    assert (picture[len(all_of_them) :] < 128).any()
    assert len(picture) - len(all_of_them) < 40


def test_captions_stand_below_images_of_any_width() -> None:
    narrow, wide = tiles(1, 1, 20, 30)[0], tiles(1, 3, 20, 60)[0]
    picture = contact_sheets.captioned(
        [narrow, wide, narrow], ["1", "a much too long caption", ""], 2
    )
    tall = 20 + 2 * contact_sheets.SIZE
    assert picture.shape == (2 * (tall + GAP) + GAP, 2 * (60 + GAP) + GAP, 3)
    assert (picture[GAP : GAP + 20, GAP + 30 : GAP + 60] == narrow.transpose(1, 2, 0)).all()
    assert (picture[GAP : GAP + 20, GAP : GAP + 30] == PAPER).all()
    assert (picture[GAP : GAP + 20, 60 + 2 * GAP :][:, :60] == wide.transpose(1, 2, 0)).all()
    below = picture[GAP + 20 : GAP + tall]
    assert (below[:, :62] < 128).any() and (below[:, 62:] < 128).any()
    assert (picture[2 * GAP + tall + 20 :] == PAPER).all()  # no caption, no ink
