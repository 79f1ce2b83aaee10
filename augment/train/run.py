"""The train stage: fit the labeller, train the generator, publish its best state."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment.classifiers.classifier import Classifier, load_classifier
from augment.classifiers.fit import CLASSIC, enough_steps, fit_classifier
from augment.classifiers.other_domain import read_by
from augment.data import files, table
from augment.data.arrays import Arrays, join, load_arrays, load_domains, load_helpers
from augment.data.places import CACHE, CLEAN, REPORTS
from augment.errors import AugmentError
from augment.models.base import MODELS, Needs
from augment.models.sources import load_sources, opposed, with_keys
from augment.runtime import devices, process_group, progress, seeding
from augment.runtime.process_group import ProcessGroup
from augment.runtime.sampling import Sampler
from augment.train import assemble, follow, guessed_labels, pace, rules
from augment.train.feed import feed_of
from augment.train.log import open_log
from augment.train.loop import Trainer
from augment.train.publish import publish_generator
from augment.train.settings import TrainSettings
from augment.train.step import Engine
from augment.train.trackers import TRACKERS
from augment.train.trackers import check as check_trackers
from augment.vision.gradients import describe
from augment.vision.label_graph import graph

FORMAT = 6  # of the checkpoints; one of another format is not resumed
EVEN = {"name": "constant", "warm_up": 0.0}  # the schedule that does not follow a run's length


class TrainError(AugmentError):
    """Data on which no generator can be trained."""


def run(
    settings: TrainSettings, root: Path = Path("."), *, minutes: float | None = None,
    watch: Callable[[float, Mapping[str, float]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train on the train split of data/clean; write models/generator and reports/train.json.

    With ``minutes`` a few timed steps decide how many there are, whatever ``settings`` say.
    ``watch`` gets the share of the steps that are done, and each measured row; an error that it
    raises ends the run. Processes that only share its steps (``train.devices``) end here.
    """
    with process_group.group(settings.devices, settings.device, follow.__name__) as group:
        if group is None or not group.rank:
            return _run(settings, root, minutes, watch, group)
        follow.obey(group)
    raise SystemExit(0)


def _run(
    settings: TrainSettings, root: Path, minutes: float | None,
    watch: Callable[[float, Mapping[str, float]], None] | None, group: ProcessGroup | None,
) -> dict[str, Any]:  # fmt: skip
    """``run`` in the one process that reads, measures and writes; ``group`` shares its steps."""
    device = group.device if group else devices.choose_device(settings.device)
    assemble.check(settings)
    check_trackers(settings.trackers)
    train, valid = _data(root, settings, device)
    sizes = train.shape, len(train.classes)
    needs = assemble.build(settings, *sizes).needs  # says now what does not fit
    pool = load_pool(needs, train, root / CLEAN)
    helpers = _helpers(settings, needs, train, root / CLEAN)
    size = len(pool), len(train.classes)
    if helpers:
        size = len(pool) + len(helpers), len(helpers.classes)
    undecided = settings
    settings = rules.decide(undecided, *size, device)
    needs = assemble.build(settings, *sizes).needs
    upright = settings.profile == "glyph"
    sources = load_sources(needs.source, train, root / CLEAN, needs.key)
    if pool.file:
        gib = f"{pool.pixels.nbytes / 2**30:.1f} GiB"
        progress.say(f"train: {gib} of pixels are mapped from {CACHE}/pixels, not in memory")
    data = files.digest_of_folder(root / CLEAN)
    filled = guessed_labels.fill(needs, pool, upright=upright, seed=settings.seed)
    taught = filled if needs.key is None else with_keys(filled, root / CLEAN, needs.key)
    if helpers:
        taught = dataclasses.replace(join(taught, helpers), classes=helpers.classes)
    if minutes is not None:
        settings = _lasting(settings, minutes, taught, sources, data, root, device)
        lasting = {"steps": settings.steps, "every": settings.every}
        settings = rules.decide(undecided.model_copy(update=lasting), *size, device)
    progress.say(f"train: {rules.in_words(settings, *size, train.shape, device, needs.styles)}")
    if group:
        progress.say(f"train: {group.size} processes share each batch")
    resolved = assemble.resolved_settings(settings)
    home = _home(root / CACHE / "train", {"train": resolved, "images": data, "format": FORMAT})
    guessed = needs.guessed and needs.labels == "half"
    told = "train: the {kind} learns from {count} images (train.labeller.images)"
    sampler = Sampler(settings.labeller.images, settings.seed, told)
    labeller = _labeller(settings, filled if guessed else train, sampler, home, device)
    for key, others in (("domains", sources), ("helpers", helpers)):
        if settings.profile == "glyph" and others and not needs.key and opposed(train, others):
            progress.say(
                f"train: ink is light in the set and dark in ingest.{key}, or the reverse, and "
                "shapes may come out as their counters; the reader fonts draws either (ink: light)"
            )
    length = settings.length

    def watching(row: Mapping[str, float]) -> None:
        if watch:
            watch(row["step"] / length, row)

    trackers = [TRACKERS.build(spec, root, home) for spec in settings.trackers]
    with open_log(root / REPORTS / "dvclive", watching, trackers) as log:
        trainer = Trainer(
            settings, train, valid, labeller, home, device, log, taught, sources, group
        )
        trainer.fit()
    return publish_generator(trainer, resolved, labeller, pool, root, len(helpers or ()), sampler)


