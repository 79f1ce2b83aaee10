"""Settings of the report stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from augment.settings import Settings


class ReportSettings(Settings):
    """How much the page shows."""

    images: Annotated[int, Field(ge=1, le=24)] = 8  # in a strip
    classes: Annotated[int, Field(ge=1, le=200)] = 40  # with strips of their own
    suspects: Annotated[int, Field(ge=1, le=200)] = 12  # synthetic images beside their nearest real
