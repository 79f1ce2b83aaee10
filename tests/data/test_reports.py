"""The reports that stages read of one another: what is written is read back, mistakes are named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from augment.data import files
from augment.data.reports import (
    SCORE_KEYS,
    ClassGain,
    Gain,
    PartGain,
    ReportShapeError,
    UpliftReport,
    sample_in_words,
)

Made = Callable[..., UpliftReport]


def test_an_uplift_comes_back_from_json(uplift_report: Made) -> None:
    part = PartGain(0.0, -0.01, 0.01, "no difference", None)
    report = uplift_report(parts={"adopted": part}, adopted=True, samples=None, mcnemar=None)
    assert UpliftReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    assert UpliftReport.of_scores({"uplift": report.as_dict(), "fid": 1.0}) == report
    assert UpliftReport.of_scores({}) is None
    assert report.overall == Gain(0.02, 0.01, 0.03, "helps")


def test_what_was_not_measured_is_nan_here_and_null_in_the_file(uplift_report: Made) -> None:
    plain = files.finite(uplift_report(low=math.nan, high=math.nan, verdict=None).as_dict())
    assert plain["low"] is None
    report = UpliftReport.from_dict(plain)
    assert math.isnan(report.low) and report.verdict is None
    assert files.finite(report.as_dict()) == plain


@pytest.mark.parametrize(
    ("steps", "value", "message"),
    [
        ((), 3, "the report: expected an object, found 3"),
        (("verdict",), ..., "^verdict is missing"),
        (("classic", "mean"), ..., r"^classic\.mean is missing"),
        (("arms", "synthetic@1", "low"), ..., r"arms\.synthetic@1\.gain\.low is missing"),
        (("per_class", "a", "dose"), ..., r"per_class\.a\.dose is missing"),
        (("dose",), "1", "dose: expected a number, found '1'"),
        (("dose",), True, "dose: expected a number, found True"),
        (("seeds",), 2, "seeds: expected a list, found 2"),
        (("seeds", 1), 0.5, r"seeds\.1: expected an integer, found 0\.5"),
        (("adopted",), 1, "adopted: expected true or false, found 1"),
        (("parts", "synthetic", "dose"), "1", r"parts\.synthetic\.dose: expected a number"),
        (("policy",), ["affine"], r"policy: expected text, found \['affine'\]"),
        (("controls",), [], r"controls: expected an object, found \[\]"),
        (("confusion", "before"), "11", r"confusion\.before: expected a list"),
    ],
)
def test_a_report_of_another_shape(
    steps: tuple[str | int, ...], value: Any, message: str, uplift_report: Made
) -> None:
    """``value`` at the end of ``steps``, or nothing there."""
    report: Any = {"": uplift_report().as_dict()}
    node, last = report, ""
    for step in steps:
        node, last = node[last], step
    if value is ...:
        del node[last]
    else:
        node[last] = value
    with pytest.raises(ReportShapeError, match=message) as caught:
        UpliftReport.from_dict(report[""])
    assert "\n" not in str(caught.value)


def test_what_is_written_and_how_it_was_chosen_in_words(uplift_report: Made) -> None:
    assert uplift_report().added == "samples at dose 1"
    assert uplift_report().choice == "chosen on valid images"
    assert uplift_report().budget == "2 classifiers an arm, 200 steps each"
    machine = uplift_report(seeds=[0], steps=None)  # a learner without steps
    assert machine.budget == "1 classifier an arm"
    gains = {"a": ClassGain(0.0, 0.0, 0.0, None, 0.5), "b": ClassGain(0.0, 0.0, 0.0, None, 0.0)}
    both = uplift_report(adopted=True, dose=0.5, per_class=gains)
    assert both.added == "adopted images and samples at dose 0.5 (none in 1 of 2 classes)"
    adopted = uplift_report(adopted=True, dose=0.0, chosen_on=None)
    assert adopted.added == "adopted images"
    assert adopted.choice.startswith("no valid images, so adopted ones at their calibrated labels")
    nothing = uplift_report(dose=0.0, chosen_on=None)
    assert (nothing.added, nothing.choice) == ("nothing", "no valid images, so no samples")


def test_how_scores_are_to_be_read() -> None:
    hints = {name: key.hint for name, key in SCORE_KEYS.items()}
    assert hints["label_accuracy"] == hints["recall"] == "1 is best"
    assert hints["fid"] == hints["kid"] == "lower is better"
    assert hints["near_copy_fraction"] == "0 is best"
    assert hints["density"] == hints["diversity"] == "about 1"


def test_a_sample_is_told_in_words() -> None:
    assert sample_in_words({"fid": 1.0}) == ""
    sampled = {"train": {"images": 100_000, "of": 1_200_000}, "adopted": {"images": 5, "of": 60}}
    assert sample_in_words({"sampled": sampled}) == (
        "Judged on a sample: 100,000 of 1,200,000 train images, 5 of 60 adopted images."
    )
