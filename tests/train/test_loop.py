"""The loop: what it feeds, troubles caused on purpose, going back, and being killed anywhere."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.data import files
from augment.data.arrays import Arrays, DatasetError
from augment.data.images import to_signed
from augment.data.places import CLEAN, REPORTS
from augment.models.base import Batch
from augment.runtime import checkpoint
from augment.train import watch
from augment.train.feed import Feed
from augment.train.log import Log
from augment.train.loop import Trainer
from augment.train.run import run
from augment.train.settings import Balance, TrainSettings

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "recipe": "r3gan",
    "model": {"noise": 8},
    "generator": {"name": "mlp", "width": 32},
    "discriminator": {"name": "mlp", "width": 32},
    "rate": {"generator": 2e-3, "discriminator": 2e-3},
    "augment": [],
    "steps": 60,
    "every": 10,
    "batch": 16,
    "device": "cpu",
}
STILL = 1e-12  # a rate at which nothing is learned


class Killed(BaseException):
    """The end of a process, as far as a test can have it."""


class Pixels:
    """A labeller whose features are the pixels."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), 64).astype("f4") / 255

    def both(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.features(pixels), np.full((len(pixels), 3), 1 / 3, "f4")


class Live:
    """What dvclive does, in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []
        self.step = 0

    def log_metric(self, name: str, value: float) -> None:
        self.rows.append((self.step, name, value))

    def make_summary(self) -> None:
        pass

    end = make_summary


def bars(count: int, seed: int = 0) -> Arrays:
    """Three classes of noisy bars."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 60, (count, 1, 8, 8))
    for image, label in zip(pixels, labels, strict=True):
        image[0, :, 2 * label : 2 * label + 3] += rng.integers(100, 190)
    return arrays(pixels, labels)


def grey(count: int, level: int) -> Arrays:
    noise = np.random.default_rng(0).integers(-20, 20, (count, 1, 8, 8))
    return arrays(level + noise, np.arange(count) % 3)


def arrays(pixels: np.ndarray, labels: np.ndarray) -> Arrays:
    ids = [str(place) for place in range(len(labels))]
    return Arrays(pixels.astype(np.uint8), labels.astype(np.int64), ids, ["a", "b", "c"])


def trainer(
    home: Path,
    *,
    train: Arrays | None = None,
    valid: Arrays | None = None,
    start: Callable[[], Any] | None = None,
    **changes: Any,
) -> Trainer:
    settings = TrainSettings.model_validate(TINY | changes)
    data = train or bars(60), bars(30, seed=1) if valid is None else valid
    return Trainer(settings, *data, Pixels(), home, CPU, Log(start))  # type: ignore[arg-type]


def poison(target: Trainer, *first: int) -> Trainer:
    """Images that are no numbers from batch ``first[r]`` on, where G's rate was halved r times."""
    healthy = target.feed.at
    limits = {0.5**halved: number for halved, number in enumerate(first)}

    def at(number: int) -> Batch:
        batch = healthy(number)
        hurt = number >= limits.get(target.engine.rates["generator"], math.inf)
        return dataclasses.replace(batch, real=batch.real * math.nan) if hurt else batch

    target.feed.at = at  # type: ignore[method-assign]
    return target


def steps(target: Trainer) -> list[float]:
    return [row["step"] for row in target.history.rows]


# what the model learns from


def feed(labels: list[int], batch: int = 4, balance: Balance = "none") -> Feed:
    pixels = np.arange(len(labels))[:, None, None, None] * np.ones((1, 1, 8, 8))
    return Feed(arrays(pixels, np.array(labels)), batch, 10, 7, CPU, balance)


def shown(images: torch.Tensor) -> list[int]:
    """Which images these are, by their level."""
    levels = (images.mean((1, 2, 3)) + 1) * 127.5
    return [int(level) for level in levels.round().tolist()]


def test_every_image_is_fed_once_an_epoch() -> None:
    served = feed([0, 1, 2] * 4)
    batches = [served.at(number) for number in range(6)]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(itertools.chain(*(shown(batch.real) for batch in epoch))) == list(range(12))
    for number, batch in enumerate(batches):
        assert batch.real.shape == (4, 1, 8, 8) and -1 <= batch.real.min() <= batch.real.max() <= 1
        assert batch.labels.tolist() == [place % 3 for place in shown(batch.real)]
        assert (batch.step, batch.done, batch.labelled) == (number, number / 10, None)


def test_codes_travel_with_their_images() -> None:
    pixels = np.arange(12)[:, None, None, None] * np.ones((1, 1, 8, 8))
    codes = np.stack([np.arange(12), np.full(12, np.nan)], 1).astype(np.float32)
    data = dataclasses.replace(arrays(pixels, np.zeros(12)), codes=codes)
    batch = Feed(data, 4, 10, 7, CPU).at(3)
    assert batch.codes is not None and batch.codes[:, 0].tolist() == shown(batch.real)
    assert batch.codes[:, 1].isnan().all()
    assert feed([0, 1] * 4).at(0).codes is None


def test_a_batch_follows_from_its_number() -> None:
    first, again, other = (feed([0, -1, 2] * 4).at(number) for number in (5, 5, 6))
    assert torch.equal(first.real, again.real) and torch.equal(first.labels, again.labels)
    assert shown(first.real) != shown(other.real)
    assert first.labelled and again.labelled and other.labelled
    assert torch.equal(first.labelled[0], again.labelled[0])
    assert shown(first.labelled[0]) != shown(other.labelled[0])
    draws = [torch.rand(3, generator=batch.rng).tolist() for batch in (first, again, other)]
    assert draws[0] == draws[1] != draws[2]


def test_half_is_fed_labelled_images_beside() -> None:
    served = feed([-1, -1, 2, -1, 0, -1, -1, 1], batch=4)
    seen = []
    for number in range(6):
        batch = served.at(number)
        assert batch.labelled is not None
        images, labels = batch.labelled
        assert images.shape == batch.real.shape and len(labels) == 4
        assert labels.tolist() == [{2: 2, 4: 0, 7: 1}[place] for place in shown(images)]
        assert batch.labels.tolist() == [
            {2: 2, 4: 0, 7: 1}.get(place, -1) for place in shown(batch.real)
        ]
        seen += shown(images)
    assert sorted(seen) == [2] * 8 + [4] * 8 + [7] * 8


def test_none_is_fed_no_label() -> None:
    batch = feed([-1] * 8).at(0)
    assert batch.labelled is None and batch.labels.tolist() == [-1] * 4


RARE = [0] * 9 + [1] * 2 + [2]


def test_balanced_batches_hold_every_class_equally() -> None:
    batches = [feed(RARE, 6, "classes").at(number) for number in range(9)]
    for batch in batches:
        assert np.bincount(batch.labels).tolist() == [2, 2, 2] and batch.labelled is None
        assert batch.labels.tolist() == [RARE[place] for place in shown(batch.real)]
    seen = np.bincount(sum((shown(batch.real) for batch in batches), []))
    assert seen.tolist() == [2] * 9 + [9, 9, 18]  # each of a class as often as the others
    assert np.bincount(feed(RARE, 6).at(0).labels).tolist() != [2, 2, 2]
    orders = {tuple(batch.labels.tolist()) for batch in batches}
    assert len(orders) > 1  # packs of neighbours do not always hold the same classes


def test_balance_goes_on_where_a_batch_is_no_multiple_of_the_classes() -> None:
    served = feed(RARE, 4, "classes")
    counts = sum(np.bincount(served.at(number).labels, minlength=3) for number in range(3))
    assert counts.tolist() == [4, 4, 4]
    again = feed(RARE, 4, "classes").at(2)
    assert shown(served.at(2).real) == shown(again.real) != shown(served.at(1).real)


def test_only_labelled_images_can_be_balanced() -> None:
    labels = [0] * 6 + [1] + [-1] * 5
    for number in range(3):
        batch, plain = (feed(labels, 4, kind).at(number) for kind in ("classes", "none"))
        assert batch.labelled is not None
        assert np.bincount(batch.labelled[1]).tolist() == [2, 2]
        assert shown(batch.real) == shown(plain.real)
    assert feed([-1] * 4, 4, "classes").at(0).labelled is None


@pytest.mark.parametrize("balance", ["none", "classes"])
def test_an_image_comes_with_another_one_of_its_class(balance: Balance) -> None:
    """Class 2 has a single image, and class 1 two; a batch follows from its number."""
    pixels = np.arange(12)[:, None, None, None] * np.ones((1, 1, 8, 8))
    served, again = (
        Feed(arrays(pixels, np.array(RARE)), 4, 10, 7, CPU, balance, rule="class") for _ in "ab"
    )
    partners: set[tuple[int, int]] = set()
    for number in range(60):
        batch = served.at(number)
        assert batch.source is not None and batch.labels.max() < 2
        pairs = [*zip(shown(batch.real), shown(batch.source), strict=True)]
        assert all(RARE[real] == RARE[source] and real != source for real, source in pairs)
        same = again.at(number)
        assert same.source is not None and torch.equal(batch.source, same.source)
        partners |= set(pairs)
    assert len(partners) > 60 and {(9, 10), (10, 9)} <= partners  # of 9 · 8 + 2
    assert feed(RARE).at(0).source is None


def test_pairs_need_a_class_of_two() -> None:
    pixels = np.zeros((3, 1, 8, 8))
    with pytest.raises(DatasetError, match="two images"):
        Feed(arrays(pixels, np.arange(3)), 4, 10, 7, CPU, rule="class")


# troubles


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No patience with slow starts."""
    monkeypatch.setattr(watch, "SLOW", 0)


def trouble(target: Trainer) -> watch.Diagnosis:
    with pytest.raises(watch.TrainingTrouble) as caught:
        target.fit()
    return caught.value.diagnosis


def test_a_healthy_run_has_none(tmp_path: Path) -> None:
    target = trainer(tmp_path)
    target.fit()
    assert steps(target) == [10, 20, 30, 40, 50, 60] and target.history.rollbacks == []
    kids = [row["kid"] for row in target.history.rows]
    assert target.history.best_kid == min(kids) < kids[0]
    assert target.history.best_step == 10 * (1 + kids.index(min(kids)))


def test_diverged(tmp_path: Path) -> None:
    diagnosis = trouble(trainer(tmp_path, rate={"generator": 1e30, "discriminator": 1e30}))
    assert diagnosis.name == "diverged"


def test_discriminator_won(tmp_path: Path) -> None:
    """A generator that stands still, against an unrestrained discriminator."""
    target = trainer(tmp_path, rate={"generator": STILL}, penalties=[], loss="non_saturating")
    diagnosis = trouble(target)
    assert diagnosis.name == "discriminator_won" and "no longer improve" in diagnosis.evidence
    assert target.history.step == 40  # three measurements after it began to win


@pytest.mark.parametrize(("recipe", "what"), [("gan", "a fixed batch"), ("r3gan", "one class")])
@pytest.mark.usefixtures("at_once")
def test_mode_collapse(tmp_path: Path, recipe: str, what: str) -> None:
    """Against a discriminator that stands still, all samples become what it likes best."""
    rate = {"generator": 0.2, "discriminator": STILL}
    diagnosis = trouble(trainer(tmp_path, recipe=recipe, loss="non_saturating", rate=rate))
    assert diagnosis.name == "mode_collapse" and what in diagnosis.evidence
    assert diagnosis.numbers["variance" if recipe == "gan" else "variance_within"] < 0.1


@pytest.mark.usefixtures("at_once")
def test_code_ignored(tmp_path: Path) -> None:
    """Images that do not depend on the class, and a head that guesses at random."""
    rate = {"generator": STILL, "discriminator": STILL}
    model = {"classifier": "cross_entropy"}
    target = trainer(tmp_path, recipe="infogan", model=model, rate=rate)
    first, *_, last, _ = target.model.generator.network.parameters()
    with torch.no_grad():
        first[:, 8:] = 0  # noise alone
        last *= 5  # and as varied as real images
        target.model.discriminator.category.weight *= 10
    target.model.on_step(0, 0.0)
    diagnosis = trouble(target)
    assert diagnosis.name == "code_ignored" and "against ln K = 1.099" in diagnosis.evidence
    assert diagnosis.numbers["g_q_class"] > 0.2 * math.log(3)


@pytest.mark.parametrize("policy", ["stop", "rollback"])
def test_memorising_ends_with_the_best_step(tmp_path: Path, policy: str) -> None:
    """Learning to draw train images, all bright, leads away from those of valid, all dark."""
    noise = {"std": 3.0, "until": 1.0}  # so that no discriminator wins
    changes = {"train": grey(60, 200), "valid": grey(30, 60), "instance_noise": noise}
    target = trainer(tmp_path, **changes, on_trouble=policy)
    target.fit()
    ended = target.history.ended
    assert ended is not None and ended["name"] == "memorising"
    assert ended["numbers"]["best_step"] == target.history.best_step == 10
    assert target.history.step == ended["step"] < target.settings.steps
    assert target.history.rollbacks == []
    again = trainer(tmp_path, **changes, on_trouble=policy)
    again.fit()
    assert again.history == target.history
    assert steps(again)[-1] == ended["step"]


# going back


def test_rollback_restores_the_best_and_goes_on_with_a_remedy(tmp_path: Path) -> None:
    whole = poison(trainer(tmp_path / "a", on_trouble="rollback", penalties=["r1"]), 44)
    whole.fit()
    (done,) = whole.history.rollbacks
    assert (done["name"], done["step"]) == ("diverged", 50)
    assert "is nan" in done["evidence"]
    assert done["restored"] in (10, 20, 30, 40)
    assert (done["rates"], done["penalties"]) == ({"discriminator": 0.5, "generator": 0.5}, 1.0)
    assert steps(whole) == [10, 20, 30, 40, 50, 60]
    assert whole.engine.rates == {"generator": 0.5, "discriminator": 0.5}
    assert all(tensor.isfinite().all() for tensor in whole.engine.state().values())
    kids = {row["step"]: row["kid"] for row in whole.history.rows}
    assert done["restored"] == min((10, 20, 30, 40), key=lambda step: kids[step])

    healthy = trainer(tmp_path / "b", penalties=["r1"], steps=60)
    healthy.fit()
    before = [row for row in whole.history.rows if row["step"] <= done["restored"]]
    assert before == healthy.history.rows[: len(before)]
    assert whole.history.rows[len(before)] != healthy.history.rows[len(before)]


def test_a_generator_that_has_grown_is_better_than_a_smaller_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coarse images may have the better KID, and yet samples must have the full size."""
    rising = itertools.count()
    monkeypatch.setattr("augment.train.loop.kid", lambda *_: float(next(rising)))
    growing = {"name": "growing", "width": 4}
    networks = {"generator": growing, "discriminator": growing}
    target = trainer(tmp_path, recipe="progressive", **networks, steps=8, every=2)
    target.fit()
    assert target.history.best_step == 6  # the first measurement at full size, from step 5 on
    assert target.best.grown == 1.0


def test_a_rollback_is_the_best_checkpoint_itself(tmp_path: Path) -> None:
    target = poison(trainer(tmp_path, on_trouble="rollback"), 44)
    kept: list[Any] = []
    respond = target.respond

    def watched(diagnosis: watch.Diagnosis) -> None:
        best = checkpoint.latest(tmp_path / "best")
        respond(diagnosis)
        kept.append((best, target.engine.state()))
        raise Killed

    target.respond = watched  # type: ignore[method-assign]
    with pytest.raises(Killed):
        target.fit()
    ((best, now),) = kept
    tensors, meta = best
    assert all(torch.equal(now[name], tensors[name]) for name in now)
    assert meta["step"] == target.history.step == target.history.best_step
    assert [path.name for path in checkpoint.steps(tmp_path / "steps")] == [
        f"step-{meta['step']:08d}"
    ]


def test_rollbacks_are_counted_and_remedies_add_up(tmp_path: Path) -> None:
    """A lost game stays lost: back twice, each time with time to recover, then the end."""
    changes: dict[str, Any] = {
        "rate": {"generator": 1e-5},
        "penalties": [{"name": "r1", "weight": 1e-9}],
        "loss": "non_saturating",
        "on_trouble": "rollback",
        "rollbacks": 2,
        "steps": 200,
    }
    target = trainer(tmp_path, **changes)
    assert trouble(target).name == "discriminator_won"
    first, second = target.history.rollbacks
    assert first["name"] == second["name"] == "discriminator_won"
    assert (first["step"], first["restored"]) == (40, 30)
    assert (second["step"], second["restored"]) == (60, 50)
    assert target.history.step == 80
    assert target.engine.rates == {"generator": 1.0, "discriminator": 0.25}
    assert target.model.parts.penalties[0].weight == 4e-9
    with pytest.raises(watch.TrainingTrouble, match="discriminator_won"):  # again
        trainer(tmp_path, **changes)


@pytest.mark.parametrize(("on_trouble", "first"), [("rollback", 0), ("rollback", 9), ("stop", 44)])
def test_without_a_best_checkpoint_or_the_policy_it_stops(
    tmp_path: Path, on_trouble: str, first: int
) -> None:
    target = poison(trainer(tmp_path, on_trouble=on_trouble), first)
    assert trouble(target).name == "diverged"
    assert target.history.rollbacks == []
    assert not checkpoint.steps(tmp_path / "best")


@pytest.mark.usefixtures("at_once")
def test_a_troubled_state_is_never_the_best(tmp_path: Path) -> None:
    """Without valid images the newest sound state counts as the best."""
    rate = {"generator": 2e-2, "discriminator": STILL}
    target = trainer(tmp_path, loss="non_saturating", rate=rate, valid=bars(0))
    assert trouble(target).name == "mode_collapse"
    assert target.history.best_step == target.history.step - 10


def test_a_log_is_that_of_the_course(tmp_path: Path) -> None:
    opened: list[Live] = []

    def start() -> Live:
        opened.append(Live())
        return opened[-1]

    target = poison(trainer(tmp_path, on_trouble="rollback", start=start), 44)
    target.fit()
    rows = [
        (row["step"], name, value)
        for row in target.history.rows
        for name, value in row.items()
        if name != "step"
    ]
    assert opened[-1].rows == rows and len(opened) == 2


def test_a_run_that_starts_from_images_goes_on_as_if_unbroken(tmp_path: Path) -> None:
    pairs: dict[str, Any] = {
        "recipe": "dagan", "model": {"latent": 4}, "generator": {"name": "bend", "width": 8},
        "rate": {}, "every": 4,
    }  # fmt: skip
    whole = trainer(tmp_path / "whole", steps=12, **pairs)
    whole.fit()
    trainer(tmp_path / "broken", steps=8, **pairs).fit()
    broken = trainer(tmp_path / "broken", steps=12, **pairs)
    assert broken.history.step == 8
    broken.fit()
    assert all(
        torch.equal(value, broken.engine.state()[n]) for n, value in whole.engine.state().items()
    )
    assert files.finite(vars(whole.history)) == files.finite(vars(broken.history))
    frames = [[path.read_bytes() for path in run.frames()] for run in (whole, broken)]
    assert frames[0] == frames[1] and len(frames[0]) == 3


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What is left of a run that goes back twice and is never killed."""
    return _left(tmp_path_factory.mktemp("unbroken"))


def _left(home: Path) -> tuple[Any, ...]:
    opened: list[Live] = []

    def start() -> Live:
        opened.append(Live())
        return opened[-1]

    few = {"steps": 12, "every": 4, "penalties": ["r1", "lecam"]}
    target = poison(trainer(home, on_trouble="rollback", start=start, **few), 5, 9)
    target.fit()
    assert [done["restored"] for done in target.history.rollbacks] == [4, 8]
    tensors = target.engine.state() | checkpoint.flatten("best", target.best.state_dict())
    frames = [path.read_bytes() for path in target.frames()]
    return tensors, files.finite(vars(target.history)), opened[-1].rows, frames


def test_killed_at_any_change_of_a_folder_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: tuple[Any, ...]
) -> None:
    """Before each renaming of a folder, and in the middle of each removal, until none is left."""
    rename, remove = Path.rename, shutil.rmtree
    left = 0

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    def killed_rename(source: Path, target: Path) -> Path:
        count()
        return rename(source, target)

    def killed_remove(folder: Path, **options: Any) -> None:
        try:
            count()
        except Killed:
            for file in sorted(Path(folder).rglob("*.json")):
                file.unlink()
            raise
        remove(folder, **options)

    for lives in itertools.count():
        home = tmp_path / str(lives)
        left = lives
        monkeypatch.setattr(Path, "rename", killed_rename)
        monkeypatch.setattr(shutil, "rmtree", killed_remove)
        try:
            _left(home)
        except Killed:
            killed = True
        else:
            killed = False
        monkeypatch.undo()
        if not killed:
            break
        tensors, *rest = _left(home)
        assert rest == list(unbroken[1:]), lives
        assert tensors.keys() == unbroken[0].keys()
        assert all(torch.equal(tensors[name], unbroken[0][name]) for name in tensors), lives
    assert lives > 15


def test_the_report_and_the_log_tell_of_a_rollback(
    tmp_path: Path, digits_table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    digits_table(tmp_path / CLEAN, per_class=5)
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda target: fit(poison(target, 9)))
    labeller = {"network": {"name": "cnn", "width": 8}, "steps": 10}
    changes = {"on_trouble": "rollback", "steps": 12, "every": 4, "labeller": labeller}
    report = run(TrainSettings.model_validate(TINY | changes), tmp_path)
    (done,) = report["rollbacks"]
    assert (done["name"], done["step"], done["rates"]["generator"]) == ("diverged", 12, 0.5)
    assert [row["step"] for row in report["history"]] == [4, 8, 12]
    assert json.loads((tmp_path / REPORTS / "train.json").read_text())["rollbacks"] == [
        files.finite(done)
    ]
    kids = (tmp_path / REPORTS / "dvclive/plots/metrics/kid.tsv").read_text().split()[2:]
    assert kids[::2] == ["4", "8", "12"]


# bits a dimension


def test_bits_of_valid_images_are_measured_and_learned(tmp_path: Path) -> None:
    live = Live()
    flow = {"recipe": "nice", "model": {"name": "flow"}, "rate": {"default": 5e-3}}
    made = trainer(
        tmp_path, start=lambda: live, **flow, generator={"name": "nice", "width": 16}, steps=20
    )
    made.fit()
    bits = [row["bits"] for row in made.history.rows]
    assert len(bits) == 2 and 0 < bits[1] < bits[0]
    assert [row[1:] for row in live.rows if row[1] == "bits"] == [("bits", b) for b in bits]
    images = to_signed(torch.from_numpy(made.valid.pixels).float())
    again = made.model.bits(
        images, torch.from_numpy(made.valid.labels), torch.Generator().manual_seed(0)
    )
    assert again is not None and again.mean().item() == pytest.approx(bits[1], abs=0.05)


def test_no_bits_without_a_density_or_valid_images(tmp_path: Path) -> None:
    gan = trainer(tmp_path / "gan", steps=10)
    gan.fit()
    assert "bits" not in gan.history.rows[0]
    flow = {"recipe": "nice", "model": {"name": "flow"}, "rate": {"default": 5e-3}}
    network = {"name": "nice", "width": 16}
    alone = trainer(tmp_path / "no", valid=bars(0), steps=10, generator=network, **flow)
    alone.fit()
    assert "bits" not in alone.history.rows[0]
