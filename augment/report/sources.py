"""What the page is built from: the stages' reports and tables, as far as they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment.data import table
from augment.data.files import read_json
from augment.data.places import REPORTS, STAGE_NAMES
from augment.data.reports import ReportShapeError, UpliftReport
from augment.errors import AugmentError
from augment.report.settings import ReportSettings

SCORES_FILE = "score.json"
GATES = "gates"  # reports/gates.json, written by the stage write before it refuses
STAGES = STAGE_NAMES[:-1]  # whose reports the page is made from: all before the stage report


class ReportError(AugmentError, ValueError):
    """A file that is not what the stage behind it writes; the message names it."""


@dataclass(frozen=True)
class Sources:
    """A project's settings, its folder, and the reports that there are, by stage."""

    settings: ReportSettings
    root: Path
    reports: Mapping[str, Mapping[str, Any]]

    def get(self, stage: str) -> Mapping[str, Any]:
        """The report of ``stage``; an empty one where it has not run."""
        return self.reports.get(stage, {})

    def uplift(self) -> UpliftReport | None:
        """The uplift that score measured; None where it did not. Raises ReportShapeError."""
        return UpliftReport.of_scores(self.get("score"))

    def has_table(self, place: str) -> bool:
        """Whether there is a sample table with samples in it."""
        folder = self.root / place
        return any(folder.glob("part-*.parquet")) and table.count(folder) > 0

    def file(self, name: str) -> Path:
        """A file among the reports, whether it is there or not."""
        return self.root / REPORTS / name

    @contextmanager
    def blaming(self, *stages: str) -> Iterator[None]:
        """Raise ReportError naming the reports of ``stages`` where their shape is a surprise."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, AugmentError) and not isinstance(error, ReportShapeError):
                raise
            files = ", ".join(
                str(self.file(f"{stage}.json")) for stage in stages if self.get(stage)
            )
            what = f"{type(error).__name__}: {error}"
            raise ReportError(
                f"{files}: not as the stage writes it ({what}); run it again"
            ) from error


def read_sources(settings: ReportSettings, root: Path) -> Sources:
    """Read every report of ``root``. Raises ReportError for one that is no JSON object."""
    reports: dict[str, Mapping[str, Any]] = {}
    for stage in (*STAGES, GATES):
        path = root / REPORTS / f"{stage}.json"
        try:
            report = read_json(path)
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise ReportError(f"{error}; run the stage {stage} again") from None
        if not isinstance(report, dict):
            kind = type(report).__name__
            raise ReportError(f"{path}: expected an object, found {kind}; run {stage} again")
        reports[stage] = report
    return Sources(settings, root, reports)
