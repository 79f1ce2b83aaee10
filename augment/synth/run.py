"""The synth stage: quotas, seeded candidates, accepted samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from augment.data import contact_sheets, files, images, table
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import REPORTS, SYNTHETIC
from augment.synth.candidates import Tally, synthesise
from augment.synth.inputs import journal_of, prepare, valid_recalls
from augment.synth.measured import Draw
from augment.synth.quotas import quotas
from augment.synth.selectors import SELECTORS, Selection
from augment.synth.settings import SynthSettings

SHOWN = 10  # images in a row of the picture; chosen by hand


def run(settings: SynthSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Fill the quotas of ``settings`` into data/synthetic; write reports/synth.json.

    A run that was killed goes on where it was. Gives the report, which is written even where a
    quota cannot be filled. Raises SynthError for quotas that make no sense or a budget that is
    spent.
    """
    generator, candidate_filter, train = prepare(settings, root)
    orders = quotas(settings, train, valid_recalls(settings, candidate_filter, root))
    draw = Draw(
        settings.seed, truncation=settings.truncation, max_candidates=settings.max_candidates
    )
    selection = Selection.build(settings)
    request = (generator, candidate_filter, orders, draw)
    journal = journal_of(root, *request, selection)
    tally = Tally()
    report = {
        "generator": generator.digest,
        "seed": settings.seed,
        "copy_threshold": candidate_filter.threshold,
        "copy_threshold_pixels": candidate_filter.visible,
        "select": [SELECTORS.resolve(spec) for spec in settings.select],
        "per_class": tally.per_class,
        "settings": settings.resolved(),
    }
    try:
        with table.TableWriter(root / SYNTHETIC, overwrite=True) as out:
            for row in synthesise(*request, tally, selection, journal):
                out.add(row)
        journal.remove()
    finally:
        report["accepted"] = sum(counts["accepted"] for counts in tally.per_class.values())
        files.write_json(root / REPORTS / "synth.json", report)
    _picture(root, train)
    return report


def _picture(root: Path, train: Arrays) -> None:
    """reports/samples.png: real images beside accepted ones, a row a class."""
    synthetic = load_arrays(root / SYNTHETIC, classes=train.classes, shape=train.shape)
    real, accepted = (
        {
            name: data.pixels[np.flatnonzero(data.labels == index)[:SHOWN]]
            for index, name in enumerate(data.classes)
        }
        for data in (train, synthetic)
    )
    picture = contact_sheets.beside(real, accepted, SHOWN, ("real", "synthetic"))
    files.write_bytes(root / REPORTS / "samples.png", images.encode(picture))
