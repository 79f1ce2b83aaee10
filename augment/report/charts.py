"""Charts as inline SVG: colours come from the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 220  # user units; text stays readable on a screen of 360 px
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 22, 10, 40
COLOURS = 5  # series that the style tells apart


@dataclass(frozen=True)
class Series:
    """A line: points (x, y) in order, each with half the length of its error bar or none.

    Without ``joined`` it is the points alone.
    """

    name: str
    points: Sequence[tuple[float, float]]
    errors: Sequence[float] = ()
    joined: bool = True


@dataclass(frozen=True)
class Axes:
    """A chart's title, its description for those who do not see it, and the axes' names."""

    title: str
    description: str
    x: str
    y: str


def lines(
    axes: Axes,
    series: Sequence[Series],
    *,
    marks: Sequence[tuple[float, str]] = (),
    level: tuple[float, str] | None = None,
) -> Markup:
    """Lines over one pair of axes; ``marks`` are upright lines at an x, ``level`` one at a y.

    At least one of the series has a point.
    """
    xs = [x for line in series for x, _ in line.points] + [x for x, _ in marks]
    ys = [y + side * error for line in series for (_, y), error, side in _ends(line)]
    ys += [] if level is None else [level[0]]
    across, up = _Scale(xs, _LEFT, _WIDTH - _RIGHT), _Scale(ys, _HEIGHT - _BOTTOM, _TOP)
    shapes = [_frame(axes, across, up)]
    for x, text in marks:
        shapes.append(
            Markup('<g class="mark"><path d="M{0} {1}V{2}"/><title>{3}</title></g>').format(
                across(x), _TOP, _HEIGHT - _BOTTOM, text
            )
        )
    if level is not None:
        height = up(level[0])
        shapes.append(
            Markup('<g class="mark"><path d="M{} {}H{}"/>{}</g>').format(
                _LEFT,
                height,
                _WIDTH - _RIGHT,
                _text(_LEFT + 6, float(height) - 5, level[1], "start"),
            )
        )
    shapes += [_line(line, place % COLOURS, across, up) for place, line in enumerate(series)]
    return _svg(axes.title, axes.description, _WIDTH, _HEIGHT, shapes)


def confusion(
    title: str, description: str, names: Sequence[str], counts: Sequence[Sequence[int]]
) -> Markup:
    """Counts as squares, actual classes down and predicted ones across, shaded by the row's share.

    Right answers (the diagonal) and wrong ones have colours of their own. Wrong ones reach full
    depth at a share of 1/4, because they are few; chosen by hand. Of more than 24 classes only
    counts above 0 have a square, so that 300 classes do not make 90,000 of them.
    """
    left, size = 44, 300
    side = size / max(1, len(names))
    shapes = []
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        total = sum(line) or 1
        for column, count in enumerate(line):
            if not count and len(names) > 24:
                continue
            share = count / total
            depth = share if row == column else min(1.0, 4 * share)
            shapes.append(
                Markup(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">'
                    "<title>{} taken for {}: {}</title></rect>"
                ).format(
                    "right" if row == column else "wrong",
                    *(f"{value:.2f}" for value in (left + column * side, row * side, side, side)),
                    f"{depth:.3f}", name, names[column], count,
                )
            )  # fmt: skip
            if count and len(names) <= 12:
                place = left + (column + 0.5) * side, (row + 0.5) * side + 4
                shapes.append(_text(*place, count, kind="count"))
        if len(names) <= 24:
            short = name if len(name) <= 6 else f"{name[:5]}…"
            shapes.append(_text(left - 5, (row + 0.5) * side + 4, short, "end"))
            if len(names) <= 12:
                shapes.append(_text(left + (row + 0.5) * side, size + 15, short))
    shapes.append(_text(left + size / 2, size + 32, "predicted"))
    return _svg(title, description, left + size + 2, size + 40, shapes)


class _Scale:
    """Values to places between two ends, with about four round ticks."""

    def __init__(self, values: Sequence[float], first: float, last: float):
        """The scale on which all ``values`` have a place between ``first`` and ``last``."""
        low, high = min(values), max(values)
        if low == high:
            low, high = low - abs(low or 1) / 10, high + abs(high or 1) / 10
        raw = (high - low) / 4
        power = 10.0 ** math.floor(math.log10(raw))
        self.unit = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
        self.low = math.floor(low / self.unit + 1e-9) * self.unit
        self.high = math.ceil(high / self.unit - 1e-9) * self.unit
        self.first, self.last = first, last

    def __call__(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return f"{self.first + share * (self.last - self.first):.2f}"

    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.unit)
        return [self.low + place * self.unit for place in range(count + 1)]


def _ends(line: Series) -> list[tuple[tuple[float, float], float, int]]:
    errors = line.errors or [0.0] * len(line.points)
    pairs = zip(line.points, errors, strict=True)
    return [(point, error, side) for point, error in pairs for side in (-1, 1)]


def _frame(axes: Axes, across: _Scale, up: _Scale) -> Markup:
    """The grid, the ticks of both axes and their names."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    shapes = []
    for tick in up.ticks():
        line = Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, up(tick), right)
        shapes += [line, _text(_LEFT - 6, float(up(tick)) + 4, _tick(tick), "end")]
    for tick in across.ticks():
        shapes.append(_text(float(across(tick)), bottom + 15, _tick(tick)))
    shapes.append(_text((_LEFT + right) / 2, _HEIGHT - 5, axes.x))
    shapes.append(
        Markup('<text transform="translate(10 {}) rotate(-90)" text-anchor="middle">{}</text>')
        .format(f"{(_TOP + bottom) / 2:.2f}", axes.y)
    )  # fmt: skip
    return Markup("").join(shapes)


def _line(series: Series, colour: int, across: _Scale, up: _Scale) -> Markup:
    """The line of ``series`` with its error bars, and a dot at each point that tells its values."""
    path = " ".join(f"{across(x)},{up(y)}" for x, y in series.points)
    shapes = [Markup('<polyline points="{}"/>').format(path)] if series.joined else []
    for (x, y), error in zip(series.points, series.errors, strict=False):
        shapes.append(
            Markup('<path d="M{0} {1}V{2}"/>').format(across(x), up(y - error), up(y + error))
        )
    for x, y in series.points:
        shapes.append(
            Markup('<circle cx="{}" cy="{}" r="2.6"><title>{}: {} at {}</title></circle>').format(
                across(x), up(y), series.name, f"{y:.4g}", _tick(x)
            )
        )
    return Markup('<g class="series s{}">{}</g>').format(colour, Markup("").join(shapes))


def _svg(title: str, text: str, width: float, height: float, shapes: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg role="img" viewBox="0 0 {} {}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(width, height, title, text, Markup("").join(shapes))


def _text(x: float, y: float, text: object, anchor: str = "middle", kind: str = "") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, f"{x:.2f}", f"{y:.2f}", anchor, text
    )


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 10):.4g}"
