"""Which recipes find all modes: ``python -m benchmarks.modes --only ring,grid``.

A ring of 8 and a grid of 25 Gaussians, shrunk into [-1, 1], and Stacked MNIST: three random digits
as the channels of one image, 1,000 modes, told apart by a classifier of single digits. Modes that a
fixed number of samples falls into, the share of high quality (within three standard deviations of a
centre) and KL of the modes' histogram to the uniform one that is real. Source: Lin et al. 2018,
PacGAN (arXiv:1712.04086).

Nobody is given a label: conditional recipes run as the plain GAN, so what is compared is their
loss, penalties, optimiser, rates and discriminator steps. On the points all have one network, and
recipes that are then the same are run once.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
from benchmarks import mnist, runs
from benchmarks.summaries import DEFAULT

NEAR = 3.0  # standard deviations
NOISE = 2  # numbers that every generator of points is fed with, as in PacGAN
LAYERS = {"generator": 3, "discriminator": 4}
CHUNK = 1000
FEW = 200  # samples of a quick run
SEEDS = [10, 11, 12, 13, 14]  # no setting was chosen on them
STACKED = ("dcgan", DEFAULT)
TUNED: dict[str, Any] = {  # what the default recipe is given for points, as in params.yaml
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
        chosen = torch.randint(self.modes, (count,), generator=rng)
        points = self.centres[chosen] + self.std * torch.randn(count, 2, generator=rng)
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
        chosen = torch.randint(len(self.pixels), (count, 3), generator=rng, device=rng.device)
        signed: Tensor = images.to_signed(self.pixels[chosen].float())
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


def count(found: Tensor, modes: int) -> runs.Row:
    """Modes that occur, share of samples that are of any, KL of theirs to the uniform distribution.

    KL is in nats, 0 to ln ``modes``; that where no sample is of any mode.
    """
    good = found[found >= 0]
    histogram = torch.bincount(good, minlength=modes).double()
    shares = histogram / len(good)
    kl = float(torch.special.xlogy(shares, shares * modes).sum()) if len(good) else math.log(modes)
    seen = int((histogram > 0).sum())
    return {"modes": seen, "of": modes, "quality": len(good) / len(found), "kl": kl}


def unlabelled(recipe: str) -> dict[str, Any]:
    """A recipe's model, or the plain GAN where it would need labels."""
    return {"name": "gan", "noise": MODELS.resolve(TrainSettings(recipe=recipe).model)["noise"]}


def of_points(recipe: str, asked: argparse.Namespace, seed: int) -> TrainSettings:
    """A recipe on points: one network for all, no augmentation; the default one is tuned."""
    networks: dict[str, Any] = {
        side: {"name": "mlp", "width": asked.width, "layers": layers}
        for side, layers in LAYERS.items()
    }
    own = DISCRIMINATORS.resolve(TrainSettings(recipe=recipe).discriminator)
    networks["discriminator"]["spectral"] = own.get("spectral", False)
    given = {"model": {**unlabelled(recipe), "noise": NOISE}} if recipe != DEFAULT else TUNED
    return TrainSettings(
        recipe=recipe, augment=[], steps=asked.steps, batch=asked.batch, seed=seed,
        **networks, **given,
    )  # fmt: skip


def of_stacks(recipe: str, asked: argparse.Namespace, seed: int) -> TrainSettings:
    """A recipe with its own networks, without labels; the default one packs two images."""
    given = PACKED if recipe == DEFAULT else {"model": unlabelled(recipe)}
    return runs.settings(recipe, asked, seed, **given)


def leaders() -> dict[str, str]:
    """The first recipe that is the same on points, by recipe."""
    first: dict[str, str] = {}
    found = {}
    for recipe in RECIPES:
        settings = of_points(recipe, argparse.Namespace(**POINTS), 0)
        seen = settings.model_dump_json(exclude={"recipe", "conditioning"})  # no label, no use
        found[recipe] = first.setdefault(seen, recipe)
    return found


