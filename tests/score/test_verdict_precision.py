"""The verdict of the uplift is the same in float32 and in bf16."""

from __future__ import annotations

import numpy as np
import torch

from augment.data.arrays import Arrays
from augment.readers import builtin
from augment.runtime import precision
from augment.score.uplift import protocol
from augment.score.uplift.arms import Outcome, Study, Training
from augment.score.uplift.learners import Terms, judge
from augment.score.uplift.protocol import Plan


def digits(start: int, stop: int) -> Arrays:
    pixels, labels = builtin.digits()
    ids = [str(place) for place in range(start, stop)]
    return Arrays(
        pixels[start:stop, None], labels[start:stop].astype(np.int64), ids, [*map(str, range(10))]
    )


def test_bf16_changes_no_verdict() -> None:
    nothing, test = digits(0, 0), digits(1000, 1500)
    terms = Terms(10, 40, 32, "residual", "glyph", torch.device("cpu"))

    chances: dict[str, np.ndarray] = {}

    def trained(training: Training, seed: int, title: str) -> Outcome:
        answers = judge(training, terms, seed, title)(test.pixels)
        chances[precision.decided("cpu")] = answers  # the last of each
        return Outcome(np.zeros((0, 10), np.float32), answers, np.zeros((0, 10), np.float32))

    study = Study(
        train=digits(0, 60), valid=nothing, test=test, synthetic=nothing,
        adopted=digits(100, 700), unlabelled=nothing.pixels, trained=trained,
    )  # fmt: skip
    reports = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on which backward passes take bf16
    try:
        for setting in ("full", "bf16"):
            with precision.fixed(setting):
                plan = Plan(["classic"], [], range(3), ["elastic"])
                reports[setting] = protocol.measure(study, plan)
    finally:
        torch.set_num_threads(threads)
    assert not np.array_equal(*chances.values()), "bf16 was not taken"
    assert {report.verdict for report in reports.values()} == {"helps"}
    assert abs(reports["full"].gain.mean - reports["bf16"].gain.mean) < 0.03
