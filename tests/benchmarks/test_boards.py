"""The benchmarks that train: their quick forms run, what they count is counted right."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from augment.classifiers import judge
from augment.classifiers.networks import FEATURES
from augment.codes import probe
from augment.data.arrays import Arrays
from augment.data.reports import ClassGain, UpliftReport
from augment.readers import builtin
from augment.train.recipes import RECIPES
from benchmarks import (
    costs,
    devices,
    families,
    frontier,
    generated,
    half,
    infogan,
    memory,
    mnist,
    pages,
    results,
    runs,
    scans,
    selection,
    sharing,
    sizes,
    tables,
    throughput,
    training,
    transfer,
    uplift,
)
from benchmarks.training import WITHIN

SETTING = {"network": "own", "width": 8, "steps": 2, "batch": 64, "device": "cpu"}
CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def digits() -> tuple[Arrays, Arrays]:
    return mnist.digits()


def row(**values: object) -> dict[str, object]:
    return {**SETTING, "seed": 0, "machine": "a machine", **values}


def lines(name: str, *rows: dict[str, object]) -> list[dict[str, str]]:
    """The lines of a benchmark's only table."""
    (table,) = tables.tables(name, rows)
    return table.to_dict("records")


def test_digits_are_split_once_and_evenly(digits: tuple[Arrays, Arrays]) -> None:
    train, held = digits
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert np.bincount(held.labels).tolist() == [100] * 10
    assert len(set(train.ids) | set(held.ids)) == 5000
    assert train.shape == held.shape == (1, 28, 28) and train.pixels.max() == 255


def test_judge_prefers_digits_to_noise(digits: tuple[Arrays, Arrays]) -> None:
    judge = mnist.Judge(5, torch.device("cpu"))
    noise = np.random.default_rng(0).integers(256, size=(200, 1, 28, 28), dtype=np.uint8)
    floor, of_noise = judge.floor, judge.fidelity(noise)
    assert floor["kid"] < of_noise["kid"] / 10
    assert floor["coverage"] > 0.8 > of_noise["coverage"]
    assert judge.held.std(0) == pytest.approx(np.ones(FEATURES), abs=0.3)


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tenth of the words, which take a minute to draw."""
    scans.words.cache_clear()
    monkeypatch.setattr(scans, "EACH", 10)
    yield
    scans.words.cache_clear()


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fifth of MNIST's digits: 80 of each to train, 20 held out."""
    pixels, labels = (values[::5] for values in builtin.mnist5k())
    monkeypatch.setattr(builtin, "mnist5k", lambda: (pixels, labels))
    monkeypatch.setattr(mnist, "HELD", 20)
    for function in (mnist.digits, mnist.judge):
        function.cache_clear()
    assert [len(part) for part in mnist.digits()] == [800, 200]
    yield
    for function in (mnist.digits, mnist.judge):
        function.cache_clear()


