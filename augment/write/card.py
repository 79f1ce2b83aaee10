"""The data set card: a README.md as Hugging Face reads it, the same for the same inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from augment.data.reports import SCORE_KEYS, Gain, UpliftReport, sample_in_words
from augment.data.table import SPLITS
from augment.write import gates

UPLIFT = ("classic", "written", "gain", "low", "high", "seeds", "steps")


def card(
    report: Mapping[str, Any],
    scores: Mapping[str, Any],
    uplift: UpliftReport | None,
    settings: Mapping[str, Any],
    data_files: str | None = None,
) -> str:
    """The text of the card.

    ``report`` is that of the stage write, ``scores`` what reports/score.json holds (any of it may
    be missing), ``uplift`` the part of it about the uplift, ``settings`` the groups of params.yaml
    that made the images.
    """
    front: dict[str, Any] = {
        "license": report["licence"],
        "task_categories": ["image-classification"],
        "tags": ["synthetic"],
    }
    if data_files:
        front["configs"] = [{"config_name": "default", "data_files": data_files}]
    real, adopted, synthetic = report["real"], report["adopted"], report["synthetic"]
    sections = [
        f"---\n{_yaml(front)}---",
        "# Augmented image set",
        f"{real + synthetic} images in {len(report['classes'])} classes: {real} real ones and "
        f"{synthetic} made by a generator. The column `origin` tells them apart; synthetic images "
        "stand in the train split only.",
        *_adopted(adopted, report["adoption"]),
        *([f"{report['remark'][0].upper()}{report['remark'][1:]}."] if report["remark"] else []),
        "## Counts",
        _counts(report["classes"]),
        *_doses(report["per_class"]),
        *_struck(report["left_out"]["struck_out"]),
        *_gates(report),
        *_scores(scores),
        *(_uplift(uplift, report["as_measured"]) if uplift else []),
        "## How it was made",
        _table(
            ("what", "SHA-256 or value"),
            [
                *report["inputs"].items(),
                ("generator", ", ".join(report["generators"]) or "none"),
                ("seed", ", ".join(map(str, report["seeds"])) or "none"),
            ],
        ),
        "Every synthetic image can be made again from its generator, seed, label, index and codes, "
        "which stand in its row. The settings:",
        f"```yaml\n{_yaml(settings)}```",
    ]
    return "\n\n".join(sections) + "\n"


def _counts(classes: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    columns = [(split, "real") for split in SPLITS] + [("train", "synthetic")]
    rows = {
        label: [splits[split][origin] for split, origin in columns]
        for label, splits in classes.items()
    }
    totals = [sum(column) for column in zip(*rows.values(), strict=True)]
    head = ["class", *(f"{split}, {origin}" for split, origin in columns)]
    return _table(head, [*([label, *counts] for label, counts in rows.items()), ["all", *totals]])


def _adopted(count: int, adoption: Mapping[str, Any]) -> list[str]:
    """The section about adopted images; none where there are none."""
    if not count:
        return []
    sure = adoption["probability"]
    facts = [(name, value) for name, value in adoption.items() if isinstance(value, str)]
    numbers = [(name, _number(value)) for name, value in adoption.items() if _number(value)]
    return [
        f"Of the real ones {count} came without a label. Theirs is inferred, with a calibrated "
        f"probability of {sure['least']:.4g} at least and {sure['mean']:.4g} on average: their "
        "`label_source` is `inferred`, and their `label_probability` stands beside it.",
        _table(("adoption", "value"), [*facts, *numbers]),
    ]


def _doses(per_class: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the train split of each class consists of, and why."""
    kinds = ("real", "adopted", "synthetic")
    rows = [
        [label, *(part[kind] for kind in kinds), _dose(part["dose"]), part["why"]]
        for label, part in per_class.items()
    ]
    explained = "Synthetic images for each labelled real one in the train split, and why:"
    return ["## Doses", explained, _table(("class", *kinds, "dose", "why"), rows)]


def _struck(count: int) -> list[str]:
    return [f"A person looked at the synthetic images and struck {count} out."] if count else []


def _dose(most: float | None) -> str:
    return "all" if most is None else f"{most:.4g}"


def _gates(report: Mapping[str, Any]) -> list[str]:
    results = [gates.GateResult(**record) for record in report["gates"]]
    if not results:
        return []
    forced = ["**Written by force: a gate failed.**"] if report["forced"] else []
    head = ("gate", "value", "bound", "verdict")
    return ["## Gates", *forced, _table(head, gates.cells(results))]


def _scores(scores: Mapping[str, Any]) -> list[str]:
    """The section about scores; none where nothing was measured."""
    floor = scores.get("floor")
    floor = floor if isinstance(floor, Mapping) else {}
    rows = [
        (name, _number(scores[name]), _number(floor.get(name)))
        for name in SCORE_KEYS
        if _number(scores.get(name))
    ]
    if not rows:
        return []
    floor_is = "The floor is the same number for real train images against real held-out ones."
    said = f"{floor_is} {sample_in_words(scores)}".rstrip()
    return ["## Scores", said, _table(("score", "value", "floor"), rows)]


def _uplift(uplift: UpliftReport, as_measured: bool) -> list[str]:
    """The verdict on the written set first, then whose gain it is."""
    which = "this set" if as_measured else "**another set than this one**"
    verdict = uplift.verdict or "not measured: there was no real test image"
    plain = uplift.as_dict()
    numbers = [(name, _number(plain[name])) for name in UPLIFT if _number(plain[name])]
    gains: dict[str, Gain] = {**uplift.parts}
    if uplift.samples is not None:
        gains["samples, over the set without them"] = uplift.samples
    shares = ("gain", "low", "high")
    rows = [
        (name, *(_number(getattr(gain, share)) for share in shares), gain.verdict or "")
        for name, gain in gains.items()
    ]
    sections = [
        "## Uplift",
        f"Verdict on {which}: {_cell(verdict)}. Beside the labelled images it holds "
        f"{uplift.added}; {_cell(uplift.choice)}.",
        "Accuracy of a classifier on real test images, taught by the labelled images alone under "
        f"classic augmentation and by the written set; {uplift.budget}:",
        _table(("training", "value"), numbers),
    ]
    if rows:
        head = ("ingredient", *shares, "verdict")
        sections += ["Each ingredient beside the labelled images:", _table(head, rows)]
    return sections


def _number(value: Any) -> str:
    """A finite number, or the numbers of a mapping or a list, for a table; nothing for others."""
    if isinstance(value, Mapping):
        parts = [(str(name), _number(part)) for name, part in value.items()]
        return ", ".join(f"{name} {text}" for name, text in parts if text)
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_number, value)))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return f"{value:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(str(value)) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """``text`` on one line, with nothing in it that Markdown or HTML would take for its own."""
    line = " ".join(text.split())
    line = line if len(line) <= 80 else f"{line[:79]}…"
    return re.sub(r"([\\`*_{}\[\]<>|~#&])", r"\\\1", line)


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
    return text
