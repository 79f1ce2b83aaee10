"""Review: what is shown and in which order, who may ask, decisions by page, keys and sheets."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import shutil
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augment import cli
from augment.data import decisions, images, table
from augment.data.decisions import Decision
from augment.data.lookup import Lookup
from augment.review import sheets
from augment.review.cards import card
from augment.review.pictures import Pictures
from augment.review.queue import ReviewError, load
from augment.review.serve import serve

HOSTILE = "<script>alert(1)</script>\"'&"
LABELS = ("永", "7", HOSTILE)
HEAD = ("id,path,label,split,verdict,reasons,suggested_label,probability,cluster,repairs,decided,"
        "near_duplicate,wrong_label,blank")  # fmt: skip


def picture(number: int) -> bytes:
    pixels = np.full((10, 12), 255, np.uint8)
    pixels[2:8, 2 + number % 3 : 9] = number % 100
    pixels[0, :2] = divmod(number, 256)
    return images.encode(pixels)


def name(number: int) -> str:
    return hashlib.sha256(picture(number)).hexdigest()


def row(number: int, **facts: Any) -> table.Row:
    image = {"bytes": picture(number), "path": f"scans/{number}.png"}
    form = {"width": 12, "height": 10, "mode": "L"}
    split = ("train", "train", "test")[number // 3 % 3]
    label = LABELS[number % 3]
    return {"id": name(number), "image": image, "label": label, "split": split, "origin": "real",
            **form, **facts}  # fmt: skip


def line(number: int, verdict: str = "keep", reasons: str = "", **facts: Any) -> list[Any]:
    split = row(number)["split"]
    newer = [facts.get(key, "") for key in ("suggested", "probability", "cluster", "repairs")]
    measures = [facts.get(key, 1) for key in ("near_duplicate", "wrong_label", "blank")]
    return [name(number), f"scans/{number}.png", LABELS[number % 3], split, verdict, reasons,
            *newer, "", *measures]  # fmt: skip


def verdicts(root: Path, lines: list[list[Any]], head: str = HEAD) -> None:
    (root / "reports").mkdir(exist_ok=True)
    with open(root / "reports/clean.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head.split(","), *lines])


FLAGGED = [
    line(0, "drop", "near_duplicate", near_duplicate=0.2, cluster=4),
    line(1, "drop", "near_duplicate;blank", near_duplicate=0.1, cluster=4, blank=0.3),
    line(2, "drop", "near_duplicate", near_duplicate=0.3, cluster=5),
    line(3, "ask", "wrong_label", wrong_label=0.01, suggested="7", probability=0.93),
    line(4, "keep", "wrong_label", wrong_label=0.02, suggested=HOSTILE, probability=0.8),
    line(5, "repair", "blank", blank=0.1, repairs="invert;centre"),
    line(6, "relabel"),
    line(7, cluster=4),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty images of three classes, seven of them flagged; six synthetic ones."""
    root = tmp_path / "project"
    with table.TableWriter(root / "data/ingested") as writer:
        for number in range(40):
            writer.add(row(number))
    with table.TableWriter(root / "data/clean") as writer:
        writer.add(row(5) | {"image": {"bytes": picture(99), "path": "scans/5.png"}})
        for number in range(6, 40):
            writer.add(row(number))
    with table.TableWriter(root / "data/synthetic") as writer:
        for number in range(6):
            near = {"nearest_real": name(9 + number), "nearest_distance": float(number * 5 % 6)}
            sure = {"label_probability": (None, 0.9, 0.99, 0.95, 0.97, 0.91)[number]}
            writer.add(row(number, split="train", origin="synthetic", **near, **sure)
                       | {"id": f"s{number}"})  # fmt: skip
    verdicts(root, [*FLAGGED, *(line(number) for number in range(8, 40))])
    (root / decisions.FILE).write_text(decisions.HEADER)
    return root


