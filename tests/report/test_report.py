"""The report: what stands on the page, that nothing on it is a danger, and what a browser sees."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from augment import params
from augment.data import images, places, table
from augment.report import charts, pictures, words
from augment.report import run as report
from augment.report.charts import Axes, Series
from augment.report.elements import Interval, Intervals
from augment.report.sources import ReportError
from augment.score.uplift.arms import ARMS
from augment.write import gates

HOSTILE = "<script>alert(1)</script>"
CLASSES = ["0", "1", HOSTILE]
KEYS = ["flow", "classes", "cleaning", "training", "codes", "gates", "scores", "per-class",
        "uplift", "confusion", "suspects", "adopted", "provenance"]  # fmt: skip
HISTORY = [
    {"step": step, "kid": 0.5 / step, "kid_train": 0.4 / step, "g_adversarial": 1.0,
     "d_adversarial": 0.6, "accuracy": 0.7, "variance": None}
    for step in (100.0, 200.0, 300.0)
]  # fmt: skip


def arm(mean: float) -> dict[str, Any]:
    recalls = dict.fromkeys(CLASSES, mean)
    return {"mean": mean, "std": 0.002, "values": [mean], "valid": mean, "per_class": recalls}


def gain(change: float, verdict: str) -> dict[str, Any]:
    ends = {"low": change - 0.004, "high": change + 0.004}
    return {"gain": change, **ends, "verdict": verdict, "dose": 0.5 if change > 0 else 0}


def uplift() -> dict[str, Any]:
    arms = {"real": 0.92, "classic": 0.96, "synthetic@0.5": 0.9711, "synthetic@1": 0.968,
            "adopted": 0.972, "shuffled": 0.8}  # fmt: skip
    return {
        "classic": arm(0.96),
        "written": arm(0.9711),
        "gain": arm(0.0111),
        "seeds": [0, 1, 2],
        "steps": 200,
        "arms": {name: arm(mean) for name, mean in arms.items()},
        "policy": "affine",
        "adopted": False,
        "dose": 0.5,
        "chosen_on": "valid",
        "low": 0.0042,
        "high": 0.0181,
        "mcnemar": 0.0031,
        "verdict": "helps",
        "per_class": {
            "0": gain(0.02, "helps"),
            "1": gain(-0.01, "harms"),
            HOSTILE: gain(0.001, "no difference"),
        },
        "learning_curve": [{"images": 10, "accuracy": 0.9}, {"images": 60, "accuracy": 0.98}],
        "equal_images": 57,
        "data_multiplier": 1.9,
        "parts": {"adopted": gain(0.012, "helps"), "synthetic": gain(0.0111, "helps")},
        "samples": gain(0.0111, "helps"),
        "controls": {"shuffled": gain(-0.16, "harms")},
        "confusion": {
            "classes": CLASSES,
            "before": [[9, 1, 0], [0, 10, 0], [2, 0, 8]],
            "after": [[10, 0, 0], [0, 10, 0], [1, 0, 9]],
        },
    }


def stages() -> dict[str, dict[str, Any]]:
    """What the stages would have reported; the keys are those that the stages write."""
    per_class = {
        "wanted": 4, "accepted": 4, "candidates": 7, "acceptance_rate": 4 / 7,
        "rejected": {"label": 1, "copy": 2, "duplicate": 0},
    }  # fmt: skip
    score = {"kid": 0.01, "label_accuracy": 0.99, "floor": {"kid": 0.02, "label_accuracy": 1.0}}
    written = {"real": 60, "synthetic": 12, "left_out": {"unlabelled": 3, "over_dose": 1}}
    return {
        "ingest": {
            "source": "builtin:digits", "read": 70, "kept": 68, "rejected": 2, "unlabelled": 3,
            "splits": {"train": 36, "valid": 12, "test": 12},
        },
        "clean": {
            "in": 68, "kept": 63, "dropped": 5, "checks": {"blank": 5, "too_small": 0},
            "thresholds": {"blank": 0.05, "too_small": 0.02}, "size": [8, 8], "mode": "L",
            "resize": "pad", "after": dict.fromkeys(CLASSES, 20),
        },
        "train": {
            "generator": "4e41", "images": {"train": 36, "valid": 12, "unlabelled": 3},
            "steps": 300, "best": {"step": 300, "kid": 0.1}, "history": HISTORY,
            "rollbacks": [{"step": 200, "restored": 100, "name": "mode_collapse",
                           "evidence": HOSTILE, "advice": "raise the weights"}],
        },
        "codes": {
            "names": {"slant": {}},
            "continuous": [{"code": 0, "name": "slant", "class_changes": 0.0,
                            "spearman": {"slant": 0.7, "width": -0.2}}],
        },
        "adopt": {
            "unlabelled": 3, "adopted": 2, "per_class": {"0": 2}, "method": "agreement",
            "temperature": 1.3, "calibration_error": 0.01, "threshold": 0.97,
            "accuracy_valid": 0.99,
        },
        "synth": {
            "accepted": 12, "copy_threshold": 0.1, "per_class": dict.fromkeys(CLASSES, per_class),
        },
        "score": score | {"per_class": {name: {"kid": 0.01} for name in CLASSES}}
        | {"uplift": uplift()},
        "write": written | {"inputs": {"data/clean": "af31"}, "seeds": [0], "licence": "unknown"},
    }  # fmt: skip


Built = Callable[..., Path]


@pytest.fixture
def built(tmp_path: Path, digits_table: Callable[..., Path]) -> Built:
    """Writes a project in which every stage, or only some, seems to have run."""

    def build(reports: dict[str, dict[str, Any]], *, tables: bool = True) -> Path:
        root = tmp_path / "project"
        (root / "reports/progress").mkdir(parents=True)
        settings = {
            "ingest": {"source": "builtin:digits"},
            "write": {"gates": ["label_accuracy >= 0.5", "fid <= 1e-9"]},
            "report": {"images": 4, "suspects": 3},
        }
        (root / "params.yaml").write_text(yaml.safe_dump(settings))
        for stage, body in reports.items():
            (root / f"reports/{stage}.json").write_text(json.dumps(body))
        if "score" in reports:
            results = gates.check_gates(settings["write"]["gates"], reports["score"])
            body = {"gates": gates.records(results)}
            (root / "reports/gates.json").write_text(json.dumps(body))
        if tables:
            fill(root, digits_table(tmp_path / "digits"))
        return root

    return build


def fill(root: Path, digits: Path) -> None:
    """Tables: digits 0, 1 and 2, the last under a hostile name; samples are inverted digits."""
    rows = [row for row in table.rows(digits) if row["label"] in "012"]
    for row in rows:
        row["label"] = CLASSES[int(row["label"])]
    train = [row for row in rows if row["split"] == "train"]
    with table.TableWriter(root / places.CLEAN) as writer:
        for row in rows:
            writer.add(row)
    with table.TableWriter(root / places.SYNTHETIC) as writer:
        for place, row in enumerate(train[:12]):
            data = images.encode(255 - images.pixels(row["image"]["bytes"], "L"))
            near = {"nearest_real": row["id"], "nearest_distance": 12.0 - place}
            made = {"id": f"s{place:02}", "image": {"bytes": data}, "origin": "synthetic"}
            writer.add(row | made | near)
    with table.TableWriter(root / places.ADOPTED) as writer:
        for row in train[:2]:
            writer.add(row | {"label_probability": 0.98})
    with table.TableWriter(root / places.QUARANTINE) as writer:
        for row in train[:5]:
            writer.add(row)
    lines = [f"{row['id']},drop,blank;too_small" for row in train[:5]]
    (root / "reports/clean.csv").write_text("\n".join(["id,verdict,reasons", *lines]))
    frames = [np.full((24, 24, 3), level, np.uint8) for level in (0, 200)]
    (root / "reports/progress/training.gif").write_bytes(images.animation(frames))
    (root / "reports/codes.png").write_bytes(images.encode(frames[1]))


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, and the text of each kind of element."""

    def __init__(self, root: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.source = (root / report.PAGE).read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in ("meta", "link", "img", "path", "polyline", "circle", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, f"{tag} closed out of turn"

    def handle_data(self, text: str) -> None:
        if text.strip():
            self.texts.append((self.open[-1] if self.open else "", " ".join(text.split())))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *tags: str) -> str:
        return " ".join(text for tag, text in self.texts if not tags or tag in tags)


def render(root: Path) -> Page:
    report.run(params.load(root / "params.yaml").report, root)
    return Page(root)


def test_gates_are_judged_on_the_page(built: Built) -> None:
    page = render(built(stages())).text()
    assert "Where one fails nothing is written." in page
    assert "label_accuracy 0.99 >= 0.5 passed" in page
    assert re.search(r"fid not measured <= 1e-0?9 failed", page)


def test_sections_in_order_and_nothing_missing(built: Built) -> None:
    root = built(stages())
    written = report.run(params.load(root / "params.yaml").report, root)
    page = Page(root)
    assert written["shown"] == KEYS and written["missing"] == []
    assert [section["id"] for section in page.all("section")] == KEYS
    assert written["bytes"] == (root / report.PAGE).stat().st_size
    assert json.loads((root / "reports/report.json").read_text()) == written
    assert page.open == [] and page.text("h1") == written["verdict"] == "The written set helps."


def test_the_page_stands_alone_and_every_figure_names_its_numbers(built: Built) -> None:
    root = built(stages())
    page = render(root)
    assert all(
        attributes["src"].startswith("data:image/") and attributes["alt"]
        for attributes in page.all("img")
    )
    links = [attributes["href"] for attributes in page.all("a")]
    for link in links:
        inside = link.removeprefix("#") in KEYS
        assert inside or ((root / "reports" / link).is_file() and link.endswith(".json")), link
    assert sum(not link.startswith("#") for link in links) > len(page.all("figure"))
    assert not re.search(
        r"""(src|href|action)\s*=\s*["']?(https?:|//)|@import|url\(""", page.source
    )
    assert not {
        name for _, attributes in page.elements for name in attributes if name.startswith("on")
    }
    assert {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "form"} == set()
    assert len(page.all("svg")) == page.source.count('<svg role="img"') > 5
    assert page.source.count("<desc>") == len(page.all("svg"))


def test_bits_are_on_the_page_of_a_model_that_has_them(built: Built) -> None:
    reports = stages()
    history = [row | {"bits": 400 / row["step"]} for row in HISTORY]
    reports["train"] = reports["train"] | {"history": history}
    page = render(built(reports)).text()
    assert "Valid images cost it 1.33 bits a dimension." in page
    assert "At the end: of valid images 1.33." in page


def test_no_bits_are_spoken_of_without_a_density(built: Built) -> None:
    assert "bits" not in render(built(stages())).text().lower()


def test_a_hostile_label_is_text(built: Built) -> None:
    page = render(built(stages()))
    assert len(page.all("script")) == 1
    assert "<script>alert" not in page.source
    seen = {tag for tag, text in page.texts if HOSTILE in text}
    assert {"td", "span", "title"} <= seen  # a table's cell, a strip's name, a chart's hint
    assert not seen & {"script", "style"}


def test_a_sample_is_said_beside_its_scores(built: Built) -> None:
    reports = stages()
    reports["score"]["sampled"] = {"train": {"images": 36, "of": 360}}
    assert "Judged on a sample: 36 of 360 train images." in render(built(reports)).text()


def test_the_numbers_of_the_uplift_are_on_the_page(built: Built) -> None:
    text = render(built(stages())).text()
    for words_ in (
        "97.11 %",
        "+1.11 points",
        "it holds samples at dose 0.5 (none in 1 of 3 classes) (chosen on valid images)",
        "3 classifiers an arm, 200 steps each; augment uplift measures longer",
        "Whose gain is it?",
        "The samples themselves: helps: +1.11 points",
        "+0.42 to +1.81",
        "× 1.90",
        "57 real images",
        "helps: +1.20 points",
        "p = 0.0031",
        "affine",
        "classic + synthetic, dose 0.5",
        "−16.00 · harms",
        "3 mistakes on 30",
    ):
        assert words_ in text  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "headline", "tone"),
    [
        ("helps", "The written set helps.", "good"),
        ("no difference", "The written set makes no difference.", "even"),
        ("harms", "The written set harms.", "bad"),
    ],
)
def test_the_verdict_comes_first(verdict: str, headline: str, tone: str, built: Built) -> None:
    reports = stages()
    reports["score"]["uplift"] |= {"verdict": verdict, "dose": 0}
    page = render(built(reports))
    assert (page.text("h1"), page.all("header")[0]["class"]) == (headline, tone)
    assert "nothing that could be added was better on valid images" in page.text("p")


