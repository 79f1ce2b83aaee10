"""Stages on a project of their own; imports no torch, so that their memory can be measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import yaml

from augment import params


def project(root: Path, **groups: dict[str, Any]) -> None:
    """Write ``root/params.yaml``; its source is ``root/files``."""
    source = {"source": str(root / "files"), **groups.pop("ingest", {})}
    (root / "params.yaml").write_text(yaml.safe_dump({"ingest": source} | groups))


def run(stage: str, root: Path) -> dict[str, Any]:
    """Run one stage of the project in ``root``; its report.

    The parts of other stages are not checked: that would import everything.
    """
    settings = getattr(params.load(root / "params.yaml"), stage)
    report: dict[str, Any] = importlib.import_module(f"augment.{stage}.run").run(settings, root)
    return report