def test_worst_first_by_check(root: Path) -> None:
    queue = load(root)
    assert {section: list(ids) for section, ids in queue.sections.items()} == {
        "near_duplicate": [name(1), name(0), name(2)],
        "wrong_label": [name(3), name(4)],
        "blank": [name(5), name(1)],
        "decided": [name(6)],
        "synthetic": ["s1", "s5", "s3", "s4", "s2", "s0"],
        "near_copies": ["s0", "s5", "s4", "s3", "s2", "s1"],
    }
    assert queue.classes == ["7", HOSTILE, "永"]
    assert queue.together(name(0)) == [name(0), name(1)] and queue.kept["4"] == [name(7)]
    assert queue.together(name(3)) == [name(3)] and queue.together("s0") == ["s0"]
    assert not set(queue.examples["7"]) & {name(1), name(4), name(8)}  # flagged, of the test split
    done = queue.progress([name(1), name(3), "s0", "gone"])
    assert done["flagged"] == (2, 7) and done["blank"] == (1, 2) and done["synthetic"] == (1, 6)


def test_clean_csv_of_an_older_clean(root: Path) -> None:
    head = "id,path,label,split,verdict,reasons,blank"
    verdicts(root, [[*FLAGGED[0][:4], "drop", "blank", 0.5], [*FLAGGED[7][:6], 1]], head)
    shutil.rmtree(root / "data/synthetic")
    queue = load(root)
    assert queue.sections == {"blank": [name(0)]}
    assert card(queue, Pictures(root), "blank", name(0), None).words[0] == "measure 0.5"


@pytest.mark.parametrize("text", [None, "", "id,label\n1,2\n", "id,id\n1,2,3\n1\n1,2,3,4,5\n"])
def test_clean_csv_that_is_none(text: str | None, root: Path) -> None:
    path = root / "reports/clean.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ReviewError, match=r"reports/clean\.csv: .* clean"):
        load(root)


def test_what_a_card_compares_with(root: Path) -> None:
    queue, pictures = load(root), Pictures(root)
    shown = card(queue, pictures, "wrong_label", name(3), None)
    assert [(group.title, group.label, len(group.addresses)) for group in shown.groups] == [
        ("typical", "永", 3), ("suggested", "7", 3),
    ]  # fmt: skip
    assert [shot.address for shot in shown.shots] == [f"image/ingested/{name(3)}"]
    cluster = card(queue, pictures, "near_duplicate", name(0), None)
    assert cluster.together == 2
    assert cluster.groups[-1].addresses == [f"image/ingested/{name(7)}"]
    repaired = card(queue, pictures, "blank", name(5), None)
    assert [(shot.address, shot.caption) for shot in repaired.shots] == [
        (f"image/ingested/{name(5)}", "before"),
        (f"image/clean/{name(5)}", "after: invert, centre"),
    ]
    pair = card(queue, pictures, "near_copies", "s0", None)
    assert [shot.address for shot in pair.shots] == [
        "image/synthetic/s0", f"image/clean/{name(9)}",
    ]  # fmt: skip


def test_typical_images_lie_in_the_middle(tmp_path: Path) -> None:
    levels = [250, 10, 120, 128, 0, 131, 255]
    ids = [f"{number}" for number in range(len(levels))]
    with table.TableWriter(tmp_path / "data/ingested") as writer:
        for number, level in enumerate(levels):
            data = images.encode(np.full((9, 9), level, np.uint8))
            writer.add(row(0) | {"id": ids[number], "image": {"bytes": data, "path": None}})
    assert Pictures(tmp_path).typical(tuple(ids)) == ["3", "5", "2"]


def test_lookup_finds_each_image_in_its_row_group(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table, "ROWS", 7)
    monkeypatch.setattr(table, "SHARD_BYTES", 2500)
    monkeypatch.setattr("augment.data.lookup.KEPT_BYTES", 1000)
    with table.TableWriter(tmp_path / "t") as writer:
        for number in range(50):
            writer.add(row(number))
    assert len(table.shards(tmp_path / "t")) > 2
    lookup = Lookup(tmp_path / "t")
    for number in [*range(0, 50, 3), *range(49, 0, -1)]:
        assert lookup[name(number)] == picture(number)
    assert sum(len(image) for group in lookup.kept.values() for image in group) <= 1000
    assert name(60) not in lookup
    with pytest.raises(KeyError):
        lookup[name(60)]


