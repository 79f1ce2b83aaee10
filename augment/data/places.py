"""The stages in order, and where they meet, relative to a project's folder."""

from __future__ import annotations

STAGE_NAMES = (
    "ingest",
    "clean",
    "train",
    "codes",
    "adopt",
    "synth",
    "score",
    "write",
    "report",
)  # in order
INGESTED = "data/ingested"
CLEAN = "data/clean"
QUARANTINE = "data/quarantine"
GENERATOR = "models/generator"
CODES = "models/codes.json"
ADOPTED = "data/adopted"
SYNTHETIC = "data/synthetic"
AUGMENTED = "data/augmented"
REPORTS = "reports"
CACHE = ".augment"