def train(chosen: TrainSettings, target: Target, device: torch.device) -> tuple[Model, float]:
    """A model after its last step, and the seconds that the steps took."""
    engine = Engine(chosen, target.shape, 1, device)
    labels = torch.full((chosen.batch,), -1, device=device)
    batches = chosen.steps * chosen.discriminator_steps

    def feed(number: int) -> Batch:
        rng = seeding.generator(chosen.seed, "step", number, device=device)
        real = target.draw(chosen.batch, rng).contiguous(memory_format=torch.channels_last)
        return Batch(real, labels, number, rng, number / batches)

    start = time.perf_counter()
    for step in progress.track(range(chosen.steps), chosen.recipe, chosen.steps):
        engine.step(step, feed)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return engine.model, time.perf_counter() - start


def samples(model: Model, wanted: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Images of the averaged generator in chunks, their codes drawn as in training."""
    rng = seeding.generator(seed, "samples", device=device)
    for start in range(0, wanted, CHUNK):
        size = (min(CHUNK, wanted - start),)
        codes = torch.randint(model.conditions or 1, size, generator=rng, device=device)
        yield model.sample(codes, generator=rng)


def measure(
    part: str, recipe: str, seed: int, asked: argparse.Namespace, target: Target
) -> runs.Row:
    """A row of the table."""
    points = part in MIXTURES
    chosen = (of_points if points else of_stacks)(recipe, asked, seed)
    model, seconds = train(chosen, target, asked.device)
    wanted = FEW if asked.quick else target.samples
    found = torch.cat([target.find(made) for made in samples(model, wanted, seed, asked.device)])
    also = [name for name, first in leaders().items() if points and first == recipe != name]
    facts = {"part": part, "recipe": recipe, "also": also, "seed": seed, "seconds": seconds}
    return runs.signed({**facts, **count(found, target.modes)}, asked)


def of_part(part: str, asked: argparse.Namespace) -> argparse.Namespace:
    """What was asked for, and the full form's where nothing was; points need no GPU."""
    given = {name: value for name, value in vars(asked).items() if value is not None}
    place = {"device": torch.device("cpu")} if part in MIXTURES else {}
    return argparse.Namespace(**{**FULL[part], **given, **place})


def recipes(part: str, names: Sequence[str]) -> list[str]:
    """Of ``names`` those that a part trains; on points each configuration once."""
    if part not in MIXTURES:
        return [name for name in names if name in STACKED]
    first = leaders()
    return list(dict.fromkeys(first[name] for name in names))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__, seeds=SEEDS, network=None, batch=None, recipes=list(RECIPES), only=list(FULL)
    )
    made.add_argument("--recipes", type=runs.names, help="a,b; default: all")
    made.add_argument("--only", type=runs.names, help="ring,grid,stacked; default: all")
    asked = runs.ask(made, argv, seeds=[0], recipes=["gan", "dcgan", DEFAULT])
    rows, facts = [], None
    target: Target
    for part in asked.only if asked.seeds else []:
        if part in MIXTURES:
            target = MIXTURES[part]()
        else:
            judge = mnist.Judge(asked.judge, asked.device)
            facts = {"steps": asked.judge, **judge.floor()}
            target = Stacks(judge, asked.device)
        for recipe in recipes(part, asked.recipes):
            for seed in asked.seeds:
                rows.append(measure(part, recipe, seed, of_part(part, asked), target))
    wanted = [
        {"seed": seed, "recipe": recipe, "part": part, **FULL[part]}
        for part in FULL
        for seed in SEEDS
        for recipe in recipes(part, list(RECIPES))
    ]
    runs.finish(
        "modes", asked, rows, wanted, ("part", "recipe", "seed"),
        judge=facts, tuned=TUNED,
    )  # fmt: skip


if __name__ == "__main__":
    main()
