"""Ten labels a class, many images without, no valid split: score and write agree on one set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from augment import cli
from augment.data import files, images, table
from augment.data.reports import UpliftReport
from augment.readers import builtin
from augment.report import terminal
from augment.score import run as score
from augment.score.settings import ScoreSettings
from augment.write import run as write
from augment.write.settings import WriteSettings

LABELLED, UNLABELLED, TEST = 10, 60, 60  # images of each class
SAMPLES = 10
GATES = ["uplift.low >= -0.02"]  # as params.yaml has it


def row(image: np.ndarray, label: str | None, place: int, **facts: Any) -> table.Row:
    return {
        "id": f"{place:064x}", "image": {"bytes": images.encode(image), "path": f"{place}.png"},
        "label": label, "split": "train", "origin": "real", "width": 8, "height": 8, "mode": "L",
        **facts,
    }  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits whose samples are noise, so that any dose of them harms; score has run."""
    folder = tmp_path_factory.mktemp("few")
    pixels, labels = builtin.digits()
    parts: dict[str, list[table.Row]] = {"clean": [], "adopted": [], "synthetic": []}
    rng = np.random.default_rng(0)
    for digit in range(10):
        name, places = str(digit), np.flatnonzero(labels == digit)
        for rank, place in enumerate(places[: LABELLED + UNLABELLED + TEST].tolist()):
            image = pixels[place]
            if rank < LABELLED:
                parts["clean"].append(row(image, name, place))
            elif rank < LABELLED + TEST:
                parts["clean"].append(row(image, name, place, split="test"))
            else:
                parts["clean"].append(row(image, None, place))
                inferred = {"label_source": "inferred", "label_probability": 0.9}
                parts["adopted"].append(row(image, name, place, **inferred))
        for index in range(SAMPLES):
            noise = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            facts = {"origin": "synthetic", "generator": "f" * 64, "seed": 0, "index": index}
            parts["synthetic"].append(row(noise, name, 10_000 + 100 * digit + index, **facts))
    for name, rows in parts.items():
        with table.TableWriter(folder / "data" / name) as writer:
            for sample in rows:
                writer.add(sample)
    uplift = {"learner": "svc"}  # fits in no time
    settings = {"scores": ["uplift"], "steps": 5, "device": "cpu", "uplift": uplift}
    score.run(ScoreSettings.model_validate(settings), folder)
    return folder


@pytest.fixture
def uplift(root: Path) -> UpliftReport:
    report = UpliftReport.of_scores(files.read_json(root / "reports/score.json"))
    assert report is not None
    return report


def test_the_verdict_is_that_of_the_adopted_images(uplift: UpliftReport) -> None:
    assert list(uplift.arms) == [
        "classic", "pseudo_labels", "adopted", "synthetic@0.5", "synthetic@1",
        "adopted+synthetic@0.5", "adopted+synthetic@1",
    ]  # fmt: skip
    assert (uplift.adopted, uplift.dose, uplift.chosen_on) == (True, 0, None)
    assert uplift.verdict == "helps" and uplift.low > 0.02
    adopted = uplift.parts["adopted"]
    assert (uplift.low, uplift.high) == (adopted.low, adopted.high)
    assert uplift.gain.mean == pytest.approx(adopted.gain)
    assert uplift.parts["synthetic"].verdict == "harms"
    assert uplift.samples is not None and uplift.samples.dose == 0.5
    assert uplift.steps is None  # of a machine that takes none


def test_the_set_is_written_with_adopted_images_and_without_samples(root: Path) -> None:
    settings = WriteSettings(gates=GATES)
    (gate,) = write.gate_results(settings, root)
    assert gate.passed and gate.value is not None and gate.value > 0.02
    report = write.run(settings, root)
    assert (report["adopted"], report["synthetic"]) == (10 * UNLABELLED, 0)
    assert report["real"] == 10 * (LABELLED + UNLABELLED + TEST) and report["as_measured"]
    assert report["remark"] == (
        "without valid images no dose can be chosen: the set holds the real ones alone "
        "(-S write.dose=null takes all the same)"
    )
    written = table.frame(root / "data/augmented")
    train = written[written["split"] == "train"]
    assert train["label"].value_counts().to_dict() == {
        str(digit): LABELLED + UNLABELLED for digit in range(10)
    }
    text = (root / "data/augmented/README.md").read_text()
    assert "Verdict on this set: helps. Beside the labelled images it holds adopted images" in text


def test_gate_agrees_and_the_scoreboard_says_whose_gain_it_is(
    root: Path, uplift: UpliftReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    Path("params.yaml").write_text(f"ingest: {{source: x}}\nwrite: {{gates: {GATES}}}\n")
    assert CliRunner().invoke(cli.app, ["gate"]).exit_code == 0
    shown = CliRunner().invoke(cli.app, ["show", "reports/score.json"]).stdout
    assert "uplift: written set" in shown and "helps" in shown and "with adopted images" in shown
    assert all(title in shown for title, _, _ in terminal.uplift_rows(uplift))
