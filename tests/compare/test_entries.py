"""Names on the command line as settings."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from augment import params
from augment.compare.entries import KINDS, Entry, entries, remark
from augment.data import table
from augment.data.arrays import load_arrays
from augment.models.base import Needs

TRAIN = {"recipe": "infogan", "model": {"labels": "half"}, "steps": 7, "seed": 3}


@pytest.fixture
def root(tmp_path: Path, digits_table: Callable[..., Path]) -> Path:
    """A project with labelled images and settings of its own for `infogan`."""
    digits_table(tmp_path / "data/clean", per_class=5)
    tree = {"ingest": {"source": "builtin:digits"}, "train": TRAIN}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


def of(root: Path, *names: str, overrides: tuple[str, ...] = ()) -> list[Entry]:
    train = load_arrays(root / "data/clean", split="train", origin="real")
    return entries(names, overrides, root, train)


def unlabelled(root: Path) -> None:
    """Take the labels of half of the train images."""
    rows = list(table.rows(root / "data/clean"))
    with table.TableWriter(root / "data/clean", overwrite=True) as out:
        for place, row in enumerate(rows):
            out.add(row | {"label": None} if row["split"] == "train" and place > 25 else row)


def test_the_default_is_the_projects_recipe_and_a_sensible_few(root: Path) -> None:
    assert [entry.name for entry in of(root)] == ["infogan", "acgan", "vae", "dagan"]
    assert {"pix2pix", "cyclegan"} <= set(KINDS)  # which need a further domain
    rows = list(table.rows(root / "data/clean"))
    with table.TableWriter(root / "data/clean", overwrite=True) as out:
        for row in rows:
            out.add(row)
            if row["split"] == "train":
                out.add(row | {"id": f"{row['id']}-drawn", "domain": "fonts"})
    assert [entry.name for entry in of(root)] == [*KINDS]
    params_of = yaml.safe_load((root / "params.yaml").read_text())
    params_of["train"] = {"recipe": "wgan"}
    (root / "params.yaml").write_text(yaml.safe_dump(params_of))
    assert [entry.name for entry in of(root)] == ["wgan", *KINDS]


def test_another_recipe_leaves_the_settings_of_the_projects_behind(root: Path) -> None:
    ours, other = of(root, "infogan", "acgan:generator.width=16:rate.default=0.002")
    assert ours.kept and not other.kept
    assert ours.settings.model == {"name": "infogan", "labels": "half"}
    assert other.settings.model == {"name": "acgan", "classifier": "d2d"}
    assert other.settings.generator == {"name": "dcgan", "width": 16}
    assert (other.settings.rate.default, other.settings.seed) == (0.002, 3)
    keys = "recipe: acgan, generator: {width: 16}, rate: {default: 0.002}"
    assert other.line() == f"train: {{{keys}}}"
    (shared,) = of(root, "vae:batch=16")
    assert shared.line() == "train: {recipe: vae, batch: 16}"


def test_a_model_that_can_takes_images_without_a_label_too(root: Path) -> None:
    tree = yaml.safe_load((root / "params.yaml").read_text()) | {"train": {"recipe": "vae"}}
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    assert of(root, "infogan")[0].settings.model == "infogan"
    unlabelled(root)
    ours, told = of(root, "infogan", "infogan:model.labels=all")
    assert ours.settings.model == {"name": "infogan", "labels": "half"}
    assert ours.line() == "train: {recipe: infogan, model: {labels: half}}"
    assert told.settings.model == {"name": "infogan", "labels": "all"}


def test_what_is_left_unused_is_said() -> None:
    assert remark(Needs(), 20, 0) == ""
    assert remark(Needs(), 20, 3000) == "learns from the 20 images with a label; 3,000 have none"
    assert remark(Needs("half"), 20, 3000) == ""
    assert remark(Needs("none"), 20, 0) == "takes no labels"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("infogann",), "unknown recipe 'infogann'; known: infogan, "),
        (("acgan:generator.widht=3",), "acgan:generator.widht=3: .*unknown option 'widht'"),
        (("acgan:stepps=3",), "train.stepps: unknown key"),
        (("vae", "vae"), "recipe 'vae' is named twice"),
    ],
)
def test_a_wrong_name_is_an_error_before_any_work(
    root: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(params.ParamsError, match=message):
        of(root, *names)
