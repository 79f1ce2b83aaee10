"""How fast images are checked and near duplicates found, beside tools that do the like.

Processor time is measured, so that a busy machine gives the same numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from augment.clean.checks.base import CHECKS, defaults
from augment.clean.inspection import Inspector
from augment.data import images
from benchmarks import mnist, speed, stages
from benchmarks.cleaning import glyphs
from benchmarks.results import Row

SIDE = 128  # pixels
RATE, TIMES = 500.0, 2.0  # images/s of one core; times as many as the others
FEATURES, SECONDS, MIB = 64, 60.0, 2048.0
GROWTH = 1.3  # of the peak memory, as the set grows fourfold

SEARCH = """
import sys, time
from pathlib import Path
import numpy as np
from augment.vision.neighbours import nearest
features = np.random.default_rng(0).normal(size=(int(sys.argv[1]), int(sys.argv[2])))
start = time.process_time()
nearest(*[features.astype(np.float32)] * 2, same=True)
print(time.process_time() - start)
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's pages too
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def rows(options: argparse.Namespace) -> list[Row]:
    """All rows, on one core where their detail says nothing else."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with speed.temporary() as folder:
            files = write(folder, options.images)
            return [*rates(files), *search(options.vectors), memory(options.grown)]
    finally:
        torch.set_num_threads(before)


def write(folder: Path, count: int) -> list[Path]:
    """``count`` different glyphs of 128 pixels a side as PNG files."""
    scans = glyphs.Scans(len(glyphs.CHARACTERS), -(-count // len(glyphs.CHARACTERS)))
    places = np.linspace(0, len(scans) - 1, count).astype(int)
    files = []
    for place in places:
        image = Image.fromarray(scans[int(place)]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        files.append(folder / f"{place:06d}.png")
        files[-1].write_bytes(images.encode(np.asarray(image)))
    return files


def rates(files: Sequence[Path]) -> list[Row]:
    """Images a second of ours and of the other tools that can be imported, on the same files."""
    names = image_checks()
    inspector = Inspector({name: CHECKS.build(name) for name in names}, {}, small=True)
    encoded = [file.read_bytes() for file in files]
    ours = _rate(lambda: inspector.measure(encoded), len(files))
    detail = f"{len(files)} glyphs of {SIDE} px, decoding included: {', '.join(names)}"
    measured = [_row("image checks, images/s a core", ours, RATE, detail)]
    for title, package, work in (
        ("cleanvision's default run", "cleanvision", _cleanvision),
        ("imagededup's CNN", "imagededup", _imagededup),
    ):
        what = f"image checks / {title}"
        if importlib.util.find_spec(package) is None:
            measured.append(_unknown(what, f"{package} is not installed (the extra bench)"))
            continue
        try:
            remark, run = work(files[0].parent)
            theirs = _rate(run, len(files))
        except ImportError as error:
            measured.append(_unknown(what, f"{package} cannot be run here: {error}"))
            continue
        measured.append(_row(what, ours / theirs, TIMES, f"{theirs:.1f} images/s; {remark}"))
    return measured


def image_checks() -> list[str]:
    """The image checks that glyphs have by default."""
    return [name for name in defaults("glyph") if CHECKS.describe(name).facts["kind"] == "image"]


def search(count: int) -> list[Row]:
    """Processor seconds and peak memory of the nearest neighbour of each of ``count`` vectors."""
    command = [sys.executable, "-c", SEARCH, str(count), str(FEATURES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, done.stdout.split())
    what = f"nearest of {count} × {FEATURES} features"
    return [
        _row(f"{what}, seconds", seconds, SECONDS, "processor time of all threads", most=True),
        _row(f"{what}, MiB", peak / 1024, MIB, "peak of the whole process", most=True),
    ]


def memory(count: int) -> Row:
    """How much the peak memory of clean grows from ``count`` MNIST digits to four times as many."""
    peaks = []
    digits = mnist.all_digits()
    order = np.random.default_rng(0).permutation(len(digits))
    for size in (count, 4 * count):
        with speed.temporary() as root:
            for place in order[:size]:
                path = root / "files" / str(digits.labels[place]) / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(images.encode(digits.pixels[place, 0]))
            stages.project(root, clean={"max_dropped": 1.0})
            speed.peak("ingest", root, size)
            peaks.append(speed.peak("clean", root, size))
    detail = f"{peaks[0]:.0f} → {peaks[1]:.0f} MiB, {count} → {4 * count} images"
    what = "peak memory of clean, ×4 set"
    return _row(what, peaks[1] / peaks[0], GROWTH, detail, most=True)


def _cleanvision(folder: Path) -> tuple[str, Callable[[], Any]]:
    from cleanvision import Imagelab  # type: ignore[import-not-found]

    return "one process", lambda: Imagelab(str(folder)).find_issues(n_jobs=1, verbose=False)


def _imagededup(folder: Path) -> tuple[str, Callable[[], Any]]:
    """Its own network with random weights: the trained ones would have to be downloaded."""
    from imagededup.methods import CNN  # type: ignore[import-not-found]
    from imagededup.utils import CustomModel  # type: ignore[import-not-found]
    from imagededup.utils.models import MobilenetV3  # type: ignore[import-not-found]
    from torchvision.models import mobilenet_v3_small

    trunk = mobilenet_v3_small().eval()
    model = torch.nn.Sequential(trunk.features, trunk.avgpool, torch.nn.Flatten())
    untrained = CustomModel("random weights", model, MobilenetV3.transform)
    method = CNN(verbose=False, model_config=untrained)
    remark = "one process, its network with random weights"
    return remark, lambda: method.find_duplicates(str(folder), num_sim_workers=1)


def _rate(work: Callable[[], Any], count: int) -> float:
    """Images a second of processor time; the output of other tools is hidden."""
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        work()
    return count / (time.process_time() - start)


def _row(what: str, value: float, bound: float, detail: str, *, most: bool = False) -> Row:
    return speed.ratio(what, value, bound, detail, most=most)


def _unknown(what: str, why: str) -> Row:
    return {**_row(what, math.nan, TIMES, why), "measured": None, "met": None}
