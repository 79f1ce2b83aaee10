"""Images made from a user's own pictures: ``augment translate``."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from augment.data import contact_sheets, files, images
from augment.data.images import ImageError, Pixels
from augment.data.normalise import Form, to_form
from augment.data.places import GENERATOR
from augment.errors import AugmentError, visible
from augment.models.generator import BACK, Generator
from augment.runtime import devices, progress
from augment.synth.settings import SynthSettings
from augment.writers.names import Folders

SHEET = "sheet.png"
COUNT = 8  # images of a picture, where none is asked for
SET = "set"  # the name of the set itself among domains
UNREADABLE = 5  # pictures that an error names, at most


class TranslateError(AugmentError, ValueError):
    """Pictures that cannot be read, a generator that cannot translate them, or a full folder."""


def translate(
    settings: SynthSettings,
    pictures: Sequence[Path],
    to: str | None = None,
    *,
    resize: str,
    recipes: Sequence[str],
    count: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    root: Path = Path("."),
) -> dict[str, Any]:
    """``count`` images from each of ``pictures``, and a sheet of them all.

    ``to`` is a class or, where the generator knows domains, ``set`` or its domain (several are one
    to it: their names with + between); into a domain goes only a generator that also learned that
    way. A domain's name goes before a class's, which tells such a generator nothing. By default
    images are of the set.

    A picture reaches the generator's size and mode as ``clean`` would bring it there, by
    ``clean.resize``. Image ``k`` of all pictures has the same noise, and follows from generator,
    seed, class and picture. All are written to ``out`` (translated by default) at once or not at
    all: ``STEM-K.png``, and ``sheet.png`` with a row a picture, which stands in front. Gives the
    counts. Raises TranslateError where any picture is unreadable, for a generator that starts from
    noise (``recipes`` names others) and for a folder that is not empty, GeneratorError for an
    unknown class.
    """
    out = out or root / "translated"
    pictures = list(dict.fromkeys(pictures))
    _refuse(out, pictures, overwrite)
    goal = to
    device = str(devices.choose_device(settings.device))
    generator = Generator.load(root / GENERATOR, device=device)
    if generator.domains and to == "+".join(generator.domains):
        generator, to = _back(root / GENERATOR, device, to), None
    elif generator.domains and to == SET:
        to = None
    label, count = _decided(generator, to, count, recipes)
    seed = settings.seed if seed is None else seed
    sources = sources_of(pictures, generator, resize)
    rows: dict[str, Pixels] = {}
    temporary = files.temporary_beside(out)
    try:
        named = zip(_names(pictures), sources, strict=True)
        for name, source in progress.track(named, "translate", len(pictures)):
            made = generator.sample(label, count, seed=seed, source=source).numpy()
            for number, data in enumerate(images.encode_many(images.channels_last(made)), 1):
                (temporary / f"{name}-{number}.png").write_bytes(data)
            row = np.stack([source, np.full_like(source, contact_sheets.PAPER), *made])
            rows[name] = row if len(rows) < contact_sheets.ROWS else row[:0].copy()
        sheet = contact_sheets.by_class(rows, count + 2, things="pictures")
        (temporary / SHEET).write_bytes(images.encode(sheet))
        files.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "to": goal,
        "pictures": len(pictures),
        "images": len(pictures) * count,
        "seed": seed,
        "generator": generator.digest,
        "out": str(out),
    }


def _refuse(out: Path, pictures: Sequence[Path], overwrite: bool) -> None:
    """Raise TranslateError unless ``out`` may be written: empty, or PNG files to be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise TranslateError(f"{out} is not empty; give --overwrite to replace it")
    if not out.is_dir() or any(path.suffix != ".png" or path.is_dir() for path in out.iterdir()):
        raise TranslateError(f"{out} holds more than translated images; name another folder")
    inside = [path for path in pictures if out.resolve() in path.resolve().parents]
    if inside:
        raise TranslateError(f"{inside[0]} lies in {out}, which --overwrite would remove")


def _back(folder: Path, device: str, domain: str) -> Generator:
    """The generator that goes into ``domain``. Raises TranslateError where none learned that."""
    if not (folder / f"{BACK}.safetensors").exists():
        raise TranslateError(
            f"--to {domain}: the generator goes from {domain} to the set alone; train one of both "
            "ways: train.recipe cyclegan, dualgan, discogan"
        )
    return Generator.load(folder, device=device, back=True)


def _decided(
    generator: Generator, to: str | None, count: int | None, recipes: Sequence[str]
) -> tuple[str, int]:
    """The class that candidates are drawn for, and how many of a picture.

    A generator that is not told the class takes any of them as a name.
    """
    classes = ", ".join(generator.classes)
    if generator.rule is None and not generator.paints:
        raise TranslateError(
            "the generator starts from noise and not from an image; train one that does: "
            f"train.recipe {', '.join(recipes)}"
        )
    if to is None and generator.network.conditioning is not None:
        raise TranslateError(f"--to: the generator needs a class; known: {classes}")
    network = generator.network
    if network.inputs + network.codes == 0:
        if count is not None and count > 1:
            raise TranslateError(
                f"--n {count}: the generator has no noise, so that a picture gives a single image"
            )
        count = 1
    label = generator.classes[0] if to is None else to
    if generator.domains and label not in generator.classes:
        domain = "+".join(generator.domains)
        raise TranslateError(
            f"--to {label!r}: neither {SET} nor {domain}, the domains that the generator knows; "
            f"nor a class: {classes}"
        )
    generator.check(label, {}, None)
    return label, COUNT if count is None else count


def sources_of(pictures: Sequence[Path], generator: Generator, resize: str) -> list[Pixels]:
    """The pictures as the generator takes them, uint8 (C, H, W) each.

    Raises TranslateError, which names the pictures that cannot be read.
    """
    channels, height, width = generator.shape
    form = Form((height, width), "L" if channels == 1 else "RGB", resize)
    sources: list[Pixels] = []
    unreadable: list[str] = []
    for path in pictures:
        try:
            pixels = images.pixels(to_form(path.read_bytes(), form), form.mode)
        except (ImageError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            unreadable.append(f"{visible(str(path))}: {why}")
            continue
        sources.append(pixels.reshape(height, width, channels).transpose(2, 0, 1))
    if unreadable:
        more = len(unreadable) - UNREADABLE
        shown = "; ".join(unreadable[:UNREADABLE]) + (f"; and {more} more" if more > 0 else "")
        raise TranslateError(f"nothing is written: {shown}")
    return sources


def _names(pictures: Sequence[Path]) -> list[str]:
    """A file name for each picture, without number and suffix: its stem, safe and unique.

    A later picture of the same stem also gets the start of its path's SHA-256.
    """
    folders = Folders(taken="")
    stems: set[str] = set()
    names: list[str] = []
    for path in pictures:
        stem = path.stem
        if stem in stems:
            stem = f"{stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        stems.add(path.stem)
        names.append(folders.of(stem))
    return names
