"""Write: what goes in, what is left out, the card, and that the accounts add up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from augment import images, table, write
from augment.card import card
from augment.params import Params
from augment.readers import READERS
from augment.registry import PartError
from augment.writers import WRITERS

LABELS = ("2", "10", "a|b")


def row(number: int, label: str | None, split: str = "train", **facts: Any) -> table.Row:
    pixels = np.full((8, 8), number % 256, np.uint8)
    return {
        "id": f"{number:064x}",
        "image": {"bytes": images.encode(pixels), "path": f"{number}.png"},
        "label": label,
        "split": split,
        "origin": "real",
        "width": 8,
        "height": 8,
        "mode": "L",
        **facts,
    }


def made(number: int, label: str, index: int, **facts: Any) -> table.Row:
    provenance = {"generator": "f" * 64, "seed": 7, "index": index, "codes": [0.5]}
    return row(number, label, "train", origin="synthetic", **{**provenance, **facts})


def save(folder: Path, rows: Iterable[table.Row]) -> None:
    with table.TableWriter(folder, overwrite=True) as writer:
        for one in rows:
            writer.add(one)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of each class four real train images, one valid, one test; six synthetic; two unlabelled."""
    splits = ("train", "train", "train", "train", "valid", "test")
    real = [row(n, LABELS[n % 3], splits[n // 3]) for n in range(18)]
    save(tmp_path / "data/clean", [*real, row(90, None), row(91, None, "test")])
    save(tmp_path / "data/synthetic", [made(100 + n, LABELS[n % 3], 50 - n) for n in range(18)])
    return tmp_path


def settings(**options: Any) -> Params:
    return Params.model_validate({"ingest": {"source": "/home/someone/set"}, "write": options})


def augmented(root: Path) -> pd.DataFrame:
    return table.frame(root / "data/augmented")


def test_real_and_synthetic_go_in(root: Path) -> None:
    report = write.run(settings(), root)
    assert report == json.loads((root / "reports/write.json").read_text())
    found = augmented(root)
    assert table.validate(root / "data/augmented") == 36
    assert (report["real"], report["synthetic"]) == (18, 18)
    assert report["left_out"] == {"unlabelled": 2, "over_dose": 0}
    assert found.loc[found["origin"] == "synthetic", "split"].unique().tolist() == ["train"]
    before = {one["id"]: one for one in table.rows(root / "data/clean")}
    for one in table.rows(root / "data/augmented"):
        if one["origin"] == "real":
            assert one == before[one["id"]]


def test_accounts_add_up(root: Path) -> None:
    report = write.run(settings(dose=0.5), root)
    assert list(report["classes"]) == ["2", "10", "a|b"]
    for splits in report["classes"].values():
        assert splits == {
            "train": {"real": 4, "synthetic": 2},
            "valid": {"real": 1, "synthetic": 0},
            "test": {"real": 1, "synthetic": 0},
        }
    left_out = report["left_out"]
    assert report["real"] + left_out["unlabelled"] == table.count(root / "data/clean")
    assert report["synthetic"] + left_out["over_dose"] == table.count(root / "data/synthetic")
    assert table.count(root / "data/augmented") == report["real"] + report["synthetic"]


@pytest.mark.parametrize(
    ("dose", "indices"), [(0.0, []), (0.24, []), (0.25, [35]), (0.75, [35, 38, 41])]
)
def test_dose_takes_the_first_by_index(root: Path, dose: float, indices: list[int]) -> None:
    write.run(settings(dose=dose), root)
    found = augmented(root)
    taken = found.loc[(found["origin"] == "synthetic") & (found["label"] == "2"), "index"]
    assert sorted(taken.astype(int)) == indices


def test_dose_counts_only_real_train_images_of_the_class() -> None:
    synthetic = pd.DataFrame({"label": ["a", "a", "a", "b"], "index": [2, 0, 1, 0]})
    real = pd.Series(["a", "a", "c"])
    assert write.dosed(synthetic, real, 1.0).tolist() == [False, True, True, False]
    assert write.dosed(synthetic, real, None).all()
    assert write.dosed(synthetic.iloc[:0], real, 1.0).tolist() == []


@pytest.mark.parametrize("name", WRITERS.names())
def test_every_writer_with_its_card(name: str, root: Path) -> None:
    report = write.run(settings(writer=name), root)
    folder = root / "data/augmented"
    items = [item for item in READERS.build(name)(str(folder)) if item.reason != "side file"]
    assert len(items) == report["real"] + report["synthetic"]
    assert not [item.reason for item in items if item.reason]
    assert json.loads((folder / "classes.json").read_text()) == ["2", "10", "a|b"]
    facts = pq.read_table(folder / "provenance.parquet")
    assert tuple(facts.schema.names) == table.FACTS
    assert sorted(facts["id"].to_pylist()) == sorted(item.facts["id"] for item in items)
    assert (folder / "README.md").read_text().startswith("---\nlicense: unknown\n")
    assert [path.name for path in (root / "data").iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize("name", WRITERS.names())
def test_twice_gives_the_same_bytes(name: str, root: Path) -> None:
    write.run(settings(writer=name), root)
    first = table.digest(root / "data/augmented"), table.digest(root / "reports")
    write.run(settings(writer=name), root)
    assert (table.digest(root / "data/augmented"), table.digest(root / "reports")) == first


def test_mistakes_stop_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(PartError, match="unknown writer 'zip'; known: idx"):
        write.run(settings(writer="zip"), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(write.WriteError, match="data/clean: no sample table .* clean first"):
        write.run(settings(), tmp_path)
    save(tmp_path / "data/clean", [row(1, "a")])
    with pytest.raises(write.WriteError, match="data/synthetic: no sample table .* synth first"):
        write.run(settings(), tmp_path)


def test_inputs_that_do_not_fit(root: Path) -> None:
    save(root / "data/synthetic", [made(1, "2", 0, width=16)])
    with pytest.raises(write.WriteError, match="images of 16 × 8 L, and none such in data/clean"):
        write.run(settings(), root)
    save(root / "data/synthetic", [made(1, "2", 0) | {"split": "test"}])
    with pytest.raises(write.WriteError, match="outside the train split"):
        write.run(settings(), root)
    save(root / "data/clean", [row(1, None)])
    with pytest.raises(write.WriteError, match="no labelled images"):
        write.run(settings(), root)
    assert not (root / "data/augmented").exists()


def test_a_writer_that_fails_leaves_the_old_set(root: Path) -> None:
    write.run(settings(), root)
    before = table.digest(root / "data/augmented")
    colour = images.encode(np.zeros((8, 8, 3), np.uint8))
    save(root / "data/clean", [row(1, "a"), row(2, "b", image={"bytes": colour, "path": ""})])
    with pytest.raises(Exception, match="idx holds grey"):
        write.run(settings(writer="idx"), root)
    assert table.digest(root / "data/augmented") == before
    assert sorted(path.name for path in (root / "data").iterdir()) == [
        "augmented",
        "clean",
        "synthetic",
    ]


def test_an_empty_synthetic_table_writes_the_real_ones(root: Path) -> None:
    save(root / "data/synthetic", [])
    report = write.run(settings(), root)
    assert (report["real"], report["synthetic"]) == (18, 0)
    assert "| generator | none |" in (root / "data/augmented/README.md").read_text()


SCORES = {
    "fid": 1.23456,
    "coverage": 0.9,
    "kid": None,
    "recall": "high",
    "density": float("nan"),
    "floor": {"fid": 0.5},
    "uplift": {"classic": {"mean": 0.9, "std": 0.01}, "gain": 0.02, "seeds": [1, 2], "x": 1},
}


def test_card(root: Path) -> None:
    (root / "reports").mkdir()
    (root / "reports/score.json").write_text(json.dumps(SCORES))
    report = write.run(settings(licence="cc-by-4.0: really", dose=1.0), root)
    text = (root / "data/augmented/README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0: really"
    assert front["configs"] == [{"config_name": "default", "data_files": "part-*.parquet"}]
    assert "30 images in 3 classes: 18 real ones and 12 made by a generator" in text
    assert "| class | train, real | valid, real | test, real | train, synthetic |" in text
    assert "| a\\|b | 4 | 1 | 1 | 4 |" in text
    assert "| all | 12 | 3 | 3 | 12 |" in text
    assert "| fid | 1.235 | 0.5 |" in text
    assert "| coverage | 0.9 |  |" in text
    assert not any(f"| {name} |" in text for name in ("kid", "recall", "density"))
    assert "| classic | mean 0.9, std 0.01 |" in text
    assert "| seeds | 1, 2 |" in text
    assert report["inputs"]["data/clean"] in text and "f" * 64 in text
    assert "someone" not in text  # the source is a path on somebody's machine
    made_by = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert made_by["write"]["dose"] == 1.0 and set(made_by) == {"clean", "train", "synth", "write"}


@pytest.mark.parametrize("scores", [{}, {"floor": 3, "uplift": 4}, {"fid": None, "uplift": {}}])
def test_card_without_scores(root: Path, scores: dict[str, Any]) -> None:
    report = write.run(settings(), root)
    text = card(report, scores, {})
    assert "## Scores" not in text and "## Uplift" not in text and "## Counts" in text


def test_broken_scores_are_named(root: Path) -> None:
    (root / "reports").mkdir()
    (root / "reports/score.json").write_text("{")
    with pytest.raises(write.WriteError, match=r"score\.json: not JSON"):
        write.run(settings(), root)
    (root / "reports/score.json").write_text("[1]")
    write.run(settings(), root)
