"""Which recipes find all modes: ``python -m benchmarks.modes --only ring,grid``.

A ring of 8 and a grid of 25 Gaussians, shrunk into [-1, 1], and Stacked MNIST: three random digits
as the channels of one image, 1,000 modes, told apart by a classifier of single digits. Modes that a
fixed number of samples falls into, the share of high quality (within three standard deviations of a
centre) and KL of the modes' histogram to the uniform one that is real. Source: Lin et al. 2018,
PacGAN (arXiv:1712.04086).

No recipe is given a label, and conditional recipes run as the plain GAN. So losses, penalties,
optimisers, rates and discriminator steps are compared. On the points all recipes have the same
network, and recipes that are then the same are run once.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from augment.data import images
from augment.models.adversarial import Model
from augment.models.base import MODELS, Batch
from augment.models.networks import DISCRIMINATORS, Shape
from augment.runtime import progress, seeding
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings
from augment.train.step import Engine
from benchmarks import mnist, runs, training
from benchmarks.results import SETTING, Row
from benchmarks.tables import WHERE, Column, Frame, by_recipe, first, met, summary
from benchmarks.training import DEFAULT

GANS = [  # of noise, by networks of any kind: the others have nothing that is compared here
    name
    for name in RECIPES
    if MODELS.resolve(TrainSettings(recipe=name).model)["name"]
    in ("gan", "cgan", "acgan", "infogan")
]
NEAR = 3.0  # standard deviations, as in PacGAN
PARTS = {"ring": "ring of 8", "grid": "grid of 25", "stacked": "Stacked MNIST"}
GOOD, CLOSE = 0.95, 0.06  # share of high quality on points, KL on Stacked MNIST, in every seed
NOISE = 2  # numbers that every generator of points is fed with, as in PacGAN
LAYERS = {"generator": 3, "discriminator": 4}
CHUNK = 1000
FEW = 200  # samples of a quick run
SEEDS = [10, 11, 12, 13, 14]  # no setting was chosen on them
STACKED = ("dcgan", DEFAULT)
TUNED: dict[str, Any] = {  # the default recipe's settings on points, as in params.yaml
    "model": {
        "name": "infogan",
        "labels": "none",
        "pseudo_labels": "none",
        "categories": 64,
        "continuous": 0,
        "noise": NOISE,
        "class_weight": 0.02,
    },
    "conditioning": {"generator": {"name": "embed", "width": 8}},
    "loss": "relativistic",
    "penalties": [{"name": "r1", "weight": 1e-4}, {"name": "r2", "weight": 1e-4}],
    "optimiser": {"name": "adam", "betas": [0.0, 0.9]},
    "rate": {
        "generator": 1e-3,
        "discriminator": 2e-3,
        "schedule": {"name": "cosine", "final": 0.0},
    },
}
PACKED = {"model": {"name": "gan", "packing": 2}}  # the default recipe on Stacked MNIST
POINTS = {"network": "mlp", "width": 128, "steps": 4000, "batch": 128}
FULL = {
    "ring": POINTS,
    "grid": POINTS,
    "stacked": {"network": "own", "width": 32, "steps": 20_000, "batch": 64},
}


@dataclass(frozen=True)
class Mixture:
    """Equal round Gaussians in the plane: centres (K, 2), one standard deviation."""

    centres: Tensor
    std: float
    shape: Shape = (2, 1, 1)
    samples: int = 2500

    @property
    def modes(self) -> int:
        """K."""
        return len(self.centres)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Points (count, 2, 1, 1)."""
        modes = torch.randint(self.modes, (count,), generator=rng)
        points = self.centres[modes] + self.std * torch.randn(count, 2, generator=rng)
        return points[:, :, None, None]

    def find(self, made: Tensor) -> Tensor:
        """The nearest centre, where it is near."""
        distance, mode = torch.cdist(made[:, :, 0, 0], self.centres).min(1)
        return torch.where(distance <= NEAR * self.std, mode, -1)


