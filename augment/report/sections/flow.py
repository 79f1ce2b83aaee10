"""The section about how many images came into each stage and went out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augment.report.elements import Figure, Flow, Section, Step, Table
from augment.report.sources import STAGES, Sources
from augment.report.words import counted


def flow(sources: Sources) -> Section:
    """Every stage with how many images came in and went out."""
    steps = [_step(sources, stage) for stage in STAGES]
    head = ("stage", "in", "out", "what became of the rest")
    rows = [(step.name, step.entered, step.left, step.note) for step in steps]
    figure = Figure("In and out", [Flow(steps)], "ingest.json", numbers=Table(head, rows))
    lead = "Nothing is dropped without a count: what comes in goes out or is set aside."
    return Section("flow", "The way of the images", lead, [figure])


def _step(sources: Sources, stage: str) -> Step:
    if stage not in sources.reports:
        return Step(stage, "", "", f"not run yet: augment {stage}", done=False)
    with sources.blaming(stage):
        return _STEPS[stage](sources.get(stage))


def _ingest(report: Mapping[str, Any]) -> Step:
    """What was read and kept, and what lies beside the labelled images."""
    splits = ", ".join(f"{count:,} {name}" for name, count in report["splits"].items())
    aside = f"{report['rejected']:,} rejected; {splits}"
    if report.get("unlabelled"):
        aside += f"; {report['unlabelled']:,} without a label"
    for name, classes in report.get("domains", {}).items():
        aside += f"; {sum(classes.values()):,} of the domain {name}"
    if report.get("helpers"):
        aside += f"; {sum(report['helpers'].values()):,} helpers of other classes"
    return Step("ingest", f"{report['read']:,}", f"{report['kept']:,}", aside)


def _clean(report: Mapping[str, Any]) -> Step:
    aside = f"{report['dropped']:,} in quarantine"
    foreign = sum(sum(classes.values()) for classes in report.get("domains", {}).values())
    if foreign:
        aside += f"; {foreign:,} of other domains beside"
    if report.get("helpers"):
        aside += f"; {report['helpers']:,} helpers beside"
    return Step("clean", f"{report['in']:,}", f"{report['kept']:,}", aside)


def _train(report: Mapping[str, Any]) -> Step:
    """The images that trained, with a label or without, and those that watched."""
    seen = report["images"]
    note = f"{report['steps']:,} steps on {seen['train']:,} labelled"
    if seen.get("unlabelled"):
        note += f" and {seen['unlabelled']:,} unlabelled"
    if seen.get("by_domain"):
        note += f" ({seen['by_domain']:,} of them by another domain)"
    if seen.get("helpers"):
        note += f", beside {seen['helpers']:,} helpers of other classes"
    note += f"; {seen['valid']:,} to watch"
    if labeller := report.get("sampled", {}).get("labeller"):
        note += f"; the labeller learned from {labeller['images']:,} of {labeller['of']:,}"
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
    if sample := report.get("sampled", {}).get("unlabelled"):
        note += f"; {sample['of'] - sample['images']:,} of them were not looked at (adopt.images)"
    return Step("adopt", f"{report['unlabelled']:,}", f"{report['adopted']:,}", note)


def _synth(report: Mapping[str, Any]) -> Step:
    candidates = sum(counts["candidates"] for counts in report["per_class"].values())
    reasons: dict[str, int] = {}
    for counts in report["per_class"].values():
        for reason, count in counts["rejected"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    note = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return Step("synth", f"{candidates:,}", f"{report['accepted']:,}", f"turned away: {note}")


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
