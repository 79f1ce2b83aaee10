"""params.yaml is edited in place: comments, order and columns stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from augment import params_file
from augment.new_project import FILES
from augment.params import ParamsError

TEXT = """\
# the whole file
profile: glyph             # or natural
train:
  # before the recipe
  recipe: infogan          # or gan,
                           # or vae
  generator: dcgan
  model: {labels: half}    # of the demo
  penalties:
    - {name: r1, weight: 1.0}
  # after the block
  rate:
    default: 0.001  # fast
score:
  uplift: {doses: [10], steps: 400}  # of the demo
write:
"""


def test_a_value_is_replaced_and_its_comment_keeps_its_column() -> None:
    text = params_file.edited(TEXT, {"profile": "natural", "train.recipe": "vae"})
    assert "profile: natural           # or natural\n" in text
    assert "  recipe: vae              # or gan,\n                           # or vae\n" in text
    assert text.count("\n") == TEXT.count("\n")


def test_only_the_lines_that_change_differ() -> None:
    changes = {"score.uplift.doses": [2.5], "train.rate.default": 0.01}
    lines = [TEXT.splitlines(), params_file.edited(TEXT, changes).splitlines()]
    assert [pair for pair in zip(*lines, strict=True) if pair[0] != pair[1]] == [
        ("    default: 0.001  # fast", "    default: 0.01   # fast"),
        (
            "  uplift: {doses: [10], steps: 400}  # of the demo",
            "  uplift: {doses: [2.5], steps: 400}  # of the demo",
        ),
    ]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("train.generator.width", 48, "  generator: {name: dcgan, width: 48}\n"),
        ("train.model.packing", 2, "  model: {labels: half, packing: 2}    # of the demo\n"),
        (
            "train.rate.generator",
            2e-5,
            " # fast\n    generator: 2.0e-05\nscore:",
        ),
        ("train.penalties", [], "  penalties: []\n  # after the block\n"),
        ("write.dose", None, "write: {dose: null}\n"),
        ("synth.per_class", {"0": 3, "a, b": 1}, "synth: {per_class: {'0': 3, 'a, b': 1}}\n"),
    ],
)
def test_every_kind_of_place(key: str, value: object, line: str) -> None:
    text = params_file.edited(TEXT, {key: value})
    assert line in text
    comments = [each.partition("#")[2] for each in TEXT.splitlines() if "#" in each]
    assert [each.partition("#")[2] for each in text.splitlines() if "#" in each] == comments


def test_a_comment_that_goes_on_stays_with_its_line() -> None:
    text = "a:\n  recipe: x  # or y,\n             # or z\nb: 1"
    assert params_file.edited(text, {"a.k": 1, "c": 2}) == (
        "a:\n  recipe: x  # or y,\n             # or z\n  k: 1\nb: 1\nc: 2\n"
    )


def test_the_file_of_every_project_can_be_edited(tmp_path: Path) -> None:
    path = tmp_path / FILES[0]
    path.write_text((Path(__file__).parent.parent / FILES[0]).read_text("utf-8"), "utf-8")
    before = path.read_text("utf-8")
    changes = {"train.generator.width": 48, "train.rate.generator": 0.002}
    after = params_file.edited_at(path, changes)
    assert yaml.safe_load(after)["train"]["generator"] == {"width": 48}
    assert set(before.splitlines()) <= set(after.splitlines())


def test_what_would_be_read_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\n")
    with pytest.raises(ParamsError, match=r"params.yaml: cannot be edited here.*c.b: 2"):
        params_file.edited_at(path, {"c.b": 2})
    with pytest.raises(ParamsError, match="no such file"):
        params_file.edited_at(tmp_path / "none.yaml", {})


def test_settings_on_one_line_are_yaml() -> None:
    value = {"a": ["yes", "1.0", "x y", "no-op"], "b": {"c": None, "d": True, "e": 1e-3}}
    assert yaml.safe_load(params_file.flow(value)) == value
    assert params_file.flow({"recipe": "acgan", "n": "null"}) == "{recipe: acgan, n: 'null'}"
    assert yaml.safe_load(params_file.flow(2e-4)) == 2e-4
