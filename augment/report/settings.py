"""Settings of the report stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from augment.settings import Settings


class ReportSettings(Settings):
    """How much the page shows."""

    images: Annotated[int, Field(ge=1, le=24)] = 8
    """Images in a strip; 1 to 24."""
    classes: Annotated[int, Field(ge=1, le=200)] = 40
    """Classes that have strips of their own; 1 to 200."""
    suspects: Annotated[int, Field(ge=1, le=200)] = 12
    """Synthetic images that are shown beside their nearest real one; 1 to 200."""
