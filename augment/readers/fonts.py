"""Characters drawn by fonts: images whose labels cost nothing."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from augment.data import images, table
from augment.errors import AugmentError
from augment.readers.base import MAX_BYTES, READERS, TOO_LARGE, UNREADABLE, Item, Listing
from augment.readers.beside import others
from augment.readers.folder import Disk
from augment.readers.layout import joined
from augment.registry import Count
from augment.runtime import seeding

INSTALLED = "builtin:fonts"
SUFFIXES = (".ttf", ".otf", ".ttc")
LACKS, DAMAGED = "the font lacks this character", "not a font"
LOOKED_AT = 2000  # files of a folder, by which it is recognised
_FINER = 4  # a glyph is drawn so many times as large, and then reduced
_MISSING = "\U0010fffe"  # no font has this character: it draws what stands for missing ones
_LARGEST = 16  # times its font's size: a glyph that is larger is damaged
_COARSE = 4  # points in a row by which a warp bends

Share = Annotated[float, Field(gt=0, le=1)]
Stroke = Annotated[float, Field(ge=0, le=0.2)]
Degrees = Annotated[float, Field(ge=-45, le=45)]


class Style(NamedTuple):
    """How a glyph is drawn: its longer side and a further stroke, as shares of the image; slant."""

    size: float
    stroke: float
    slant: float


def _recognises(source: str) -> bool:
    """Installed fonts, a font file, or a folder that holds fonts and no images."""
    if source.startswith(INSTALLED):
        return True
    path = Path(source)
    if path.is_dir():
        every = (name for _, _, names in os.walk(path) for name in names)
        names = list(itertools.islice(every, LOOKED_AT))
        return any(map(_is_font, names)) and not any(
            name.lower().endswith(images.SUFFIXES) for name in names
        )
    return path.is_file() and _is_font(path.name)


@READERS.register("fonts", recognises=_recognises)
def fonts(
    source: str,
    *,
    characters: str | list[str] = "0123456789",
    side: Annotated[int, Field(ge=8, le=512)] = 32,
    sizes: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.7,),
    strokes: Annotated[tuple[Stroke, ...], Field(min_length=1)] = (0.0,),
    slants: Annotated[tuple[Degrees, ...], Field(min_length=1)] = (0.0,),
    variants: Count = 1,
    warp: Annotated[float, Field(ge=0, le=0.2)] = 0.0,
    ink: Literal["dark", "light"] = "dark",
    seed: int = 0,
) -> Listing:
    """Each character as every font draws it: a font file, a folder of them, or installed ones.

    ``builtin:fonts`` are the fonts of this machine, ``builtin:fonts/WORD`` those whose file name
    holds WORD. Each of ``characters`` (a text, or a list of texts of one or more characters) is a
    class, each font a group. It is drawn ``side`` pixels large in all combinations of ``sizes``
    (longer side of the glyph), ``strokes`` (added to its outline; both shares of the side) and
    ``slants`` (degrees to the right), ``variants`` times each; with ``warp`` above 0 every one is
    bent by up to that share of the side, drawn by ``seed``, font and character. A character that a
    font lacks is rejected with the reason. Raises AugmentError where there is no font.
    """
    files, beside = _files(source)
    if not files:
        raise AugmentError(f"{source}: no font here; fonts end in {', '.join(SUFFIXES)}")
    classes = list(dict.fromkeys(characters))
    if not classes or any(not character.strip() for character in classes):
        raise AugmentError(f"fonts: characters: a blank one, or none: {characters!r}")
    styles = [Style(*style) for style in itertools.product(sizes, strokes, slants)] * variants
    items = _items(files, classes, styles, side, warp, ink == "light", seed)
    return Listing(
        itertools.chain(items, beside),
        len(files) * len(classes) * len(styles) + len(beside),
        [f"fonts: {len(files)} font files draw {len(classes)} classes, {len(styles)} images each"],
    )


def _items(
    files: Sequence[tuple[str, Path]], classes: Sequence[str], styles: Sequence[Style], side: int,
    warp: float, light: bool, seed: int,
) -> Iterator[Item]:  # fmt: skip
    """Each image of each font, or why there is none; ``light`` is the ink."""
    for name, path in files:
        try:
            font = _opened(path, side * _FINER)
            missing = _mask(font, _MISSING, 0)
        except _Unusable as error:
            yield Item(name, path, "", reason=str(error))
            continue
        for character in classes:
            place = f"{name}/{'-'.join(f'U+{ord(letter):04X}' for letter in character)}"
            try:
                if any(_lacks(font, letter, missing) for letter in character):
                    raise _Unusable(LACKS)
                for number, style in enumerate(styles):
                    rng = seeding.rng(seed, "fonts", name, character, number)
                    image = drawn(font, character, style, side, warp, rng)
                    data = images.encode(image if light else 255 - image)
                    yield Item(f"{place}.{number}.png", data, character, group=name)
            except _Unusable as error:
                yield Item(f"{place}.png", b"", character, group=name, reason=str(error))


class _Unusable(Exception):
    """A font or a glyph that cannot be drawn; the message is the reason."""


def _opened(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """The font of a file, so many pixels high. Raises _Unusable."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _Unusable(TOO_LARGE)
        data = path.read_bytes()
    except OSError:
        raise _Unusable(UNREADABLE) from None
    try:
        return ImageFont.truetype(io.BytesIO(data), size)
    except (OSError, ValueError, SyntaxError):
        raise _Unusable(DAMAGED) from None


