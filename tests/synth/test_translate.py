"""A user's own pictures through the generator: what is read, what is written, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augment import cli
from augment.data import images, table
from augment.data.normalise import Form, to_form
from augment.data.places import CLEAN, GENERATOR
from augment.models.generator import Generator, GeneratorError
from augment.readers import builtin
from augment.synth import run as synth
from augment.synth.settings import SynthSettings
from augment.synth.translate import SHEET, TranslateError, translate
from augment.train import run as train
from augment.train.settings import TrainSettings

SETTINGS = SynthSettings(device="cpu")
LENIENT = SynthSettings(per_class=3, probability=0.0, copy_quantile=0.0, device="cpu")


def trained(root: Path, table_of: Any, **changes: Any) -> Path:
    """A project whose generator was trained for a few steps."""
    table_of(root / CLEAN)
    small = {"recipe": "stargan", "steps": 4, "every": 2, "batch": 8, "labeller": {"steps": 20}}
    small |= {"generator": {"width": 8}, "discriminator": {"width": 8}, "device": "cpu"}
    train.run(TrainSettings.model_validate(small | changes), root)
    (root / "params.yaml").write_text("ingest: {source: 'builtin:digits'}\n")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, digits_table) -> Path:
    return trained(tmp_path_factory.mktemp("stargan"), digits_table)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def digit(place: int = 0) -> Image.Image:
    return Image.fromarray(builtin.digits()[0][place])


def saved(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(digit(), "PNG") if data is None else data)
    return path


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def made(root: Path, pictures: list[Path], out: Path, to: str | None = "3", **options: Any) -> Any:
    options = {"resize": "pad", "recipes": ["dagan", "stargan"], "seed": 0} | options
    return translate(SETTINGS, pictures, to, out=out, root=root, **options)


def source(data: bytes) -> images.Pixels:
    return images.pixels(to_form(data, Form((8, 8), "L", "pad")), "L")[None]


def turned() -> bytes:
    """A large JPEG in colour that lies on its side, as its EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° to the right
    colours = Image.merge("RGB", [digit(2).resize((90, 120))] * 3).transpose(
        Image.Transpose.ROTATE_90
    )
    return encoded(colours, "JPEG", exif=exif, quality=95)


def transparent() -> bytes:
    ink = digit(3).resize((31, 17))
    return encoded(Image.merge("LA", (Image.new("L", ink.size), ink)), "PNG")


@pytest.mark.parametrize("picture", [turned, transparent, lambda: encoded(digit(1), "BMP")])
def test_pictures_are_read_as_clean_would_bring_them(
    root: Path, tmp_path: Path, picture: Any
) -> None:
    data = picture()
    report = made(root, [saved(tmp_path / "x.img", data)], tmp_path / "out", count=3)
    assert (report["pictures"], report["images"], report["to"]) == (1, 3, "3")
    expected = Generator.load(root / GENERATOR, device="cpu").sample("3", 3, source=source(data))
    for number in (1, 2, 3):
        pixels = images.pixels((tmp_path / f"out/x-{number}.png").read_bytes(), "L")
        assert np.array_equal(pixels, expected[number - 1, 0])
    if picture is turned:
        upright = np.asarray(digit(2).resize((6, 8)), float)
        assert np.corrcoef(source(data)[0][:, 1:7].ravel(), upright.ravel())[0, 1] > 0.95
    sheet = images.decode((tmp_path / "out" / SHEET).read_bytes())
    assert sheet.mode == "RGB" and sheet.width > 5 * 48


def test_the_class_and_the_seed_decide_and_a_remake_is_the_same(root: Path, tmp_path: Path) -> None:
    pictures = [saved(tmp_path / "a.png"), saved(tmp_path / "b.png", encoded(digit(5), "PNG"))]
    made(root, pictures, tmp_path / "out", count=2)
    before = bytes_in(tmp_path / "out")
    assert before.keys() == {"a-1.png", "a-2.png", "b-1.png", "b-2.png", SHEET}
    with pytest.raises(TranslateError, match="out is not empty; give --overwrite"):
        made(root, pictures, tmp_path / "out", count=2)
    made(root, pictures, tmp_path / "out", count=2, overwrite=True)
    assert bytes_in(tmp_path / "out") == before
    made(root, pictures[1:], tmp_path / "alone", count=1)
    assert bytes_in(tmp_path / "alone")["b-1.png"] == before["b-1.png"]
    made(root, pictures, tmp_path / "other", count=2, seed=1)
    assert bytes_in(tmp_path / "other").keys() == before.keys()


def test_pictures_of_one_stem_stand_side_by_side(root: Path, tmp_path: Path) -> None:
    names = ["a/x.png", "b/x.png", "b/X.png", "b/..png", "b/x-1.png", "b/sheet.png"]
    pictures = [saved(tmp_path / name) for name in names]
    report = made(root, [*pictures, pictures[0]], tmp_path / "in/out", count=2)
    assert report["pictures"] == len(names)  # a picture named twice is one
    files = bytes_in(tmp_path / "in/out")
    assert len(files) == len({name.casefold() for name in files}) == 2 * len(names) + 1
    assert {"x-1.png", "x-2.png", "x-1-1.png", "sheet-1.png", SHEET} <= files.keys()
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


