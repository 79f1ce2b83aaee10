"""The synth stage: quotas, seeded candidates, accepted samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from augment.data import contact_sheets, files, images, table
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import REPORTS, SYNTHETIC
from augment.synth.candidates import Draw, Tally, synthesise
from augment.synth.inputs import fit_selection, prepare, valid_recalls, wide_codes
from augment.synth.quotas import quotas
from augment.synth.selectors import SELECTORS
from augment.synth.settings import SynthSettings

SHOWN = 10  # samples of each class in the picture


def run(settings: SynthSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Fill the quotas of ``settings`` into data/synthetic; write reports/synth.json."""
    generator, chosen, train = prepare(settings, root)
    orders = quotas(settings, train, valid_recalls(settings, chosen, train, root))
    draw = Draw(
        settings.seed,
        truncation=settings.truncation,
        max_candidates=settings.max_candidates,
        wide=wide_codes(settings, train, root),
    )
    selection = fit_selection(settings, chosen, root)
    tally = Tally()
    report = {
        "generator": generator.digest,
        "seed": settings.seed,
        "copy_threshold": chosen.threshold,
        "copy_threshold_pixels": chosen.visible,
        "codes": settings.codes,
        "select": [SELECTORS.resolve(spec) for spec in settings.select],
        "per_class": tally.per_class,
        "settings": settings.resolved(),
    }
    try:
        with table.TableWriter(root / SYNTHETIC, overwrite=True) as out:
            for row in synthesise(generator, chosen, orders, draw, tally, selection):
                out.add(row)
    finally:
        report["accepted"] = sum(one["accepted"] for one in tally.per_class.values())
        files.write_json(root / REPORTS / "synth.json", report)
    _picture(root, train)
    return report


def _picture(root: Path, train: Arrays) -> None:
    """reports/samples.png: real images beside accepted ones, a row a class."""
    made = load_arrays(root / SYNTHETIC, classes=train.classes, shape=train.shape)
    real, fake = (
        {name: data.pixels[data.labels == index][:SHOWN] for index, name in enumerate(data.classes)}
        for data in (train, made)
    )
    picture = contact_sheets.beside(real, fake, SHOWN, ("real", "synthetic"))
    files.write_bytes(root / REPORTS / "samples.png", images.encode(picture))
