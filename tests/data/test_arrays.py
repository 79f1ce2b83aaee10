"""Large sets lie in a file, and nobody can tell by their values."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from augment.data import arrays, files, images
from augment.data.arrays import DatasetError, load_arrays

Make = Callable[[Path], object]


@pytest.fixture
def clean(tmp_path: Path, digits_table: Make) -> Path:
    (tmp_path / "params.yaml").touch()
    digits_table(tmp_path / "data/clean")
    return tmp_path / "data/clean"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 0)


def kept(clean: Path) -> list[Path]:
    return sorted((clean.parent.parent / ".augment/pixels").glob("*/*/*"))


def test_a_mapped_selection_has_the_same_images(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_arrays(clean, split="train")
    assert plain.file is None and not kept(clean)
    monkeypatch.setattr(arrays, "LARGE", 0)
    mapped = load_arrays(clean, split="train")
    assert mapped.file == kept(clean)[0].resolve()
    assert np.array_equal(mapped.pixels, plain.pixels) and mapped.shape == plain.shape
    assert np.array_equal(mapped.labels, plain.labels)
    assert (mapped.ids, mapped.classes) == (plain.ids, plain.classes)


@pytest.mark.usefixtures("large")
def test_it_is_decoded_once(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_arrays(clean, split="train")
    first.pixels[0] = 7  # stays in this process
    monkeypatch.setattr(images, "pixels", None)
    again = load_arrays(clean, split="train")
    assert again.pixels[0].max() != 7
    assert len(kept(clean)) == 1


@pytest.mark.usefixtures("large")
def test_another_selection_or_another_table_is_another_file(
    clean: Path, digits_table: Make
) -> None:
    load_arrays(clean, split="train")
    load_arrays(clean, split="valid")
    before = kept(clean)
    assert len(before) == 2
    shutil.rmtree(clean)
    digits_table(clean)
    load_arrays(clean, split="train")
    assert len(kept(clean)) == 1 and kept(clean)[0] not in before  # the earlier shards' are gone


@pytest.mark.usefixtures("large")
def test_a_file_is_whole_or_not_there(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, count = images.pixels, iter(range(100))

    def broken(data: bytes, mode: str) -> images.Pixels:
        if next(count) == 5:
            raise KeyboardInterrupt
        return decode(data, mode)

    monkeypatch.setattr(images, "pixels", broken)
    with pytest.raises(KeyboardInterrupt):
        load_arrays(clean, split="train")
    assert not kept(clean)
    with pytest.raises(DatasetError, match=r"is \(1, 8, 8\), not \(1, 9, 9\)"):
        load_arrays(clean, split="train", shape=(1, 9, 9))
    assert not kept(clean)


@pytest.mark.usefixtures("large")
def test_another_process_maps_the_file_and_copies_a_part(clean: Path) -> None:
    """``pickle`` is how a process hands its own objects to one that it started."""
    mapped = load_arrays(clean, split="train")
    sent = pickle.dumps(mapped)
    assert len(sent) < mapped.pixels.nbytes + 100 * len(mapped)
    again = pickle.loads(sent)
    assert again.file == mapped.file and np.array_equal(again.pixels, mapped.pixels)
    part = mapped.take(np.array([3, 1]))
    assert part.file is None
    half = arrays.Arrays(mapped.pixels[:4], mapped.labels[:4], mapped.ids[:4], mapped.classes)
    assert half.file is None and len(pickle.loads(pickle.dumps(half)).pixels) == 4


@pytest.mark.usefixtures("large")
def test_a_large_part_has_a_file_of_its_own(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = load_arrays(clean, split="train", unlabelled=True)
    assert mapped.labelled() is mapped and len(kept(clean)) == 1
    mapped.labels[::3] = -1
    rows = np.flatnonzero(mapped.labels >= 0)
    part, plain = mapped.labelled(), mapped.take(rows)
    assert part.file is not None and sorted(kept(clean)) == sorted({mapped.file, part.file})
    assert np.array_equal(part.pixels, plain.pixels) and part.shape == mapped.shape
    assert np.array_equal(part.labels, plain.labels) and part.ids == plain.ids
    monkeypatch.setattr(files, "temporary_beside", None)  # it is written once
    assert mapped.labelled().file == part.file
    monkeypatch.setattr(arrays, "LARGE", plain.pixels.nbytes)
    assert mapped.labelled().file is None and np.array_equal(mapped.labelled().pixels, plain.pixels)


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 1, 8, 8), dtype=np.uint8)

    def mean(block: images.Pixels) -> np.ndarray:
        assert len(block) in (10, 3, 1)
        return block.mean((1, 2, 3))

    whole = arrays.in_blocks(mean, pixels)
    monkeypatch.setattr(arrays, "BLOCK", 3)
    assert np.array_equal(arrays.in_blocks(mean, pixels), whole)
