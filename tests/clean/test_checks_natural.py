"""Checks of photographs: real pictures with planted faults, beside cleanvision's own flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from augment.clean.checks.base import CHECKS, thresholds

NAMES = ["dark", "light", "low_information", "grayscale", "odd_size", "odd_aspect_ratio"]
PHOTOS = load_sample_images().images
TILES = [
    photo[top : top + 128, left : left + 128]
    for photo in PHOTOS
    for top in range(0, 300, 128)
    for left in range(0, 513, 128)
]
NATURAL = [*NAMES, "blurry"]
KNOWN = {"light": [4], "dark": [19, 24, 25, 29]}  # good tiles that cleanvision also flags


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def planted() -> dict[str, np.ndarray]:
    """Good tiles and some of every fault, by name."""
    images = {f"good-{place}": tile for place, tile in enumerate(TILES)}
    for place, tile in enumerate(TILES[18:21]):
        images[f"dark-{place}"] = (tile * 0.2).astype(np.uint8)
        images[f"light-{place}"] = (255 - (255 - tile) * 0.04).astype(np.uint8)
        images[f"low_information-{place}"] = np.full_like(tile, (90, 120, 150 + place))
        images[f"grayscale-{place}"] = np.asarray(Image.fromarray(tile).convert("L"))
    images["odd_size-small"] = np.asarray(Image.fromarray(TILES[20]).resize((40, 40)))
    images["odd_size-large"] = PHOTOS[1]
    images["odd_aspect_ratio-wide"] = TILES[20][:24]
    images["odd_aspect_ratio-tall"] = TILES[20][:, :24]
    return images


def measured(images: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(*image.shape[1::-1], None, "train") for image in images.values()],
        columns=["width", "height", "label", "split"],
    )
    measures = pd.DataFrame(index=list(images))
    for name in names:
        check = CHECKS.build(name)
        on_images = CHECKS.describe(name).facts["kind"] == "image"
        values = map(check, images.values()) if on_images else check(frame)
        measures[name] = list(values)
    return measures


def flags(images: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    measures = measured(images, names)
    return measures.lt(pd.Series(thresholds(measures, {})))


def test_each_planted_fault_is_found_and_no_good_tile() -> None:
    flagged = flags(planted(), NAMES)
    for name in flagged:
        expected = {f"good-{place}" for place in KNOWN.get(name, ())}
        assert {
            tile for tile in flagged.index[flagged[name]] if tile.startswith("good")
        } == expected
        assert flagged[name][flagged.index.str.startswith(name)].all(), name


def test_flags_agree_with_cleanvision(tmp_path: Path) -> None:
    """But for pictures so faint that their colour is gone: cleanvision reads the file's mode."""
    cleanvision = pytest.importorskip("cleanvision", reason="cleanvision is not installed")
    images = planted()
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    lab = cleanvision.Imagelab(data_path=str(tmp_path))
    lab.find_issues({name: {} for name in NAMES}, n_jobs=1, verbose=False)
    theirs = lab.issues.rename(index=lambda path: Path(path).stem)
    ours = flags(images, NAMES)
    for name in ours:
        expected = theirs[f"is_{name}_issue"].loc[ours.index]
        if name == "grayscale":
            expected |= expected.index.str.startswith("light")
        assert ours[name].equals(expected), name
    for name in ("dark", "light", "low_information"):
        expected = theirs[f"{name}_score"].loc[ours.index]
        assert np.allclose(measured(images, [name])[name], expected, atol=1e-5), name


@pytest.mark.parametrize("kind", ["blurred", "enlarged"])
def test_blurred_pictures_are_found(kind: str) -> None:
    """Among good tiles; a clear sky has nothing to blur, so those tiles are left out."""
    images = {f"good-{place}": tile for place, tile in enumerate(TILES)}
    for place, tile in enumerate(TILES[6:15]):
        small = Image.fromarray(tile).resize((32, 32))
        image = blurred(tile, 3) if kind == "blurred" else np.asarray(small.resize((128, 128)))
        images[f"blurry-{place}"] = image
    flagged = flags(images, ["blurry"])["blurry"]
    assert flagged.tolist() == [name.startswith("blurry") for name in images]


def test_all_that_cleanvision_finds_blurry_is_found(tmp_path: Path) -> None:
    """Its measure takes the image's border for edges, so that it finds few: here a tenth."""
    cleanvision = pytest.importorskip("cleanvision", reason="cleanvision is not installed")
    images = {f"good-{place}": tile for place, tile in enumerate(TILES)}
    images |= {f"blurry-{place}": blurred(tile, 4) for place, tile in enumerate(TILES[:15])}
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    lab = cleanvision.Imagelab(data_path=str(tmp_path))
    lab.find_issues({"blurry": {}}, n_jobs=1, verbose=False)
    theirs = lab.issues.rename(index=lambda path: Path(path).stem)["is_blurry_issue"]
    ours = flags(images, ["blurry"])["blurry"]
    assert ours[theirs.loc[ours.index]].all() and theirs.any()
    assert ours.sum() > 2 * theirs.sum() and not ours[ours.index.str.startswith("good")].any()


# name -> measures of the first tile of each photograph, as cleanvision 0.3.7 scores them
STORED = {
    "dark": (0.8417799, 0.3267881),
    "light": (0.2253587, 0.8711605),
    "low_information": (0.6181234, 0.6713689),
}


@pytest.mark.parametrize("name", sorted(STORED))
def test_measures_are_those_of_cleanvision(name: str) -> None:
    tiles = {str(place): TILES[place] for place in (0, 15)}
    assert measured(tiles, [name])[name].tolist() == pytest.approx(STORED[name], abs=1e-5)


def test_a_set_of_one_kind_is_not_at_fault() -> None:
    """Night scenes, pale, grey or soft pictures among their like: at most clear sky is at fault."""
    dull = {place for places in KNOWN.values() for place in places}
    for change in (
        lambda tile: (tile * 0.2).astype(np.uint8),
        lambda tile: (255 - (255 - tile) * 0.04).astype(np.uint8),
        lambda tile: np.asarray(Image.fromarray(tile).convert("L")),
        lambda tile: blurred(tile, 4),
    ):
        images = {str(n): change(tile) for n, tile in enumerate(TILES) if n not in dull}
        flagged = flags(images, NATURAL)
        assert flagged.sum().max() <= 3, flagged.sum()
