"""The order of the lines, on numbers of which the answer is known."""

import dataclasses

import numpy as np
import pytest

from augment.compare.lines import Line, as_text, as_truths, ranked

VALID = 200


def line(name: str, gain: int, taught: int, luck: int = 0, **fields: float) -> Line:
    """A line whose classifiers read the first ``gain``, ``taught`` of VALID images right.

    The first of three is right about ``luck`` more.
    """
    right = {
        key: as_text(np.arange(VALID) < count + np.array([[luck], [0], [0]]))
        for key, count in (("gain", gain), ("taught", taught))
    }
    return dataclasses.replace(Line(name, ""), right=right, **fields)


def names(*lines: Line) -> list[str]:
    return [line.name for line in ranked(lines)]


def test_the_clear_gain_comes_first_whatever_else() -> None:
    assert names(line("b", 100, 190), line("a", 180, 10)) == ["a", "b"]


def test_level_gains_leave_it_to_what_samples_teach() -> None:
    """One image of 200 for one classifier of three is chance; ten for all are not."""
    assert names(line("b", 180, 100, luck=1), line("a", 180, 150)) == ["a", "b"]
    assert names(line("b", 190, 100), line("a", 180, 150)) == ["b", "a"]


def test_then_coverage_then_copies() -> None:
    alike = [line("a", 180, 150, coverage=0.5), line("b", 180, 150, coverage=0.6)]
    assert names(*alike) == ["b", "a"]
    copies = [line("a", 180, 150, coverage=0.5, near_copies=share) for share in (0.2, 0.1)]
    assert [entry.near_copies for entry in ranked(copies)] == [0.1, 0.2]
    unknown = [line("a", 180, 150), line("b", 180, 150, coverage=0.1)]
    assert names(*unknown) == ["b", "a"]


def test_what_failed_comes_last_in_its_order() -> None:
    failed = [Line(name, "", error="why") for name in ("x", "w")]
    assert names(failed[0], line("a", 10, 10), failed[1]) == ["a", "x", "w"]
    assert names(*failed) == ["x", "w"]


def test_truths_as_text() -> None:
    truths = np.array([[True, False], [False, False]])
    assert as_text(truths) == ["10", "00"]
    assert as_truths(["10", "00"]) == pytest.approx(truths)
