"""Which real images a generator starts from, in training and in sampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.data import images, table
from augment.data.arrays import Arrays, DatasetError, load_arrays
from augment.models.base import Source
from augment.models.pairs import key_of
from augment.models.sources import load_sources, opposed, source_places, with_keys
from augment.train.feed import Feed

CPU = torch.device("cpu")
CLASSES = ["a", "b", "c"]


def arrays(labels: list[int], level: int = 0) -> Arrays:
    """An image a label; ``level`` + place is the level of its pixels."""
    pixels = np.zeros((len(labels), 1, 8, 8), np.uint8)
    pixels += np.arange(level, level + len(labels), dtype=np.uint8)[:, None, None, None]
    return Arrays(pixels, np.array(labels), [f"{level}-{i:03}" for i in labels], CLASSES)


def levels(images: torch.Tensor) -> list[int]:
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def feed(rule: Source, data: Arrays, sources: Arrays) -> Feed:
    return Feed(data, 4, 10, 7, CPU, rule=rule, sources=sources)


def test_others_are_of_another_class_in_training_and_in_sampling() -> None:
    data = arrays([0, 0, 1, 1, 2, 2])
    seen: set[tuple[int, int]] = set()
    for number in range(30):
        batch = feed("others", data, data).at(number)
        assert batch.source is not None and batch.source_labels is not None
        assert (batch.source_labels != batch.labels).all()
        assert data.labels[levels(batch.source)].tolist() == batch.source_labels.tolist()
        seen |= set(zip(levels(batch.real), levels(batch.source), strict=True))
    assert len(seen) == 6 * 4
    labels = np.array([0, 1, 2, 1, 0, 2, 1, 1])
    places = source_places(data, labels, 3, rule="others")
    assert (data.labels[places] != labels).all()
    assert len(set(places[labels == 1])) == 4  # they take turns


def test_a_pair_is_of_the_same_class_in_the_other_domain() -> None:
    data, fonts = arrays([0, 0, 1, 2]), arrays([0, 1, 1], 100)
    for number in range(20):
        batch = feed("pair", data, fonts).at(number)
        assert batch.source is not None and batch.source_labels is not None
        assert torch.equal(batch.source_labels, batch.labels) and batch.labels.max() < 2
        assert min(levels(batch.source)) >= 100 > max(levels(batch.real))
    with pytest.raises(DatasetError, match="no class has an image of a further domain"):
        feed("pair", arrays([2, 2]), fonts)


def test_a_key_makes_pairs_and_the_class_does_where_it_meets_nothing() -> None:
    data = replace(arrays([0, 0, 1, 1]), keys=["x", "y", "x", None])
    masks = replace(arrays([0, 0, 1, 1, 0], 100), keys=["y", "x", "z", None, "y"])
    mates: dict[int, set[int]] = {}
    for number in range(40):
        batch = feed("pair", data, masks).at(number)
        assert batch.source is not None
        for level, source in zip(levels(batch.real), levels(batch.source), strict=True):
            mates.setdefault(level, set()).add(source - 100)
    assert mates == {0: {1}, 1: {0, 4}, 2: {2, 3}, 3: {2, 3}}


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("masks/a/0123.png", "stem", "0123"),
        ("0123.tar.png", "stem", "0123.tar"),
        ("masks/a/0123_mask.png", r"([0-9]+)[^/]*$", "0123"),
        ("masks/a/0123_mask.png", r"[0-9]+", "0123"),
        ("masks/a/mask.png", r"[0-9]+", None),
        ("", "stem", None),
    ],
)
def test_the_key_of_a_path(path: str, key: str, value: str | None) -> None:
    assert key_of(path, key) == value


def write_pairs(folder: Path, rows: list[tuple[str, str, str, str | None]]) -> Path:
    """A table of images: path, label, split and domain of each."""
    with table.TableWriter(folder) as out:
        for number, (path, label, split, domain) in enumerate(rows):
            image = {"bytes": images.encode(np.full((8, 8), number, np.uint8)), "path": path}
            out.add(
                {
                    "id": f"{number}", "image": image, "label": label, "split": split,
                    "origin": "real", "width": 8, "height": 8, "mode": "L", "domain": domain,
                }
            )  # fmt: skip
    return folder


def test_partners_of_held_out_images_are_no_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even by the class: what is made of them would be the very image that tests."""
    photos = [("a/1.jpg", "a", "train"), ("a/2.jpg", "a", "test"), ("b/2.jpg", "b", "train")]
    masks = [("a/1.png", "a"), ("a/2.png", "a"), ("a/3.png", "a"), ("b/2.png", "b")]
    rows: list[Any] = [(*row, None) for row in photos] + [(*row, "train", "mask") for row in masks]
    folder = write_pairs(tmp_path / "clean", rows)
    train = load_arrays(folder, split="train")
    sources = load_sources("pair", train, folder, "stem")
    assert (sources.ids, sources.keys) == (["3", "5", "6"], ["1", "3", "2"])
    assert with_keys(train, folder, "stem").keys == ["1", "2"]
    said = capsys.readouterr().err
    assert "2 of 2 train images have theirs; of ingest.domains 1 stay out" in said
    assert load_sources("pair", train, folder).ids == ["3", "4", "5", "6"]
    message = r"key 'x\(\.\)': no train image has .* of the set: none; there: none"
    with pytest.raises(DatasetError, match=message):
        load_sources("pair", train, folder, "x(.)")
    with pytest.raises(DatasetError, match=r"the set: '1\.j' of 'a', .*; there: '1\.p' of 'a'"):
        load_sources("pair", train, folder, r"./(.\..)")


