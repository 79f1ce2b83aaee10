"""Ink on drawn images: paper, polarity, pieces and lines at known places; images of any form."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from augment.clean.glyphs.ink import Glyph, Ink, ink_of

Box = tuple[int, int, int, int]  # first row, first column, end row, end column


def drawing(
    *boxes: Box, side: tuple[int, int] = (64, 64), paper: int = 230, ink: int = 30
) -> np.ndarray:
    image = np.full(side, paper, np.uint8)
    for top, left, bottom, right in boxes:
        image[top:bottom, left:right] = ink
    return image


CROSS = ((14, 30, 50, 36), (30, 14, 36, 50))


@pytest.mark.parametrize(("paper", "ink"), [(230, 30), (30, 230), (255, 0), (0, 255), (100, 120)])
def test_paper_and_ink_of_either_polarity(paper: int, ink: int) -> None:
    image = drawing(*CROSS, paper=paper, ink=ink)
    seen = Ink(image)
    assert seen.dark == (ink < paper)
    assert (seen.mask == (image == ink)).all() and (seen.strokes == seen.mask).all()
    assert seen.contrast == pytest.approx(abs(paper - ink), abs=0.01)
    assert np.allclose(seen.paper(64, 64), paper, atol=0.01)
    assert seen.grain == pytest.approx(0.0, abs=1e-5)
    assert seen.pieces.width == pytest.approx(6, rel=0.25)
    inner = 2 * 34 * 4 - 4 * 4 + 4  # of two bars; where they cross, four more have ink around them
    assert seen.outline.sum() == seen.mask.sum() - inner


def test_a_slope_and_a_bend_of_the_paper_are_no_ink() -> None:
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    light = 200 - 30 * x + 15 * y - 20 * x * x
    image = np.where(drawing((40, 30, 60, 50), side=(96, 80)) < 100, light - 110, light)
    ink = Ink(np.rint(image).astype(np.uint8))
    assert ink.mask.sum() == 400 and ink.mask[40:60, 30:50].all()
    assert np.abs(ink.paper(96, 80)[..., 0] - light).max() < 1.0
    assert ink.contrast == pytest.approx(110, abs=1) and ink.grain < 0.01


def test_the_sheet_stays_within_the_levels() -> None:
    """A sheet that rises beyond white would leave more than 255 levels to the ink in a corner."""
    y, x = np.mgrid[0:1:64j, 0:1:64j]
    image = np.rint(100 + 155 * np.minimum(1, 1.4 * x * y)).astype(np.uint8)
    image[40:, 40:] = 0
    ink = Ink(image)
    sheet = ink.paper(64, 64)
    assert 0 <= sheet.min() and sheet.max() <= 255 and ink.away.max() <= 255


@pytest.mark.parametrize(("levels", "seen"), [(11, False), (13, True)])
def test_what_is_too_faint_is_not_written(levels: int, seen: bool) -> None:
    ink = Ink(drawing(*CROSS, paper=200, ink=200 - levels))
    assert ink.mask.any() == seen
    assert ink.lines == [] and len(ink.pieces.boxes) == int(seen)


@pytest.mark.parametrize("colour", [(255, 255, 0), (230, 60, 60), (0, 0, 0), (60, 110, 250)])
def test_coloured_ink_is_measured_in_its_strongest_channel(colour: tuple[int, ...]) -> None:
    image = np.full((64, 64, 3), 250, np.uint8)
    image[20:44, 28:34] = colour
    ink = Ink(image)
    assert ink.dark and ink.mask.sum() == 24 * 6
    assert ink.contrast == pytest.approx(250 - min(colour), abs=0.5)


def test_grey_and_its_three_equal_channels_are_one() -> None:
    grey = drawing(*CROSS)
    single, three = Ink(grey), Ink(np.stack([grey] * 3, 2))
    assert (single.mask == three.mask).all() and single.contrast == three.contrast
    assert (single.pieces.boxes == three.pieces.boxes).all()


@pytest.mark.parametrize(("side", "factor"), [(160, 1), (161, 2), (320, 2), (321, 3), (400, 3)])
def test_large_images_are_reduced_by_a_whole_factor(side: int, factor: int) -> None:
    ink = Ink(drawing((side // 4, side // 4, side // 2, side // 2), side=(side, side // 2 + 7)))
    assert ink.factor == factor
    assert ink.mask.shape == (-(-side // factor), -(-(side // 2 + 7) // factor))
    place = [side // 4, side // 4, side // 2, side // 2]
    assert np.abs(ink.pieces.boxes * factor - place).max() <= factor


def test_grain_is_its_deviation_as_a_share_of_the_contrast() -> None:
    noise = np.random.default_rng(0).normal(0, 8, (100, 100))
    image = drawing((40, 45, 60, 55), side=(100, 100), paper=210, ink=50) + noise
    assert Ink(np.clip(np.rint(image), 0, 255).astype(np.uint8)).grain == pytest.approx(
        8 / 160, rel=0.05
    )


def test_pieces_and_which_is_the_main_one() -> None:
    main, dot = (12, 20, 52, 26), (4, 56, 8, 60)
    pieces = Ink(drawing(main, dot)).pieces
    assert pieces.boxes.tolist() == [[*main], [*dot]]
    assert pieces.strange[0] == 0 and pieces.sizes[0] == 1
    assert pieces.strange[1] > 0.45 and pieces.sizes[1] == pytest.approx(0.1)
    assert pieces.character.tolist() == [True, False]
    assert [(pieces.labels == place).sum() for place in (1, 2)] == [240, 16]


@pytest.mark.parametrize(
    "others",
    [
        [(24, 20, 26, 44)],  # within the main piece's box
        [(14, 20, 20, 44)],  # a stroke above, as wide
        [(29, 20, 34, 44), (46, 20, 52, 44)],  # 三
    ],
)
def test_strokes_of_a_character_belong_together(others: list[Box]) -> None:
    pieces = Ink(drawing((22, 16, 28, 48), *others)).pieces
    assert pieces.character.all() and not pieces.strange.any()


def test_strokes_that_nearly_touch_are_one_piece() -> None:
    for gap, count in ((1, 1), (2, 1), (5, 2)):
        ink = Ink(drawing((30, 30, 60, 36), (60 + gap, 30, 90, 36), side=(120, 120)))
        assert len(ink.pieces.boxes) == count, gap


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize(
    ("band", "level"),
    [((8, 10), 30), ((8, 10), 150), ((55, 56), 30), ((32, 33), 130), ((0, 6), 30)],
)
def test_a_line_of_known_place(turn: int, band: tuple[int, int], level: int) -> None:
    image = drawing(*CROSS)
    lines = np.full_like(image, 255)
    lines[slice(*band)] = level
    image = np.rot90(np.minimum(image, lines), turn)
    ruled = Ink(image).lines
    start, stop = band if turn in (0, 1) else (64 - band[1], 64 - band[0])
    assert ruled == [(turn % 2, start, stop)]
    assert (Ink(image).strokes == Ink(np.rot90(drawing(*CROSS), turn)).strokes).all()


def test_lines_end_at_both_borders() -> None:
    for left, right, count in ((0, 64, 1), (3, 64, 0), (0, 61, 0), (3, 61, 0)):
        assert len(Ink(drawing(*CROSS, (8, left, 10, right))).lines) == count, (left, right)


def test_a_tilted_line_is_one_line() -> None:
    page = Image.fromarray(drawing((40, 50, 80, 56), (60, 40, 66, 88), side=(128, 128)))
    ImageDraw.Draw(page).line([(0, 14), (127, 16)], 90, 2)
    assert [
        (axis, 12 <= start < stop <= 19) for axis, start, stop in Ink(np.asarray(page)).lines
    ] == [(0, True)]


def test_small_images_have_no_lines() -> None:
    for side, count in ((15, 0), (16, 1)):
        image = drawing((5, 7, 12, 10), (1, 0, 2, side), side=(side, side))
        assert len(Ink(image).lines) == count


@pytest.mark.parametrize(
    "boxes",
    [
        [(0, 0, 7, 64), (7, 28, 64, 36)],  # T
        [(0, 0, 64, 7), (57, 7, 64, 64)],  # L
        [(0, 0, 64, 7), (0, 7, 7, 64), (29, 7, 36, 50), (57, 7, 64, 64)],  # E
        [(0, 0, 64, 7), (0, 57, 64, 64), (28, 7, 35, 57)],  # H
        [(29, 0, 35, 64), (0, 29, 64, 35)],  # 十
        [(30, 0, 34, 64)],  # 一 between its margins
        [(18, 10, 24, 54), (44, 0, 50, 64)],  # 二 as wide as the image
    ],
)
@pytest.mark.parametrize("paper", [255, 0])
def test_straight_strokes_of_a_character_are_no_lines(boxes: list[Box], paper: int) -> None:
    ink = Ink(drawing(*boxes, paper=paper, ink=255 - paper))
    assert ink.lines == [] and not ink.ruled.any()


def cropped(letter: str, side: int) -> np.ndarray:
    page = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(page).text((150, 150), letter, 0, ImageFont.load_default(150), "mm")
    page = page.crop(Image.eval(page, lambda level: 255 - level).getbbox())
    factor = side / max(page.size)
    size = [max(1, round(factor * length)) for length in page.size]
    return np.asarray(page.resize(size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("side", [28, 64, 128])
def test_letters_that_fill_their_images_have_hardly_a_line(side: int) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    ruled = [letter for letter in letters if Ink(cropped(letter, side)).lines]
    assert len(ruled) <= 2, ruled


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (3, 3), (8, 8), (1, 300), (300, 1), (40, 1000)],
)
def test_images_of_any_form(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (pixels, pixels[..., 0], np.zeros(size, np.uint8), np.full(size, 255, np.uint8)):
        image.flags.writeable = False
        ink = Ink(image)
        assert ink.mask.shape == ink.strokes.shape == ink.ruled.shape
        assert np.isfinite([ink.contrast, ink.grain, ink.pieces.width]).all()
        assert len(ink.pieces.boxes) == len(ink.pieces.strange) == len(ink.pieces.sizes) <= 64
        assert ink.pieces.labels.max() == len(ink.pieces.boxes)
        if image.max() == image.min():
            assert not ink.mask.any() and ink.contrast == ink.grain == 0


def test_a_glyph_finds_its_ink_once_and_as_a_plain_array_has_it() -> None:
    image = drawing(*CROSS)
    glyph = image.view(Glyph)
    assert ink_of(glyph) is ink_of(glyph) and ink_of(image) is not ink_of(image)
    assert (ink_of(glyph).mask == ink_of(image).mask).all()
    part = glyph[:32]  # a view of it is another image
    assert ink_of(part) is not ink_of(glyph) and ink_of(part).mask.shape == (32, 64)
