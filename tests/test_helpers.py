"""Images of other classes that only teach a generator: they never reach what is judged or written.

Each stage is looked at: the table, batches, classifiers, samples, scores, the written set.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from augment import pipeline
from augment.classifiers import fit
from augment.data import images, table
from augment.data.arrays import load_arrays, load_helpers
from augment.data.lookup import Lookup
from augment.data.places import AUGMENTED, CLEAN, INGESTED, SYNTHETIC
from augment.readers import builtin
from augment.train import loop

OWN, PER_CLASS = "012", 20  # the set's classes, and how many images each has
OTHERS = "0789"  # helper classes; the first is named like one of the set's


def report(root: Path, stage: str) -> Any:
    return json.loads((root / f"reports/{stage}.json").read_text())


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, small: Callable[[Path], Path]
) -> tuple[Path, list[loop.Trainer], list[int]]:
    """A project that has run every stage, its trainers, and of how many classes classifiers are."""
    root = small(tmp_path_factory.mktemp("helpers"))
    pixels, labels = builtin.digits()
    for label in OWN:
        mine = pixels[labels == int(label)][:PER_CLASS]
        for place, image in enumerate(mine):
            path = root / "digits" / label / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(images.encode(image))
    for label in OTHERS:
        for place, image in enumerate(pixels[labels == int(label)][-10:]):
            path = root / "others" / label / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(images.encode(image))
    shutil.copy(root / "digits/1/0.png", root / "others/7/again.png")
    settings = yaml.safe_load((root / "params.yaml").read_text())
    settings["ingest"] = {
        "source": "digits", "helpers": "others", "split": {"valid": 0.2, "test": 0.2}, "workers": 1
    }  # fmt: skip
    settings["train"] = {
        "recipe": "dagan", "steps": 30, "every": 30, "batch": 16, "generator": {"width": 8},
        "rate": {"default": 5e-3},
        "balance": "classes", "labeller": {"steps": 20}, "device": "cpu",
    }  # fmt: skip
    settings["synth"] |= {"per_class": 3, "probability": 0.0, "copy_quantile": 0.0}
    settings["score"] |= {"steps": 20, "uplift": {"arms": ["classic", "synthetic"], "seeds": 1}}
    settings["write"] |= {"gates": []}
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    trainers: list[loop.Trainer] = []
    taught: list[int] = []

    class Kept(loop.Trainer):
        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, **options)
            trainers.append(self)

    def fitted(pixels: Any, labels: Any, **options: Any) -> Any:
        taught.append(options["classes"])
        assert labels.max() < len(OWN)
        return whole(pixels, labels, **options)

    whole = fit.fit_classifier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("augment.train.run.Trainer", Kept)
        for module in (
            "augment.train.run",
            "augment.classifiers.judge",
            "augment.score.uplift.learners",
        ):
            patch.setattr(f"{module}.fit_classifier", fitted)
        for stage in pipeline.STAGES:
            pipeline.run(stage, root=root)
    return root, trainers, taught


Project = tuple[Path, list[loop.Trainer], list[int]]


def test_tables_hold_helpers_apart_and_counts_add_up(project: Project) -> None:
    root, _, _ = project
    ingested, cleaned = report(root, "ingest"), report(root, "clean")
    helpers = dict.fromkeys(OTHERS, 10)
    assert ingested["helpers"] == helpers and ingested["domains"] == {}
    assert ingested["kept"] == sum(ingested["splits"].values()) + sum(helpers.values()) == 100
    assert (ingested["read"], ingested["reasons"]) == (101, {"the bytes of an image before it": 1})
    assert list(ingested["classes"]) == list(OWN)
    assert any("named like the set's: '0'; they are kept apart" in it for it in ingested["remarks"])
    assert cleaned["helpers"] == 40 and list(cleaned["classes"]) == list(OWN)
    for place in (INGESTED, CLEAN):
        folder = root / place
        facts = table.frame(folder, domain=table.HELPERS)
        assert len(facts) == 40 and set(facts["split"]) == {"train"}
        assert table.count(folder, domain=table.EVERY) == table.count(folder)
        assert table.domains(folder) == []
        assert table.validate(folder) == table.count(folder) + 40
        assert all(name in Lookup(folder) for name in facts["id"])
    assert set(table.frame(root / "data/quarantine", domain=table.WHOLE)["domain"]) <= {None}


def test_no_judge_score_sample_or_written_row_knows_them(project: Project) -> None:
    root, _, taught = project
    assert len(taught) >= 2 and set(taught) == {len(OWN)}  # the labeller, the judge, the arms
    helpers = set(table.frame(root / CLEAN, ["id"], domain=table.HELPERS)["id"])
    for place in (SYNTHETIC, AUGMENTED):
        facts = table.frame(root / place, domain=table.WHOLE)
        assert set(facts["label"]) == set(OWN) and facts["domain"].isna().all()
        assert not helpers & (set(facts["id"]) | set(facts["source"]) | set(facts["nearest_real"]))
    assert list(report(root, "score")["per_class"]) == list(OWN)
    assert report(root, "train")["classes"] == list(OWN)
    written = report(root, "write")
    assert written["real"] == table.count(root / CLEAN) and list(written["classes"]) == list(OWN)
    assert written["left_out"]["unlabelled"] == 0


def test_the_reports_count_them(project: Project) -> None:
    root, _, _ = project
    seen = report(root, "train")["images"]
    assert (seen["helpers"], seen["unlabelled"], seen["train"]) == (
        40, 0, table.count(root / CLEAN, split="train"),
    )  # fmt: skip
    page = (root / "reports/index.html").read_text()
    for sentence in (
        "40 helpers of other classes",
        "40 helpers beside",
        "beside 40 helpers of other classes",
    ):
        assert sentence in page


def test_batches_hold_pairs_of_each_helper_class(project: Project) -> None:
    """With ``balance: classes`` each class is as frequent; the two classes "0" never pair."""
    root, (trainer,), _ = project
    mine = load_arrays(root / CLEAN, split="train", origin="real")
    helpers = load_helpers(root / CLEAN, mine)
    assert helpers is not None and helpers.classes == [*OWN, *(f"helpers: {n}" for n in OTHERS)]
    kind = {image.tobytes(): label for image, label in zip(mine.pixels, mine.labels, strict=True)}
    kind |= {i.tobytes(): n for i, n in zip(helpers.pixels, helpers.labels, strict=True)}
    seen = np.zeros(7, int)
    for number in range(7):
        batch = trainer.feed.at(number)
        assert batch.source is not None and batch.source_labels is not None
        assert torch.equal(batch.labels, batch.source_labels)
        for side in (batch.real, batch.source):
            pixels = images.to_uint8(side.numpy())
            assert [kind[image.tobytes()] for image in pixels] == batch.labels.tolist()
        seen += np.bincount(batch.labels.numpy(), minlength=7)
    assert seen.tolist() == [16] * 7
    assert trainer.names == list(OWN) and trainer.sources.ids == mine.ids


def test_a_model_that_is_told_the_class_leaves_them_out_and_says_so(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(project[0] / CLEAN, tmp_path / CLEAN)
    (tmp_path / "params.yaml").write_text((project[0] / "params.yaml").read_text())
    changes = [
        "train.recipe=cgan",
        "train.generator={name: dcgan, width: 8}",
        "train.discriminator={name: dcgan, width: 8}",
    ]
    pipeline.run("train", changes, root=tmp_path)
    said = capsys.readouterr().err
    assert "40 images of ingest.helpers stay out: cgan learns from the set's classes" in said
    assert report(tmp_path, "train")["images"]["helpers"] == 0
