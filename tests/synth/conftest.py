"""What several tests of synth start from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def beside(project: Path, tmp_path: Path) -> Path:
    """A project with the data and the generator of ``project``, and nothing made yet."""
    for place in ("data/clean", "models/generator"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(project / place)
    return tmp_path
