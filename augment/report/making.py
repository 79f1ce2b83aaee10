"""The sections about how the set was made: flow, pictures, cleaning, training, codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from augment import table
from augment.params import ADOPTED, CLEAN, QUARANTINE, REPORTS, SYNTHETIC
from augment.report import charts, pictures
from augment.report.charts import Axes, Series
from augment.report.parts import Chart, Figure, Flow, Part, Section, Step, Strips, Table
from augment.report.sources import STAGES, Sources
from augment.report.words import counted, shown

_FILM = "progress/training.gif"
_CODES = "codes.png"
_CURVES = (
    ("Distance to real images", "KID", {"kid": "to valid", "kid_train": "to train"}),
    ("Losses", "loss", {"g_adversarial": "generator", "d_adversarial": "discriminator"}),
    (
        "Variety of samples",
        "relative to real",
        {"variance": "overall", "variance_within": "within a class",
         "variance_within_least": "in the least varied class"},
    ),
    (
        "What the discriminator tells apart",
        "share",
        {"accuracy": "pairs", "accuracy_real": "real as real", "accuracy_fake": "fake as fake"},
    ),
)  # fmt: skip


def flow(found: Sources) -> Section:
    """Every stage with how many images came in and went out."""
    steps = [_step(found, stage) for stage in STAGES]
    head = ("stage", "in", "out", "what became of the rest")
    rows = [(step.name, step.entered, step.left, step.note) for step in steps]
    figure = Figure("In and out", [Flow(steps)], "ingest.json", numbers=Table(head, rows))
    lead = "Nothing is dropped without a count: what comes in goes out or is set aside."
    return Section("flow", "The way of the images", lead, [figure])


def classes(found: Sources) -> Section:
    """Real train images beside accepted synthetic ones, a row for each class."""
    key, title = "classes", "Real beside synthetic"
    if not found.has_table(CLEAN):
        return Section(key, title, missing="No images yet: augment ingest, then augment clean.")
    columns = found.params.report.images
    real = pictures.first_by_class(found.root / CLEAN, columns, split="train")
    made: Mapping[str, list[bytes]] = {}
    if found.has_table(SYNTHETIC):
        made = pictures.first_by_class(found.root / SYNTHETIC, columns)
    names = list(real)[: found.params.report.classes]
    rows = [
        (
            name,
            [
                pictures.strip(real[name], f"real images of class {name}", columns),
                pictures.strip(made.get(name, []), f"synthetic images of class {name}", columns),
            ],
        )
        for name in names
    ]
    caption = f"The first {columns} of each class in the table's order: none was picked by hand."
    if len(real) > len(names):
        caption += f" {counted(len(real) - len(names), 'more class', 'more classes')} not shown."
    strips = Strips(("real", "synthetic" if made else "synthetic: not drawn yet"), rows)
    source = "synth.json" if made else "clean.json"
    lead = "Left what there was, right what the generator drew and the filter accepted."
    return Section(key, title, lead, [Figure("A row for each class", [strips], source, caption)])


def cleaning(found: Sources) -> Section:
    """What each check dropped, with pictures."""
    key, title, report = "cleaning", "What cleaning dropped", found.get("clean")
    if not report:
        return Section(key, title, missing="Not run yet: augment clean.")
    rows = [
        (name.replace("_", " "), failed, report["thresholds"].get(name))
        for name, failed in report["checks"].items()
    ]
    parts: list[Part] = []
    if report["dropped"] and (strips := _dropped(found)):
        parts.append(strips)
    parts.append(Table(("check", "failed", "threshold"), rows, sortable=True))
    height, width = report["size"]
    lead = (
        f"{counted(report['dropped'], 'image')} of {report['in']:,} set aside in {QUARANTINE}; "
        f"the others became {width} × {height} pixels, mode {report['mode']} ({report['resize']})."
    )
    caption = (
        "An image can fail several checks; it is measured first and judged afterwards. A repaired "
        "one stays, and so does a test image against which only a model speaks."
    )
    return Section(key, title, lead, [Figure("By check", parts, "clean.json", caption)])


def training(found: Sources) -> Section:
    """Curves, diagnoses with their rollbacks, and the animation of fixed codes."""
    key, title, report = "training", "Training", found.get("train")
    if not report:
        return Section(key, title, missing="Not run yet: augment train.")
    history, rollbacks = report["history"], report["rollbacks"]
    best = report["best"]["step"]
    marks = [(float(best), "best step")] if best is not None else []
    figures = [_curve(history, *curve, marks) for curve in _CURVES if _measured(history, curve[2])]
    figures += [_diagnoses(rollbacks)] if rollbacks else []
    figures += [_film(found)] if found.file(_FILM).is_file() else []
    lead = (
        f"{counted(report['steps'], 'step')} on {counted(report['images']['train'], 'train image')}"
        f"; the generator kept is that of step {shown(best)}."
    )
    if not rollbacks:
        lead += " No trouble was diagnosed."
    return Section(key, title, lead, figures)


def codes(found: Sources) -> Section:
    """What the generator's codes move."""
    key, title, report = "codes", "What the codes move", found.get("codes")
    if not report:
        return Section(key, title, missing="Not run yet: augment codes.")
    rows = []
    for one in report.get("continuous", []):
        moved = sorted(one["spearman"].items(), key=lambda item: -abs(item[1] or 0.0))
        strongest, strength = moved[0] if moved else (None, None)
        rows.append((one["code"], one["name"], strongest, strength, one["class_changes"]))
    head = ("code", "name", "moves most", "rank correlation", "class changes on the way")
    drawn = pictures.of_file(found.file(_CODES), "traversals: one code at a time moved")
    too_large = drawn is None and found.file(_CODES).is_file()
    parts: list[Part] = [drawn] if drawn else []
    if rows:
        parts.append(Table(head, rows))
    if not parts and not too_large:
        return Section(key, title, "This generator has no codes of its own.")
    lead = "One code moves from left to right, everything else stays."
    caption = f"The picture is too large for this page: {REPORTS}/{_CODES}." if too_large else ""
    return Section(key, title, lead, [Figure("Traversals", parts, "codes.json", caption)])


