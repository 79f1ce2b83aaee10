"""Results with the hardware they were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import torch

from augment.data import files

RESULTS = Path(__file__).parent / "results"


def hardware() -> dict[str, Any]:
    """What a reader needs to know of the machine."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def store(name: str, rows: Any, **facts: Any) -> Path:
    """Write ``results/NAME.json``: date, hardware, what was asked, rows."""
    path = RESULTS / f"{name}.json"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    files.write_json(path, {"date": date, "hardware": hardware(), **facts, "rows": rows})
    return path
