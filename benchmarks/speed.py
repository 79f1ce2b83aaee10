"""Speed and memory of the stages against the bare work they cannot avoid: ``make bench``.

Each line is a ratio with the bound that the project sets itself. This is no test: a busy machine
gives other numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment.classifiers.fit import fit_classifier
from augment.data import images, table
from augment.data.arrays import load_arrays
from augment.models.generator import CHUNK, Generator
from augment.models.latents import latents
from augment.score.settings import ScoreSettings
from augment.synth import candidates, measured, quotas
from augment.train.settings import TrainSettings
from benchmarks import mnist, pages, results, stages
from benchmarks.bare import read
from benchmarks.results import Row
from benchmarks.tables import as_measured
from benchmarks.training import Training

WORKERS = 2
BRIEF = {"steps": 2, "every": 2, "labeller": {"steps": 2}}  # a generator as fast as any other


def glyphs(count: int, seed: int = 0) -> tuple[images.Pixels, np.ndarray[Any, Any]]:
    """Digit-like 28 × 28 images: scikit-learn's, enlarged, with a little noise."""
    digits = mnist.small_digits()
    rng = np.random.default_rng(seed)
    places = rng.integers(len(digits), size=count)
    large = np.zeros((count, 28, 28), np.float32)
    large[:, 2:26, 2:26] = digits.pixels[places, 0].repeat(3, 1).repeat(3, 2)
    large += rng.normal(0, 6, large.shape)
    return np.clip(large, 0, 255).astype(np.uint8), digits.labels[places]


def write_files(folder: Path, count: int) -> None:
    pixels, labels = glyphs(count)
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / str(label) / f"{index:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode(image))


def write_table(folder: Path, count: int, **facts: Any) -> None:
    """A cleaned table of ``count`` glyphs in all splits, each row with ``facts``."""
    pixels, labels = glyphs(count)
    with table.TableWriter(folder, overwrite=True) as out:
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            split = ("train", "train", "train", "valid", "test")[index % 5]
            data = images.encode(image)
            name = hashlib.sha256(data + f"{index} {facts}".encode()).hexdigest()
            out.add(
                {
                    "id": name, "image": {"bytes": data, "path": f"{index}.png"},
                    "label": str(label), "split": split, "origin": "real",
                    "width": 28, "height": 28, "mode": "L",
                } | facts
            )  # fmt: skip


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for a project, gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def best_of(times: int, work: Callable[[], Any]) -> float:
    """Seconds of the fastest of ``times`` runs, as of a machine that does nothing else."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return min(durations)


def ingest_speed(count: int) -> Row:
    """Reading, hashing and decoding ``count`` files, over the stage's time."""
    with temporary() as root:
        write_files(root / "files", count)
        stages.project(root, ingest={"workers": WORKERS})
        context = multiprocessing.get_context("forkserver")

        def bare() -> None:
            paths = sorted((root / "files").rglob("*.png"))
            parts = [paths[start : start + 256] for start in range(0, len(paths), 256)]
            with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
                assert sum(pool.map(read, parts)) == count

        least = best_of(3, bare)
        ours = best_of(3, lambda: stages.run("ingest", root))
    return ratio("ingest of 28×28 PNG files", least / ours, 0.6, f"{count / ours:.0f} images/s")