TOKEN = "token-of-the-test"
BASE = "http://127.0.0.1:8000"


@pytest.fixture
def client(root: Path) -> Any:
    pytest.importorskip("httpx", reason="httpx is not installed")
    testclient = pytest.importorskip("starlette.testclient", reason="starlette is not installed")
    from augment.review import server

    return testclient.TestClient(server.app(root, TOKEN), base_url=BASE)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", {}, 200),
        ("", {"host": "localhost:8000"}, 200),
        ("", {"origin": BASE}, 200),
        ("", {"host": "evil.example:8000"}, 403),
        ("", {"host": "127.0.0.1:8001"}, 403),
        ("", {"host": "127.0.0.1"}, 403),
        ("", {"host": ""}, 403),
        ("", {"origin": "http://evil.example"}, 403),
        ("", {"origin": "https://127.0.0.1:8000"}, 403),
        ("", {"origin": "null"}, 403),
        ("page.css", {}, 200),
        ("page.py", {}, 404),
        ("server.py", {}, 404),
        (f"image/ingested/{name(0)}", {}, 200),
        (f"image/ingested/{name(77)}", {}, 404),
        (f"image/quarantine/{name(0)}", {}, 404),
        ("image/ingested/..%2f..%2fparams.yaml", {}, 404),
        ("image/..%2f..%2fetc/passwd", {}, 404),
        ("%2e%2e/%2e%2e/%2e%2e/etc/passwd", {}, 404),
        ("..%2f..%2fdecisions.csv", {}, 404),
        ("typical/0/0", {}, 200),
        ("typical/0/3", {}, 404),
        ("typical/9/0", {}, 404),
        ("typical/-1/0", {}, 404),
        ("?show=nothing", {}, 404),
        ("cards?show=nothing&start=0", {}, 404),
        ("cards?show=blank&start=-1", {}, 404),
        ("cards?show=blank", {}, 404),
        ("cards?show=blank&start=999999", {}, 200),
        ("decide", {}, 405),
    ],
)
def test_who_may_ask_for_what(client: Any, path: str, headers: dict[str, str], status: int) -> None:
    answer = client.get(f"/{TOKEN}/{path}", headers=headers)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "http" not in policy
    assert "unsafe" not in policy and answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/wrong/", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", "/../", "//",
                                  f"/wrong/image/ingested/{name(0)}", "/favicon.ico"])  # fmt: skip
def test_a_wrong_token_gets_nothing(client: Any, path: str) -> None:
    assert client.get(path).status_code == 403
    assert client.post(path, json={}).status_code == 403


def test_what_stands_on_the_page_is_text(client: Any, root: Path) -> None:
    decisions.record(root / decisions.FILE, [Decision(name(3), "relabel", HOSTILE)])
    for path in ("?show=wrong_label", "cards?show=wrong_label&start=0"):
        text = client.get(f"/{TOKEN}/{path}").text
        assert "&lt;script&gt;alert" in text and "<script>alert" not in text
        assert " style=" not in text and " onclick" not in text and "http" not in text


def post(client: Any, *requests: dict[str, str], cluster: bool = False) -> Any:
    body = {"decisions": list(requests), "cluster": cluster, "section": "blank"}
    return client.post(f"/{TOKEN}/decide", json=body)


