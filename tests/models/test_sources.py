"""Which real images a generator starts from, in training and in sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from augment.data import images, table
from augment.data.arrays import Arrays, DatasetError
from augment.models.base import Source
from augment.models.sources import load_sources, opposed, source_places
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
    with table.TableWriter(tmp_path / "clean") as out:
        rows = [(label, None) for label in CLASSES] + [(label, "font") for label in foreign]
        for number, (label, domain) in enumerate(rows):
            image = {"bytes": images.encode(np.full((8, 8), number, np.uint8)), "path": ""}
            out.add(
                {
                    "id": f"{number}", "image": image, "label": label, "split": "train",
                    "origin": "real", "width": 8, "height": 8, "mode": "L", "domain": domain,
                }
            )  # fmt: skip
    if message:
        with pytest.raises(DatasetError, match=message):
            load_sources("pair", train, tmp_path / "clean")
        return
    sources = load_sources("domain", train, tmp_path / "clean")
    assert sources.ids == ["3", "4", "5"] and sources.labels.tolist() == [0, 1, 2]
