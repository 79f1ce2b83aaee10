"""Repairs: what is taken away and what stays, on drawn images and on digits with planted faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from augment.clean.checks.base import CHECKS, thresholds
from augment.clean.glyphs.ink import Glyph, Ink
from augment.clean.repairs import REPAIRS
from benchmarks import mnist
from benchmarks.cleaning import faults

PAPER, INK = 230, 30
RNG = np.random.default_rng


def drawing(*boxes: tuple[int, int, int, int], side: tuple[int, int] = (64, 64)) -> np.ndarray:
    image = np.full(side, PAPER, np.uint8)
    for top, left, bottom, right in boxes:
        image[top:bottom, left:right] = INK
    return image


CROSS = ((14, 30, 50, 36), (30, 14, 36, 50))  # its centre of mass is (32, 32)
DOT = (2, 58, 6, 62)
BARS = ((16, 8, 26, 44), (26, 8, 58, 18))
RING = ((4, 44, 18, 46), (4, 56, 18, 58), (4, 46, 6, 56), (16, 46, 18, 56))  # touches the first
LINE = (8, 0, 9, 64)
GRID = drawing(LINE, (0, 20, 64, 21)) // 2 + 115  # fainter than strokes
MARGIN = 7  # pixels: 0.2 of 36, rounded

# name -> what is repaired, options, what it becomes (None where it is left alone)
CASES = {
    "corner": [
        (drawing(*CROSS, DOT), {}, drawing(*CROSS)),
        (drawing(*BARS, *RING), {}, drawing(*BARS)),
        (drawing(*CROSS), {}, None),
        (drawing(), {}, None),
        (drawing((10, 20, 40, 26), (44, 44, 64, 64)), {}, None),  # more ink in it than elsewhere
    ],
    "main_component": [
        (
            drawing(*CROSS, DOT),
            {},
            drawing(*CROSS)[14 - MARGIN : 50 + MARGIN, 14 - MARGIN : 50 + MARGIN],
        ),
        (drawing(*CROSS, DOT), {"margin": 0.0}, drawing(*CROSS)[14:50, 14:50]),
        (drawing(*CROSS, DOT), {"margin": 1.0}, np.pad(drawing(*CROSS), 22, constant_values=PAPER)),
        (drawing(*CROSS), {}, None),
        (drawing(), {}, None),
        (  # the character meets the border, where nobody knows how it goes on
            drawing((0, 30, 40, 36), (58, 58, 62, 62)),
            {"margin": 0.1},
            drawing((0, 30, 40, 36))[:44, 26:40],
        ),
        (drawing((10, 20, 40, 26), (50, 48, 64, 64)), {}, None),  # more ink beside it than in it
    ],
    "ruling_lines": [
        (drawing(*CROSS, LINE), {}, drawing(*CROSS)),
        (np.minimum(drawing(*CROSS), GRID), {}, drawing(*CROSS)),
        (drawing(*CROSS, (0, 0, 4, 64)), {}, drawing(*CROSS)),
        (
            drawing(*CROSS, (20, 0, 21, 64)),
            {},
            drawing(*CROSS),
        ),  # but for where a stroke crosses it
        (drawing(*CROSS), {}, None),
        (drawing(LINE), {}, None),  # nothing would be left
        (drawing(), {}, None),
        (drawing((0, 0, 7, 64), (7, 28, 64, 36)), {}, None),  # T
        (drawing(DOT, LINE, side=(15, 64)), {}, None),
    ],
    "invert": [
        (drawing(*CROSS), {}, 255 - drawing(*CROSS)),
        (255 - drawing(*CROSS), {}, drawing(*CROSS)),
        (drawing(), {}, None),
    ],
    "centre": [
        (
            drawing((4, 20, 40, 26), (20, 4, 26, 40)),
            {},
            drawing((14, 30, 50, 36), (30, 14, 36, 50)),
        ),
        (drawing(*CROSS), {}, None),
        (drawing((0, 30, 40, 36)), {}, None),  # it meets the border
        (drawing(), {}, None),
    ],
}


def test_every_repair_has_cases() -> None:
    assert sorted(CASES) == REPAIRS.names()


@pytest.mark.parametrize("name", REPAIRS.names())
def test_cures_are_checks_of_glyphs(name: str) -> None:
    facts = REPAIRS.describe(name).facts
    assert facts["cures"] and REPAIRS.describe(name).summary
    for check in facts["cures"]:
        assert "glyph" in CHECKS.describe(check).facts["profiles"]


@pytest.mark.parametrize("form", ["grey", "bright ink", "three channels", "glyph"])
@pytest.mark.parametrize("name", REPAIRS.names())
def test_repairs(name: str, form: str) -> None:
    change = {
        "grey": lambda image: image,
        "bright ink": lambda image: 255 - image,
        "three channels": lambda image: np.stack([image, image // 2, image], 2),
        "glyph": lambda image: image.copy().view(Glyph),
    }[form]
    for place, (image, options, expected) in enumerate(CASES[name]):
        before = change(image)
        before.flags.writeable = False  # whoever writes to it fails
        after = REPAIRS.build({"name": name, **options})(before)
        assert (after is None) == (expected is None), place
        if expected is None:
            continue
        assert type(after) is np.ndarray and after.dtype == np.uint8
        assert after.flags.writeable and not np.shares_memory(after, before)
        goal = 255 - change(image) if name == "invert" else change(expected)
        assert after.shape == goal.shape, place
        assert np.abs(after.astype(int) - np.asarray(goal, int)).max() <= 1, place


@pytest.mark.parametrize("name", REPAIRS.names())
def test_images_of_any_form(name: str) -> None:
    noise = RNG(0).integers(0, 256, (40, 300, 3), dtype=np.uint8)
    noise.flags.writeable = False
    for height, width in ((1, 1), (1, 9), (9, 1), (3, 3), (8, 8), (1, 300), (40, 300)):
        for image in (noise[:height, :width], noise[:height, :width, 0]):
            after = REPAIRS.build(name)(image)
            assert after is None or (after.ndim == image.ndim and after.size)
            again = REPAIRS.build(name)(image.copy())
            assert (after is None and again is None) or np.array_equal(after, again)
        for level in (0, 255):
            assert REPAIRS.build(name)(np.full((height, width), level, np.uint8)) is None


@pytest.mark.parametrize("name", ["main_component", "ruling_lines", "centre"])
def test_what_is_repaired_needs_no_second_repair(name: str) -> None:
    for image, _, expected in CASES[name]:
        if expected is not None:
            assert REPAIRS.build(name)(REPAIRS.build(name)(image)) is None


def test_what_is_painted_over_becomes_paper_as_it_is_around() -> None:
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    light = np.rint(200 + 30 * x - 20 * y)
    image = light.copy()
    image[40:60, 30:36] = image[47:53, 24:66] = 40
    clean = image.copy()
    image[10:11] -= 90  # a faint line
    image[80:86, 84:90] = 40  # and something in a corner
    ruled = REPAIRS.build("ruling_lines")(image.astype(np.uint8))
    alone = REPAIRS.build({"name": "main_component", "margin": 10.0})(ruled)
    assert np.abs(ruled[8:13].astype(int) - light[8:13]).max() <= 2
    corner = np.argwhere(alone == 40).min(axis=0) - np.argwhere(clean == 40).min(axis=0)
    inner = alone[corner[0] :, corner[1] :][:96, :96]
    assert np.abs(inner.astype(int) - clean).max() <= 2


def test_strokes_that_cross_a_line_stay() -> None:
    image = drawing((10, 30, 54, 36), (30, 14, 36, 50))
    image[20] = np.minimum(image[20], 110)
    after = REPAIRS.build("ruling_lines")(image)
    assert (after == drawing((10, 30, 54, 36), (30, 14, 36, 50))).all()


def test_large_images_are_repaired_at_their_own_size() -> None:
    factor = 6
    boxes = [tuple(factor * at for at in box) for box in CROSS]
    clean = drawing(*boxes, side=(384, 384))
    dirty = clean.copy()
    dirty[48:51] = 120
    dirty[12:36, 348:372] = INK
    after = REPAIRS.build("ruling_lines")(dirty)
    after = REPAIRS.build("main_component")(after)
    room = round(0.2 * 216)
    goal = clean[84 - room : 300 + room, 84 - room : 300 + room]
    assert after.shape == goal.shape and np.abs(after.astype(int) - goal).max() <= 1


def test_centre_moves_as_far_as_all_stays_in_the_image() -> None:
    """A heavy end draws a long thin stroke towards a border, which it does not cross."""
    image = drawing((44, 4, 60, 20), (8, 4, 44, 6))
    after = REPAIRS.build("centre")(image)
    assert (after == INK).sum() == (image == INK).sum()
    assert np.argwhere(after == INK).min() == 0
    moved = np.array(ndimage.center_of_mass(after == INK)) + 0.5
    before = np.array(ndimage.center_of_mass(image == INK)) + 0.5
    assert (np.abs(moved - 32) < np.abs(before - 32)).all() and abs(moved[1] - 32) <= 0.5


DIGITS = mnist.digits()[0].pixels[::20, 0]
PLANTED = {
    "character": ("main_component", "secondary_content", faults.neighbour),
    "seal": ("main_component", "secondary_content", faults.sealed),
    "ruling": ("ruling_lines", "ruling_line", lambda image, rng, _: faults.ruled(image, rng)),
}


@pytest.mark.parametrize("fault", sorted(PLANTED))
def test_planted_faults_are_found_and_repaired(fault: str) -> None:
    """At the set's own thresholds; what is repaired passes all checks and keeps its digit."""
    repair, check, plant = PLANTED[fault]
    names = ["secondary_content", "ruling_line", "cut_off", "ink_share", "blur", "noise", "blank"]
    checks = {name: CHECKS.build(name) for name in names}

    def measured(image: np.ndarray) -> pd.Series:
        glyph = image.view(Glyph)
        return pd.Series({name: measure(glyph) for name, measure in checks.items()})

    limits = pd.Series(thresholds(pd.DataFrame(map(measured, DIGITS)), {}))
    flagged = mended = alike = 0
    for place, image in enumerate(DIGITS[:50]):
        rng, other = RNG(place), faults.page(DIGITS[-place - 1]).ink
        dirty = plant(image, rng, other)
        if measured(dirty)[check] >= limits[check]:
            continue
        flagged += 1
        after = REPAIRS.build(repair)(dirty)
        if after is None:
            continue
        mended += (measured(after) >= limits).all()
        alike += Ink(after).strokes.sum() >= 0.7 * Ink(image).strokes.sum() or fault != "ruling"
    assert flagged >= 40 and mended >= 0.9 * flagged and alike >= 0.95 * flagged, (
        flagged,
        mended,
        alike,
    )