def test_a_decision_is_written_at_once(client: Any, root: Path) -> None:
    answer = post(client, {"id": name(0), "action": "relabel", "label": "7"}).json()
    now = {"action": "relabel", "label": "7"}
    assert answer["changed"] == [{"id": name(0), "before": None, "now": now}]
    assert answer["progress"]["flagged"] == [1, 7]
    stored = decisions.load(root / decisions.FILE)[name(0)]
    assert (stored.action, stored.label, stored.note) == ("relabel", "7", "blank")
    assert stored.when.endswith("+00:00")
    answer = post(client, {"id": name(0), "action": "drop"}, cluster=True).json()
    assert [(change["id"], change["before"]) for change in answer["changed"]] == [
        (name(0), now), (name(1), None),
    ]  # fmt: skip
    assert post(client, {"id": name(1), "action": "undo"}).json()["progress"]["blank"] == [0, 2]
    assert list(decisions.load(root / decisions.FILE)) == [name(0)]
    before = (root / decisions.FILE).read_bytes()
    assert post(client, {"id": name(3), "action": "undo"}).json()["changed"] == []
    assert (root / decisions.FILE).read_bytes() == before  # there was nothing to take back


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ({"id": name(77), "action": "drop"}, "no such image"),
        ({"id": "../x", "action": "drop"}, "no such image"),
        ({"id": name(0), "action": "burn"}, "unknown action 'burn'"),
        ({"id": name(0), "action": "relabel", "label": "x"}, "unknown class 'x'; known: 7"),
        ({"id": name(0), "action": "relabel"}, "relabel needs a label"),
        ({"id": "s0", "action": "relabel", "label": "7"}, "synthetic images take keep, drop, undo"),
        ({"id": "s0", "action": "repair"}, "synthetic images take"),
        ({"action": "drop"}, "not a decision"),
    ],
)
def test_what_cannot_be_decided(
    client: Any, root: Path, decision: dict[str, str], message: str
) -> None:
    answer = post(client, {"id": name(1), "action": "drop"}, decision)
    assert answer.status_code == 400 and message in answer.json()["error"]
    assert (root / decisions.FILE).read_text() == decisions.HEADER  # nor the one before it


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"decisions": 3}', '{"decisions": ["x"]}', "\xff"]
)
def test_bodies_that_are_no_decision(client: Any, root: Path, body: str) -> None:
    answer = client.post(f"/{TOKEN}/decide", content=body.encode("latin-1"))
    assert (answer.status_code, answer.json()) == (400, {"error": "not a decision"})


def test_a_broken_file_of_decisions_is_said(client: Any, root: Path) -> None:
    (root / decisions.FILE).write_text(decisions.HEADER + "x,kep,,,,\n")
    answer = post(client, {"id": name(0), "action": "drop"})
    assert answer.status_code == 409 and "line 2: unknown action 'kep'" in answer.json()["error"]
    assert client.get(f"/{TOKEN}/").status_code == 500
    assert "decisions.csv, line 2" in client.get(f"/{TOKEN}/").text


def test_a_stage_that_has_run_again_is_seen(client: Any, root: Path) -> None:
    assert "decided" in client.get(f"/{TOKEN}/").text
    verdicts(root, [line(0, "drop", "blank", blank=0.2), line(7)])
    shutil.rmtree(root / "data/synthetic")
    assert client.get(f"/{TOKEN}/?show=synthetic").status_code == 404
    assert 'data-count="1"' in client.get(f"/{TOKEN}/").text
    verdicts(root, [line(7)])
    assert "there is nothing to decide" in client.get(f"/{TOKEN}/").text


def test_images_come_small_and_as_png(client: Any, root: Path) -> None:
    large = np.random.default_rng(0).integers(0, 255, (600, 900, 3), np.uint8)
    jpeg = root / "large.jpg"
    Image.fromarray(large).save(jpeg)
    with table.TableWriter(root / "data/ingested", overwrite=True) as writer:
        writer.add(row(0) | {"image": {"bytes": jpeg.read_bytes(), "path": None}})
    client.get(f"/{TOKEN}/")
    answer = client.get(f"/{TOKEN}/image/ingested/{name(0)}")
    assert answer.headers["content-type"] == "image/png"
    assert images.decode(answer.content).size == (384, 256)