def test_samples_that_earned_nothing_are_said_to(built: Built) -> None:
    """And so is a set that no valid image chose."""
    reports = stages()
    nothing = gain(-0.003, "no difference") | {"dose": 1.0}
    reports["score"]["uplift"] |= {
        "adopted": True, "dose": 0, "chosen_on": None, "samples": nothing,
    }  # fmt: skip
    page = render(built(reports)).text("p")
    earned = "The samples themselves earned nothing measurable: −0.30 points (−0.70 to +0.10) over "
    assert f"{earned}adopted images alone, at dose 1." in page
    labels = "adopted ones at their calibrated labels"
    assert f"it holds adopted images (no valid images, so {labels} and no samples)" in page
    assert "another set" not in page


def test_a_verdict_on_another_set_than_the_written_one_says_so(built: Built) -> None:
    reports = stages()
    reports["write"]["as_measured"] = False
    assert "written last is another set than this one" in render(built(reports)).text("p")


def test_what_was_not_judged_is_not_called_a_verdict(built: Built) -> None:
    reports = stages()
    uplift = reports["score"]["uplift"]
    uplift |= dict.fromkeys(("verdict", "low", "high", "mcnemar"))
    for spread in (
        uplift["classic"],
        uplift["written"],
        uplift["gain"],
        *uplift["arms"].values(),
    ):
        spread |= {"mean": None, "std": None, "values": [None]}
    page = render(built(reports))
    assert page.text("h1") == "Measured, but not judged."
    assert "no proof either way" in page.text("p")
    assert "There was no real test image to measure on." in page.text("p")
    assert "Not measured yet." in page.text("p")  # the confusion