class Stacks:
    """Three digits in three channels; a mode is their number, 0 to 999."""

    shape = (3, 28, 28)
    modes = 1000
    samples = 26_000

    def __init__(self, judge: mnist.Judge, device: torch.device):
        """Digits to stack and the classifier that reads them."""
        train, _ = mnist.digits()
        self.pixels = torch.from_numpy(train.pixels[:, 0]).to(device)
        self.classifier = judge.classifier

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Images (count, 3, 28, 28)."""
        places = torch.randint(len(self.pixels), (count, 3), generator=rng, device=rng.device)
        signed: Tensor = images.to_signed(self.pixels[places].float())
        return signed

    def find(self, made: Tensor) -> Tensor:
        """Every image is of the mode that the classifier reads."""
        single = images.to_uint8(made.float().cpu().numpy()).reshape(-1, 1, *self.shape[1:])
        digits = torch.from_numpy(self.classifier.predict(single).argmax(1)).view(-1, 3)
        return (digits * torch.tensor([100, 10, 1])).sum(1)


def ring() -> Mixture:
    """Radius 1, standard deviation 0.01, times 0.9."""
    angle = torch.arange(8) * (math.tau / 8)
    return Mixture(0.9 * torch.stack([angle.cos(), angle.sin()], 1), 0.9 * 0.01)


def grid() -> Mixture:
    """-4, -2, 0, 2, 4 either way, standard deviation 0.05, over 4.5."""
    places = torch.arange(-4.0, 5.0, 2.0) / 4.5
    return Mixture(torch.cartesian_prod(places, places), 0.05 / 4.5)


MIXTURES = {"ring": ring, "grid": grid}
Target = Mixture | Stacks


def count(places: Tensor, modes: int) -> Row:
    """Modes that occur, share of samples that are of any, KL of theirs to the uniform distribution.

    ``places[i]`` is the mode of sample i, -1 for none. KL is in nats, from 0 to ln ``modes``, which
    it is where no sample is of any mode.
    """
    good = places[places >= 0]
    histogram = torch.bincount(good, minlength=modes).double()
    shares = histogram / len(good)
    kl = float(torch.special.xlogy(shares, shares * modes).sum()) if len(good) else math.log(modes)
    seen = int((histogram > 0).sum())
    return {"modes": seen, "of": modes, "quality": len(good) / len(places), "kl": kl}


def unlabelled(recipe: str) -> dict[str, Any]:
    """A recipe's model as the plain GAN, which needs no label, with the recipe's noise."""
    return {"name": "gan", "noise": MODELS.resolve(TrainSettings(recipe=recipe).model)["noise"]}


def of_points(recipe: str, options: argparse.Namespace, seed: int) -> TrainSettings:
    """A recipe on points: one network for all, no augmentation; the default recipe is tuned."""
    networks: dict[str, Any] = {
        side: {"name": "mlp", "width": options.width, "layers": layers}
        for side, layers in LAYERS.items()
    }
    discriminator = DISCRIMINATORS.resolve(TrainSettings(recipe=recipe).discriminator)
    networks["discriminator"]["spectral"] = discriminator.get("spectral", False)
    changes = {"model": {**unlabelled(recipe), "noise": NOISE}} if recipe != DEFAULT else TUNED
    return TrainSettings(
        recipe=recipe, augment=[], steps=options.steps, batch=options.batch, seed=seed,
        **networks, **changes,
    )  # fmt: skip


def of_stacks(recipe: str, options: argparse.Namespace, seed: int) -> TrainSettings:
    """A recipe with its own networks, without labels; the default recipe packs two images."""
    changes = PACKED if recipe == DEFAULT else {"model": unlabelled(recipe)}
    return training.settings(recipe, options, seed, **changes)


def leaders() -> dict[str, str]:
    """For each recipe the first one that is the same on points."""
    leader: dict[str, str] = {}
    by_recipe = {}
    for recipe in GANS:
        settings = of_points(recipe, argparse.Namespace(**POINTS), 0)
        text = settings.model_dump_json(exclude={"recipe", "conditioning"})  # no label, no use
        by_recipe[recipe] = leader.setdefault(text, recipe)
    return by_recipe


def train(settings: TrainSettings, target: Target, device: torch.device) -> tuple[Model, float]:
    """A model after its last step, and the seconds that the steps took."""
    engine = Engine(settings, target.shape, 1, device)
    labels = torch.full((settings.batch,), -1, device=device)
    batches = settings.steps * settings.discriminator_steps

    def feed(number: int) -> Batch:
        rng = seeding.generator(settings.seed, "step", number, device=device)
        real = target.draw(settings.batch, rng).contiguous(memory_format=torch.channels_last)
        return Batch(real, labels, number, rng, number / batches)

    start = time.perf_counter()
    for step in progress.track(range(settings.steps), settings.recipe, settings.steps):
        engine.step(step, feed)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return engine.model, time.perf_counter() - start


def samples(model: Model, total: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Images of the averaged generator in chunks, their codes drawn as in training."""
    rng = seeding.generator(seed, "samples", device=device)
    for start in range(0, total, CHUNK):
        size = (min(CHUNK, total - start),)
        codes = torch.randint(model.conditions or 1, size, generator=rng, device=device)
        yield model.sample(codes, generator=rng)


