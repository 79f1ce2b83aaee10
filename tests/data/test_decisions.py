"""Decisions: any text comes back, errors name their line, and nobody's decision is lost."""

from __future__ import annotations

import csv
import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import new_project
from augment.data import decisions, edited_csv
from augment.data.decisions import COLUMNS, HEADER, Decision, DecisionError, load, record
from augment.data.edited_csv import HandwrittenError

TEXTS = ["", "7", "a,b", 'say "a"', "two\nlines", "a\r\nb", "a\rb", "=1+1", "-1", "+", "@x", "\tx",
         "'", "'=", "''", " x ", "永", "\ufeffx", "\x00"]  # fmt: skip
text = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]))
label = text.filter(str.strip)
made = st.builds(
    Decision,
    id=st.text("0123456789abcdef", min_size=1),
    action=st.sampled_from(["keep", "drop", "repair"]),
    who=text,
    when=text,
    note=text,
) | st.builds(Decision, id=st.just("r"), action=st.just("relabel"), label=label, note=text)


@settings(max_examples=60, deadline=None)
@given(st.lists(made, max_size=5, unique_by=lambda decision: decision.id))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, written: list) -> None:
    path = tmp_path_factory.mktemp("d") / "decisions.csv"
    record(path, written)
    assert load(path) == {decision.id: decision for decision in written}
    record(path, written)
    assert load(path) == {decision.id: decision for decision in written}


@pytest.mark.parametrize("text", TEXTS)
def test_no_cell_is_a_formula_for_a_spreadsheet(text: str) -> None:
    """Read as a program reads CSV; a spreadsheet calculates what begins with these."""
    line = edited_csv.line(["x", text, "y"])
    ((_, cell, _),) = csv.reader(io.StringIO(line, newline=""), strict=True)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.removeprefix("'") == text or cell == text


def test_the_last_line_of_an_image_counts(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    assert load(path) == {}
    record(path, [Decision("a", "drop"), Decision("b", "relabel", "7"), Decision("a", "keep")])
    assert {name: decision.action for name, decision in load(path).items()} == {
        "b": "relabel",
        "a": "keep",
    }
    record(path, [Decision("b", "undo"), Decision("c", "undo")])
    assert load(path) == {"a": Decision("a", "keep")}
    assert path.read_text() == HEADER + "".join(
        f"{line},,,\n" for line in ("a,drop,", "b,relabel,7", "a,keep,", "b,undo,", "c,undo,")
    )


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    before = (
        "\ufeffaction,id,who,label,when,note\r\n\r\n"
        ' Drop , a ,me,,,"old,\r\nlong"\r\n,,,,,\r\nkeep,b,,,,'
    )
    path.write_bytes(before.encode())
    assert load(path) == {
        "a": Decision("a", "drop", who="me", note="old,\r\nlong"),
        "b": Decision("b", "keep"),
    }
    record(path, [Decision("c", "relabel", "-1", "you")])
    assert path.read_bytes().decode() == before + "\r\nrelabel,c,you,'-1,,\r\n"
    assert load(path)["c"].label == "-1"


@pytest.mark.parametrize("start", [b"", HEADER.encode(), HEADER.strip().encode()])
def test_an_empty_file_gets_its_first_line(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_bytes(start)
    record(path, [Decision("a", "keep")])
    assert path.read_text() == HEADER + "a,keep,,,,\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,delete,,,,", "line 2: unknown action 'delete'; allowed: keep, drop, relabel, repair"),
        ("a,keep,,,,\n\nb,relabel, ,,,", "line 4: relabel needs a label"),
        ("a,keep,7,,,", "line 2: keep takes no label, found '7'"),
        (",keep,,,,", "line 2: no id"),
        ('a,keep,,,,"x\ny"\nb,kep,,,,', "line 4: unknown action 'kep'"),
        ("a,keep,,,", "line 2: expected 6 cells, found 5"),
        ('a,keep,,,,"x', "line 2: unexpected end of data"),
        ("a,keep,,,,\xff", "line 2: not UTF-8"),
    ],
)
def test_a_mistake_names_file_and_line(lines: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_bytes(HEADER.encode() + lines.encode("latin-1"))
    before = path.read_bytes()
    for act in (lambda: load(path), lambda: record(path, [Decision("x", "keep")])):
        with pytest.raises((DecisionError, HandwrittenError)) as caught:
            act()
        assert str(caught.value).startswith(f"{path}, {message}")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "head",
    ["id,action\n", "id,action,lable,who,when,note\n", HEADER.replace("who", "id"), "\n", "a;b\n"],
)
def test_other_columns_are_a_mistake(head: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text(head + "a,keep\n" if head.strip() else head)
    with pytest.raises(HandwrittenError, match=",".join(COLUMNS)):
        load(path)


def test_processes_and_threads_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / decisions.FILE
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as processes, ThreadPoolExecutor(2) as threads:
        recorded = [
            executor.submit(record, path, [Decision(name + "a", "drop"), Decision(name, "keep")])
            for number in range(50)
            for executor, name in ((processes, f"p{number}"), (threads, f"t{number}"))
        ]
    assert [future.result() for future in recorded] == [None] * 100
    assert len(load(path)) == 200
    assert len(path.read_text().splitlines()) == 1 + 200
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"decisions.csv", ".augment", ".augment/decisions.csv.lock"}


def test_a_new_project_has_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes a dependency that is missing for a mistake."""
    monkeypatch.setattr(new_project, "has_dvc", lambda: False)  # which takes seconds to start
    new_project.init(tmp_path / "mine", "builtin:digits")
    made = tmp_path / "mine" / decisions.FILE
    assert made.read_text() == HEADER and load(made) == {}
    assert (tmp_path / "mine/dvc.yaml").read_text().count("- decisions.csv\n") == 2
    repository = Path(__file__).parents[2]
    load(repository / decisions.FILE)