def test_flow_counts_add_up(built: Built) -> None:
    text = render(built(stages())).text("span", "b", "li")
    for part in (
        "70 → 68",
        "2 rejected",
        "68 → 63",
        "5 in quarantine",
        "3 → 2",
        "21 → 12",
        "turned away: 3 label, 6 copy, 0 duplicate",
        "76 → 72",
    ):
        assert part in text  # fmt: skip
    assert "not looked at" not in text and "the labeller learned" not in text


def test_the_flow_says_what_was_a_sample(built: Built) -> None:
    reports = stages()
    reports["adopt"]["sampled"] = {"unlabelled": {"images": 2, "of": 3}}
    reports["train"]["sampled"] = {"labeller": {"images": 1000, "of": 4000}}
    text = render(built(reports)).text("span", "b", "li")
    assert "1 of them were not looked at (adopt.images)" in text
    assert "; the labeller learned from 1,000 of 4,000" in text


def test_the_nearest_pair_stands_first(built: Built) -> None:
    root = built(stages())
    page = render(root)
    made = list(table.rows(root / places.SYNTHETIC))
    real = {row["id"]: row for row in table.rows(root / places.CLEAN)}
    start = page.source.index('id="suspects"')
    shown = re.findall(r'src="data:image/png;base64,([^"]+)"', page.source[start:])
    for data, row in zip(shown, (made[-1], real[made[-1]["nearest_real"]]), strict=False):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            small = np.asarray(image.convert("L"))[6:-2:9, 6:-2:9]
        assert (small == images.pixels(row["image"]["bytes"], "L")).all()
    assert page.source[start:].index(" · 1</span>") < page.source[start:].index(" · 2</span>")


