"""Plants faults in a set and lists them with their places.

Duplicates, blank pages and images of no class are further files; the other faults befall images
that the set has. All are disjoint, each a share of the set, and follow from the seed alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from augment.data import files, images, table
from augment.data.images import Pixels
from augment.runtime import seeding
from benchmarks.cleaning import faults
from benchmarks.cleaning.sets import Collection

SHARE = 0.03  # of the set's images, for each fault
VALID, TEST = 0.1, 0.2  # shares of the set
ADDED = ("duplicate", "blank", "no_class")
LIST = ("path", "fault", "variant", "label", "truth", "original")  # columns of planted.csv

Draw = Callable[[Pixels, Collection, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Plant:
    """One image of the dirty set; without ``fault`` it is as the collection has it."""

    source: int  # place in the collection of the image that it was made from
    label: str  # as filed
    truth: str  # the label that it should have; "" for none
    split: str
    fault: str = ""
    variant: str = ""


class Planted:
    """The dirty set: ``plants`` in the order of its files, and their pixels when asked for."""

    def __init__(self, collection: Collection, plants: Sequence[Plant], seed: int):
        """Keep the list; nothing is drawn yet."""
        self.collection, self.plants, self._seed = collection, plants, seed
        stay = (place for place, plant in enumerate(plants) if plant.fault not in ADDED)
        self._places = {plants[place].source: place for place in stay}

    def __len__(self) -> int:
        """All images, those that were added too."""
        return len(self.plants)

    def original(self, place: int) -> Pixels:
        """The image of the collection that the one at ``place`` was made from."""
        return self.collection.images[self.plants[place].source]

    def pixels(self, place: int) -> Pixels:
        """The image at ``place`` with its fault."""
        plant, image = self.plants[place], self.original(place)
        if not plant.fault:
            return image
        rng = seeding.rng(self._seed, "draw", place)
        return FAULTS[plant.fault][plant.variant](image, self.collection, rng)

    def twin(self, place: int) -> int:
        """Where the image stands that the one at ``place`` was made from; itself if not added."""
        return self._places[self.plants[place].source]

    def write(self, folder: Path) -> None:
        """``files/labels.csv`` with its images, which ingest reads, and beside it planted.csv."""
        for place in range(len(self)):
            files.write_bytes(folder / "files" / name(place), images.encode(self.pixels(place)))
        filed = ((name(place), plant.label, plant.split) for place, plant in enumerate(self.plants))
        _write(folder / "files/labels.csv", ("path", "label", "split"), filed)
        listed = (
            (name(place), p.fault, p.variant, p.label, p.truth, name(self.twin(place)))
            for place, p in enumerate(self.plants)
            if p.fault
        )
        _write(folder / "planted.csv", LIST, listed)


def name(place: int) -> str:
    """The file of the image at ``place``, relative to the source."""
    return f"images/{place:06d}.png"


def plant(
    collection: Collection,
    seed: int,
    *,
    share: float = SHARE,
    splits: Sequence[str] = table.SPLITS,
) -> Planted:
    """``share`` of the images with each fault, at least one, all in ``splits``.

    No image has two faults, and none that has one was copied. Files come in random order.
    """
    rng = seeding.rng(seed, "plant")
    plants = [
        Plant(place, label, label, _split(place, seed))
        for place, label in enumerate(collection.labels)
    ]
    free = [place for place in rng.permutation(len(plants)) if plants[place].split in splits]
    classes = sorted(set(collection.labels))
    for fault, variants in FAULTS.items():
        for number in range(max(1, round(share * len(collection.labels)))):
            variant = list(variants)[number % len(variants)]
            place = _taken(free, fault, variant, collection)
            faulty = replace(plants[place], fault=fault, variant=variant)
            if fault == "wrong_label":
                others = [label for label in classes if label != faulty.truth]
                faulty = replace(faulty, label=others[int(rng.integers(len(others)))])
            if fault in ADDED:
                truth = faulty.truth if fault == "duplicate" else ""
                split = splits[int(rng.integers(len(splits)))]
                plants.append(replace(faulty, truth=truth, split=split))
            else:
                plants[place] = faulty
    order = rng.permutation(len(plants))
    return Planted(collection, [plants[place] for place in order], seed)


def _taken(free: list[int], fault: str, variant: str, collection: Collection) -> int:
    """The first of ``free`` that the fault changes, taken out of it."""
    for number, place in enumerate(free):
        still = collection.alike.get(collection.labels[place], ())
        if fault != "turned" or int(variant) // 90 not in still:
            return free.pop(number)
    raise ValueError(f"{collection.name}: too small for so many faults")


def _split(place: int, seed: int) -> str:
    share = seeding.unit(seed, "split", place)
    return "test" if share < TEST else "valid" if share < TEST + VALID else "train"


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    buffer = io.StringIO()
    lines = csv.writer(buffer, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    files.write_text(path, buffer.getvalue())


def _alone(draw: Callable[[Pixels, np.random.Generator], Pixels]) -> Draw:
    return lambda image, _, rng: draw(image, rng)


def _with_another(draw: Callable[..., Pixels]) -> Draw:
    """A fault that shows a second image of the set."""

    def draw_both(image: Pixels, collection: Collection, rng: np.random.Generator) -> Pixels:
        other = collection.images[int(rng.integers(len(collection.images)))]
        return draw(image, rng, faults.page(other).ink)

    return draw_both


def _foreign(image: Pixels, collection: Collection, rng: np.random.Generator) -> Pixels:
    return faults.foreign(image, rng, collection.foreign(rng))


FAULTS: dict[str, dict[str, Draw]] = {  # and their variants, which take turns
    "duplicate": {
        "exact": lambda image, _, __: image,
        "shift": _alone(faults.shifted),
        "scale": _alone(faults.scaled),
        "brightness": _alone(faults.brightened),
        "jpeg": _alone(faults.compressed),
    },
    "wrong_label": {"": lambda image, _, __: image},
    "secondary": {
        "character": _with_another(faults.neighbour),
        "seal": _with_another(faults.sealed),
        "ruling": _alone(faults.ruled),
    },
    "inverted": {"": _alone(faults.inverted)},
    "turned": {
        str(90 * quarters): _alone(partial(faults.turned, quarters=quarters))
        for quarters in (1, 2, 3)
    },
    "blank": {"": _alone(faults.blank)},
    "cut_off": {"": _alone(faults.cut_off)},
    "no_class": {
        "noise": _alone(faults.noise),
        "scribble": _alone(faults.scribble),
        "foreign": _foreign,
        "texture": _alone(faults.texture),
    },
    # the last, so that the others are as they were before it was added
    "secondary_touching": {"": _with_another(faults.touching)},
}
