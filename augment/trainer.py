"""The one training loop and its state; no algorithm is in it.

A step's randomness is a function of (seed, step), so a run that was killed and taken up again from
its last checkpoint ends with the same bits as one that was never killed (on the CPU).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augment import (
    augmentations,
    checkpoint,
    images,
    models,
    progress,
    seeding,
    sheets,
    table,
    watch,
)
from augment.classifiers import Classifier
from augment.dataset import Arrays
from augment.losses import LOSSES
from augment.models import MODELS
from augment.models.gan import Batch, ConditionalGan, Parts
from augment.networks import DISCRIMINATORS, GENERATORS
from augment.params import TrainSettings
from augment.penalties import PENALTIES
from augment.scores.fidelity import kid

MEASURED = 1000  # most images that a measurement looks at
FRAME_COLUMNS = 8  # fixed samples of each class in a picture
ON_DEVICE = 8 << 30  # bytes of pixels that may live on a GPU


class Log:
    """Rows of numbers to dvclive, where it is installed."""

    def __init__(self, live: Any = None):
        """Log to ``live``, or nowhere."""
        self.live = live

    def row(self, row: Mapping[str, float]) -> None:
        """Log one measurement."""
        if self.live is not None:
            self.live.step = int(row["step"])
            for name, value in row.items():
                if name != "step":
                    self.live.log_metric(name, value)
            self.live.make_summary()


@contextmanager
def open_log(folder: Path) -> Iterator[Log]:
    """A log in ``folder`` through dvclive, or one that forgets where it is not installed."""
    try:
        from dvclive.live import Live
    except ImportError:  # an extra: a GPU box may lack it
        yield Log()
        return

    class Files(Live):  # type: ignore[misc, unused-ignore]
        def _init_dvc(self) -> None:
            """Only write what `dvc plots` reads: git is looked at by no log, without a commit too.

            dvclive itself fails in a repository that has no commit yet.
            """
            self._save_dvc_exp = False

    folder.mkdir(parents=True, exist_ok=True)
    with Files(str(folder), save_dvc_exp=False, dvcyaml=False) as live:
        yield Log(live)


class Feed:
    """Batches of real images from memory; on the GPU where they fit."""

    def __init__(self, data: Arrays, batch: int, seed: int, device: torch.device):
        """Serve ``data`` in batches of ``batch``."""
        place = device if data.pixels.nbytes <= ON_DEVICE else torch.device("cpu")
        self.pixels = torch.from_numpy(data.pixels).to(place)
        self.labels = torch.from_numpy(data.labels).to(place)
        self.batch, self.seed, self.device = batch, seed, device

    def at(self, step: int) -> Batch:
        """The batch of ``step``, a function of the seed and the step alone."""
        chosen = seeding.places(len(self.labels), self.batch, step, self.seed)
        places = torch.from_numpy(chosen).to(self.pixels.device)
        real = images.to_signed(self.pixels[places].to(self.device).float())
        return Batch(
            real.contiguous(memory_format=torch.channels_last),
            self.labels[places].to(self.device),
            step,
            seeding.generator(self.seed, "step", step, device=self.device),
        )


@dataclass
class History:
    """What is known after some steps; all of it travels in a checkpoint."""

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_kid: float | None = None


class Trainer:
    """The loop and its state; no algorithm is in it."""

    def __init__(
        self,
        settings: TrainSettings,
        train: Arrays,
        valid: Arrays,
        labeller: Classifier,
        home: Path,
        device: torch.device,
        log: Log,
    ):
        """Build model and optimisers, and take up the newest checkpoint in ``home``."""
        self.settings, self.train, self.valid = settings, train, valid
        self.labeller, self.home, self.device, self.log = labeller, home, device, log
        self.feed = Feed(train, settings.batch, settings.seed, device)
        seeding.everything(settings.seed, "model")
        self.model = build(settings, train.shape, len(train.classes))
        for module in self._modules.values():
            module.to(device).to(memory_format=torch.channels_last)
        self.optimisers = {
            "discriminator": self._optimiser("discriminator"),
            "generator": self._optimiser("generator"),
        }
        self.history = History()
        self.best = copy.deepcopy(self.model.average)
        self.real_features = labeller.features(valid.pixels[:MEASURED])
        self.real_variance = float(labeller.features(train.pixels[:MEASURED]).var(0).sum())
        self._resume()

    def fit(self) -> None:
        """Train to the last step, measuring every ``every`` steps."""
        settings, history = self.settings, self.history
        pulse = max(1, min(25, settings.every))
        totals: dict[str, Tensor] = {}
        with progress.bar() as display:
            task = display.add_task("train", total=settings.steps, completed=history.step, note="")
            while history.step < settings.steps:
                losses = self._step(history.step)
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0) + value  # no wait for the GPU
                history.step += 1
                display.advance(task)
                due = history.step % settings.every == 0 or history.step == settings.steps
                if history.step % pulse == 0 or due:
                    now = {name: float(value) for name, value in losses.items()}
                    note = "  ".join(f"{name} {value:.3f}" for name, value in now.items())
                    display.update(task, note=note[:100])
                    self._stop_on(watch.diverged(now))
                if due:
                    steps = history.step - (history.rows[-1]["step"] if history.rows else 0)
                    self._measure({name: float(t) / steps for name, t in totals.items()})
                    totals = {}

    def _step(self, step: int) -> dict[str, Tensor]:
        settings, model = self.settings, self.model
        seeding.everything(settings.seed, "step", step)
        done = step / settings.steps
        share = 1 - done * (1 - settings.rate.final)
        losses: dict[str, Tensor] = {}
        for repeat in range(settings.discriminator_steps):
            batch = self.feed.at(step * settings.discriminator_steps + repeat)
            with self._precision(not model.penalised(batch.step)):
                terms = model.discriminator_losses(batch)
            self._descend("discriminator", terms, settings.rate.discriminator * share)
            model.after_discriminator_step()
            losses |= {f"d_{name}": value.detach() for name, value in terms.items()}
        with self._precision(True):
            terms = model.generator_losses(batch)
        self._descend("generator", terms, settings.rate.generator * share)
        model.on_step(step, settings.ema)
        losses |= {f"g_{name}": value.detach() for name, value in terms.items()}
        losses["accuracy"] = model.accuracy
        return losses

    def _descend(self, name: str, terms: Mapping[str, Tensor], rate: float) -> None:
        optimiser = self.optimisers[name]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        torch.stack([term.float() for term in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _measure(self, row: dict[str, float]) -> None:
        """Note the mean losses with variance and KID, keep the best, draw, save, judge."""
        history, classes = self.history, len(self.train.classes)
        row = {"step": float(history.step), **row}
        self._stop_on(watch.diverged(row))
        count = min(MEASURED, max(classes * FRAME_COLUMNS, len(self.valid)))
        fakes = self._fixed(count)
        features = self.labeller.features(fakes)
        row["variance"] = float(features.var(0).sum()) / (self.real_variance or 1.0)
        if len(self.valid) >= 2:
            row["kid"] = kid(self.real_features, features)
            if history.best_kid is None or row["kid"] < history.best_kid:
                history.best_kid, history.best_step = row["kid"], history.step
                self.best = copy.deepcopy(self.model.average)
        else:
            history.best_step, self.best = history.step, copy.deepcopy(self.model.average)
        history.rows.append(row)
        self._draw(fakes)
        self._save()
        self.log.row(row)
        self._judge()

    def _judge(self) -> None:
        self._stop_on(watch.diagnose(self.history.rows, self.model.ignored))

    def _stop_on(self, diagnosis: watch.Diagnosis | None) -> None:
        if diagnosis:
            raise watch.TrainingTrouble(self.history.step, diagnosis)

    def _fixed(self, count: int) -> images.Pixels:
        """The same codes at every measurement, the classes taking turns."""
        labels = torch.arange(count, device=self.device) % len(self.train.classes)
        rng = seeding.generator(self.settings.seed, "fixed", device=self.device)
        drawn = self.model.sample(labels, generator=rng)
        return images.to_uint8(drawn.float().cpu().numpy())

    def _draw(self, fakes: images.Pixels) -> None:
        names = self.train.classes
        shown = fakes[: len(names) * FRAME_COLUMNS]
        fake = {name: shown[index :: len(names)] for index, name in enumerate(names)}
        real = {
            name: self.train.pixels[self.train.labels == index][:FRAME_COLUMNS]
            for index, name in enumerate(names)
        }
        step = self.history.step
        picture = sheets.beside(real, fake, FRAME_COLUMNS, ("real", f"generated, step {step}"))
        table.write_bytes(self.home / "frames" / f"step-{step:08d}.png", images.encode(picture))

    def frames(self) -> list[Path]:
        """The pictures of this run so far, oldest first."""
        found = sorted((self.home / "frames").glob("step-*.png"))
        return [path for path in found if int(path.stem[5:]) <= self.history.step]

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in {**self._modules, "best": self.best}.items():
            tensors |= checkpoint.flatten(name, module.state_dict())
        for name, optimiser in self.optimisers.items():
            state = {str(key): value for key, value in optimiser.state_dict()["state"].items()}
            tensors |= checkpoint.flatten(f"optimiser.{name}", state)
        checkpoint.write_step(self.home / "steps", self.history.step, tensors, vars(self.history))

    def _resume(self) -> None:
        found = checkpoint.latest(self.home / "steps")
        if found is None:
            return
        tensors, meta = found
        for name, module in {**self._modules, "best": self.best}.items():
            module.load_state_dict(checkpoint.part_of(tensors, name))
        for name, optimiser in self.optimisers.items():
            state = checkpoint.nest(checkpoint.part_of(tensors, f"optimiser.{name}"))
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
            for parameter, values in optimiser.state.items():  # in the weights' memory layout
                for key, value in values.items():
                    if value.shape == parameter.shape:
                        values[key] = torch.empty_like(parameter).copy_(value)
        self.history = History(**meta)
        for row in self.history.rows:
            self.log.row(row)
        self._judge()  # what stopped a run stops it again

    def _optimiser(self, name: str) -> torch.optim.Optimizer:
        parameters = getattr(self.model, name).parameters()
        return torch.optim.Adam(parameters, betas=self.settings.rate.betas, fused=True)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return models.gan.state(self.model)

    def _precision(self, safe: bool) -> Any:
        """bf16 on a GPU for passes without double backward; full precision otherwise."""
        half = safe and self.device.type == "cuda"
        return torch.autocast("cuda", torch.bfloat16) if half else nullcontext()


def build(settings: TrainSettings, shape: tuple[int, int, int], classes: int) -> ConditionalGan:
    """The model that ``settings`` describe, with fresh weights."""
    parts = Parts(
        shape=shape,
        classes=classes,
        generator=lambda latent, size: GENERATORS.build(settings.generator, latent, size),
        discriminator=lambda size: DISCRIMINATORS.build(settings.discriminator, size),
        loss=LOSSES.build(settings.loss),
        penalties=[PENALTIES.build(spec) for spec in settings.penalties],
        augment=augmentations.compose(settings.augment),
    )
    model: ConditionalGan = MODELS.build(settings.model, parts)
    return model
