"""Draw real images, accepted synthetic ones and the report's verdict of a finished project.

``python docs/picture.py PROJECT`` writes docs/demo.png, the picture of the README. The images are
the first of each class, real ones of the train split and accepted ones; nobody picks them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from augment.data import contact_sheets, files, images, places, table
from augment.data.images import Pixels

ACROSS = 6  # images of each class on either side
WIDTH = 400  # pixels of the verdict
MARGIN = 28
INK, FAINT, LINE, PAPER = (40, 40, 40), (110, 110, 110), (200, 200, 200), (255, 255, 255)


def main(project: Path) -> None:
    """Write the picture of ``project``."""
    sides = [
        first(project / folder, classes(project))
        for folder in (places.CLEAN, places.SYNTHETIC)
    ]  # fmt: skip
    shown = contact_sheets.beside(*sides, ACROSS, ("real", "accepted synthetic"), target=48)
    picture = np.hstack([shown, verdict(project, shown.shape[0])])
    target = Path(__file__).parent / "demo.png"
    files.write_bytes(target, images.encode(picture))
    print(target)


def classes(project: Path) -> list[str]:
    """The names of the classes, in natural order."""
    return table.classes_of(table.frame(project / places.CLEAN, ["label"])["label"])


def first(folder: Path, names: list[str]) -> dict[str, Pixels]:
    """The first images (ACROSS, C, H, W) of each class in the train split."""
    tiles: dict[str, list[Any]] = {name: [] for name in names}
    for row in table.rows(folder, columns=["label", "image"], split="train"):
        if row["label"] in tiles and len(tiles[row["label"]]) < ACROSS:
            pixels = np.asarray(images.decode(row["image"]["bytes"]))
            tiles[row["label"]].append(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))
    return {name: np.stack(stack) for name, stack in tiles.items()}


def verdict(project: Path, height: int) -> Pixels:
    """The report's verdict, the accuracies that it rests on, and the set that follows from it."""
    report, score, written = (
        json.loads((project / places.REPORTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("report", "score", "write")
    )
    uplift = score["uplift"]
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, 14), "verdict", fill=INK, font=font(16), anchor="lm")
    top = 44
    for line in wrapped(report["verdict"], font(27)):
        draw.text((MARGIN, top), line, fill=INK, font=font(27))
        top += 36
    top += 26
    draw.text((MARGIN, top), "accuracy on real test images", fill=FAINT, font=font(16))
    rows = (("real, classic augmentation", "classic"), ("the written set", "written"))
    for words, arm in rows:
        top += 32
        value = f"{100 * uplift[arm]['mean']:.1f} %"
        draw.text((MARGIN, top), words, fill=INK, font=font(18))
        draw.text((WIDTH - MARGIN, top), value, fill=INK, font=font(18), anchor="ra")
    top = interval(draw, top + 66, uplift)
    for line in wrapped(consequence(written), font(18)):
        draw.text((MARGIN, top), line, fill=INK, font=font(18))
        top += 26
    return np.asarray(image)


def interval(draw: ImageDraw.ImageDraw, top: int, uplift: Mapping[str, Any]) -> int:
    """Draw the gain with its 95 % interval beside zero; gives where it ends, in pixels."""
    gain, low, high = (100 * value for value in (uplift["gain"]["mean"], *ends(uplift)))
    draw.text((MARGIN, top), "gain in points, with its 95 % interval", fill=FAINT, font=font(16))
    reach = 1.25 * max(abs(low), abs(high), 0.01)
    middle, half, y = WIDTH / 2, WIDTH / 2 - MARGIN, top + 52

    def place(points: float) -> float:
        return middle + half * points / reach

    draw.line((MARGIN, y, WIDTH - MARGIN, y), fill=LINE, width=2)
    draw.line((middle, y - 15, middle, y + 15), fill=FAINT, width=2)
    draw.line((place(low), y, place(high), y), fill=INK, width=6)
    draw.ellipse((place(gain) - 8, y - 8, place(gain) + 8, y + 8), fill=PAPER, outline=INK, width=4)
    for points, words in ((low, f"{low:+.1f}"), (0, "0"), (high, f"{high:+.1f}")):
        draw.text((place(points), y + 22), words, fill=FAINT, font=font(16), anchor="ma")
    return y + 76


def ends(uplift: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of the gain's interval, as shares."""
    return uplift["low"], uplift["high"]


def consequence(written: Mapping[str, Any]) -> str:
    """What ``write`` made of the verdict."""
    kinds = ((written["adopted"], "adopted"), (written["synthetic"], "synthetic"))
    added = " and ".join(f"{count:,} {kind}" for count, kind in kinds if count)
    if added:
        return f"The written set holds {added} images."
    left_out = written["left_out"]["over_dose"]
    return f"So the written set holds the real images alone; {left_out:,} samples stay out."


def wrapped(text: str, face: ImageFont.FreeTypeFont) -> list[str]:
    """``text`` in lines that fit."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) > WIDTH - 2 * MARGIN:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the contact sheets."""
    face = ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont)  # as it always is where a size is given
    return face


if __name__ == "__main__":
    main(Path(sys.argv[1]))