@pytest.mark.parametrize("ran", [[], ["ingest"], ["ingest", "clean"], ["ingest", "clean", "train"]])
def test_what_has_not_run_is_said(ran: list[str], built: Built) -> None:
    reports = stages()
    root = built({stage: reports[stage] for stage in ran}, tables=False)
    page = render(root)
    assert page.text("h1") == "Not measured yet."
    text = page.text()
    for stage in ("ingest", "clean", "train", "codes", "synth", "score", "write"):
        assert (f"not run yet: augment {stage}" in text) == (stage not in ran)
    assert not (set(ran) & {"train"}) or "Distance to real images" in text


@pytest.mark.parametrize("stage", sorted(stages()))
@pytest.mark.parametrize("text", ["{", "[]", "3", '{"uplift": 3, "checks": 1}', "\xff"])
def test_a_broken_report_is_an_error_that_names_it(stage: str, text: str, built: Built) -> None:
    root = built(stages(), tables=False)
    (root / f"reports/{stage}.json").write_bytes(text.encode("latin-1"))
    before = sorted(root.rglob("*.html"))
    with pytest.raises(ReportError, match=rf"reports/{stage}\.json") as caught:
        render(root)
    assert "\n" not in str(caught.value)
    assert sorted(root.rglob("*.html")) == before