def _helpers(settings: TrainSettings, needs: Needs, train: Arrays, folder: Path) -> Arrays | None:
    """Images of other classes that join the batches; None where there is none or none may.

    It is said what becomes of them.
    """
    helpers = load_helpers(folder, train)
    if helpers is None:
        return None
    count = f"{len(helpers):,} images of ingest.helpers"
    if not needs.helpers:
        progress.say(f"train: {count} stay out: {settings.recipe} learns from the set's classes")
        return None
    classes = len(helpers.classes) - len(train.classes)
    progress.say(f"train: {count}, of {classes:,} classes beside the set's {len(train.classes):,}")
    return helpers


def _lasting(
    settings: TrainSettings, minutes: float, pool: Arrays, sources: Arrays, images: str,
    root: Path, device: torch.device,
) -> TrainSettings:  # fmt: skip
    """``settings`` of a run of so many ``minutes``, by the pace of a few steps of it.

    The pace is noted: a run that was killed goes on with as many steps. ``images`` is their digest.
    """
    plain = pace.lasting(settings, 2 * pace.TIMED)
    key = {"train": assemble.resolved_settings(plain), "images": images, "device": device.type}
    path = root / CACHE / "train" / f"pace-{_digest(key)[:16]}.json"
    if not path.exists():
        engine = Engine(plain, pool.shape, len(pool.classes), device)
        feed = feed_of(engine, pool, sources)
        files.write_json(path, {"seconds": pace.seconds_a_step(engine, feed)})
    return pace.lasting(settings, max(1, round(60 * minutes / files.read_json(path)["seconds"])))


def _home(folder: Path, course: dict[str, Any]) -> Path:
    """The folder of the checkpoints of a run with these settings and data; says what changed.

    A run whose steps do not follow from their number is taken up by a longer one: its folder is
    found without that number. ``settings.json`` in the folder tells later runs what it was.
    """
    even = follows_no_length(course["train"])
    settings = {key: value for key, value in course["train"].items() if key != "steps" or not even}
    home = folder / _digest({**course, "train": settings})[:16]
    notes = sorted(folder.glob("*/settings.json"), key=lambda path: path.stat().st_mtime_ns)
    if notes and not (home / "steps").exists():
        before, after = _flat(files.read_json(notes[-1])), _flat(files.finite(course))
        changes = [
            f"{key} {before.get(key)} -> {after.get(key)}" if "." in key else key
            for key in dict.fromkeys((*before, *after))
            if before.get(key) != after.get(key)
        ]
        if changes:
            progress.say(f"train: settings changed ({', '.join(changes)}): begun anew")
    files.write_json(home / "settings.json", course)
    return home


def follows_no_length(settings: Mapping[str, Any]) -> bool:
    """Whether no step of a run with these resolved settings depends on how many there will be."""
    model = MODELS.describe(settings["model"]["name"]).target
    even = settings["rate"]["schedule"] == EVEN and not settings["instance_noise"]["std"]
    return even and not model.follows_length  # type: ignore[attr-defined]


