"""Tables as torch data sets and as arrays: what is selected, its order, what is refused."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import augment
from augment import dataset
from augment.data import images, table
from augment.data.arrays import DatasetError, load_arrays
from augment.dataset import Dataset
from augment.errors import AugmentError
from augment.writers.base import WRITERS

CLASSES = ["1", "2", "10", "z"]


def sample(level: int, label: str | None, split: str = "train", **facts: Any) -> table.Row:
    pixels = facts.pop("pixels", np.full((8, 12), level, np.uint8))
    data = images.encode(pixels)
    return {
        "id": hashlib.sha256(data).hexdigest(),
        "image": {"bytes": data, "path": f"{level}.png"},
        "label": label,
        "split": split,
        "origin": "real",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "mode": "L" if pixels.ndim == 2 else "RGB",
    } | facts


def write(folder: Path, rows: Iterable[table.Row]) -> Path:
    with table.TableWriter(folder) as writer:
        for row in rows:
            writer.add(row)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [sample(n, ("10", "2", "1")[n % 3], ("train", "valid")[n % 2]) for n in range(12)]
    rows += [sample(50, "z", "test"), sample(51, None), sample(52, None, "test")]
    rows += [sample(100 + n, ("10", "2")[n % 2], origin="synthetic") for n in range(40)]
    return write(tmp_path / "table", rows)


def levels(samples: Dataset) -> list[int]:
    return [int(np.asarray(image)[0, 0]) for image, _ in (samples[n] for n in range(len(samples)))]


def test_load_gives_images_and_class_indices(folder: Path) -> None:
    samples = augment.load(folder, origin="real")
    assert isinstance(samples, augment.Dataset)
    assert levels(samples) == [0, 2, 4, 6, 8, 10]
    image, target = samples[1]
    assert isinstance(image, Image.Image) and (image.size, image.mode) == ((12, 8), "L")
    assert samples.classes == CLASSES
    assert [samples.classes[target] for _, target in (samples[n] for n in range(6))] == [
        "10", "1", "2", "10", "1", "2",
    ]  # fmt: skip
    assert samples.targets == [target for _, target in (samples[n] for n in range(6))]
    assert samples.table["label"].tolist() == [CLASSES[target] for target in samples.targets]
    assert "image" not in samples.table and samples.table["id"].is_unique
    with pytest.raises(IndexError):
        samples[len(samples)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 2, 4, 6, 8, 10, *range(100, 140)]),
        ({"split": "valid"}, [1, 3, 5, 7, 9, 11]),
        ({"split": "test"}, [50]),
        ({"split": None, "origin": "real"}, [*range(12), 50]),
        ({"origin": "synthetic"}, [*range(100, 140)]),
        ({"synthetic_ratio": 0}, [0, 2, 4, 6, 8, 10]),
        ({"synthetic_ratio": 1e9}, [0, 2, 4, 6, 8, 10, *range(100, 140)]),
        ({"split": "valid", "synthetic_ratio": 1.0}, [1, 3, 5, 7, 9, 11]),
    ],
)
def test_what_is_selected(folder: Path, options: dict[str, Any], expected: list[int]) -> None:
    samples = dataset.load(folder, **options)
    assert levels(samples) == expected
    assert len(samples) == len(samples.table) == len(expected)
    assert samples.classes == CLASSES  # whatever is selected


@pytest.mark.parametrize("writer", WRITERS.names())
def test_inferred_labels_are_real_ones_that_can_be_left_out(tmp_path: Path, writer: str) -> None:
    rows = [sample(n, ("1", "2")[n % 2]) for n in range(4)]
    inferred = {"label_source": "inferred", "label_probability": 0.5}
    rows += [sample(10 + n, "2", **inferred) for n in range(2)]
    rows += [sample(100 + n, "1", origin="synthetic", label_probability=0.9) for n in range(9)]
    WRITERS.build(writer)(rows, tmp_path / "out")
    for options, expected in (
        ({}, [*range(4), 10, 11, *range(100, 109)]),
        ({"origin": "real"}, [*range(4), 10, 11]),
        ({"inferred": False}, [*range(4), *range(100, 109)]),
        ({"inferred": False, "origin": "real"}, [*range(4)]),
    ):
        assert sorted(levels(dataset.load(tmp_path / "out", **options))) == expected
    for inferred_too, count in ((True, 6), (False, 4)):  # of synthetic, one for each real
        mixed = dataset.load(tmp_path / "out", synthetic_ratio=1.0, inferred=inferred_too)
        assert Counter(mixed.table["origin"]) == {"real": count, "synthetic": count}


@pytest.mark.parametrize(("ratio", "count"), [(0.5, 3), (1.0, 6), (2.0, 12), (0.4, 2)])
def test_mixing_ratio(folder: Path, ratio: float, count: int) -> None:
    mixed = dataset.load(folder, synthetic_ratio=ratio)
    assert Counter(mixed.table["origin"]) == {"real": 6, "synthetic": count}
    assert levels(mixed) == sorted(levels(mixed))
    assert levels(mixed) == levels(dataset.load(folder, synthetic_ratio=ratio))
    others = [
        levels(dataset.load(folder, synthetic_ratio=ratio, seed=seed)) for seed in range(1, 5)
    ]
    assert any(other != levels(mixed) for other in others)


def test_transform_and_loader(folder: Path) -> None:
    def to_tensor(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).float()

    samples = dataset.load(folder, transform=to_tensor)
    pixels, targets = next(iter(torch.utils.data.DataLoader(samples, batch_size=46)))
    assert pixels.shape == (46, 8, 12) and targets.dtype == torch.int64
    assert pixels[:, 0, 0].tolist() == levels(dataset.load(folder))
    assert targets.tolist() == samples.targets


def test_travels_to_worker_processes(folder: Path) -> None:
    samples = dataset.load(folder, transform=np.array)
    workers = torch.utils.data.DataLoader(
        samples, batch_size=46, num_workers=1, multiprocessing_context="spawn"
    )
    pixels, _ = next(iter(workers))
    assert pixels[:, 0, 0].tolist() == levels(dataset.load(folder))


@pytest.mark.parametrize("writer", WRITERS.names())
def test_every_format_that_write_produces(folder: Path, tmp_path: Path, writer: str) -> None:
    rows = [row for row in table.rows(folder) if row["label"] is not None]
    WRITERS.build(writer)(rows, tmp_path / "out")
    for options in ({}, {"split": "valid"}, {"origin": "synthetic"}, {"synthetic_ratio": 0.5}):
        expected, written = (dataset.load(path, **options) for path in (folder, tmp_path / "out"))
        assert written.classes == CLASSES
        assert Counter(written.table["origin"]) == Counter(expected.table["origin"])
        if "synthetic_ratio" not in options:  # which ones are drawn depends on the order
            assert sorted(zip(levels(written), written.targets, strict=True)) == sorted(
                zip(levels(expected), expected.targets, strict=True)
            )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, r"no samples with split 'dev'"),
        ({"split": "test", "origin": "synthetic"}, r"split 'test' and origin 'synthetic'"),
        ({"synthetic_ratio": -0.1}, "synthetic_ratio: a number from 0 up"),
        ({"synthetic_ratio": 1.0, "origin": "real"}, "not together with origin"),
    ],
)
def test_refusals(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        dataset.load(folder, **options)
    assert isinstance(caught.value, AugmentError)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(AugmentError, match="nothing"):
        dataset.load(tmp_path / "nothing")
    with pytest.raises(table.TableError, match="nothing: no sample table there"):
        load_arrays(tmp_path / "nothing")


def test_arrays(folder: Path) -> None:
    train = load_arrays(folder, split="train", origin="real")
    assert train.pixels.shape == (6, 1, 8, 12) and train.pixels.dtype == np.uint8
    assert train.pixels.flags.c_contiguous
    assert train.pixels[:, 0, 3, 3].tolist() == [0, 2, 4, 6, 8, 10]
    assert [train.classes[label] for label in train.labels] == ["10", "1", "2"] * 2
    assert (train.classes, train.labels.dtype) == (CLASSES, np.int64)
    assert train.ids == table.frame(folder, ["id"], split="train", origin="real")["id"].tolist()[:6]
    assert (len(train), train.shape) == (6, (1, 8, 12))
    assert len(load_arrays(folder)) == 53  # unlabelled ones are left out
    other = load_arrays(folder, split="valid", classes=["2", "1", "10"])
    assert other.labels.tolist() == [0, 2, 1, 0, 2, 1] and other.classes == ["2", "1", "10"]


def test_arrays_of_colour_and_of_nothing(tmp_path: Path, folder: Path) -> None:
    colour = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    arrays = load_arrays(write(tmp_path / "colour", [sample(0, "a", pixels=colour)]))
    assert arrays.shape == (3, 8, 12)
    assert (arrays.pixels[0] == colour.transpose(2, 0, 1)).all()
    for options, shape in (({}, (1, 8, 12)), ({"shape": (3, 4, 5)}, (3, 4, 5))):
        nothing = load_arrays(folder, split="valid", origin="synthetic", **options)
        assert (len(nothing), nothing.shape, len(nothing.labels)) == (0, shape, 0)
    empty = write(tmp_path / "empty", [])
    assert load_arrays(empty, classes=["a"], shape=(3, 4, 5)).shape == (3, 4, 5)
    with pytest.raises(DatasetError, match="empty: no samples"):
        load_arrays(empty)


def test_arrays_refuse_what_does_not_fit(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"label '10' is none of \['1', '2'\]"):
        load_arrays(folder, classes=["1", "2"])
    for name, pixels in (
        ("size", np.zeros((8, 8), np.uint8)),
        ("mode", np.zeros((8, 12, 3), np.uint8)),
    ):
        mixed = write(tmp_path / name, [sample(0, "a"), sample(1, "a", pixels=pixels)])
        with pytest.raises(DatasetError, match=r"is \(., 8, .*\), not \(1, 8, 12\)"):
            load_arrays(mixed)
    with pytest.raises(DatasetError, match=r"is \(1, 8, 12\), not \(3, 8, 12\)"):
        load_arrays(folder, shape=(3, 8, 12))


def test_digits(digits_table: Callable[..., Path], tmp_path: Path) -> None:
    folder = digits_table(tmp_path / "digits", per_class=10)
    assert table.validate(folder) == 100
    counts = table.frame(folder).groupby("label")["split"].value_counts().unstack()
    assert counts.to_dict("list") == {"train": [6] * 10, "valid": [2] * 10, "test": [2] * 10}
    other = digits_table(tmp_path / "other", per_class=10, invert_test=True)
    for split, same in (("train", True), ("valid", True), ("test", False)):
        pair = [load_arrays(path, split=split).pixels for path in (folder, other)]
        assert (pair[0] == pair[1]).all() == same