def adopted(found: Sources) -> Section:
    """The images that were given a label, the least certain first."""
    key, title, report = "adopted", "Adopted images", found.get("adopt")
    if not report:
        return Section(key, title, missing="Not run yet: augment adopt.")
    if not report["adopted"]:
        return Section(key, title, "No unlabelled image was adopted.")
    columns = found.params.report.images
    strips = _least_certain(found, columns) if found.has_table(ADOPTED) else []
    facts = Table(
        ("what", "value"),
        [
            (name, report.get(name.replace(" ", "_")))
            for name in ("unlabelled", "adopted", "method", "threshold", "temperature",
                         "calibration error", "accuracy valid")
        ],
    )  # fmt: skip
    lead = (
        f"{report['adopted']:,} of {counted(report['unlabelled'], 'unlabelled image')} were sure "
        "enough of their class to be used as real ones."
    )
    per_class = Table(("class", "adopted"), list(report["per_class"].items()), sortable=True)
    caption = "Those whose label is least certain stand here: if these are right, the rest is too."
    parts: list[Part] = [Strips(("least certain",), strips)] if strips else []
    figure = Figure("By class", [*parts, facts], "adopt.json", caption, per_class)
    return Section(key, title, lead, [figure])


def _step(found: Sources, stage: str) -> Step:
    if stage not in found.reports:
        return Step(stage, "", "", f"not run yet: augment {stage}", done=False)
    with found.blaming(stage):
        return _STEPS[stage](found.get(stage))


def _ingest(report: Mapping[str, Any]) -> Step:
    splits = ", ".join(f"{count:,} {name}" for name, count in report["splits"].items())
    aside = f"{report['rejected']:,} rejected; {splits}"
    if report.get("unlabelled"):
        aside += f"; {report['unlabelled']:,} without a label"
    return Step("ingest", f"{report['read']:,}", f"{report['kept']:,}", aside)


def _clean(report: Mapping[str, Any]) -> Step:
    aside = f"{report['dropped']:,} in quarantine"
    return Step("clean", f"{report['in']:,}", f"{report['kept']:,}", aside)


def _train(report: Mapping[str, Any]) -> Step:
    seen = report["images"]
    note = f"{report['steps']:,} steps on {seen['train']:,} labelled"
    if seen.get("unlabelled"):
        note += f" and {seen['unlabelled']:,} unlabelled"
    note += f"; {seen['valid']:,} to watch"
    total = seen["train"] + seen.get("unlabelled", 0)
    return Step("train", f"{total:,}", "a generator", note)


def _codes(report: Mapping[str, Any]) -> Step:
    named = ", ".join(report["names"]) or "none"
    return Step(
        "codes", "a generator", counted(len(report["continuous"]), "code"), f"named: {named}"
    )


def _adopt(report: Mapping[str, Any]) -> Step:
    left = report["unlabelled"] - report["adopted"]
    note = f"{left:,} stay without a label"
    return Step("adopt", f"{report['unlabelled']:,}", f"{report['adopted']:,}", note)


