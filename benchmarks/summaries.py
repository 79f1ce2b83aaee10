"""What the tables show of stored rows: medians, worst cases, and whether a bound is met."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from augment.train.recipes import RECIPES

Row = dict[str, Any]
Lines = list[dict[str, str]]

SETTING = ("network", "width", "steps", "batch")  # beside a row's own key
DEFAULT = "infogan"
BETTER_KID = 10.0  # times, than at step 0
RIGHT, RIGHT_DEFAULT, RIGHT_SECONDS = 0.95, 0.99, 60.0  # label accuracy; seconds on a GPU
CODES_MEDIAN, CODES_WORST = 0.95, 0.90  # of the class code's accuracy
MOVES, CHANGES = 0.9, 0.02  # |Spearman| at least, class changes at most
HALF = {10: 0.98}  # head accuracy by labels of a class
REAL_RATE, SAMPLE_RATE = 30_000, 200_000  # images a second on a GPU, at RATED
RATED = {"recipe": DEFAULT, "size": 32, "width": 64}
PARTS = {"ring": "ring of 8", "grid": "grid of 25", "stacked": "Stacked MNIST"}
GOOD, CLOSE = 0.95, 0.06  # share of high quality on points, KL on Stacked MNIST, in every seed


def improvement(start: float | None, end: float | None) -> float:
    """How many times less ``end`` is; infinite for none left, NaN for what is unknown."""
    if start is None or end is None:
        return math.nan
    return start / end if end > 0 else math.inf


def families(rows: Sequence[Row]) -> Lines:
    """A line for each recipe and setting: medians over the seeds."""
    lines = []
    places = list(RECIPES)
    for found in groups(sorted(rows, key=lambda row: places.index(row["recipe"])), "recipe"):
        first = found[0]
        times = statistics.median(improvement(row["kid_start"], row["kid"]) for row in found)
        right = median(found, "label_accuracy")
        default = first["recipe"] == DEFAULT
        quick = median(found, "seconds_right")
        met = times >= BETTER_KID and (
            not first["matched"] or least(right, RIGHT_DEFAULT if default else RIGHT)
        )
        if default and first["device"] == "cuda":
            met = met and quick is not None and quick <= RIGHT_SECONDS
        lines.append(
            {
                "recipe": first["recipe"],
                "KID at step 0": text(median(found, "kid_start")),
                "KID": text(median(found, "kid")),
                "times better": f"{times:.0f}",
                "coverage": text(median(found, "coverage")),
                "label accuracy": text(right),
                "met": yes(met),
                "seconds": text(median(found, "seconds"), "{:.0f}"),
                "to 99 %": text(quick, "{:.0f}"),
                "seeds": str(len(found)),
                **setting(found),
            }
        )
    return lines


def infogan(rows: Sequence[Row]) -> Lines:
    """A line a seed, then median and worst of each setting."""
    columns = {
        "head": ("accuracy", min),
        "samples": ("accuracy_samples", min),
        "purity": ("purity", min),
        "slant": ("slant", min),
        "width": ("width_factor", min),
        "each code": ("moved", min),
        "class changes": ("class_changes", max),
        "minutes": ("minutes", max),
    }
    lines = []
    for found in groups(rows):
        shown = [
            (str(row["seed"]), {key: row[key] for key, _ in columns.values()}) for row in found
        ]
        middle = {key: median(found, key) for key, _ in columns.values()}
        worst = {key: extreme(found, key, pick) for key, pick in columns.values()}
        for title, values in [*shown, ("median", middle), ("worst", worst)]:
            cells = {name: text(values[key]) for name, (key, _) in columns.items()}
            lines.append({"seed": title, **cells, "met": "", **setting(found)})
        code = least(middle["accuracy"], CODES_MEDIAN) and least(middle["moved"], MOVES)
        still = middle["class_changes"] is not None and middle["class_changes"] <= CHANGES
        lines[-2]["met"] = yes(code and still)
        lines[-1]["met"] = yes(least(worst["accuracy"], CODES_WORST))
    return lines


def half(rows: Sequence[Row]) -> Lines:
    """A line for each count of labels and setting."""
    lines = []
    for found in groups(rows, "labels"):
        labels = found[0]["labels"]
        head = median(found, "head")
        bound = HALF.get(labels)
        lines.append(
            {
                "labels a class": str(labels),
                "head, median": text(head),
                "worst": text(extreme(found, "head", min)),
                "supervised CNN, median": text(median(found, "supervised")),
                "its worst": text(extreme(found, "supervised", min)),
                "met": "" if bound is None else yes(least(head, bound)),
                "minutes each": text(median(found, "minutes"), "{:.1f}"),
                "seeds": str(len(found)),
                **setting(found),
            }
        )
    return lines


def throughput(rows: Sequence[Row]) -> Lines:
    """A line a row; the bounds are those of a GPU."""
    lines = []
    places = list(RECIPES)
    for row in sorted(rows, key=lambda row: (row["machine"], row["size"])):
        rated = row["device"] == "cuda" and RATED.items() <= row.items()
        met = row["images"] >= REAL_RATE and row["sampled"] >= SAMPLE_RATE
        lines.append(
            {
                "recipe": row["recipe"],
                "px": str(row["size"]),
                "compiled": row["compile"],
                "steps/s": text(row["rate"], "{:.3g}"),
                "real images/s": text(row["images"], "{:.0f}"),
                "share of peak": text(row["share"], "{:.1%}"),
                "sampled/s": text(row["sampled"], "{:.0f}"),
                "met": yes(met) if rated else "",
                "width": str(row["width"]),
                "batch": str(row["batch"]),
                "machine": row["machine"],
            }
        )
    return sorted(lines, key=lambda line: places.index(line["recipe"]))


def modes(rows: Sequence[Row]) -> Lines:
    """A line for each set and recipe: median and worst seed; the bounds are the default's."""
    lines = []
    places = [(part, recipe) for part in PARTS for recipe in RECIPES]
    ordered = sorted(rows, key=lambda row: places.index((row["part"], row["recipe"])))
    for found in groups(ordered, "part", "recipe"):
        first = found[0]
        points = first["part"] != "stacked"
        fewest, poorest = extreme(found, "modes", min), extreme(found, "quality", min)
        farthest = extreme(found, "kl", max)
        met = fewest == first["of"] and (
            least(poorest, GOOD) if points else farthest is not None and farthest <= CLOSE
        )
        lines.append(
            {
                "set": PARTS[first["part"]],
                "recipe": ", ".join([first["recipe"], *first["also"]]),
                "modes": text(median(found, "modes")),
                "fewest": text(fewest),
                "high quality": text(median(found, "quality"), "{:.1%}") if points else "",
                "poorest": text(poorest, "{:.1%}") if points else "",
                "KL": text(median(found, "kl"), "{:.3f}"),
                "farthest": text(farthest, "{:.3f}"),
                "met": yes(met) if first["recipe"] == DEFAULT else "",
                "seconds": text(median(found, "seconds"), "{:.0f}"),
                "seeds": str(len(found)),
                **setting(found),
            }
        )
    return lines


