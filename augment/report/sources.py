"""What the page is built from: the stages' reports and tables, as far as they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment.data import table
from augment.data.files import read_json
from augment.data.places import REPORTS
from augment.errors import AugmentError
from augment.params import Params

SCORES_FILE = "score.json"
STAGES = ("ingest", "clean", "train", "codes", "adopt", "synth", "score", "write")


class ReportError(AugmentError, ValueError):
    """A file that is not what the stage behind it writes; the message names it."""


@dataclass(frozen=True)
class Sources:
    """A project's settings, its folder, and the reports that there are, by stage."""

    params: Params
    root: Path
    reports: Mapping[str, Mapping[str, Any]]

    def get(self, stage: str) -> Mapping[str, Any]:
        """The report of ``stage``; an empty one where it has not run."""
        return self.reports.get(stage, {})

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
        except AugmentError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            files = ", ".join(str(self.file(f"{one}.json")) for one in stages if self.get(one))
            what = f"{type(error).__name__}: {error}"
            raise ReportError(
                f"{files}: not as the stage writes it ({what}); run it again"
            ) from error


def read(params: Params, root: Path) -> Sources:
    """Read every report of ``root``. Raises ReportError for one that is no JSON object."""
    found: dict[str, Mapping[str, Any]] = {}
    for stage in STAGES:
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
        found[stage] = report
    return Sources(params, root, found)