def test_twice_the_same_bytes_and_no_clock(built: Built) -> None:
    root = built(stages())
    first = render(root).source
    assert render(root).source == first
    assert str(root) not in first
    assert len(first) < 5_000_000


def test_a_picture_that_is_too_large_stays_outside(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = built(stages())
    film = root / "reports/progress/training.gif"
    assert "image/gif" in render(root).source
    monkeypatch.setattr(pictures, "LARGEST", film.stat().st_size - 1)
    page = render(root)
    assert "image/gif" not in page.source
    assert "progress/training.gif" in page.text()  # where to look instead
    monkeypatch.setattr(pictures, "LARGEST", 1)
    assert "too large for this page: reports/codes.png" in render(root).text()
    (root / "reports/codes.png").unlink()
    assert "codes.png" not in render(root).text()


def test_a_finished_project_is_all_there(project: Path) -> None:
    """Against what the stages really write."""
    written = json.loads((project / "reports/report.json").read_text())
    assert {"classes", "cleaning", "training", "codes", "scores", "per-class", "suspects"} <= set(
        written["shown"]
    )


def test_lines_lie_where_their_numbers_say() -> None:
    axes = Axes("a", "b", "x", "y")
    svg = charts.lines(axes, [Series("s", [(0, 0), (4, 1)], [0, 0])], marks=[(2, "half")])
    assert re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg) == [
        ("56.00", "180.00"),
        ("338.00", "10.00"),
    ]
    assert 'd="M197.00 10V180"' in svg
    flat = charts.lines(axes, [Series("s", [(3, 0.5)])])  # one point: no division by nothing
    assert 'cx="197.00" cy="95.00"' in flat


def test_intervals_share_a_scale() -> None:
    rows = [Interval("a", -1, 0, 1, ""), Interval("b", 2, 2.5, 3, "")]
    shown = Intervals(rows, zero=0.0)
    assert [shown.place(value) for value in (-1, 1, 3)] == [2, 50, 98]
    assert Intervals([Interval("a", 1, 1, 1, "")]).place(1) == 50
    assert Intervals([Interval("a", 1, 1, 2, "")], zero=0.0).place(0) == 2


