"""Settings: strict, typed, and every mistake named by its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from augment import params
from augment.errors import AugmentError
from augment.params import Params, ParamsError
from augment.score.settings import ScoreSettings
from augment.train.settings import TrainSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(
        "ingest: {source: images}\n"
        "clean: {thresholds: {blank: 0.5}}\n"
        "train: {generator: dcgan, loss: {name: hinge}, steps: 10}\n",
        encoding="utf-8",
    )
    return path


def test_absent_keys_take_defaults(file: Path) -> None:
    settings = params.load(file)
    assert settings == Params.model_validate(
        {
            "ingest": {"source": "images"},
            "clean": {"thresholds": {"blank": 0.5}},
            "train": {"generator": "dcgan", "loss": {"name": "hinge"}, "steps": 10},
        }
    )
    assert settings.train.batch == TrainSettings().batch
    assert settings.score == ScoreSettings()


def test_settings_do_not_change(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.load(file).train.steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.steps=2000", "train.steps", 2000),
        ("train.rate.generator=2e-3", "train.rate.generator", 2e-3),
        ("ingest.split.valid=0", "ingest.split.valid", 0.0),
        ("clean.thresholds.x=0.1", "clean.thresholds", {"blank": 0.5, "x": 0.1}),
        ("train.generator.width=8", "train.generator", {"name": "dcgan", "width": 8}),
        ("train.loss.name=wasserstein", "train.loss", {"name": "wasserstein"}),
        ("train.loss=wasserstein", "train.loss", "wasserstein"),
        ("train.augment=[]", "train.augment", []),
        ("train.penalties=[r1, {name: clip}]", "train.penalties", ["r1", {"name": "clip"}]),
        ("synth.per_class={a: 3}", "synth.per_class", {"a": 3}),
        ("synth.per_class=null", "synth.per_class", None),
        ("synth.match=largest", "synth.match", "largest"),
        ("write.dose=2e-1", "write.dose", 0.2),
        ("write.dose={a: 3}", "write.dose", {"a": 3.0}),
        ("write.dose=null", "write.dose", None),
        ("write.adopted=false", "write.adopted", False),
        ("write.gates=[fid < 3]", "write.gates", ["fid < 3"]),
        ("ingest.source=a=b", "ingest.source", "a=b"),
        ("clean.size=[32, 128]", "clean.size", (32, 128)),
        ("clean.size=8", "clean.size", 8),
        ("clean.size=256", "clean.size", 256),
        ("clean.size=auto", "clean.size", "auto"),
    ],
)
def test_overrides(file: Path, override: str, path: str, value: object) -> None:
    loaded = params.load(file, [override])
    for step in path.split("."):
        loaded = getattr(loaded, step)
    assert loaded == value
    assert params.load(file) != params.load(file, [override]) or override == "clean.size=auto"


def test_the_last_override_counts_and_the_file_stays(file: Path) -> None:
    before = file.read_bytes()
    assert params.load(file, ["train.steps=3", "train.steps=4"]).train.steps == 4
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", r"train\.stepz: unknown key; known: recipe, model, generator, discrimin"),
        ("train.recipe=stylegan", r"train: .*unknown recipe 'stylegan'; known: infogan, r3gan"),
        (
            "trian.steps=3",
            r"trian: unknown key; known: profile, precision, runtime, ingest, clean, train, codes",
        ),
        ("train.steps=0", r"train\.steps: .*greater than or equal to 1 \(found 0\)"),
        ("train.steps=many", r"train\.steps: .*integer.* \(found 'many'\)"),
        ("train.steps=", r"train\.steps: .*integer \(found None\)"),
        ("train.batch=1", r"train\.batch: .*2 \(found 1\)"),
        ("train.ema=1", r"train\.ema: .*less than 1 \(found 1\)"),
        ("train.rate.generator=0", r"train\.rate\.generator: .*greater than 0"),
        ("train.rate.generator=.nan", r"train\.rate\.generator: .*finite"),
        ("train.generator=3", r"train\.generator: .*string \(found 3\)"),
        ("train.penalties=[3]", r"train\.penalties\.0: .*string \(found 3\)"),
        ("train.penalties.0.weight=3", r"train\.penalties: .*list"),
        ("ingest.max_rejected=1.1", r"ingest\.max_rejected: .*less than or equal to 1 \(found 1.1"),
        ("ingest.max_rejected=-0.1", r"ingest\.max_rejected: .*greater than or equal to 0"),
        ("ingest.workers=-1", r"ingest\.workers: "),
        ("clean.size=30", r"clean\.size: .*multiples of 4 from 8 to 256, found 30"),
        ("clean.size=4", r"clean\.size: .*found 4"),
        ("clean.size=260", r"clean\.size: .*found 260"),
        ("clean.size=[32, 30]", r"clean\.size: .*found 30"),
        ("clean.size=big", r"clean\.size: Input should be 'auto'"),
        ("clean.mode=P", r"clean\.mode: .*'auto', 'L' or 'RGB' \(found 'P'\)"),
        ("clean.thresholds.blank=low", r"clean\.thresholds\.blank: .*number"),
        ("clean.thresholds.blank=.inf", r"clean\.thresholds\.blank: .*finite"),
        ("synth.per_class={a: -1}", r"synth\.per_class\.a: .*\(found -1\)"),
        ("synth.per_class=few", r"synth\.per_class: .*\(found 'few'\)"),
        ("synth.match=smallest", r"synth\.match: .*'largest' or 'weakest' \(found 'smallest'\)"),
        ("synth.max_candidates=.inf", r"synth\.max_candidates: .*finite"),
        ("synth.truncation=0", r"synth\.truncation: .*greater than 0"),
        ("write.dose=-1", r"write\.dose: .*'auto' \(found -1\)"),
        ("write.dose=-1", r"write\.dose: .*greater than or equal to 0 \(found -1\)"),
        ("write.dose={a: -1}", r"write\.dose\.a: .*\(found -1\)"),
        ("write.dose={001: 1}", r"write\.dose: .* YAML read a number, 1; write .* in quotes"),
        ("write.dose={yes: 1}", r"write\.dose: .* YAML read a boolean, True; write .* in quotes"),
        ("write.dose=some", r"write\.dose: .*'auto' \(found 'some'\)"),
        ("write.adopted=maybe", r"write\.adopted: .*'auto' \(found 'maybe'\)"),
        ("write.gates=fid < 3", r"write\.gates: .*list"),
        ("write.gates=[fid < 3, kid]", r"write\.gates: 'kid' is no gate; expected KEY OP NUMBER"),
        ("ingest.source=3", r"ingest\.source: .*string \(found 3\)"),
        ("ingest.source=null", r"ingest: source: null needs .* \(ingest\.unlabelled\) and a"),
        ("ingest.domains={a: {soruce: x}}", r"ingest\.domains\.a\.soruce: .*known: source, reader"),
        ("ingest.domains={A: x}", r"ingest\.domains\.A: .*pattern"),
        ("train.steps", r"override 'train\.steps': expected group\.key=value"),
        ("=3", r"override '=3': expected group\.key=value"),
        ("train.steps=[", r"override 'train\.steps=\[': the value is not YAML"),
        ("train.steps.x=3", r"override 'train\.steps\.x=3': 'steps' holds no keys"),
    ],
)
def test_every_mistake_names_its_key(file: Path, override: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as caught:
        params.load(file, [override])
    assert "constrained" not in str(caught.value) and "[str" not in str(caught.value)


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        params.load(file, ["train.steps=0", "synth.seed=x"])
    keys = [line.split(": ")[:2] for line in str(caught.value).splitlines()]
    assert sorted(map(tuple, keys)) == [
        (str(file), "synth.seed"), *[(str(file), "train.steps")] * 2,  # a number, or auto
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ingest: missing"),
        (b"ingest: {}", r"ingest\.source: missing"),
        (b"- a\n- b\n", "expected groups of settings, found list"),
        (b"ingest: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"ingest: !!python/object/apply:os.getcwd []", "not YAML"),
        (b"ingest: images", "ingest: .*found 'images'"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=message) as caught:
        params.load(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AugmentError, match=r"params\.yaml: no such file; run in a project folder"):
        params.load(tmp_path / "params.yaml")


def test_the_profile_stands_once_and_reaches_every_group_that_follows_it(file: Path) -> None:
    settings = params.load(file, ["profile=natural"])
    groups = params.groups_with_profile()
    assert groups == ["clean", "train", "adopt", "score"]
    assert {getattr(settings, name).profile for name in groups} == {"natural"}
    assert params.load(file).train.profile == "glyph"
    with pytest.raises(ParamsError) as caught:
        params.load(file, ["profile=digits"])
    assert str(caught.value) == (
        f"{file}: profile: Input should be 'glyph' or 'natural' (found 'digits')"
    )


@pytest.mark.parametrize("group", ["clean", "train", "adopt", "score"])
def test_a_profile_in_a_group_is_told_where_it_belongs(file: Path, group: str) -> None:
    with pytest.raises(ParamsError, match=f"{group}.profile: .* once, at the top of params.yaml"):
        params.load(file, [f"{group}.profile=glyph"])


def test_every_part_setting_says_its_kind_once() -> None:
    settings = Params.model_validate({"ingest": {"source": "images"}})
    kinds = {key: kind for key, kind, _ in settings.parts()}
    assert len(kinds) == 23
    assert kinds["train.loss"].load().names() and kinds["train.rate.schedule"].load().names()
    assert {key for key, kind in kinds.items() if kind.automatic} == {
        "ingest.reader",
        "clean.checks",
    }


def test_resolved_settings_hold_every_option_and_no_machine() -> None:
    tree = TrainSettings(loss="hinge", rate={"schedule": "cosine"}).resolved()  # type: ignore[arg-type]
    assert tree["loss"]["name"] == "hinge" and tree["rate"]["schedule"]["name"] == "cosine"
    assert tree["optimiser"] == {"name": "adam", "betas": (0.5, 0.999), "eps": 1e-8}
    assert tree["augment"] is None and "device" not in tree