def _flat(tree: Any, key: str = "") -> dict[str, Any]:
    """The leaves of nested settings by dotted key."""
    if not isinstance(tree, dict):
        return {key: tree}
    inner = (_flat(value, f"{key}.{name}" if key else name) for name, value in tree.items())
    return {name: value for leaves in inner for name, value in leaves.items()}


def _data(root: Path, settings: TrainSettings, device: torch.device) -> tuple[Arrays, Arrays]:
    """The real train and valid images. Raises TrainError for a single or an empty class.

    Where a class has no label, another domain, if there is one, gives all images theirs.
    """
    folder = root / CLEAN
    train = load_arrays(folder, split="train", origin="real")
    if not np.bincount(train.labels, minlength=len(train.classes)).all():
        train = _read_by_domain(train, root, settings, device)
    valid = load_arrays(
        folder, split="valid", origin="real", classes=train.classes, shape=train.shape
    )
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if len(train.classes) < 2:
        raise TrainError(f"{folder}: at least two classes are needed, found {train.classes}")
    if not counts.all():
        empty = [name for name, count in zip(train.classes, counts, strict=True) if not count]
        raise TrainError(f"{folder}: no train image of class {', '.join(map(repr, empty))}")
    return train, valid


def _read_by_domain(
    train: Arrays, root: Path, settings: TrainSettings, device: torch.device
) -> Arrays:
    """All train images; those without a label get that which other domains spread to them.

    ``train`` as it is where there is no other domain. Raises TrainError where it says nothing.
    """
    folder = root / CLEAN
    domain = load_domains(folder, train)
    if domain is None:
        return train
    every = load_arrays(folder, split="train", origin="real", shape=domain.shape, unlabelled=True)
    upright = settings.profile == "glyph"
    likeness = graph(describe(every.pixels, upright=upright))
    reading = read_by(
        domain, every.pixels, likeness, upright=upright, seed=settings.seed, device=device,
        room=root / CACHE,
    )  # fmt: skip
    if reading.silent:
        raise TrainError(f"{folder}: too few labels; other domains give none: {reading.silent}")
    labels = np.where(every.labels < 0, reading.spread.argmax(1), every.labels)
    progress.say(
        f"train: {len(every) - len(train)} images get their label from another domain, by "
        f"{(reading.seeds >= 0).sum()} that it is sure of"
    )
    return dataclasses.replace(every, labels=labels)


def load_pool(needs: Needs, train: Arrays, folder: Path) -> Arrays:
    """The images that the model learns from: images without a label too, where it needs them.

    Their labels are -1; a model that needs no label sees all labels as -1.
    """
    whole = table.count(folder, split="train", origin="real") == len(train)
    if needs.labels == "all" or (needs.labels == "half" and whole):
        return train
    pool = load_arrays(
        folder, split="train", origin="real", classes=train.classes, shape=train.shape,
        unlabelled=True,
    )  # fmt: skip
    if needs.labels == "none":
        return dataclasses.replace(pool, labels=np.full_like(pool.labels, -1))
    return pool


def _labeller(
    settings: TrainSettings, every: Arrays, sampler: Sampler, home: Path, device: torch.device
) -> Classifier:
    """The classifier that synth filters with; fitted once for a run, on the train split only.

    Where the model guesses the labels of images without one, it learns from these too: of a few
    labels alone it would turn nearly all samples away.
    """
    rows = sampler.rows("labeller", every.labels, np.arange(len(every)))
    if (home / "labeller.safetensors").exists() and (home / "labeller.json").exists():
        return load_classifier(home, "labeller", device)
    train = every.take(rows) if sampler.counts else every
    labeller = fit_classifier(
        train.pixels,
        train.labels,
        classes=len(train.classes),
        network=settings.labeller.network,
        steps=enough_steps(settings.labeller.steps, len(train)),
        batch=settings.labeller.batch,
        seed=seeding.derive(settings.seed, "labeller"),
        device=device,
        augment=CLASSIC,
        even=True,
        title="labeller",
    )
    labeller.save(home, "labeller")
    return labeller


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
