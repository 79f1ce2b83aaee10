"""Modes are counted as in closed form, the same for every recipe, and the quick form runs."""

import argparse
import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks import mnist, modes, tables

SETTING = {"network": "mlp", "width": 8, "steps": 2, "batch": 8, "device": "cpu"}


pytestmark = pytest.mark.usefixtures("elsewhere")


def points(*pairs: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(pairs)[:, :, None, None]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0, 1, 2, 3], (4, 1.0, 0.0)),
        ([0, 0, 1, 1], (2, 1.0, math.log(2))),
        ([2, 2, 2, -1], (1, 0.75, math.log(4))),
        ([0, 0, 0, 1, -1], (2, 0.8, 0.75 * math.log(3))),
        ([-1, -1], (0, 0.0, math.log(4))),
    ],
)
def test_count(places: list[int], expected: tuple[int, float, float]) -> None:
    counts = modes.count(torch.tensor(places), 4)
    assert (counts["modes"], counts["quality"]) == expected[:2] and counts["of"] == 4
    assert counts["kl"] == pytest.approx(expected[2])


def test_high_quality_is_within_three_deviations_of_the_nearest_centre() -> None:
    pair = modes.Mixture(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 0.1)
    inside, outside = 0.3 - 1e-4, 0.3 + 1e-4
    made = points((inside, 0), (outside, 0), (1, -inside), (1, -outside), (0.25, 0.25))
    assert pair.find(made).tolist() == [0, -1, 1, -1, -1]


@pytest.mark.parametrize(("name", "count", "near"), [("ring", 8, 2 * 0.9 * math.sin(math.pi / 8)),
                                                     ("grid", 25, 2 / 4.5)])  # fmt: skip
def test_real_points_are_uniform_and_of_high_quality(name: str, count: int, near: float) -> None:
    mixture = modes.MIXTURES[name]()
    assert mixture.modes == count
    between = torch.cdist(mixture.centres, mixture.centres) + 9 * torch.eye(count)
    assert between.min().item() == pytest.approx(near)
    real = mixture.draw(20_000, torch.Generator().manual_seed(0))
    assert real.shape == (20_000, 2, 1, 1) and real.abs().max() < 1
    counts = modes.count(mixture.find(real), count)
    assert counts["quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # Rayleigh
    assert counts["modes"] == count
    assert counts["kl"] == pytest.approx((count - 1) / 2 / 20_000, rel=0.8)  # its expectation


def test_stacks_are_numbers_of_three_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    train, _ = mnist.digits()
    judge = mnist.Judge.__new__(mnist.Judge)

    class Reader:
        """Knows the train digits by heart."""

        labels = {
            image.tobytes(): label for image, label in zip(train.pixels, train.labels, strict=True)
        }

        def predict(self, pixels):
            return torch.eye(10).numpy()[[self.labels[image.tobytes()] for image in pixels]]

    judge.classifier = Reader()
    stacks = modes.Stacks(judge, torch.device("cpu"))
    stacked = stacks.draw(300, torch.Generator().manual_seed(0))
    assert stacked.shape == (300, 3, 28, 28) and stacked.min() == -1 and stacked.max() == 1
    places = torch.randint(len(train), (300, 3), generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(train.labels)[places]
    digits = ["".join(map(str, triple)) for triple in labels.tolist()]
    assert stacks.find(stacked).tolist() == [*map(int, digits)]


def test_recipes_differ_on_points_in_what_is_compared() -> None:
    leaders = modes.leaders()
    assert list(leaders) == modes.GANS
    alone = {"infogan", "r3gan", "lsgan", "fgan", "wgan", "wgan_gp", "sngan"}
    assert {name for name, first in leaders.items() if name == first} == alone | {"gan"}
    assert {leaders[name] for name in ("dcgan", "cgan", "acgan")} == {"gan"}
    assert modes.recipes("ring", ["acgan", "wgan", "gan"]) == ["gan", "wgan"]
    assert modes.recipes("stacked", ["acgan", "dcgan", "infogan"]) == ["dcgan", "infogan"]
    options = argparse.Namespace(**modes.POINTS)
    every = [modes.of_points(name, options, 0) for name in modes.GANS]
    for settings in every:
        settings.discriminator.pop("spectral")  # it is a way to train the same network
    same = ("generator", "discriminator", "steps", "batch", "augment")
    assert len({repr([getattr(settings, name) for name in same]) for settings in every}) == 1


def test_spectral_norm_is_trained() -> None:
    """The optimiser has the parameters that the normalised network uses."""
    options = argparse.Namespace(**SETTING)
    settings = modes.of_points("sngan", options, 0)
    assert settings.discriminator["spectral"]
    assert not modes.of_points("gan", options, 0).discriminator["spectral"]
    place = torch.device("cpu")
    trained = [
        modes.train(settings.model_copy(update={"steps": steps}), modes.ring(), place)
        for steps in (1, 2)
    ]
    first, second = (model.discriminator.network.body[1] for model, _ in trained)
    assert torch.linalg.matrix_norm(second.weight, 2).item() == pytest.approx(1, abs=0.1)
    assert not torch.equal(first.parametrizations.weight.original,
                           second.parametrizations.weight.original)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "ring,grid", "--recipes", "sngan,infogan", "--steps", "4"], "sngan"),
        (["--only", "stacked", "--recipes", "infogan", "--steps", "1", "--judge", "1"], "Stacked"),
    ],
)
def test_quick_form_prints_and_stores_nothing(
    options: list[str], said: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modes.main(["--quick", "--device", "cpu", *options])
    assert said in capsys.readouterr().out
    assert not list(elsewhere.glob("*.json"))


def test_a_part_is_stored_without_the_others(elsewhere: Path) -> None:
    few = ["--recipes", "gan", "--seeds", "0", "--steps", "1", "--batch", "8", "--width", "4"]
    for part in ("ring", "grid"):
        modes.main([*few, "--only", part])
    stored = json.loads((elsewhere / "modes.json").read_text())
    assert [(row["part"], row["also"]) for row in stored["rows"]] == [
        (part, ["dcgan", "cgan", "acgan"]) for part in ("grid", "ring")
    ]
    assert stored["tuned"] == modes.TUNED
    assert {row["part"] for row in stored["owed"]} == {"ring", "grid", "stacked"}


def test_bounds() -> None:
    def met(part: str, of: int, *seeds: tuple[int, float, float]) -> str:
        rows = [
            {"part": part, "recipe": "infogan", "also": [], "seed": seed, "of": of, "modes": count,
             "quality": quality, "kl": kl, "seconds": 1.0, "machine": "a machine", **SETTING}
            for seed, (count, quality, kl) in enumerate(seeds)
        ]  # fmt: skip
        (table,) = tables.tables("modes", rows)
        return table["met"].item()

    good = (8, 0.95, 1.0)
    assert met("ring", 8, good, good) == "yes"
    assert met("ring", 8, good, (7, 1.0, 0.0)) == "no"
    assert met("ring", 8, good, (8, 0.94, 0.0)) == "no"
    assert met("stacked", 1000, (1000, 1.0, 0.06)) == "yes"
    assert met("stacked", 1000, (999, 1.0, 0.0)) == "no"
    assert met("stacked", 1000, (1000, 1.0, 0.0), (1000, 1.0, 0.07)) == "no"