def measure(
    part: str, recipe: str, seed: int, device: str, options: argparse.Namespace, **setting: Any
) -> Row:
    """A row of the table."""
    points, place = part in MIXTURES, torch.device(device)
    judge = None if points else mnist.judge(options.judge, place)
    target = Stacks(judge, place) if judge else MIXTURES[part]()
    sizes = argparse.Namespace(**setting)
    settings = (of_points if points else of_stacks)(recipe, sizes, seed)
    model, seconds = train(settings, target, place)
    total = FEW if options.quick else target.samples
    places = torch.cat([target.find(made) for made in samples(model, total, seed, place)])
    also = [name for name, leader in leaders().items() if points and leader == recipe != name]
    return {"also": also, "seconds": seconds, **count(places, target.modes)}


def recipes(part: str, names: Sequence[str]) -> list[str]:
    """The recipes among ``names`` that a part trains; on points each configuration once."""
    if part not in MIXTURES:
        return [name for name in names if name in STACKED]
    leader = leaders()
    return list(dict.fromkeys(leader[name] for name in names))


def modes(rows: Frame) -> Frame:
    """A line for each set and recipe: median and worst seed; the bounds are the default's."""

    def enough(t: Frame) -> Frame:
        stacked = t["part"] == PARTS["stacked"]
        close = (t["farthest"] <= CLOSE).where(stacked, t["poorest"] >= GOOD)
        return (t["fewest"] == t["of"]) & close

    together = [", ".join([row["recipe"], *row["also"]]) for _, row in rows.iterrows()]
    rows = rows.assign(
        together=together, part=pd.Categorical(rows["part"].map(PARTS), PARTS.values()),
        quality=rows["quality"].where(rows["part"] != "stacked"),
    )  # fmt: skip
    return summary(by_recipe(rows, "part", "recipe").astype({"part": str}), ["part", "recipe"], {
        "part": first("part", ""), "of": first("of", ""), "default": first("recipe", ""),
        "set": first("part"), "recipe": first("together"), "modes": Column("modes"),
        "fewest": Column("modes", "min"), "high quality": Column("quality", form="{:.1%}"),
        "poorest": Column("quality", "min", "{:.1%}"), "KL": Column("kl", form="{:.3f}"),
        "farthest": Column("kl", "max", "{:.3f}"),
        "met": met(enough, lambda t: t["default"] == DEFAULT),
        "seconds": Column("seconds", form="{:.0f}"), **WHERE,
    })  # fmt: skip


TABLES = (modes,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"seeds": [0], "recipes": ["gan", "dcgan", DEFAULT]},
        seeds=SEEDS, recipes=GANS, only=list(FULL),
        network="", width=0, steps=0, batch=0,  # the full form's of the part
    )  # fmt: skip

    def keys(part: str, names: Sequence[str], seeds: Sequence[int], setting: Row) -> list[Row]:
        return runs.grid(setting, part=[part], recipe=recipes(part, names), seed=seeds)

    todo, full_form = [], []
    for part, setting in FULL.items():
        full_form += keys(part, GANS, SEEDS, setting)
        sizes = {name: value for name in SETTING if (value := getattr(options, name))}
        device = "cpu" if part in MIXTURES else options.device.type  # points need no GPU
        if part in options.only:
            todo += keys(
                part, options.recipes, options.seeds, {**setting, **sizes, "device": device}
            )

    def facts(options: argparse.Namespace) -> Row:
        return {"tuned": TUNED} | (mnist.judge_facts(options) if "stacked" in options.only else {})

    key = ("part", "recipe", "seed")
    runs.collect("modes", options, todo, measure, full_form, key, facts)


if __name__ == "__main__":
    main()
