"""One recipe after the other on the bench: trained for its minutes, sampled, measured."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augment import stage_code
from augment.classifiers.fit import enough_steps
from augment.classifiers.judge import JudgeRecipe
from augment.classifiers.networks import CLASSIFIERS
from augment.compare.classifiers import CLASSIC, Classifiers
from augment.compare.entries import Entry, remark
from augment.compare.lines import Line, as_text
from augment.compare.samples import Drawn, draw
from augment.compare.workspace import Workspace
from augment.data import contact_sheets, files, images
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.data.places import CACHE
from augment.errors import AugmentError
from augment.params import Params
from augment.runtime import devices
from augment.score import run as score
from augment.score.scores import labels, memorisation
from augment.score.scores.base import Measured
from augment.score.scores.fidelity import density_coverage
from augment.score.uplift import arms, results, statistics
from augment.score.uplift.protocol import Arm
from augment.train import assemble
from augment.train import run as train

NEIGHBOURS = 5  # k of coverage, as in Naeem et al. 2020
LONGEST = 0.5  # of the minutes of training: what samples may take
SHOWN, ACROSS, BLOCKS = 6, 3, 10  # samples of a class in a picture, in a row of it; classes
SAMPLES, ALONE = "synthetic", "synthetic_only"
STAGES = ("train", "codes", "synth", "score")  # whose code a line follows from


class Bench:
    """The set, the settings that all recipes share, and what is the same for all of them."""

    def __init__(self, workspace: Workspace, settings: Params, minutes: float):
        """A bench on which each recipe trains for ``minutes``."""
        self.workspace, self.settings, self.minutes = workspace, settings, minutes
        self.device = devices.choose_device(settings.score.device)
        self.plan = score.plan_of(settings.score)
        self.classifiers = Classifiers(workspace, settings.score, self.device, self.plan)
        self.dose = max(self.plan.doses)
        code = {stage: stage_code.digest(stage) for stage in STAGES}
        self.key = _digest(
            {
                "score": settings.score.resolved(), "synth": settings.synth.resolved(),
                "codes": settings.codes.resolved(), "code": code, "minutes": minutes,
            }
        )  # fmt: skip

    def room(self, entry: Entry) -> Path:
        """The folder of a recipe: the same one for the same settings and minutes."""
        resolved = assemble.resolved_settings(entry.settings)
        name = _digest({"train": resolved, "minutes": self.minutes, "key": self.key})
        return self.workspace.room(name[:16])

    def stored(self, entry: Entry) -> Line | None:
        """The line of a recipe that an earlier comparison measured to the end."""
        path = self.room(entry) / "line.json"
        if not path.exists():
            return None
        return dataclasses.replace(Line(**files.read_json(path)), name=entry.name)

    def line(self, entry: Entry) -> Line:
        """Train and measure a recipe, or go on with that; a fault becomes the line's ``error``."""
        room = self.room(entry)
        line = Line(entry.name, entry.line())
        try:
            line = self._trained(line, entry, room)
            line = self._measured(line, room)
        except AugmentError as error:
            return dataclasses.replace(line, error=str(error))
        except Exception as error:  # of one model; the others go on
            return dataclasses.replace(line, error=f"{type(error).__name__}: {error}")
        files.write_json(room / "line.json", dataclasses.asdict(line))
        return line

    def picture(self, entry: Entry) -> Path:
        """The picture of a recipe's samples."""
        return self.room(entry) / "samples.png"

    def test(self, entry: Entry, test: Arrays) -> dict[str, Any]:
        """The gain of a recipe's accepted samples on ``test`` images, and both accuracies."""
        study = self.classifiers.on_test(self._drawn(self.room(entry)).kept, test)
        names = CLASSIC, SAMPLES
        answers = self.classifiers.answers(study, {name: self._arms[name] for name in names})
        before, after = (answers[name] for name in names)
        return {
            **vars(results.gain(before, after, test)),
            CLASSIC: float(results.accuracy(before.test, test).mean()),
            SAMPLES: float(results.accuracy(after.test, test).mean()),
            "images": len(test),
        }

    @property
    def _arms(self) -> dict[str, Arm]:
        """What classifiers learn from; with samples at most ``dose`` for each labelled image."""
        return {
            CLASSIC: arms.classic,
            SAMPLES: partial(arms.synthetic, dose=self.dose),
            ALONE: arms.synthetic_only,
        }

    def _trained(self, line: Line, entry: Entry, room: Path) -> Line:
        """The line of a recipe after its minutes of training; an earlier run is taken up."""
        noted, start = room / "seconds.json", time.perf_counter()
        before = files.read_json(noted) if noted.exists() else 0.0
        try:
            report = train.run(entry.settings, room, minutes=self.minutes)
        finally:
            seconds = before + time.perf_counter() - start
            files.write_json(noted, seconds)
        best = report["best"]["step"]
        bits = [row["bits"] for row in report["history"] if row.get("bits") is not None]
        at_best = [row.get("bits") for row in report["history"] if row["step"] == best]
        needs = assemble.build(
            entry.settings, self.workspace.train.shape, len(self.workspace.train.classes)
        ).needs
        said = [remark(needs, len(self.workspace.train), len(self.workspace.unlabelled))]
        if report["ended"]:
            said.append(f"ended at step {report['ended']['step']}: {report['ended']['name']}")
        return dataclasses.replace(
            line,
            steps=report["steps"],
            milliseconds=60_000 * self.minutes / report["settings"]["steps"],
            seconds=seconds,
            bits=next((value for value in (*at_best, *bits[-1:]) if value is not None), None),
            remark="; ".join(filter(None, said)),
        )

    def _drawn(self, room: Path) -> Drawn:
        seconds = LONGEST * 60 * self.minutes
        return draw(
            self.settings.synth, self.settings.codes, room, self.workspace.train, self.dose, seconds
        )

    def _measured(self, line: Line, room: Path) -> Line:
        """The line of a trained recipe, with all that is measured of its samples."""
        candidates = self._drawn(room)
        files.write_bytes(room / "samples.png", images.encode(picture(candidates.samples)))
        line = dataclasses.replace(
            line,
            samples=len(candidates.samples),
            accepted=float(candidates.accepted.mean()),
            seconds_per_thousand=1000 * candidates.seconds / len(candidates.samples),
            **self._scores(candidates.samples),
        )
        if not candidates.accepted.any():
            error = f"synth would accept none of its {len(candidates.samples):,} samples"
            return dataclasses.replace(line, error=error)
        arms_of_samples = {name: self._arms[name] for name in (SAMPLES, ALONE)}
        right = self.classifiers.right(candidates.kept, arms_of_samples)
        after, taught = right[SAMPLES], right[ALONE]
        gain, low, high = self.classifiers.gain(after)
        return dataclasses.replace(
            line,
            gain=gain, low=low, high=high,
            verdict=statistics.verdict(low, high),
            accuracy=float(after.mean()), taught=float(taught.mean()),
            right={"gain": as_text(after), "taught": as_text(taught)},
        )  # fmt: skip

    def _scores(self, samples: Arrays) -> dict[str, Any]:
        """Coverage of all train images, near copies of them, right labels; of these samples."""
        measured = self._sides(samples)
        return {
            "coverage": density_coverage(
                measured.learned.features, measured.synthetic.features, NEIGHBOURS
            )["coverage"],
            "near_copies": memorisation.memorisation(measured)["near_copy_fraction"],
            "label_accuracy": labels.labels(measured)["label_accuracy"],
        }

    def _sides(self, samples: Arrays) -> Measured:
        scoring, here = self.settings.score, self.workspace
        data = dataclasses.replace(
            self.classifiers.images(samples, here.valid, here.valid.take(np.arange(0))),
            unlabelled=self.classifiers.unlabelled.pixels,
        )
        steps = enough_steps(scoring.steps, len(data.train))
        recipe = JudgeRecipe(CLASSIFIERS.resolve(scoring.judge), steps, scoring.batch, self.device)
        return score.measure(here.home / CACHE / "score", recipe, data, scoring.seed, dict)


def picture(samples: Arrays) -> Pixels:
    """The first samples of each class in a block over its name; BLOCKS classes at most."""
    blocks = []
    for label in range(min(BLOCKS, len(samples.classes))):
        tiles = samples.pixels[np.flatnonzero(samples.labels == label)[:SHOWN]]
        blank = np.full((SHOWN, *samples.shape), contact_sheets.PAPER, np.uint8)
        blank[: len(tiles)] = tiles
        block = contact_sheets.grid(blank, ACROSS, target=28).transpose(2, 0, 1)
        edge = ((0, 0), (0, 0), (0, 8))
        blocks.append(np.pad(block, edge, constant_values=contact_sheets.PAPER))
    names = samples.classes[: len(blocks)]
    return contact_sheets.captioned(blocks, names, len(blocks))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(files.finite(value), sort_keys=True).encode()).hexdigest()
