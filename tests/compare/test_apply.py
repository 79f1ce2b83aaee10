"""The winner in params.yaml: what differs is changed, and every other byte stays."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from augment import pipeline
from augment.compare.apply import apply_to, merged
from augment.compare.entries import Entry
from augment.compare.workspace import CompareError
from augment.train.settings import TrainSettings

DEMO = (Path(__file__).parent.parent.parent / "params.yaml").read_text(encoding="utf-8")


def winner(keys: dict[str, Any], kept: bool = False) -> Entry:
    return Entry(keys["recipe"], keys, TrainSettings(recipe=keys["recipe"]), kept)


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.split("\n"), after.split("\n"), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


def test_the_file_of_the_demo_keeps_comments_and_layout(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(DEMO, encoding="utf-8")
    words = apply_to(path, winner({"recipe": "acgan"}))
    assert words == f"{path}: train: {{recipe: acgan}}"
    (recipe, model) = changed_lines(DEMO, path.read_text(encoding="utf-8"))
    assert recipe[1] == recipe[0].replace("recipe: infogan", "recipe: acgan")
    assert model[0].startswith("  model: {labels: half}")
    assert model[1] == model[0].replace("  model", "  # model")  # of the recipe before
    settings = pipeline.load(root=tmp_path).train
    assert (settings.recipe, settings.steps, settings.batch) == ("acgan", 1000, 64)


def test_further_keys_follow_the_recipe_and_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    comment = "  recipe: infogan  # or acgan,\n                   # or another one\n"
    begin, rest = DEMO.split("  recipe: infogan")
    path.write_text(begin + comment + rest.partition("\n")[2], encoding="utf-8")
    keys = {"recipe": "acgan", "generator": {"width": 16}, "batch": 32}
    apply_to(path, winner(keys))
    text = path.read_text(encoding="utf-8")
    assert "\n                   # or another one\n  generator: {width: 16}\n" in text
    assert "\n  batch: 32\n" in text
    assert pipeline.load(root=tmp_path).train.generator == {"name": "dcgan", "width": 16}


def test_what_params_yaml_holds_already_stays(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(DEMO, encoding="utf-8")
    assert "stays as it is" in apply_to(path, winner({"recipe": "infogan"}, kept=True))
    assert path.read_text(encoding="utf-8") == DEMO


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("ingest: {source: a}\n", {"recipe": "vae"}, "ingest: {source: a}\ntrain: {recipe: vae}\n"),
        ("train: {recipe: gan, steps: 5} # short\n", {"recipe": "vae"},
         "train: {steps: 5, recipe: vae} # short\n"),
        ("train:\r\n  steps: 5 # few\r\n", {"recipe": "vae"},
         "train:\r\n  recipe: vae\r\n  steps: 5 # few\r\n"),
        ("train:\n    recipe:   'gan'   # old\n    model:\n      # ours\n      name: gan\n\n"
         "    seed: 1\n", {"recipe": "vae"},
         "train:\n    recipe:   vae   # old\n    # model:\n    #   # ours\n    #   name: gan\n\n"
         "    seed: 1\n"),
        ("train:\n  model:\n    noise: 3\n  recipe: infogan\n",
         {"recipe": "infogan", "model": {"noise": 4}},
         "train:\n  # model:\n  #   noise: 3\n  recipe: infogan\n  model: {noise: 4}\n"),
        ("train:\n- recipe\n", {"recipe": "vae"}, None),
        ("train: {recipe: gan, # why\n  steps: 5}\n", {"recipe": "vae"}, None),
    ],
)  # fmt: skip
def test_layouts(text: str, keys: dict[str, Any], expected: str | None) -> None:
    assert merged(text, keys) == expected
    if expected is not None:
        assert yaml.safe_load(expected)["train"].items() >= keys.items()


def test_a_layout_that_is_not_understood_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = "ingest: {source: a}\ntrain: &t {recipe: gan, # why\n  steps: 5}\n"
    path.write_text(text)
    with pytest.raises(CompareError, match=r"write it by hand: train: \{recipe: vae\}"):
        apply_to(path, winner({"recipe": "vae"}))
    assert path.read_text() == text
