"""Levels: black and white of deep images, for a whole set."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augment.data import images
from augment.data.images import ImageError
from augment.data.levels import Levels


def tiff(values: Any, kind: type = np.uint16, tags: dict[int, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array([values], kind)).save(buffer, "TIFF", tiffinfo=tags or {})
    return buffer.getvalue()


def levels(*encoded: bytes) -> Levels:
    facts = [images.examine(data) for data in encoded]
    set_levels = Levels(facts[0].kind)
    for each in facts:
        assert each.kind == set_levels.kind
        set_levels.note(each)
    return set_levels


@pytest.mark.parametrize(
    ("sets", "ends", "as_stored"),
    [
        ([tiff([0, 4080]), tiff([5, 900])], (0, 4095), False),  # 12 bits, though one stays in 10
        ([tiff([0, 255])], (0, 255), False),
        ([tiff([0, 1000])], (0, 1023), False),
        ([tiff([0, 9000])], (0, 16383), False),
        ([tiff([0, 40000])], (0, 65535), True),
        ([tiff([0, 900], tags={281: 4095})], (0, 4095), False),  # MaxSampleValue
        ([tiff([0, 9000], tags={281: 4095})], (0, 16383), False),  # which does not tell the truth
        ([tiff([0, 900], tags={281: 4095}), tiff([0, 900])], (0, 1023), False),
        ([tiff([0, 0.5], np.float32)], (0, 1), False),
        ([tiff([0, 255], np.float32)], (0, 255), False),
        ([tiff([0, 0.5], np.float32, {341: 2.0})], (0, 2), False),  # SMaxSampleValue
        ([tiff([-3, 5], np.float32), tiff([0, 9], np.float32)], (-3, 9), False),
        ([tiff([7, 1e6], np.float32)], (7, 1e6), False),
    ],
)
def test_ends(sets: list[bytes], ends: tuple[float, float], as_stored: bool) -> None:
    set_levels = levels(*sets)
    assert set_levels.ends() == ends
    assert set_levels.as_stored() is as_stored
    assert (
        any(f"{ends[1]:g} is white" in remark for remark in set_levels.remarks()) is not as_stored
    )


def test_a_small_part_of_the_range_is_said() -> None:
    narrow = images.encode(np.array([[90, 110]], np.uint8))
    assert levels(narrow).remarks() == [
        "1 images (8 bits) have levels from 90 to 110: a small part of 0 to 255, nearly one tone"
    ]
    assert levels(narrow, images.encode(np.array([[0, 255]], np.uint8))).remarks() == []
    assert "small part of 0 to 4095" in levels(tiff([0, 300], tags={281: 4095})).remarks()[1]


def test_rescaled_is_upright_grey_and_cut() -> None:
    data = tiff([0, 2048, 4095, 5000], tags={0x0112: 6})  # the orientation: turned by 90°
    image = images.decode(images.rescaled(data, 0, 4095))
    assert np.asarray(image).tolist() == [[0], [128], [255], [255]]
    facts = images.examine(data)
    assert (facts.width, facts.height, facts.mode) == (1, 4, "I;16")


def test_levels_that_are_no_numbers_are_refused() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ImageError, match="NaN or infinite"):
            images.examine(tiff([0, value], np.float32))
    with pytest.raises(ImageError, match="unsupported mode F"):
        images.decode(tiff([0, 1], np.float32))