def test_what_cannot_be_read_is_named_and_nothing_is_written(root: Path, tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.png")
    torn = saved(tmp_path / "torn.jpg", turned()[:300])
    pictures = [whole, torn, tmp_path / "absent.png", tmp_path]
    with pytest.raises(TranslateError) as caught:
        made(root, pictures, tmp_path / "out")
    text = str(caught.value)
    assert text.startswith("nothing is written: ") and "whole" not in text
    assert f"{torn}: truncated or damaged" in text
    assert "absent.png: No such file" in text and "Is a directory" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["torn.jpg", "whole.png"]
    many = [tmp_path / f"{number}.png" for number in range(7)]
    with pytest.raises(TranslateError, match="4.png: [^;]*; and 2 more$"):
        made(root, many, tmp_path / "out")


def test_overwriting_takes_no_other_files(root: Path, tmp_path: Path) -> None:
    picture = saved(tmp_path / "mine/x.png")
    with pytest.raises(TranslateError, match=r"x.png lies in .*mine, which --overwrite"):
        made(root, [picture], tmp_path / "mine", overwrite=True)
    saved(tmp_path / "mixed/notes.txt", b"")
    for folder in ("mixed", "."):
        with pytest.raises(TranslateError, match="more than translated images"):
            made(root, [picture], tmp_path / folder, overwrite=True)
    assert picture.exists() and (tmp_path / "mixed/notes.txt").exists()


def test_a_class_is_needed_and_must_be_one(root: Path, tmp_path: Path) -> None:
    picture = saved(tmp_path / "x.png")
    with pytest.raises(GeneratorError, match="unknown class 'summer'; known: 0, 1, 2"):
        made(root, [picture], tmp_path / "out", "summer")
    with pytest.raises(TranslateError, match="--to: the generator needs a class; known: 0, 1"):
        made(root, [picture], tmp_path / "out", None)


def test_a_generator_that_is_told_no_class_needs_none(digits_table, tmp_path: Path) -> None:
    bent = trained(tmp_path / "dagan", digits_table, recipe="dagan")
    picture = saved(tmp_path / "x.png")
    assert made(bent, [picture], tmp_path / "out", None, count=2)["to"] is None
    assert made(bent, [picture], tmp_path / "too", "3", count=2)["to"] == "3"


def other_domain(root: Path, name: str = "font") -> None:
    """The digits of the set, light on dark, as a domain beside it."""
    rows = list(table.rows(root / CLEAN))
    with table.TableWriter(root / CLEAN, overwrite=True) as out:
        for row in rows:
            out.add(row)
            if row["split"] == "train":
                data = images.encode(255 - images.pixels(row["image"]["bytes"], "L"))
                image = {"bytes": data, "path": row["image"]["path"]}
                out.add(row | {"id": f"{name} {row['id']}", "image": image, "domain": name})


def test_a_domain_is_named_and_a_cycle_goes_back(digits_table, tmp_path: Path) -> None:
    def table_of(folder: Path) -> None:
        digits_table(folder)
        other_domain(folder.parent.parent)

    root = trained(tmp_path / "cycle", table_of, recipe="cyclegan", batch=4)
    picture = saved(tmp_path / "x.png")
    outs = {to: tmp_path / str(to) for to in (None, "set", "font", "3")}
    goals = [made(root, [picture], out, to, count=2)["to"] for to, out in outs.items()]
    assert goals == [None, "set", "font", "3"]
    folders = [bytes_in(out) for out in outs.values()]
    assert folders[0] == folders[1] != folders[2]
    back = Generator.load(root / GENERATOR, device="cpu", back=True)
    expected = back.sample("0", 2, source=source(picture.read_bytes()))
    pixels = images.pixels((tmp_path / "font/x-2.png").read_bytes(), "L")
    assert np.array_equal(pixels, expected[1, 0])
    with pytest.raises(TranslateError, match=r"--to 'scan': neither set nor font, the domains"):
        made(root, [picture], tmp_path / "no", "scan")
    for path in (root / GENERATOR).glob("back.*"):  # as pix2pix writes it
        path.unlink()
    with pytest.raises(TranslateError, match=r"from font to the set alone; .* cyclegan, dualgan"):
        made(root, [picture], tmp_path / "no", "font")


def test_without_noise_a_picture_gives_a_single_image(digits_table, tmp_path: Path) -> None:
    plain = trained(tmp_path / "paper", digits_table, model={"latent": 0})
    picture = saved(tmp_path / "x.png")
    assert made(plain, [picture], tmp_path / "out")["images"] == 1
    with pytest.raises(TranslateError, match="--n 2: the generator has no noise"):
        made(plain, [picture], tmp_path / "more", count=2)


def test_synth_starts_from_other_classes(root: Path) -> None:
    synth.run(LENIENT, root)
    facts = table.frame(root / "data/synthetic")
    real = table.frame(root / CLEAN, ["id", "label"], split="train").set_index("id")["label"]
    assert (real[facts["source"]].to_numpy() != facts["label"].to_numpy()).all()
    assert facts["label"].nunique() == 10


def test_the_command(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    picture = saved(tmp_path / "x.jpg", turned())
    command = ["translate", str(picture), "--to", "7", "--json"]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["images"], report["seed"], report["out"]) == (8, 0, "translated")
    assert len(list((root / "translated").iterdir())) == 9
    with pytest.raises(SystemExit) as caught:
        cli.main(command)
    assert caught.value.code == 1


def test_a_generator_that_starts_from_noise_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as caught:
        cli.main(["translate", str(saved(tmp_path / "x.png")), "--to", "7"])
    error = capsys.readouterr().err
    assert caught.value.code == 1 and error.count("\n") == 1
    assert "starts from noise" in error and "dagan" in error and "stargan" in error
    assert not (project / "translated").exists()
