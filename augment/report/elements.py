"""What the page is made of: sections of figures, and figures of tables, charts and pictures.

They hold plain values and text; what is hostile in them is escaped once, where page.html is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows under a head; a sortable one has a button in each column's head."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """An SVG, and the names of its series in the order of their colours."""

    svg: Markup
    legend: Sequence[str] = ()
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Interval:
    """One row of Intervals; ``tone`` is good, bad, even or plain."""

    name: str
    low: float
    middle: float
    high: float
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Intervals:
    """Intervals one below the other on one scale.

    A line is drawn at ``zero``, with which the others are compared.
    """

    rows: Sequence[Interval]
    zero: float | None = None
    kind: ClassVar[str] = "intervals"

    def place(self, value: float) -> float:
        """Where ``value`` lies between the ends of the scale, in percent."""
        ends = [row.low for row in self.rows] + [row.high for row in self.rows]
        ends += [] if self.zero is None else [self.zero]
        low, high = min(ends), max(ends)
        return 50.0 if low == high else 2 + 96 * (value - low) / (high - low)


@dataclass(frozen=True)
class Picture:
    """An image as data URI, with what it shows in words and its width on the page."""

    uri: str
    alt: str
    width: int
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Strips:
    """Rows of pictures under column titles, each row with its name in front."""

    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Picture | None]]]
    kind: ClassVar[str] = "strips"


@dataclass(frozen=True)
class Pairs:
    """Pictures side by side, two and two, each pair with its captions and a line below."""

    titles: tuple[str, str]
    pairs: Sequence[tuple[Picture, Picture, str]]
    kind: ClassVar[str] = "pairs"


@dataclass(frozen=True)
class Step:
    """One stage of the flow: counts of images in and out, and a note on the others."""

    name: str
    entered: str
    left: str
    note: str
    done: bool = True


@dataclass(frozen=True)
class Flow:
    """The stages in order."""

    steps: Sequence[Step]
    kind: ClassVar[str] = "flow"


Part = Table | Chart | Intervals | Picture | Strips | Pairs | Flow


@dataclass(frozen=True)
class Figure:
    """Parts under a title, with the numbers behind them and the file that holds those."""

    title: str
    parts: Sequence[Part]
    source: str
    caption: str = ""
    numbers: Table | None = None
    half: bool = False  # two such stand side by side where there is room


@dataclass(frozen=True)
class Section:
    """A chapter; ``missing`` says in words what has to run before there is something to see."""

    key: str
    title: str
    lead: str = ""
    figures: Sequence[Figure] = ()
    missing: str = ""


@dataclass(frozen=True)
class Headline:
    """The first words on the page, their tone, sentences, and a few numbers with their names."""

    text: str
    tone: str
    sentences: Sequence[str]
    facts: Sequence[tuple[str, str]] = ()
    source: str = ""