def test_a_domain_comes_as_it_is_beside_images_without_a_label() -> None:
    data, fonts = arrays([0, -1, -1, 1, 2, -1]), arrays([0, 1, 2, 2], 100)
    served = feed("domain", data, fonts)
    reals: set[int] = set()
    sources: set[int] = set()
    for number in range(20):
        batch = served.at(number)
        assert batch.source is not None and batch.source_labels is not None
        places = [level - 100 for level in levels(batch.source)]
        assert batch.source_labels.tolist() == fonts.labels[places].tolist()
        reals |= set(levels(batch.real))
        sources |= set(places)
        again = served.at(number).source
        assert again is not None and torch.equal(again, batch.source)
    assert reals == set(range(6)) and sources == set(range(4))


def test_sources_are_train_images_unless_the_rule_says_a_domain(tmp_path: Path) -> None:
    train = arrays([0, 1, 2])
    for rule in ("class", "others", None):
        assert load_sources(rule, train, tmp_path) is train


def test_dark_and_light_ink_are_opposed() -> None:
    dark, light = arrays([0, 1, 2]), arrays([0, 1, 2], 250)
    dark.pixels[:, :, 0] = 255  # strokes
    light.pixels[:, :, 0] = 0
    assert opposed(dark, light) and opposed(light, dark)
    assert not opposed(dark, dark) and not opposed(light, light)


@pytest.mark.parametrize(
    ("foreign", "message"),
    [([], "ingest.domains names none"), (["a", "b"], "to start from: class 'c'"), (CLASSES, "")],
)
def test_a_domain_gives_every_class_an_image_to_start_from(
    foreign: list[str], message: str, tmp_path: Path
) -> None:
    train = arrays([0, 1, 2])
    rows: list[Any] = [("", label, "train", None) for label in CLASSES]
    write_pairs(tmp_path / "clean", rows + [("", label, "train", "font") for label in foreign])
    if message:
        with pytest.raises(DatasetError, match=message):
            load_sources("pair", train, tmp_path / "clean")
        return
    sources = load_sources("domain", train, tmp_path / "clean")
    assert sources.ids == ["3", "4", "5"] and sources.labels.tolist() == [0, 1, 2]
