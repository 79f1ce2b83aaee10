"""Characters as a scanner would see them: Debian's brush and CJK fonts, bent, inked, on paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from augment.data.images import Pixels
from augment.errors import AugmentError
from augment.runtime import seeding

FOLDER = Path("/usr/share/fonts")
FONTS = {  # file: the Debian package that has it
    "kouzan-mouhitsu.ttf": "fonts-kouzan-mouhitsu",
    "kouzan-mouhitsu-gyosho.ttf": "fonts-kouzan-mouhitsu",
    "KouzanBrushFontSousyo.ttf": "fonts-kouzan-mouhitsu",
    "AoyagiKouzanT.ttf": "fonts-aoyagi-kouzan-t",
    "aoyagi-soseki.ttf": "fonts-aoyagi-soseki",
    "KleeOne-SemiBold.ttf": "fonts-klee",
    "ukai.ttc": "fonts-arphic-ukai",
    "bkai00mp.ttf": "fonts-arphic-bkai00mp",
    "gkai00mp.ttf": "fonts-arphic-gkai00mp",
}
# In all of these fonts, and no two of one shape; none is itself when turned.
CHARACTERS = (
    "安永花雨雪春秋冬夜朝海河湖林森草竹茶酒牛犬心手足耳身父母兄弟男女子友先年月星空光色赤白金石地山川水火"
    "江波流深清明和想思念情歌音文字言家村町市京都道路行走起坐位知智仁信忠孝真善美弓矢力勇武老若新古今昔早"
)
HIRAGANA = "あいうえおかきけさしすせそたちつてとなにぬねのはひふほまみむめもやゆよらりるれわん"
SIDES = 200, 400  # pixels of the longer side, at least and at most


class FontError(AugmentError, ValueError):
    """A font that is not installed."""


class Scans(Sequence[Pixels]):
    """``scans`` images of each of the first ``characters``, drawn anew at each access.

    Fonts take turns, so that each class has them all. Every image follows from its place alone.
    Raises FontError naming the package of a font that is missing, ValueError for more characters
    than there are.
    """

    def __init__(self, characters: int, scans: int):
        """Find the fonts; nothing is drawn yet."""
        if not 2 <= characters <= len(CHARACTERS):
            raise ValueError(f"--characters: 2 to {len(CHARACTERS)}, found {characters}")
        self.fonts = [path_of(name) for name in FONTS]
        self.labels = [letter for letter in CHARACTERS[:characters] for _ in range(scans)]
        self._scans = scans

    def __len__(self) -> int:
        """All images of all characters."""
        return len(self.labels)

    @overload
    def __getitem__(self, place: int) -> Pixels: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Pixels]: ...

    def __getitem__(self, place: int | slice) -> Pixels | Sequence[Pixels]:
        """Draw one image, or those of a slice."""
        if isinstance(place, slice):
            return [self[item] for item in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        rng = seeding.rng(0, "scan", self.labels[place], place % self._scans)
        font = self.fonts[place % self._scans % len(self.fonts)]
        return scan(character(font, self.labels[place]), rng)

    def __iter__(self) -> Iterator[Pixels]:
        """Draw one after another."""
        return (self[place] for place in range(len(self)))


def scan(mask: NDArray[np.float32], rng: np.random.Generator) -> Pixels:
    """Ink of a square ``mask`` (1 ink) as a brush left it, on paper with grain, as uint8 (H, W).

    The ink is grey and runs dry in places; the paper is brighter on one side than on the other.
    """
    mask = warped(mask, rng)
    side = int(rng.integers(SIDES[0], SIDES[1] + 1))
    size = side, round(side * rng.uniform(0.85, 1))
    width, height = size if rng.random() < 0.5 else size[::-1]
    page = Image.fromarray((mask * 255).astype(np.uint8))
    ink = np.asarray(page.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    ink *= 1 - rng.uniform(0, 0.35) * _cloud((height, width), 24, rng)
    down, right = np.ogrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    light = rng.uniform(215, 245) + rng.uniform(-8, 8) * down + rng.uniform(-8, 8) * right
    grain = rng.normal(0, rng.uniform(1.5, 4), (height, width))
    grey = light + grain - ink * (light - rng.uniform(25, 80))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def kana(fonts: Sequence[Path], rng: np.random.Generator) -> NDArray[np.float32]:
    """A mask of a hiragana in one of ``fonts``: a brush's strokes, but of another script."""
    letter = str(rng.choice([*HIRAGANA]))
    for place in rng.permutation(len(fonts)):
        if drawable(fonts[place], letter):
            return warped(character(fonts[place], letter), rng)
    raise FontError(f"no font has {letter!r}")


def warped(mask: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """``mask`` (S, S) turned a little, sheared, bent and with strokes of another weight."""
    side = len(mask)
    angle, shear = np.radians(rng.uniform(-6, 6)), rng.uniform(-0.12, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend = turn @ [[1, 0], [shear, 1]] @ np.diag(1 / rng.uniform(0.82, 1.02, 2))
    middle = (side - 1) / 2
    grid = np.indices(mask.shape, np.float32).reshape(2, -1) - middle
    moves = [_cloud(mask.shape, 4, rng) - 0.5 for _ in range(2)]
    places = bend @ grid + middle + rng.uniform(-0.04, 0.04, (2, 1)) * side
    places += 0.05 * side * np.reshape(moves, (2, -1))
    bent = ndimage.map_coordinates(mask, places, order=1).reshape(mask.shape)
    weight = rng.uniform(-0.012, 0.012) * side  # pixels that each edge moves outwards
    if weight < 0:
        soft = ndimage.gaussian_filter(bent, -weight)
        return np.clip(soft * 2 - 1, 0, 1) + 0.0 if soft.max() > 0.8 else bent
    return np.clip(ndimage.gaussian_filter(bent, weight) * 2, 0, 1)


def drawable(font: Path, letter: str) -> bool:
    """Whether ``font`` has ``letter``: it draws something, and not the box for missing ones."""
    opened = ImageFont.truetype(str(font), 64)
    box, mask = (opened.getmask(text) for text in ("\uffff", letter))
    return mask.getbbox() is not None and (mask.size, bytes(mask)) != (box.size, bytes(box))


def character(font: Path, letter: str) -> NDArray[np.float32]:
    """The letter's mask, its ink in the middle of a square and 0.8 of it at its longer side."""
    page = Image.new("L", (512, 512))
    opened = ImageFont.truetype(str(font), 256)
    ImageDraw.Draw(page).text((256, 256), letter, 255, opened, "mm")
    left, top, right, bottom = page.getbbox()
    side = round(max(right - left, bottom - top) / 0.8)
    start = (left + right - side) // 2, (top + bottom - side) // 2
    square = page.crop((*start, start[0] + side, start[1] + side)).resize((256, 256))
    return np.asarray(square, np.float32) / 255


def _cloud(shape: tuple[int, ...], across: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise from 0 to 1 with about ``across`` hills a side."""
    hills = Image.fromarray(rng.random((across, across), np.float32))
    return np.clip(np.asarray(hills.resize(shape[::-1], Image.Resampling.BICUBIC)), 0, 1)


def path_of(name: str, packages: Mapping[str, str] = FONTS) -> Path:
    """The font file ``name``, one of ``packages``; raises FontError naming its package."""
    path = next(FOLDER.rglob(name), None)
    if path is None:
        raise FontError(f"{name}: not under {FOLDER}; install Debian's {packages[name]}")
    return path