def test_words() -> None:
    assert (words.percent(0.98314), words.points(0.0042), words.points(-0.1)) == (
        "98.31 %",
        "+0.42",
        "−10.00",
    )
    assert [words.shown(value) for value in (None, "", 0, 1234, 0.98765432, "a")] == [
        "–", "–", "0", "1,234", "0.9877", "a",
    ]  # fmt: skip
    assert words.arm("adopted+synthetic@0.5") == "classic + adopted + synthetic, dose 0.5"
    assert words.dose_of("synthetic@2") == 2 and words.dose_of("synthetic_only") is None
    assert words.dose_of("adopted+synthetic@2") is None  # differs by more than the dose
    assert words.counted(1, "class", "classes") == "1 class"


@pytest.mark.parametrize("dose", ["", "@0.5"])
def test_every_arm_has_words_of_its_own(dose: str) -> None:
    titles = {words.arm(name + dose) for name in ARMS.names()}
    assert len(titles) == len(ARMS.names()) and not titles & {*ARMS.names()}


def test_confusion_of_many_classes_draws_what_was_counted() -> None:
    names = [str(place) for place in range(300)]
    counts = [[2 * (row == column) for column in range(300)] for row in range(300)]
    counts[0][7] = 1
    svg = charts.confusion("t", "d", names, counts)
    assert svg.count("<rect") == 301
    assert "<title>0 taken for 7: 1</title>" in svg
    assert charts.confusion("t", "d", names[:24], [[0] * 24] * 24).count("<rect") == 24**2


def test_confusion_is_shaded_by_share() -> None:
    svg = charts.confusion("t", "d", ["a", "b"], [[3, 1], [0, 0]])
    assert re.findall(r'class="(\w+)" x[^>]*fill-opacity="([\d.]+)"', svg) == [
        ("right", "0.750"), ("wrong", "1.000"), ("wrong", "0.000"), ("right", "0.000"),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser: Any, built: Built, width: int, scheme: str, tmp_path: Path) -> None:
    root = built(stages())
    render(root)
    address = (root / report.PAGE).as_uri()
    view = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = view.new_page()
    messages: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    page.screenshot(path=picture, full_page=True)
    with Image.open(picture) as image:
        level = np.median(np.asarray(image.convert("L")))
        assert image.width == width and len(image.getcolors(1 << 24) or ()) > 50
    assert level > 200 if scheme == "light" else level < 60
    loaded = "[...document.images].every((one) => one.complete && one.naturalWidth)"
    assert page.evaluate(loaded)
    assert messages == []
    assert [url for url in requested if not url.startswith("data:")] == [address]
    view.close()


def test_a_browser_sorts_by_number_and_back(browser: Any, built: Built) -> None:
    reports = stages()
    reports["clean"]["checks"] = {"blank": 9, "too_small": 10, "low_contrast": 2, "sharp": 2}
    reports["clean"]["thresholds"] = {"blank": 0.5, "low_contrast": 0.25, "sharp": 0.1}
    root = built(reports)
    render(root)
    page = browser.new_page()
    page.goto((root / report.PAGE).as_uri())
    rows = page.locator("#cleaning table.sortable tbody tr")

    def column(place: int) -> list[str]:
        return [row.locator("td").nth(place).inner_text() for row in rows.all()]

    press = page.locator("#cleaning th button").nth
    press(1).click()
    assert column(1) == ["2", "2", "9", "10"]
    press(1).click()
    assert column(1) == ["10", "9", "2", "2"]
    press(2).click()
    assert column(2) == ["0.1", "0.25", "0.5", "–"]
    press(2).click()
    assert column(2) == ["0.5", "0.25", "0.1", "–"]  # what has no value stays below
    heads = page.locator("#cleaning th").all()
    assert [head.get_attribute("aria-sort") for head in heads] == [None, None, "descending"]
    page.close()