def drawn(
    font: ImageFont.FreeTypeFont, character: str, style: Style, side: int, warp: float,
    rng: np.random.Generator,
) -> images.Pixels:  # fmt: skip
    """Light ink on black, uint8 (``side``, ``side``), the glyph in the middle."""
    large = side * _FINER
    glyph = _mask(font, character, style.stroke * large)
    if style.slant:
        glyph = _slanted(glyph, style.slant)
    glyph = glyph.crop(glyph.getbbox())
    scale = style.size * large / max(glyph.size)
    size = [max(1, round(length * scale)) for length in glyph.size]
    glyph = glyph.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    canvas = Image.new("L", (large, large))
    canvas.paste(glyph, ((large - size[0]) // 2, (large - size[1]) // 2))
    if warp:
        canvas = _warped(canvas, warp * large, rng)
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX))


def _mask(font: ImageFont.FreeTypeFont, text: str, stroke: float) -> Image.Image:
    """Light ink on black, with a border; the stroke in pixels. Raises _Unusable."""
    try:
        left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
        size = max(1, round(right - left)) + 4, max(1, round(bottom - top)) + 4
        if max(size) > _LARGEST * font.size * len(text):
            raise _Unusable(DAMAGED)
        image = Image.new("L", size)
        draw = ImageDraw.Draw(image)
        draw.text((2 - left, 2 - top), text, fill=255, font=font, stroke_width=stroke)
    except (OSError, ValueError, OverflowError):
        raise _Unusable(DAMAGED) from None
    return image


def _lacks(font: ImageFont.FreeTypeFont, character: str, missing: Image.Image) -> bool:
    """Whether the font draws nothing, or what it draws for all characters that it lacks."""
    mask = _mask(font, character, 0)
    same = mask.size == missing.size and mask.tobytes() == missing.tobytes()
    return same or mask.getbbox() is None


def _slanted(glyph: Image.Image, degrees: float) -> Image.Image:
    """The glyph sheared, its upper end to the right for positive ``degrees``."""
    across = float(np.tan(np.radians(degrees)))
    moved = abs(across) * glyph.height
    return glyph.transform(
        (glyph.width + round(moved), glyph.height),
        Image.Transform.AFFINE,
        (1, across, -moved if across > 0 else 0, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )


def _warped(canvas: Image.Image, most: float, rng: np.random.Generator) -> Image.Image:
    """The image bent smoothly: each place moves by up to ``most`` pixels, the border not at all."""
    side = canvas.width
    across, down = (_field(rng, side) * most for _ in range(2))
    rows, columns = np.mgrid[:side, :side]
    columns = np.clip(np.rint(columns + across), 0, side - 1).astype(np.int64)
    rows = np.clip(np.rint(rows + down), 0, side - 1).astype(np.int64)
    return Image.fromarray(np.asarray(canvas)[rows, columns])


def _field(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Smooth numbers (side, side) in [-1, 1], 0 at the border."""
    points = np.zeros((_COARSE + 2, _COARSE + 2), np.float32)
    points[1:-1, 1:-1] = rng.uniform(-1, 1, (_COARSE, _COARSE))
    field = Image.fromarray(points).resize((side, side), Image.Resampling.BICUBIC)
    clipped: NDArray[np.float32] = np.clip(np.asarray(field), -1, 1)
    return clipped


def _files(source: str) -> tuple[list[tuple[str, Path]], list[Item]]:
    """The fonts of a source by their names in it, and what lies beside them."""
    if not source.startswith(INSTALLED):
        path = Path(source)
        fonts = [(path.name, path)] if path.is_file() else _fonts_in(path)
        return fonts, others(path, (font for _, font in fonts))
    word = source.removeprefix(INSTALLED).removeprefix("/").lower()
    every = [font for folder in _installed() for font in _fonts_in(folder)]
    return [(name, path) for name, path in every if word in path.name.lower()], []


def _fonts_in(folder: Path) -> list[tuple[str, Path]]:
    return [
        (path, folder / path)
        for folders, names in Disk(folder).walk()
        for path in sorted((joined(folders, name) for name in names), key=table.natural)
        if _is_font(path) and (folder / path).is_file()
    ]


def _is_font(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _installed() -> list[Path]:
    """The folders of this machine in which fonts lie."""
    home = Path.home()
    if sys.platform == "darwin":
        places = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        places = [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", home / ".local/share"))
        places = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), data / "fonts"]
    return [place for place in places if place.is_dir()]