def step_speed(steps: int) -> Row:
    """The time of whole training steps, over that of the passes of both networks alone."""
    with temporary() as root:
        write_table(root / "data/clean", 1000)
        train = load_arrays(root / "data/clean", split="train")
        run = Training(TrainSettings(), train, torch.device("cpu"))
        model = run.model
        batch = run.feed.at(0)
        labels = model.packed(batch.labels)

        def bare() -> None:
            noise, codes = latents(model.generator, len(batch.labels), batch.rng)
            with torch.no_grad():
                fake = model.generator(noise, batch.labels, codes)
            real, fake = batch.real.clone().requires_grad_(), fake.requires_grad_()
            logits = [model.discriminator(x, labels) for x in (real, fake)]
            total = (logits[1] - logits[0]).mean()
            for value, x in zip(logits, (real, fake), strict=True):
                (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
                total = total + slope.square().sum()
            total.backward()
            with torch.no_grad():
                model.discriminator(batch.real, labels)
            made = model.generator(noise, batch.labels, codes)
            model.discriminator(made, labels).mean().backward()

        def whole(start: int = 0) -> None:
            for step in range(start, start + steps):
                run.engine.step(step, run.feed.at)

        def passes() -> None:
            for _ in range(steps):
                bare()

        whole(), passes()
        least, ours = best_of(3, passes), best_of(3, whole)
    rate = f"{steps / ours:.1f} steps/s, batch {run.settings.batch}, 28 px"
    return ratio("training step / bare passes", ours / least, 1.2, rate, most=True)


def synth_speed(count: int) -> Row:
    """The slower of generating and encoding ``count`` samples, over the time to a table on disk."""
    with temporary() as root:
        write_table(root / "data/clean", 1000)
        stages.project(root, train=BRIEF)
        stages.run("train", root)
        generator = Generator.load(root / "models/generator", device="cpu")
        order = [quotas.Order("3", count)]
        source = generator.candidates("3", seed=0)
        sample = images.channels_last(next(source).pixels)
        parts = [sample] * (count // CHUNK)

        def generate() -> None:
            for _ in range(count // CHUNK):
                next(source)

        def encode() -> None:
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(images.encode_many, parts))

        def to_disk() -> None:
            with table.TableWriter(root / "out", overwrite=True) as out:
                draw, tally = measured.Draw(), candidates.Tally()
                for row in candidates.synthesise(generator, None, order, draw, tally):
                    out.add(row)

        slower = max(best_of(2, generate), best_of(2, encode))
        ours = best_of(2, to_disk)
    return ratio("synth to disk", slower / ours, 0.6, f"{count / ours:.0f} images/s")


def score_speed(count: int) -> Row:
    """The time of all scores, over that of decoding and of the judge's features."""
    with temporary() as root:
        write_table(root / "data/clean", count)
        write_table(root / "data/synthetic", count * 2, split="train", origin="synthetic")
        plain = ["fidelity", "diversity", "labels", "memorisation"]
        stages.project(root, score={"scores": plain, "steps": 2})
        stages.run("score", root)  # judge and features are cached from here on
        real = load_arrays(root / "data/clean")
        judge = fit_classifier(
            real.pixels, real.labels,
            classes=10, network=ScoreSettings().judge, steps=1, batch=64, seed=0,
        )  # fmt: skip

        def extract() -> None:  # images to features: no way of scoring can do without
            for folder in ("data/clean", "data/synthetic"):
                judge.both(load_arrays(root / folder).pixels)

        def whole() -> None:
            for path in (root / ".augment/score").glob("features-*"):
                path.unlink()
            stages.run("score", root)

        least = best_of(3, extract)
        ours = best_of(3, whole)
    detail = f"{count * 3} images in {ours:.1f} s; decoding and the judge alone {least:.1f} s"
    return ratio("score / feature extraction", ours / least, 1.5, detail, most=True)


MEMORY = """
import sys
from pathlib import Path
{imports}
root = Path(sys.argv[1])
{call}
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's pages too
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
RUN = {"imports": "from benchmarks import stages", "call": "stages.run({stage!r}, root)"}
ORDER = {  # unfiltered: of a generator this raw hardly any candidate would be accepted
    "imports": """from augment import params
from augment.synth import one_class
from augment.synth.measured import Draw
from augment.synth.quotas import Order""",
    "call": """settings, order = params.load(root / 'params.yaml').synth, Order('3', {count})
one_class.fulfil(settings, order, Draw(), writer='parquet', filtered=False, root=root)""",
}


def peak(stage: str, root: Path, count: int) -> float:
    """MiB that the stage's own process held at most."""
    code = ORDER if stage == "synth" else RUN
    call = code["call"].format(stage=stage, count=count)
    script = MEMORY.format(imports=code["imports"], call=call)
    command = [sys.executable, "-c", script, str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1]) / 1024


def memory(stage: str, count: int) -> Row:
    """The peak of a stage on a set four times as large, over that on ``count`` images."""
    peaks = []
    for size in (count, 4 * count):
        with temporary() as root:
            stages.project(root, ingest={"workers": WORKERS}, train=BRIEF)
            if stage == "ingest":
                write_files(root / "files", size)
            elif stage == "synth":
                write_table(root / "data/clean", 1000)
                stages.run("train", root)
            else:
                write_table(root / "data/clean", size)
                write_table(root / "data/synthetic", size, split="train", origin="synthetic")
            peaks.append(peak(stage, root, size))
    detail = f"{peaks[0]:.0f} → {peaks[1]:.0f} MiB, {count} → {count * 4} images"
    return ratio(f"peak memory of {stage}, ×4 set", peaks[1] / peaks[0], 1.3, detail, most=True)


def help_time() -> Row:
    command = [str(Path(sys.executable).with_name("augment")), "--help"]
    seconds = best_of(5, lambda: subprocess.run(command, check=True, capture_output=True))
    return ratio("augment --help, seconds", seconds, 0.5, "", most=True)


def ratio(what: str, value: float, bound: float, detail: str, *, most: bool = False) -> Row:
    """A row: the bound is the least value, or with ``most`` the greatest, that is good enough."""
    enough = value <= bound if most else value >= bound
    sign = "≤" if most else "≥"
    return {
        "what": what, "measured": round(value, 3), "bound": f"{sign} {bound}",
        "met": enough, "detail": detail,
    }  # fmt: skip


TABLES = (as_measured,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half of the images, nothing stored")
    quick = parser.parse_args(argv).quick
    size = 4000 if quick else 8000
    rows = [
        help_time(),
        ingest_speed(size),
        step_speed(2 if quick else 5),
        synth_speed(size // CHUNK * CHUNK),
        score_speed(size // 4),
        *(memory(stage, size // 4) for stage in ("ingest", "synth", "write")),
    ]
    signed = [results.signed({"seed": 0, **row}) for row in rows]
    if quick:
        pages.show("speed", {"rows": signed})
    else:
        pages.show("speed", results.add("speed", signed, ("what",), "make bench"))
        pages.write()


if __name__ == "__main__":
    main()