def selection(rows: Sequence[Row]) -> Lines:
    """A line for each arm: means over the seeds, and the spread of the gain over random keeping."""
    lines = []
    for found in groups(rows, "arm", "labels"):
        gains = [100 * row["gain"] for row in found]
        spread = statistics.stdev(gains) if len(gains) > 1 else None
        lines.append(
            {
                "kept by": found[0]["arm"],
                "labels a class": str(found[0]["labels"]),
                **{
                    title: text(statistics.mean(row[key] for row in found), "{:.4f}")
                    for title, key in (
                        ("without synthetic", "classic"),
                        ("random keeping", "random"),
                        ("accuracy", "accuracy"),
                    )
                },
                "gain, points": f"{statistics.mean(gains):+.2f}",
                "its std": text(spread, "{:.2f}"),
                "worst": f"{min(gains):+.2f}",
                "seeds": str(len(found)),
                **setting(found),
            }
        )
    return lines


def tables(lines: Lines) -> list[Lines]:
    """The lines of one board as tables: one ends where the columns change."""
    return [list(found) for _, found in itertools.groupby(lines, key=list)]


def judged(judge: dict[str, float]) -> str:
    """What the judge says of real digits, beside which samples stand."""
    return (
        f"The judge, fitted for {judge['steps']} steps, is right about {judge['accuracy']:.1%} of "
        f"the held-out digits; as many real train digits have KID {judge['kid']:.4g} and coverage "
        f"{judge['coverage']:.4g}."
    )


def owing(rows: Iterable[Row]) -> str:
    """Rows that are owed, in words; those that differ in one value only, together.

    The full form's setting goes without saying.
    """
    said = [
        {
            key: (value,)
            for key, value in row.items()
            if key not in SETTING or len(row) <= len(SETTING)
        }
        for row in rows
    ]
    for key in dict.fromkeys(name for row in said for name in row):
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for row in said:
            rest = tuple((name, None if name == key else values) for name, values in row.items())
            found[rest] = (*found.get(rest, ()), *row.get(key, ()))
        said = [{name: values or own for name, values in rest} for rest, own in found.items()]
    every = tuple(RECIPES)
    return "; ".join(
        ", ".join(
            f"every {name}" if values == every else f"{name} {', '.join(map(str, values))}"
            for name, values in row.items()
        )
        for row in said
    )


def groups(rows: Iterable[Row], *keys: str) -> list[list[Row]]:
    """Rows that share ``keys``, setting and device, in order of appearance."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        names = (*keys, *SETTING, "device")
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(found.values())


def median(rows: Iterable[Row], key: str) -> float | None:
    """Of what is known; None where nothing is."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(known) if known else None


def extreme(rows: Iterable[Row], key: str, pick: Callable[[list[float]], float]) -> float | None:
    """The worst of what is known; None where nothing is."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return pick(known) if known else None


def least(value: float | None, bound: float) -> bool:
    """Whether it is known and not below the bound."""
    return value is not None and value >= bound


def text(value: float | None, form: str = "{:.4g}") -> str:
    """A cell; empty where nothing is known."""
    return "" if value is None else form.format(value)


def yes(met: bool) -> str:
    """A cell."""
    return "yes" if met else "no"


def setting(found: Sequence[Row]) -> dict[str, str]:
    """Cells: what all of ``found`` were measured with, and where."""
    first = found[0]
    return {
        "setting": f"{first['network']} {first['width']}, {first['steps']} steps",
        "machine": ", ".join(sorted({row["machine"] for row in found})),
    }