def test_sheets_there_and_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    decisions.record(root / decisions.FILE, [Decision(name(2), "drop")])
    run = CliRunner().invoke
    result = run(cli.app, ["review", "--sheet"])
    assert result.exit_code == 0 and "reports/review" in result.stdout
    folder = root / "reports/review"
    lines = list(csv.DictReader(open(folder / "review.csv", newline="", encoding="utf-8")))
    queue = load(root)
    order = [(check, name) for check, ids in queue.sections.items() for name in ids]
    assert [(line["check"], line["id"]) for line in lines] == order
    assert [line["number"] for line in lines[:4]] == ["1", "2", "3", "1"]
    assert lines[2]["action"] == "drop" and lines[3]["suggested_label"] == "7"
    assert {line["sheet"] for line in lines} == {path.name for path in folder.glob("*.png")}
    sheet = images.decode((folder / "near_copies-001.png").read_bytes())
    assert sheet.width > 6 * 2 * 96 and sheet.height > 96

    lines[0] |= {"action": "Drop"}
    lines[3] |= {"action": "relabel", "new_label": "7"}
    lines[2] |= {"action": "undo"}
    write_lines(folder / "review.csv", lines)
    result = run(cli.app, ["review", "--read", "reports/review/review.csv"])
    assert result.exit_code == 0, result.output
    recorded = decisions.load(root / decisions.FILE)
    assert {key: (made.action, made.label, made.note) for key, made in recorded.items()} == {
        name(1): ("drop", "", "near_duplicate"), name(3): ("relabel", "7", "wrong_label"),
    }  # fmt: skip
    before = (root / decisions.FILE).read_bytes()
    assert sheets.read(root, folder / "review.csv") == {}  # all of it stands already
    assert (root / decisions.FILE).read_bytes() == before
    with pytest.raises(ReviewError, match="reports/review is not empty"):
        sheets.sheet(root, folder)


def write_lines(path: Path, lines: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"action": "burn"}, "line 3: unknown action 'burn'"),
        (1, {"action": "relabel"}, "line 3: relabel needs a label"),
        (1, {"action": "relabel", "new_label": "x"}, "line 3: unknown class 'x'; known: 7"),
        (1, {"new_label": "7"}, "line 3: new_label without the action relabel"),
        (1, {"id": "x", "action": "drop"}, "line 3: no such image: x"),
        (6, {"action": "keep"}, "line 8: keep, but line 2 says drop of the same image"),
        (9, {"action": "repair"}, "line 11: repair: synthetic images take keep, drop, undo"),
    ],
)
def test_a_mistake_on_a_sheet_applies_nothing(
    root: Path, place: int, change: dict[str, str], message: str
) -> None:
    out = root / "sheets"
    sheets.sheet(root, out)
    lines = list(csv.DictReader(open(out / "review.csv", newline="", encoding="utf-8")))
    lines[0] |= {"action": "drop"}  # of the image that line 8 is about, too
    lines[place] |= change
    write_lines(out / "review.csv", lines)
    with pytest.raises(ReviewError) as caught:
        sheets.read(root, out / "review.csv")
    assert f"review.csv, {message}" in str(caught.value)
    assert (root / decisions.FILE).read_text() == decisions.HEADER
    with pytest.raises(ReviewError, match="augment review --sheet"):
        sheets.read(root, out / "none.csv")


@pytest.mark.parametrize(
    "options", [["--sheet", "--read", "x"], ["--out", "x"], ["--read", "x", "--out", "y"]]
)
def test_options_that_do_not_go_together(options: list[str]) -> None:
    assert CliRunner().invoke(cli.app, ["review", *options]).exit_code == 2


def test_a_missing_package_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "uvicorn" or None)
    with pytest.raises(ReviewError, match=r"uvicorn .* 'augment\[review\]'"):
        serve(root)