@pytest.mark.usefixtures("few_words", "few_digits")
@pytest.mark.parametrize(
    ("benchmark", "options", "said"),
    [
        (families, ["--recipes", "cgan", "--steps", "2"], "coverage"),
        (frontier, [], "taught"),
        (sizes, ["--batch", "16", "--pace", "1000"], "taught"),
        (costs, [], "adopt"),
        (sharing, [], "AUC by loss"),
        (infogan, ["--steps", "2", "--width", "4"], "purity"),
        (half, ["--steps", "2", "--supervised", "2", "--width", "4"], "labels a class"),
        (uplift, ["--cases", "10 labels", "--steps", "1"], "pseudo-labels"),
        (uplift, ["--cases", "copier: digits"], "false alarms"),
        (generated, ["--cases", "1 label", "--generators", "0", "--width", "4"], "1 label, by svc"),
        (generated, ["--cases", "20 per class: digits", "--width", "4"], "shuffled harm in"),
        (transfer, ["--width", "4", "--seeds", "0"], "shuffled"),
        (throughput, ["--recipes", "wgan_gp", "--steps", "1", "--width", "4"], "share of peak"),
        (memory, ["--width", "4", "--places", "mapped"], "GiB beside the networks"),
        (devices, ["--width", "4"], "share of a linear speed-up"),
    ],
)
def test_quick_form_prints_and_stores_nothing(
    benchmark, options: list[str], said: str, elsewhere: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(probe, "BUDGET", 1)
    benchmark.main(["--quick", "--judge", "2", "--device", "cpu", *options])
    assert said in capsys.readouterr().out
    assert not list(elsewhere.glob("*.json"))


def test_rows_are_collected_and_the_rest_is_owed(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(quick=False, again=True, **SETTING | {"device": CPU})
    full_form = [{"recipe": name, "seed": 0, **SETTING} for name in ("gan", "cgan")]
    full_form += [{"recipe": "gan", "device": "cuda"}]
    values = dict.fromkeys(("kid_start", "kid", "coverage", "label_accuracy"), 1.0)
    facts = {"steps": 1, "kid": 0.5, "coverage": 1.0, "accuracy": 1.0}

    def store(name: str, seconds: float, **beside: object) -> dict[str, object]:
        def measure(recipe: str, seed: int, options: object) -> dict[str, object]:
            return {**values, "seconds": seconds, "seconds_right": None}

        keys, key = [{"recipe": name, "seed": 0}], ("recipe", "seed")
        runs.collect("families", options, keys, measure, full_form, key, lambda _: beside)
        stored: dict[str, object] = json.loads((elsewhere / "families.json").read_text())
        return stored

    store("cgan", 1.0, judge=facts)
    stored = store("cgan", 2.0)
    assert [one["seconds"] for one in stored["rows"]] == [2.0]  # type: ignore[attr-defined]
    assert stored["judge"] == facts and stored["owed"] == [full_form[0], full_form[2]]
    stored = store("gan", 3.0)
    assert [one["seconds"] for one in stored["rows"]] == [2.0, 3.0]  # type: ignore[attr-defined]
    assert stored["owed"] == [full_form[2]]
    printed = capsys.readouterr().out
    assert "Of the full form not run yet: recipe gan, device cuda." in printed
    assert "right about 100.0% of the held-out digits" in printed and " no " in printed
    assert pages.in_words([*full_form, full_form[2]]) == (
        "recipe gan, cgan, seed 0, device cpu; recipe gan, device cuda"
    )
    assert pages.in_words([{"recipe": name, "size": 8} for name in WITHIN]) == (
        "every recipe, size 8"
    )
    assert pages.in_words([{"part": "speed"}]) == "part speed"
    assert pages.in_words([{**SETTING, "seed": 0}, {"part": "a"}]) == "device cpu, seed 0; part a"


def test_size_of_the_options_is_that_of_every_recipe() -> None:
    options = runs.parse("", [], {}, steps=3, width=12)
    for name in RECIPES:
        settings = training.settings(name, options, seed=5)
        for part in (settings.generator, settings.discriminator):
            assert isinstance(part, dict)
            assert part["width"] == (512 if part["name"] == "mlp" else 12)
        assert (settings.recipe, settings.steps, settings.seed) == (name, 3, 5)
    options.network = "dcgan"
    settings = training.settings("infogan", options, seed=0)
    assert settings.discriminator == {
        "name": "dcgan", "width": 12, "limit": 8, "norm": "none", "spectral": False,
    }  # fmt: skip


def test_options_are_of_the_type_of_the_full_form() -> None:
    full = {"steps": 3, "width": 12, "cases": ["a", "b"], "seeds": [0, 1], "share": 0.5}
    options = runs.parse("", ["--cases", "b,c", "--seeds", "", "--share", "1"], {}, **full)
    assert (options.cases, options.seeds, options.share) == (["b", "c"], [], 1.0)
    assert options.full == {"network": "own", "width": 12, "steps": 3, "batch": 64}
    quick = runs.parse("", ["--quick", "--steps", "7"], {"cases": ["a"]}, **full)
    assert (quick.steps, quick.width, quick.cases) == (7, 8, ["a"]) and quick.full["width"] == 12


def test_times_better() -> None:
    def better(start: float | None, end: float | None) -> str:
        values = {"coverage": 0.5, "label_accuracy": None, "seconds": 1.0, "seconds_right": None}
        return lines("families", row(recipe="gan", kid_start=start, kid=end, **values))[0][
            "times better"
        ]

    assert (better(8.0, 2.0), better(8.0, -0.001), better(8.0, None)) == ("4", "inf", "")


def test_bounds_of_families() -> None:
    def met(recipe: str, kid: float | None, right: float | None, **more: object) -> str:
        values = {"kid_start": 1.0, "kid": kid, "coverage": 0.5,
                  "label_accuracy": right, "seconds": 9.0, "seconds_right": None}  # fmt: skip
        (line,) = lines("families", row(recipe=recipe, **{**values, **more}))
        return line["met"]

    assert met("cgan", 0.1, 0.95) == "yes" and met("cgan", 0.1, 0.94) == "no"
    assert met("cgan", 0.11, 0.95) == "no" and met("cgan", None, 0.95) == "no"
    assert met("gan", 0.1, None) == "yes" and met("infogan", 0.1, 0.98) == "no"
    assert met("infogan", 0.1, 0.99) == "yes"
    assert met("infogan", 0.1, 0.99, device="cuda", seconds_right=61.0) == "no"
    assert met("infogan", 0.1, 0.99, device="cuda", seconds_right=60.0) == "yes"


def test_bounds_of_codes_and_labels() -> None:
    keys = ("accuracy_samples", "purity", "slant", "width_factor", "minutes")
    seeds = [
        row(seed=seed, accuracy=value, moved=0.9, class_changes=0.02, **dict.fromkeys(keys, 0.5))
        for seed, value in enumerate((0.89, 0.95, 0.99))
    ]
    *each, middle, worst = lines("infogan", *seeds)
    assert [line["seed"] for line in each] == ["0", "1", "2"]
    assert (middle["head"], middle["met"]) == ("0.95", "yes")
    assert (worst["head"], worst["met"]) == ("0.89", "no")
    unmoved = [{**seed, "moved": None} for seed in seeds]
    assert lines("infogan", *unmoved)[-2]["met"] == "no"
    counts = [
        row(labels=labels, seed=seed, head=value, supervised=0.9, minutes=1.0)
        for labels in (10, 1)
        for seed, value in enumerate((0.97, 0.98, 0.99))
    ]
    shown = [(line["head, median"], line["worst"], line["met"]) for line in lines("half", *counts)]
    assert shown == [("0.98", "0.97", "yes"), ("0.98", "0.97", "")]


def test_bounds_of_throughput_are_a_gpus() -> None:
    values = {"size": 32, "compile": "none", "rate": 500.0, "images": 32_000.0}
    values |= {"share": 0.1, "sampled": 2e5}
    rows = [
        row(recipe="infogan", **{**values, **more})
        for more in (
            {"width": 64},
            {"width": 64, "device": "cuda"},
            {"width": 64, "device": "cuda", "images": 29_999.0},
            {"width": 32, "device": "cuda"},
        )
    ]
    assert [line["met"] for line in lines("throughput", *rows)] == ["", "yes", "no", ""]


def test_purity_is_the_share_of_the_most_frequent_class() -> None:
    categories, labels = np.array([0, 0, 0, 2, 2, 2]), np.array([1, 1, 0, 0, 0, 0])
    assert infogan.purity(categories, labels) == pytest.approx(5 / 6)
    assert infogan.purity(np.zeros(6, int), labels) == pytest.approx(4 / 6)


def test_what_codes_move() -> None:
    spearman = {"slant": np.array([-0.95, 0.1]), "width": np.array([0.2, np.nan])}
    assert infogan.moved(spearman) == {"slant": 0.95, "width_factor": 0.2, "moved": 0.1}


def test_fewer_labels_are_among_more(digits: tuple[Arrays, Arrays]) -> None:
    train, _ = digits
    few, more, other = (half.labelled(train, n, s).labels for n, s in ((1, 0), (3, 0), (1, 1)))
    assert (few >= 0).sum() == 10 and (more >= 0).sum() == 30
    assert (more[few >= 0] == few[few >= 0]).all() and (few != other).any()
    assert (few[few >= 0] == train.labels[few >= 0]).all()


def test_selection_is_compared_on_the_same_held_out_digits(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, more, other = (selection.digits(n, seed) for n, seed in ((2, 0), (3, 0), (2, 1)))
    assert [len(part) for part in few] == [20, 200, 600]
    assert few[2].ids == more[2].ids == other[2].ids
    assert set(few[0].ids) < set(more[0].ids) and set(few[0].ids) != set(other[0].ids)
    assert len({*more[0].ids, *more[1].ids, *more[2].ids}) == 30 + 200 + 600
    options = ["--kept", "1", "--surplus", "2", "--steps", "2", "--width", "4", "--judge", "2"]
    options += ["--probability", "0", "--candidates", "100", "--seeds", "0"]
    selection.main(["--quick", "--device", "cpu", *options])
    assert "random keeping" in capsys.readouterr().out
    assert not list(elsewhere.glob("*.json"))
    kept = [
        row(arm="margin", labels=10, seed=seed, classic=0.5, random=0.6, accuracy=0.6 + gain,
            gain=gain)
        for seed, gain in enumerate((0.03, -0.01))
    ]  # fmt: skip
    (line,) = lines("selection", *kept)
    assert (line["gain, points"], line["worst"], line["its std"]) == ("+1.00", "-1.00", "2.83")
    assert (line["accuracy"], line["random keeping"]) == ("0.6100", "0.6000")
    assert lines("selection", kept[0])[0]["its std"] == ""


def test_operations_are_counted() -> None:
    matrix = torch.ones(8, 8)
    assert throughput.product_flops(8) == 2 * 8 * 8 * 8
    with throughput.Counted() as counted:
        matrix @ matrix
    assert counted.flops == throughput.product_flops(8)
    weight = torch.ones(5, 3, 3, 3, requires_grad=True)
    images = torch.ones(2, 3, 6, 6)
    forward = 2 * 2 * 5 * 4 * 4 * 3 * 3 * 3
    with throughput.Counted() as counted:
        torch.nn.functional.conv2d(images, weight).sum().backward()
    assert counted.flops == 2 * forward  # images need no gradient


def test_judge_is_read_and_not_fitted_again(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mnist.Judge(1, torch.device("cpu"))
    monkeypatch.setattr(judge, "fit_classifier", lambda *_, **__: pytest.fail("fitted again"))
    assert mnist.Judge(1, torch.device("cpu")).classifier.digest == first.classifier.digest
    assert len(list(elsewhere.glob("cache/*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, "yes"),
        ({"adopted": 0.979}, "no"),
        ({"adopted": 0.98, "pseudo_labels": 0.981}, "no"),
        ({"gain": 0.019}, "no"),
        ({"low": 0.0}, "no"),
    ],
)
def test_uplift_is_met_by_accuracy_rival_gain_and_interval(changes, met: str) -> None:
    values = {"classic": 0.95, "pseudo_labels": 0.97, "adopted": 0.985, "gain": 0.035, "low": 0.01}
    subset = row(case="10 labels", seed=0, taken=3000, taken_right=0.99, **values | changes)
    assert [line["met"] for line in lines("uplift", subset)] == [met]


@pytest.mark.parametrize(
    ("recall", "false", "met"), [(0.95, 0.01, "yes"), (0.94, 0.0, "no"), (1.0, 0.011, "no")]
)
def test_a_copier_is_met_in_every_subset(recall: float, false: float, met: str) -> None:
    rows = [
        row(case="copier: digits", seed=0, recall=1.0, false_alarms=0.0),
        row(case="copier: digits", seed=1, recall=recall, false_alarms=false),
    ]
    assert [line["met"] for line in lines("uplift", *rows)] == [met]


def test_a_killed_run_goes_on_where_it_was(elsewhere: Path) -> None:
    options = argparse.Namespace(quick=False, again=False, **SETTING | {"device": CPU})
    keys = [{"case": "copier: digits", "seed": seed} for seed in range(3)]
    measured: list[int] = []

    def measure(case: str, seed: int, options: object) -> dict[str, float]:
        measured.append(seed)
        if measured == [0, 1]:
            raise KeyboardInterrupt
        return {"recall": 1.0, "false_alarms": 0.0}

    def collect(keys: list[dict[str, object]]) -> None:
        full_form = [{"case": "copier: digits", "seed": seed} for seed in range(3)]
        runs.collect("uplift", options, keys, measure, full_form, ("case", "seed"))

    with pytest.raises(KeyboardInterrupt):
        collect(keys)
    stored = results.load("uplift")
    assert [row["seed"] for row in stored["rows"]] == [0] and stored["owed"] == keys[1:]
    assert {"date", "hardware", "command"} <= set(stored)
    collect(keys)
    assert measured == [0, 1, 1, 2] and not results.load("uplift")["owed"]
    options.width += 1  # another setting has rows of its own
    collect(keys[:1])
    assert measured[4:] == [0] and len(results.load("uplift")["rows"]) == 4
    collect([])  # only notes what is owed
    options.again = True
    collect(keys[:1])
    assert measured[5:] == [0] and len(results.load("uplift")["rows"]) == 4


def test_parts_are_disjoint_and_follow_their_seed() -> None:
    data = mnist.small_digits()
    counts = [np.full(10, 20), np.r_[np.full(9, 5), 0], np.full(10, 10_000)]
    parts, again, other = (generated.parts(data, counts, seed) for seed in (0, 0, 1))
    assert np.bincount(parts[0].labels).tolist() == [20] * 10
    assert np.bincount(parts[1].labels).tolist() == [5] * 9
    assert sorted(name for part in parts for name in part.ids) == sorted(data.ids)
    assert [part.ids for part in parts] == [part.ids for part in again]
    assert parts[0].ids != other[0].ids


@pytest.mark.parametrize(
    ("said", "dose", "longer", "gain", "right"),
    [
        ("helps", 0.5, "helps", 0.01, True),
        ("helps", 0.5, "no difference", 0.01, False),
        ("harms", 0.5, "harms", -0.01, True),
        ("harms", 0.5, "helps", 0.01, False),
        ("no difference", 0.5, "no difference", 0.03, True),
        ("no difference", 0.5, "helps", 0.02, True),  # too little for what it saw
        ("no difference", 0.5, "helps", 0.021, False),
        ("no difference", 0.0, "harms", -0.05, True),
        ("no difference", 0.0, "helps", 0.01, False),  # a dose that helps was missed
    ],
)
def test_when_a_verdict_is_right(
    said: str, dose: float, longer: str, gain: float, right: bool
) -> None:
    short = {"verdict": said, "dose": dose, "low": -0.02, "high": 0.02}
    arm = {"verdict": longer, "gain": gain} if dose else {}
    assert generated.right(short, arm, [None, longer]) is right


def test_what_is_written_follows_the_verdict_of_each_class(
    uplift_report: Callable[..., UpliftReport],
) -> None:
    data = mnist.small_digits()
    train, made = generated.parts(data, [np.full(10, 4), np.full(10, 8)], 0)
    gains = {name: ClassGain(0.1, 0.05, 0.2, "helps", 1.5) for name in train.classes}
    gains["3"] = ClassGain(0.1, 0.05, 0.2, "harms", 0.0)
    written = generated.what_is_written(train, made, uplift_report(per_class=gains))
    assert np.bincount(written.labels).tolist() == [6, 6, 6, 0, 6, 6, 6, 6, 6, 6]
    assert set(written.ids) <= set(made.ids)
    no_gain = uplift_report(dose=0.0, per_class=dict.fromkeys(train.classes, gains["3"]))
    assert not len(generated.what_is_written(train, made, no_gain))


def generated_row(**values: object) -> dict[str, object]:
    return row(generator=0, classifiers=2, minutes=1.0, **{"learner": "judge", **values})


@pytest.mark.parametrize(
    ("rare", "others", "met"),
    [(0.03, -0.002, "yes"), (0.029, 0.0, "no"), (0.04, -0.0021, "no")],
)
def test_rare_classes_gain_in_the_mean_and_others_lose_nothing(
    rare: float, others: float, met: str
) -> None:
    values = {"rare_oversampling": 0.8, "rare_synthetic": 0.8 + rare, "others_gain": others}
    rows = [
        generated_row(case="rare", rare_gain=rare + more, **values) | {"seed": seed}
        for seed, more in enumerate((-0.01, 0.01))
    ]
    (line,) = lines("generated", *rows)
    assert (line["met"], line["subsets"], line["classifiers each"]) == (met, "2", "2")
    assert "stopped" not in line["reached"]
    refused = generated_row(case="rare", rare_gain=0.0, others_gain=0.0, stopped="why")
    (line_with,) = lines("generated", *rows, refused | {"seed": 2})
    assert "in 1 synth stopped" in line_with["reached"]
    once = [*rows, *[{**rows[0], "generator": 1}] * 9]  # more generators of one subset
    assert lines("generated", *once)[0]["reached"].split("%")[0] == line["reached"].split("%")[0]


def test_a_few_labels_show_what_samples_add_by_each_family() -> None:
    arms = {"classic": 0.5, "adopted": 0.8, "synthetic": 0.6, "adopted+synthetic": 0.79}
    rows = [
        generated_row(case="1 label", labels=1, learner=learner, **arms)
        for learner in ("judge", "svc")
    ]
    first, second = lines("generated", *rows)
    assert (first["case"], second["case"]) == ("1 label", "1 label, by svc")
    assert "samples +10.0%" in first["reached"] and "images -1.0%" in first["reached"]
    assert first["bound"] == "none" and not first["met"]


def test_rare_digits_are_cut_and_their_places_filled() -> None:
    train, away, rare = transfer.cut("3", 1)
    counts = np.bincount(train.labels, minlength=10)
    assert (counts[rare] == 3).all() and sorted(counts)[2:] == [400] * 8
    assert (np.bincount(away.labels, minlength=10) == 400 - counts).all()
    assert not set(train.ids) & set(away.ids)
    assert set(transfer.cut("1", 1)[0].ids) < set(train.ids)
    added = away.take(np.flatnonzero(away.labels == rare[0])[:100])
    filled = transfer.filled(train, added)
    assert (np.bincount(filled.labels) == transfer.EACH).all()
    assert set(filled.ids) == set(train.ids) | set(added.ids)
    assert set(transfer.filled(train).ids) == set(train.ids)
    both = away.take(np.flatnonzero(np.isin(away.labels, rare)))
    swapped = transfer.swapped(both, rare)
    assert (swapped.labels != both.labels).all() and set(swapped.labels) == set(rare)


def test_a_bender_of_no_step_copies_and_never_saw_the_rare_digits() -> None:
    run = transfer.bender(1, 0, 0, 4, CPU)
    train, _, rare = transfer.cut("1", 1)
    assert set(run.feed.at(0).labels.tolist()) <= set(range(10)) - set(rare.tolist())
    copies = transfer.made(run, train, rare, 3)
    assert copies.labels.tolist() == np.repeat(rare, 3).tolist()
    for label in rare:
        source = train.pixels[train.labels == label].astype(float)
        assert np.abs(copies.pixels[copies.labels == label] - source).mean() < 4


@pytest.mark.parametrize(
    ("case", "gains", "others", "met"),
    [
        ("10", (0.03, 0.02), 0.0, "yes"),  # half of what is lacking, 0.05
        ("10", (0.03, 0.01), 0.0, "no"),
        ("3", (0.06, 0.04), -0.002, "yes"),
        ("3", (0.06, 0.04), -0.0021, "no"),
        ("3", (0.12, -0.01), 0.0, "no"),  # as much in the mean, and not in every subset
        ("1", (0.1, 0.06), 0.0, "no"),
    ],
)
def test_made_images_have_a_bound_in_each_case(
    case: str, gains: tuple[float, float], others: float, met: str
) -> None:
    values = {"real": 0.95, "copier": 0.9, "shuffled": 0.9, "label_accuracy": 1.0}
    for tuned, weak in (("oversampling", "stronger"), ("stronger", "oversampling")):
        made = {"oversampling": "made", "stronger": "made_stronger"}
        values |= {tuned: 0.9, f"others_{tuned}": 0.99, f"others_{made[tuned]}": 0.99 + others}
        values |= {weak: 0.8, f"others_{weak}": 0.9, f"others_{made[weak]}": 0.9, made[weak]: 0.9}
        rows = [
            row(case=case, **values) | {"seed": seed, made[tuned]: 0.9 + gain}
            for seed, gain in enumerate(gains)
        ]
        again = [{**line, "generator": 1} for line in rows]  # is no further subset
        for measured in (rows, [*rows, *again]):
            line = tables.tables("transfer", measured)[0].to_dict("records")[0]
            assert (line["met"], line["subsets"]) == (met, "2")
            assert line["rival"] == "90.0%"


@pytest.mark.parametrize(("accuracy", "met"), [(0.98, "yes"), (0.979, "no")])
def test_synthetic_images_alone_have_a_bound(accuracy: float, met: str) -> None:
    (line,) = lines(
        "generated", generated_row(case="synthetic only", synthetic_only=accuracy, real=0.99)
    )
    assert line["met"] == met and "real alone at as many steps 0.99" in line["reached"]


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, "yes"),
        ({"right": False}, "no"),  # the second of ten
        ({"written_gain": -0.0021}, "no"),
        ({"written_gain": -0.002}, "yes"),
        ({"shuffled": "no difference"}, "no"),
    ],
)
def test_verdicts_are_met_in_nine_of_ten_repeats(changes: dict[str, object], met: str) -> None:
    values = {"verdict": "helps", "right": True, "written_gain": 0.01, "shuffled": "harms"}
    rows = [generated_row(case="20 per class: digits", **values) for _ in range(10)]
    rows[0] |= {"right": False, "verdict": "no difference"}
    rows[1] |= changes
    (line,) = lines("generated", *rows)
    assert line["met"] == met and "helps 9, no difference 1" in line["reached"].replace("%", "")
