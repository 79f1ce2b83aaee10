"""Where stages meet, relative to a project's folder."""

from __future__ import annotations

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
