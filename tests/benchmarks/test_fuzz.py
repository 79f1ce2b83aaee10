"""Whatever lies on a disk: 2,000 small sources, the same ones every time. See benchmarks/fuzz."""

import pytest

from augment.readers.base import READERS
from benchmarks.fuzz.__main__ import fuzzed

EXAMPLES = 2000 // (len(READERS.names()) - 1)  # builtin reads no file: its names are few


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS.names())
def test_no_crash_no_escape_and_no_file_unaccounted_for(reader: str) -> None:
    tally = fuzzed(reader, 0, EXAMPLES, derandomize=True)
    assert tally["examples"] >= EXAMPLES or reader == "builtin"
    assert tally["stopped"] < tally["examples"] or reader == "builtin"
