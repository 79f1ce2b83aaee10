"""From scans without a label and images of another domain to a written set, stage by stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment import pipeline
from augment.classifiers import other_domain
from augment.data import images, table
from augment.data.places import ADOPTED, AUGMENTED, CACHE, CLEAN
from augment.readers import builtin

SCANS, PRINTED = 600, 400  # digits that stand without a label, and digits that name the classes


def report(root: Path, stage: str) -> Any:
    return json.loads((root / f"reports/{stage}.json").read_text())


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, small: Callable[[Path], Path]
) -> tuple[Path, dict[str, str]]:
    """A project that has run every stage, and the class that each scan shows, by its path."""
    root = small(tmp_path_factory.mktemp("no labels"))
    pixels, labels = builtin.digits()
    truth: dict[str, str] = {}
    for place in range(SCANS + PRINTED):
        scan = place < SCANS
        folder = root / "scans" if scan else root / "printed" / str(labels[place])
        folder.mkdir(parents=True, exist_ok=True)
        image = pixels[place] if scan else 255 - pixels[place]
        (folder / f"{place:04}.png").write_bytes(images.encode(image))
        truth[f"{place:04}.png"] = str(labels[place])
    settings = yaml.safe_load((root / "params.yaml").read_text())
    settings["ingest"] = {
        "source": None, "unlabelled": "scans", "domains": {"printed": "printed"}, "workers": 1,
    }  # fmt: skip
    settings["train"]["model"]["labels"] = "half"
    settings["write"] = settings.get("write", {}) | {"gates": []}
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other_domain, "ROUNDS", other_domain.ROUNDS[:1])  # of digits of 8 × 8
        patch.setattr(other_domain, "STEPS", 300)
        for stage in pipeline.STAGES:
            pipeline.run(stage, root=root)
    return root, truth


def test_the_written_set_holds_scans_and_samples_alone(
    project: tuple[Path, dict[str, str]],
) -> None:
    root, truth = project
    assert table.validate(root / AUGMENTED) == table.count(root / AUGMENTED)
    written = list(table.rows(root / AUGMENTED))
    scans = [row for row in written if row["origin"] == "real"]
    assert {row["image"]["path"] for row in scans} <= {f"{place:04}.png" for place in range(SCANS)}
    assert {row["label_source"] for row in scans} == {"inferred"}
    right = [truth[row["image"]["path"]] == row["label"] for row in scans]
    assert len(scans) == table.count(root / ADOPTED) > SCANS / 2 and sum(right) / len(right) > 0.9
    assert {row["label"] for row in written} == {str(digit) for digit in range(10)}
    assert table.count(root / CLEAN, domain="printed") == PRINTED
    assert len([*(root / CACHE).glob("reading-*")]) == 1  # train and adopt fit the same networks


def test_what_needs_a_label_of_its_own_is_not_claimed(
    project: tuple[Path, dict[str, str]],
) -> None:
    root, _ = project
    score = report(root, "score")
    assert score["uplift"]["verdict"] is None and score["uplift"]["low"] is None
    assert score["label_accuracy"] is not None  # by a judge of the adopted ones
    assert report(root, "train")["images"] == {
        "train": SCANS, "valid": 0, "unlabelled": 0, "by_domain": SCANS, "helpers": 0,
    }  # fmt: skip
    assert report(root, "write")["adoption"]["why"] == "a class has no other image"
    page = (root / "reports/index.html").read_text()
    assert "no proof either way" in page and "no label of these images checks it" in page
    assert f"{PRINTED} of the domain printed" in page


def test_inspect_looks_at_the_scans(project: tuple[Path, dict[str, str]]) -> None:
    looked = pipeline.inspect(root=project[0])
    assert (looked["source"], looked["images"], looked["wrong"]) == ("scans", SCANS, [])


def test_the_page_says_how_many_labelled_images_were_read_wrong(
    project: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(project[0], tmp_path / "copy"))
    adopted = report(root, "adopt")
    for changes, sentence in (
        ({"checked": 30, "wrong": 2}, "it reads 2 of 30 labelled images wrong"),
        ({"silent": "why"}, "The other domain says nothing: why."),
    ):
        changed = adopted | {"domain": adopted["domain"] | changes}
        (root / "reports/adopt.json").write_text(json.dumps(changed))
        pipeline.run("report", root=root)
        assert sentence in (root / "reports/index.html").read_text()
