"""A self-contained page: style, script and pictures are in it, and it loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from augment.report import words
from augment.report.elements import Headline, Section

_HERE = Path(__file__).parent


def render(headline: Headline, sections: Sequence[Section]) -> str:
    """The page as HTML; every text in it is escaped here."""
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        headline=headline,
        sections=sections,
        style=Markup(_text("page.css")),
        script=Markup(script),
        script_digest=digest,
    )


def _template() -> jinja2.Template:
    """The page's template, in which every value is escaped unless it is Markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = words.shown
    return environment.get_template("page.html")


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
