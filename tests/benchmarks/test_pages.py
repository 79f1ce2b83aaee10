"""The committed evidence pages are written from the stored results, and none is missing."""

import json

import pytest

from benchmarks import pages, results


def test_committed_pages_are_the_stored_results() -> None:
    for path in sorted(pages.EVIDENCE.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert pages.filled(text) == text, f"{path.name}: run python -m benchmarks.pages"


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_has_its_command_its_table_and_what_was_tried(name: str) -> None:
    text = (pages.EVIDENCE / f"{name}.md").read_text(encoding="utf-8")
    assert text.count(f"<!-- table {name} -->") == text.count(f"<!-- /table {name} -->") == 1
    for heading in ("## Command", "## Protocol and bounds", "## Result", "## What was tried"):
        assert heading in text
    result = json.loads((results.RESULTS / f"{name}.json").read_text())
    assert {"date", "hardware", "rows", "command"} <= set(result)
    assert all({"seed", "machine", "date"} <= set(row) for row in result["rows"])


def test_every_result_has_a_page_in_the_index() -> None:
    stored = {path.stem for path in results.RESULTS.glob("*.json")}
    assert (
        stored
        == set(pages.PAGES)
        == {path.stem for path in pages.EVIDENCE.glob("*.md")} - {"index"}
    )
    index = (pages.EVIDENCE / "index.md").read_text(encoding="utf-8")
    assert all(f"({name}.md)" in index for name in stored)