def test_the_address_can_be_opened_when_it_is_said(root: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("starlette", reason="starlette is not installed")

    def visit(text: str) -> None:
        address = urllib.parse.urlsplit(text.splitlines()[0])
        socket.create_connection((address.hostname, address.port), timeout=5).close()
        raise EOFError("visited")

    with pytest.raises(EOFError, match="visited"):
        serve(root, browser=False, say=visit)


Opened = Callable[..., Any]


@pytest.fixture
def served(root: Path) -> Iterator[Callable[[], str]]:
    """Starts the page of ``root`` on a free port; gives its address."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("starlette", reason="starlette is not installed")
    from augment.review import server

    running: list[Any] = []

    def start() -> str:
        config = uvicorn.Config(
            server.app(root, TOKEN), port=0, log_level="warning", lifespan="off", ws="none"
        )
        sockets = [config.bind_socket()]
        sockets[0].listen()  # as ``serve`` does
        running.append(uvicorn.Server(config))
        threading.Thread(target=running[-1].run, args=(sockets,), daemon=True).start()
        return f"http://127.0.0.1:{sockets[0].getsockname()[1]}/{TOKEN}/"

    yield start
    for page_server in running:
        page_server.should_exit = True


@pytest.fixture
def opened(browser: Any, served: Callable[[], str]) -> Iterator[Opened]:
    """Opens the page as often as asked for, in windows of their own; none may say anything."""
    address = served()
    said: list[str] = []
    windows: list[Any] = []

    def open_page(show: str = "", **options: Any) -> Any:
        windows.append(
            browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        )
        page = windows[-1].new_page()
        page.on("console", lambda message: "409" in message.text or said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on(
            "request", lambda request: request.url.startswith(address) or said.append(request.url)
        )
        page.goto(f"{address}?show={show}" if show else address)
        page.wait_for_selector(".card.current")
        return page

    yield open_page
    for window in windows:
        window.close()
    assert said == []


def pressed(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def progress(page: Any, text: str) -> None:
    """Waits until the page says so; what it says has been written."""
    page.locator("[data-progress=flagged]", has_text=text).wait_for()


def standing(root: Path) -> dict[str, str]:
    return {
        key: made.action + made.label
        for key, made in decisions.load(root / "decisions.csv").items()
    }


def test_keys_decide(opened: Opened, root: Path) -> None:
    page = opened()
    pressed(page, "d", "ArrowRight", "k")
    progress(page, "2 of 7")
    assert standing(root) == {name(1): "drop", name(2): "keep"}
    assert page.locator("[data-action=drop] .verdict").inner_text() == "drop"
    pressed(page, "u")
    progress(page, "1 of 7")
    assert standing(root) == {name(1): "drop"}
    assert page.locator(".card.current").get_attribute("data-id") == name(2)  # back where it was
    pressed(page, "r")
    progress(page, "2 of 7")
    pressed(page, "u", "u")
    progress(page, "0 of 7")
    assert standing(root) == {}
    page.reload()
    page.wait_for_selector(".card.current")
    pressed(page, "c")
    assert page.locator(".card.joined").count() == 2
    pressed(page, "d")
    progress(page, "2 of 7")
    assert standing(root) == {name(1): "drop", name(0): "drop"}
    assert "2 images" in page.locator(".said").inner_text()
    pressed(page, "u")
    progress(page, "0 of 7")


def test_the_page_explains_its_keys(opened: Opened) -> None:
    text = opened().locator(".keys").inner_text()
    for words in ("K keep", "D drop", "L relabel", "R repair", "C whole cluster", "U undo"):
        assert words in " ".join(text.split())


def test_relabel_takes_the_suggestion_or_a_known_class(opened: Opened, root: Path) -> None:
    page = opened("wrong_label")
    pressed(page, "l", "Enter")
    progress(page, "1 of 7")
    assert standing(root) == {name(3): "relabel7"}
    pressed(page, "l")
    field = page.locator("dialog input")
    assert field.input_value() == HOSTILE
    field.fill("unknown")
    pressed(page, "Enter")
    assert page.locator("dialog .fault").inner_text() == "There is no such class."
    pressed(page, "Escape", "l")
    field.fill("永")
    pressed(page, "Enter")
    progress(page, "2 of 7")
    assert standing(root)[name(4)] == "relabel永"
    assert page.locator(".card.current .verdict").inner_text() == "relabel → 永"
    pressed(page, "u")
    progress(page, "1 of 7")


def test_buttons_decide_by_touch(opened: Opened, root: Path) -> None:
    page = opened("blank", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.locator(".card").nth(1).get_by_role("button", name="Drop").tap()
    progress(page, "1 of 7")
    assert standing(root) == {name(1): "drop"}
    page.locator(".card").nth(1).get_by_role("button", name="Undo").tap()
    progress(page, "0 of 7")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_synthetic_images_are_struck_out(opened: Opened, root: Path) -> None:
    page = opened("near_copies")
    pressed(page, "l", "r", "d")  # only the last of these is for synthetic images
    page.locator("[data-progress=synthetic]", has_text="1 of 6").wait_for()
    assert standing(root) == {"s0": "drop"}


def test_two_pages_at_once_lose_nothing(opened: Opened, root: Path) -> None:
    first, second = opened("near_duplicate"), opened("wrong_label")
    for _ in range(2):
        pressed(first, "d")
        pressed(second, "k")
    first.locator(".card[data-action=drop]").nth(1).wait_for()
    second.locator(".card[data-action=keep]").nth(1).wait_for()
    assert standing(root) == {name(1): "drop", name(0): "drop", name(3): "keep", name(4): "keep"}
    first.goto(first.url.replace("near_duplicate", "wrong_label"))
    first.wait_for_selector(".card.current")
    assert first.locator(".card[data-action=keep]").count() == 2


def test_what_cannot_be_written_is_said(opened: Opened, root: Path) -> None:
    page = opened()
    (root / decisions.FILE).write_text("not,a,decision\n")
    pressed(page, "d")
    page.locator(".said.fault", has_text="decisions.csv, line 1").wait_for()
    assert page.locator(".card[data-action=drop]").count() == 0


LOAD = """() => Promise.all([...document.images].map((one) => {
  one.loading = "eager";
  return one.decode();
}))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1700])
def test_the_page_fits(opened: Opened, scheme: str, width: int, tmp_path: Path) -> None:
    page = opened("near_copies", viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(LOAD)  # raises for one that is not there
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    with Image.open(picture) as image:
        level = np.median(np.asarray(image.convert("L")))
    assert level > 200 if scheme == "light" else level < 60


FRAMES = """() => {
  window.frames_ = []; let last = performance.now();
  const next = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""


@pytest.fixture
def crowd(root: Path) -> int:
    """Puts ten thousand flagged images into the project."""
    count = 10_000
    with table.TableWriter(root / "data/ingested", overwrite=True) as writer:
        for number in range(count):
            writer.add(row(number))
    flags = {"suggested": "7", "probability": 0.9}
    verdicts(root, [line(n, "drop", "wrong_label", wrong_label=n / count, **flags)
                    for n in range(count)])  # fmt: skip
    return count


def test_ten_thousand_scroll(crowd: int, opened: Opened, root: Path) -> None:
    """Only what is near is loaded, and after a leap to the end the last ones are there."""
    page = opened()
    page.evaluate(FRAMES)
    page.mouse.move(600, 500)
    for _ in range(40):
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(16)
    frames = page.evaluate("frames_")
    assert page.evaluate("scrollY") > 10_000
    assert np.median(frames) < 50 and max(frames) < 1000  # on a busy machine; 17 and 50 alone
    cards = page.locator(".card")
    assert 48 <= cards.count() <= 6 * 48
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.locator(f".card[data-id='{name(crowd - 1)}'] .label").wait_for(timeout=5000)
    assert cards.count() <= 6 * 48
    page.keyboard.press("k")  # of the current one, which is the first still
    page.locator("[data-progress=flagged]", has_text="1 of 10,000").wait_for()
    assert list(decisions.load(root / decisions.FILE)) == [name(0)]
    page.reload()  # goes on where the decided ones end
    page.locator(f".card.current[data-id='{name(1)}']").wait_for()
