"""Speed and memory of the stages against the bare work they cannot avoid: ``make bench``.

Each line is a ratio with the bound that the project sets itself. Nothing here is a test: a busy
machine gives other numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from augment import params
from augment.classifiers.fit import fit_classifier
from augment.data import images, table
from augment.data.arrays import load_arrays
from augment.models.generator import CHUNK, Generator
from augment.models.latents import latents
from augment.synth import candidates, quotas
from augment.train import log, loop
from augment.train import run as train
from benchmarks import readme, record
from benchmarks.bare import read

Row = dict[str, Any]
WORKERS = 2


def glyphs(count: int, seed: int = 0) -> tuple[images.Pixels, np.ndarray[Any, Any]]:
    """Digit-like 28 × 28 images: scikit-learn's, enlarged, moved and with a little noise."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(digits.images), size=count)
    large = np.zeros((count, 28, 28), np.float32)
    large[:, 2:26, 2:26] = (digits.images[chosen] * 15).repeat(3, 1).repeat(3, 2)
    large += rng.normal(0, 6, large.shape)
    return np.clip(large, 0, 255).astype(np.uint8), digits.target[chosen]


def write_files(folder: Path, count: int) -> None:
    pixels, labels = glyphs(count)
    for index, (one, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / str(label) / f"{index:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode(one))


def write_table(folder: Path, count: int, **facts: Any) -> None:
    pixels, labels = glyphs(count)
    with table.TableWriter(folder, overwrite=True) as out:
        for index, (one, label) in enumerate(zip(pixels, labels, strict=True)):
            split = ("train", "train", "train", "valid", "test")[index % 5]
            data = images.encode(one)
            name = hashlib.sha256(data + f"{index} {facts}".encode()).hexdigest()
            out.add(
                {
                    "id": name, "image": {"bytes": data, "path": f"{index}.png"},
                    "label": str(label), "split": split, "origin": "real",
                    "width": 28, "height": 28, "mode": "L",
                } | facts
            )  # fmt: skip


def settings(root: Path, **groups: Any) -> params.Params:
    (root / "params.yaml").write_text(yaml.safe_dump({"ingest": {"source": "files"}} | groups))
    return params.load(root / "params.yaml")


def best_of(times: int, work: Callable[[], Any]) -> float:
    """Seconds of the fastest of ``times`` runs: what the machine does when left alone."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def ingest_speed(count: int) -> Row:
    from augment.ingest import run as ingest

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_files(root / "files", count)
        source = {"source": str(root / "files"), "workers": WORKERS}
        chosen = settings(root, ingest=source)
        context = multiprocessing.get_context("forkserver")

        def bare() -> None:
            paths = sorted((root / "files").rglob("*.png"))
            parts = [paths[start : start + 256] for start in range(0, len(paths), 256)]
            with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
                assert sum(pool.map(read, parts)) == count

        least = best_of(3, bare)
        ours = best_of(3, lambda: ingest.run(chosen, root))
    return ratio("ingest of 28×28 PNG files", least / ours, 0.6, f"{count / ours:.0f} images/s")


def step_speed(steps: int) -> Row:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_table(root / "data/clean", 1000)
        chosen = settings(root, train={"every": 10**6, "labeller": {"steps": 1}})
        data, valid = train._data(root / "data/clean")
        labeller = train._labeller(chosen.train, data, root, torch.device("cpu"))
        one = loop.Trainer(
            chosen.train, data, valid, labeller, root, torch.device("cpu"), log.Log()
        )
        model = one.model
        batch = one.feed.at(0)
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
                one.engine.step(step, one.feed.at)

        def passes() -> None:
            for _ in range(steps):
                bare()

        whole(), passes()
        least, ours = best_of(3, passes), best_of(3, whole)
    rate = f"{steps / ours:.1f} steps/s, batch {chosen.train.batch}, 28 px"
    return ratio("training step / bare passes", ours / least, 1.2, rate, most=True)


@contextmanager
def trained(count: int) -> Any:
    """A project with a generator that is barely trained: its speed is that of any other."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_table(root / "data/clean", count)
        chosen = settings(
            root,
            train={"steps": 2, "every": 2, "labeller": {"steps": 2}},
        )
        train.run(chosen, root)
        yield root, chosen


def synth_speed(count: int) -> Row:
    with trained(1000) as (root, chosen):
        made = Generator.load(root / "models/generator", device="cpu")
        order = [quotas.Order("3", count)]
        source = made.candidates("3", seed=0)
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
                for row in candidates.synthesise(
                    made, None, order, candidates.Draw(), candidates.Tally()
                ):
                    out.add(row)

        slower = max(best_of(2, generate), best_of(2, encode))
        ours = best_of(2, to_disk)
    return ratio("synth to disk", slower / ours, 0.6, f"{count / ours:.0f} images/s")


def score_speed(count: int) -> Row:
    from augment.score import run as score

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_table(root / "data/clean", count)
        write_table(root / "data/synthetic", count * 2, split="train", origin="synthetic")
        plain = ["fidelity", "diversity", "labels", "memorisation"]
        chosen = settings(root, score={"scores": plain, "steps": 2})
        score.run(chosen, root)  # judge and features are cached from here on
        real = load_arrays(root / "data/clean")
        judge = fit_classifier(
            real.pixels, real.labels,
            classes=10, network=chosen.score.judge, steps=1, batch=64, seed=0,
        )  # fmt: skip

        def extract() -> None:  # what no way of scoring can do without: images to features
            for folder in ("data/clean", "data/synthetic"):
                judge.both(load_arrays(root / folder).pixels)

        def whole() -> None:
            for path in (root / ".augment/score").glob("features-*"):
                path.unlink()
            score.run(chosen, root)

        least = best_of(3, extract)
        ours = best_of(3, whole)
    detail = f"{count * 3} images in {ours:.1f} s; decoding and the judge alone {least:.1f} s"
    return ratio("score / feature extraction", ours / least, 1.5, detail, most=True)


MEMORY = """
import sys
from pathlib import Path
from augment import params, {stage}
root = Path(sys.argv[1])
settings = params.load(root / "params.yaml")
{call}
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's pages too
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
RUN = "{stage}.run(settings, root)"
ORDER = (  # unfiltered: of a generator this raw hardly any candidate would be accepted
    "synth.fulfil(settings, synth.Order('3', {count}), synth.Draw(), writer='parquet', "
    "filtered=False, root=root)"
)


def peak(stage: str, root: Path, count: int) -> float:
    """MiB that the stage's own process held at most."""
    call = (ORDER if stage == "synth" else RUN).format(stage=stage, count=count)
    code = MEMORY.format(stage=stage, call=call)
    command = [sys.executable, "-c", code, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


def memory(stage: str, count: int) -> Row:
    found = []
    for times in (1, 4):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            if stage == "ingest":
                write_files(root / "files", count * times)
                settings(root, ingest={"source": str(root / "files"), "workers": WORKERS})
            elif stage == "synth":
                write_table(root / "data/clean", 1000)
                small = {"steps": 2, "every": 2, "labeller": {"steps": 2}}
                chosen = settings(root, train=small)
                train.run(chosen, root)
            else:
                write_table(root / "data/clean", count * times)
                write_table(
                    root / "data/synthetic", count * times, split="train", origin="synthetic"
                )
                settings(root)
            found.append(peak(stage, root, count * times))
    detail = f"{found[0]:.0f} → {found[1]:.0f} MiB, {count} → {count * 4} images"
    return ratio(f"peak memory of {stage}, ×4 set", found[1] / found[0], 1.3, detail, most=True)


def help_time() -> Row:
    command = [str(Path(sys.executable).with_name("augment")), "--help"]
    seconds = best_of(5, lambda: subprocess.run(command, check=True, capture_output=True))
    return ratio("augment --help, seconds", seconds, 0.5, "", most=True)


def ratio(what: str, value: float, bound: float, detail: str, *, most: bool = False) -> Row:
    met = value <= bound if most else value >= bound
    sign = "≤" if most else "≥"
    return {
        "what": what, "measured": round(value, 3), "bound": f"{sign} {bound}",
        "met": met, "detail": detail,
    }  # fmt: skip


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half of the images, nothing stored")
    quick = parser.parse_args().quick
    size = 4000 if quick else 8000
    rows = [
        help_time(),
        ingest_speed(size),
        step_speed(2 if quick else 5),
        synth_speed(size // CHUNK * CHUNK),
        score_speed(size // 4),
        *(memory(stage, size // 4) for stage in ("ingest", "synth", "write")),
    ]
    board = Table(title="speed and memory")
    for column in ("what", "measured", "bound", "met", "detail"):
        board.add_column(column)
    for row in rows:
        board.add_row(*(str(value) for value in row.values()))
    Console(soft_wrap=True).print(board)
    if not quick:
        print(record.store("speed", rows, command="make bench"))
        readme.fill()


if __name__ == "__main__":
    main()