def _synth(report: Mapping[str, Any]) -> Step:
    drawn = sum(one["candidates"] for one in report["per_class"].values())
    reasons: dict[str, int] = {}
    for one in report["per_class"].values():
        for reason, count in one["rejected"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    note = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return Step("synth", f"{drawn:,}", f"{report['accepted']:,}", f"turned away: {note}")


def _score(report: Mapping[str, Any]) -> Step:
    numbers = sum(isinstance(value, int | float) for value in report.values())
    return Step("score", "", counted(numbers, "score"), "reports/score.json")


def _write(report: Mapping[str, Any]) -> Step:
    real, made = report["real"], report["synthetic"]
    aside = ", ".join(
        f"{count:,} {why.replace('_', ' ')}" for why, count in report["left_out"].items()
    )
    total = real + made + sum(report["left_out"].values())
    note = f"{real:,} real, {made:,} synthetic; left out: {aside}"
    return Step("write", f"{total:,}", f"{real + made:,}", note)


_STEPS = {
    "ingest": _ingest,
    "clean": _clean,
    "train": _train,
    "codes": _codes,
    "adopt": _adopt,
    "synth": _synth,
    "score": _score,
    "write": _write,
}


def _dropped(found: Sources) -> Strips | None:
    """Images in quarantine under the check that each failed first."""
    verdicts = found.file("clean.csv")
    if not verdicts.is_file() or not found.has_table(QUARANTINE):
        return None
    sheet = pd.read_csv(
        verdicts, usecols=["id", "verdict", "reasons"], dtype=str, keep_default_na=False
    )
    sheet = sheet[sheet["verdict"] == "drop"]
    first = sheet["reasons"].str.partition(";")[0]
    columns = found.params.report.images
    chosen = {
        reason: list(dict.fromkeys(ids))[:columns] for reason, ids in sheet["id"].groupby(first)
    }
    images = pictures.by_id(
        found.root / QUARANTINE, [one for ids in chosen.values() for one in ids]
    )
    rows = []
    for reason, ids in chosen.items():
        name = str(reason).replace("_", " ")
        encoded = [images[one] for one in ids if one in images]
        if encoded:
            rows.append((name, [pictures.strip(encoded, f"dropped by {name}", columns)]))
    return Strips(("dropped",), rows) if rows else None


def _least_certain(found: Sources, columns: int) -> list[tuple[str, list[Any]]]:
    facts = table.frame(found.root / ADOPTED, ("id", "label", "label_probability"))
    facts = facts.sort_values(["label_probability", "id"])
    names = table.classes_of(facts["label"])[: found.params.report.classes]
    chosen = {name: list(facts["id"][facts["label"] == name][:columns]) for name in names}
    images = pictures.by_id(found.root / ADOPTED, [one for ids in chosen.values() for one in ids])
    return [
        (name, [pictures.strip([images[one] for one in ids], f"adopted as {name}", columns)])
        for name, ids in chosen.items()
    ]


def _measured(history: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> bool:
    return any(row.get(key) is not None for row in history for key in keys)


def _curve(
    history: Sequence[Mapping[str, Any]],
    title: str,
    unit: str,
    keys: Mapping[str, str],
    marks: Sequence[tuple[float, str]],
) -> Figure:
    lines = []
    for key, name in keys.items():
        points = [(row["step"], row[key]) for row in history if row.get(key) is not None]
        lines += [Series(name, points)] if points else []
    ends = ", ".join(f"{line.name} {line.points[-1][1]:.3g}" for line in lines)
    axes = Axes(title, f"At the end: {ends}.", "step", unit)
    rows = [[int(row["step"]), *(row.get(key) for key in keys)] for row in history]
    numbers = Table(("step", *keys.values()), rows)
    drawn = Chart(charts.lines(axes, lines, marks=marks), [line.name for line in lines])
    return Figure(title, [drawn], "train.json", numbers=numbers, half=True)


def _film(found: Sources) -> Figure:
    title, alt = "Fixed codes over time", "samples of fixed codes as training goes on"
    film = pictures.of_file(found.file(_FILM), alt, 916)
    if film is None:
        return Figure(title, [], "train.json", f"Too large for this page: {REPORTS}/{_FILM}.")
    caption = "The same codes at every measurement: real images left, samples right."
    return Figure(title, [film], "train.json", caption)


def _diagnoses(rollbacks: Sequence[Mapping[str, Any]]) -> Figure:
    head = ("at step", "back to", "diagnosis", "evidence", "advice")
    keys = ("step", "restored", "name", "evidence", "advice")
    rows = [[one.get(key) for key in keys] for one in rollbacks]
    return Figure("Diagnoses and rollbacks", [Table(head, rows)], "train.json")
