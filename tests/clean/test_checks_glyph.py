"""Checks of glyphs: closed forms on drawn images, digits that pass, planted faults that do not."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from augment.clean.checks.base import CHECKS, Outlier, thresholds
from augment.clean.glyphs.corners import LIKELY
from augment.clean.glyphs.ink import Glyph
from augment.data import normalise
from augment.readers import builtin
from benchmarks import mnist
from benchmarks.cleaning import faults

PAPER, INK = 230, 30
RNG = np.random.default_rng


def drawing(*boxes: tuple[int, int, int, int], level: int = INK) -> np.ndarray:
    image = np.full((64, 64), PAPER, np.uint8)
    for top, left, bottom, right in boxes:
        image[top:bottom, left:right] = level
    return image


def together(
    images: Sequence[np.ndarray], splits: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """What a pixel check is given."""
    sides = {"height": images[0].shape[0], "width": images[0].shape[1]}
    table = pd.DataFrame({"split": splits, **sides}, index=range(7, 7 + len(images)))
    return table, np.repeat(np.stack(images)[..., None], 3, axis=3)


CROSS = ((14, 30, 50, 36), (30, 14, 36, 50))  # 396 pixels, of which 136 are its outline
WIDTH = 2 * 396 / 136
DOT = (2, 58, 6, 62)
# 12 of 14 pixels towards the border, 32 / 12 pixels wide, 23 pixels away, a solid square
STRANGE = 0.4 * (12 / 14 - 0.5) / 0.4 + 0.4 * (1 - 32 / 12 / WIDTH) / 0.6 + 0.1 + 0.1
LINES = ((8, 0, 9, 64), (0, 58, 64, 59))
EDGE = drawing((20, 20, 40, 40))  # whose outline has 76 pixels
GRAIN = drawing(*CROSS) + (np.indices((64, 64)).sum(0) // 2 % 2 * 16 - 8) * (
    drawing(*CROSS) == PAPER
)
OLD = [*[drawing(*CROSS)] * 9, 255 - drawing(*CROSS)]
# 16 pixels, 12 of them its outline; no ink crosses to it, its side is 4, two pixels from the corner
CORNER = 0.5 - (-8.0 + 16 / (32 / 12) / 4 - 40 * 2 / 64 - LIKELY) / 40
SHARE = 1 - 396 / 4096 / 2  # of its image and its border that a cross leaves to the paper

# name -> (argument, options, measure)
CASES = {
    "secondary_content": [
        (drawing(), {}, 1.0),
        (drawing(*CROSS), {}, 1.0),
        (drawing(*CROSS, DOT), {}, 1 - STRANGE),
        (drawing(*CROSS, DOT), {"size": 4 / 36}, 1 - STRANGE),
        (drawing(*CROSS, DOT), {"size": 0.5}, 1 - STRANGE * 4 / 36 / 0.5),
        (drawing(*CROSS, (20, 42, 24, 46)), {}, 1.0),  # within the character's box
    ],
    "ruling_line": [
        (drawing(), {}, 1.0),
        (drawing(*CROSS), {}, 1.0),
        (drawing(*CROSS, LINES[0]), {}, 1 / 2),
        (np.minimum(drawing(*CROSS), drawing(*LINES, level=150)), {}, 1 / 3),
        (drawing(*CROSS, (8, 0, 9, 60)), {}, 1.0),
    ],
    "cut_off": [
        (drawing(), {}, 1.0),
        (drawing(*CROSS), {}, 1.0),
        (drawing((1, 30, 41, 36)), {}, 1.0),
        (drawing((0, 30, 40, 36)), {}, 1 - 6 / (2 * 480 / 88)),
        (drawing((20, 24, 32, 64)), {}, 1 - 12 / (2 * 960 / 100)),
        (drawing((24, 10, 64, 54)), {}, 0.0),
        (drawing(*CROSS, (50, 30, 64, 36)), {}, 1 - 6 / (2 * 2 * 480 / 164)),
        (drawing(*CROSS, (10, 0, 11, 64)), {}, 1.0),  # a ruling line is none of the character
        (drawing(*CROSS, (0, 54, 12, 58)), {}, 1.0),  # nor is what stands beside it,
        (drawing(*CROSS, (0, 54, 12, 58)), {"size": 0.3}, 1 - 4 / (2 * WIDTH)),  # but if it is long
    ],
    "ink_share": [
        (drawing(), {}, 0.0),
        (drawing(*CROSS), {}, 2 * 396 / 4096),
        (drawing(*CROSS, LINES[0]), {}, 2 * 396 / 4096),
        (drawing((16, 16, 48, 48)), {}, 0.5),
    ],
    "blur": [
        (drawing(), {}, 1.0),
        (EDGE, {}, 1.0),
        (np.minimum(EDGE, drawing((40, 20, 41, 40), level=PAPER - 60)), {}, 1 / (1 + 20 / 76)),
        (np.minimum(EDGE, drawing((40, 20, 41, 40), level=PAPER - 40)), {}, 1.0),
    ],
    "noise": [
        (drawing(), {}, 1.0),
        (drawing(*CROSS), {}, 1.0),
        (GRAIN.astype(np.uint8), {}, 1 - 0.04 / 0.1),
        (GRAIN.astype(np.uint8), {"worst": 0.08}, 0.5),
        (GRAIN.astype(np.uint8), {"worst": 0.03}, 0.0),
    ],
    "corner_content": [
        (together([drawing(*CROSS, DOT), drawing()], ["train"] * 2), {}, [CORNER, 1.0]),
        (together([drawing(*CROSS, DOT)[::-1, ::-1]], ["test"]), {}, [CORNER]),
        (together([drawing(*CROSS, DOT)[:15]], ["train"]), {}, [1.0]),  # too small to be judged
    ],
    "inverted": [
        (together(OLD, ["train"] * 10), {}, [SHARE] * 9 + [1 - SHARE]),
        (together([255 - image for image in OLD], ["train"] * 10), {}, [SHARE] * 9 + [1 - SHARE]),
        (together(OLD, ["train"] * 10), {"minority": 0.09}, [1.0] * 10),
        (together(OLD, ["train"] * 10), {"minority": 0.1}, [SHARE] * 9 + [1 - SHARE]),
        # test images have a measure and no say
        (together(OLD, ["test"] * 9 + ["valid"]), {}, [1 - SHARE] * 9 + [SHARE]),
        (together(OLD, ["train", *["test"] * 9]), {"minority": 0.0}, [SHARE] * 9 + [1 - SHARE]),
    ],
}
NAMES = [
    name for name in CHECKS.names() if CHECKS.describe(name).target.__module__.endswith(".glyph")
]
IMAGE = [name for name in NAMES if CHECKS.describe(name).facts["kind"] == "image"]


def test_every_check_has_cases() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", IMAGE)
@pytest.mark.parametrize("form", ["grey", "bright ink", "three channels", "glyph", "upside down"])
def test_measures(name: str, form: str) -> None:
    change = {
        "grey": lambda image: image,
        "bright ink": lambda image: 255 - image,
        "three channels": lambda image: np.stack([image, image, image], 2),
        "glyph": lambda image: image.copy().view(Glyph),
        "upside down": lambda image: image[::-1, ::-1],
    }[form]
    for place, (image, options, expected) in enumerate(CASES[name]):
        argument = change(image)
        argument.flags.writeable = False
        measure = CHECKS.build({"name": name, **options})(argument)
        assert type(measure) is float and measure == pytest.approx(expected, abs=1e-3), place


@pytest.mark.parametrize("name", sorted(CASES.keys() - set(IMAGE)))
def test_measures_of_small_forms(name: str) -> None:
    for argument, options, expected in CASES[name]:
        measures = CHECKS.build({"name": name, **options})(*argument)
        assert measures.index.equals(argument[0].index)
        assert measures.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    part = CHECKS.describe(name)
    assert part.summary and part.facts["profiles"] == ("glyph",) and "certain" not in part.facts
    if name not in IMAGE:
        assert part.facts["kind"] == "pixels"
        assert part.facts["threshold"] == (0.5 if name == "inverted" else Outlier(1.0, 2.0, 0.5))
        return
    assert isinstance(part.facts["threshold"], Outlier)
    check, noise = CHECKS.build(name), RNG(0).integers(0, 256, (40, 300, 3), dtype=np.uint8)
    for height, width in ((1, 1), (1, 9), (9, 1), (2, 2), (8, 8), (1, 300), (40, 300)):
        piece = noise[:height, :width]
        for image in (piece, piece[..., 0], (piece[..., 0] > 200) * np.uint8(255)):
            assert 0 <= check(image) <= 1 and check(image) == check(image.copy())
        for level in (0, 255):
            blank = check(np.full((height, width), level, np.uint8))
            assert blank == (0.0 if name == "ink_share" else 1.0)


MNIST = mnist.digits()[0].pixels[::4, 0]
DIGITS = builtin.digits()[0]
THIN = np.where(MNIST > 127, 255, 0).astype(np.uint8)  # near-binary strokes


def measured(images: Sequence[np.ndarray]) -> pd.DataFrame:
    checks = [CHECKS.build(name) for name in IMAGE]
    rows = [[check(glyph) for check in checks] for glyph in (image.view(Glyph) for image in images)]
    return pd.DataFrame(rows, columns=IMAGE)


def limits(images: Sequence[np.ndarray]) -> tuple[pd.DataFrame, pd.Series]:
    measures = measured(images)
    return measures, pd.Series(thresholds(measures, {}))


@pytest.mark.parametrize(
    "images", [MNIST, 255 - MNIST, THIN, DIGITS], ids="mnist dark thin digits".split()
)
def test_a_clean_set_loses_almost_nothing(images: np.ndarray) -> None:
    measures, least = limits(images)
    assert (measures < least).mean().max() <= 0.005


def test_a_set_whose_images_all_have_lines_or_are_soft_keeps_them() -> None:
    def soft(image: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)))

    def lined(image: np.ndarray) -> np.ndarray:
        image = image.copy()
        image[[2, 25]] = np.maximum(image[[2, 25]], 90)
        return image

    for change, name in ((soft, "blur"), (lined, "ruling_line")):
        measures, least = limits([change(image) for image in MNIST[:200]])
        assert measures[name].median() < limits(MNIST[:200])[1][name]
        assert (measures[name] < least[name]).mean() <= 0.005, name


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def grainy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(image / 2 + 64 + rng.normal(0, 16, image.shape), 0, 255).astype(np.uint8)


def another(place: int) -> np.ndarray:
    return faults.page(MNIST[-place - 1]).ink


# what is done to a digit -> the check that finds it, and in how many of a hundred at least
PLANTED = {
    "character": ("secondary_content", 80, lambda i, n, r: faults.neighbour(i, r, another(n))),
    "seal": ("secondary_content", 95, lambda i, n, r: faults.sealed(i, r, another(n))),
    "ruling": ("ruling_line", 98, lambda i, _, r: faults.ruled(i, r)),
    "cut": ("cut_off", 90, lambda i, _, r: faults.cut_off(i, r)),
    "soft": ("blur", 95, lambda i, _, __: faults.page(i).drawn(
        np.asarray(Image.fromarray(i).filter(ImageFilter.GaussianBlur(3)), float) / 255, RNG(0))),
    "grain": ("noise", 98, lambda i, _, r: grainy(i, r)),
    "jpeg": ("noise", 90, lambda i, _, __: jpeg(i, 3)),
}  # fmt: skip


def test_a_dot_among_characters_has_too_little_ink() -> None:
    measures, least = limits([*[drawing(*CROSS)] * 19, drawing((30, 30, 34, 34))])
    assert (measures < least)["ink_share"].tolist() == [False] * 19 + [True]


@pytest.mark.parametrize("fault", sorted(PLANTED))
def test_planted_faults_are_found(fault: str) -> None:
    """At the thresholds of the set they were planted in, a tenth of it."""
    name, least, plant = PLANTED[fault]
    dirty = [plant(image, place, RNG(place)) for place, image in enumerate(MNIST[:60])]
    measures, limit = limits([*dirty, *MNIST[60:]])
    share = (measures[name] < limit[name])[: len(dirty)].mean()
    assert 100 * share >= least, share


def test_inverted_digits_are_found_in_either_set() -> None:
    for whole in (
        MNIST,
        255 - MNIST,
        np.stack([image.repeat(4, 0).repeat(4, 1) for image in DIGITS]),
    ):
        images = np.concatenate([255 - whole[:60], whole[60:]])
        measures = CHECKS.build("inverted")(*together(list(images), ["train"] * len(images)))
        inverted = (measures < 0.5).to_numpy()
        assert inverted[:60].mean() >= 0.97 and inverted[60:].mean() <= 0.005


def test_a_small_character_that_touches_the_first_is_found_in_its_corner() -> None:
    """In nine of ten digits, at the set's own threshold, and in one of a hundred clean ones."""
    dirty = [faults.touching(image, RNG(n), another(n)) for n, image in enumerate(MNIST[:60])]
    images = [*dirty, *MNIST[60:]]
    table, _ = together(images, ["train"] * len(images))
    small = np.stack([normalise.small(image, 32) for image in images])
    measures = CHECKS.build("corner_content")(table, small).to_frame("corner_content")
    flagged = measures["corner_content"] < thresholds(measures, {})["corner_content"]
    assert flagged[:60].mean() >= 0.9 and flagged[60:].mean() <= 0.01
