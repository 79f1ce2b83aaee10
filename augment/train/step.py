"""A training step of any model: sum the losses of each phase and step its optimiser.

A step follows from the batch and the state alone; this file reads no data and writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from augment.models.base import Batch, Phase
from augment.models.networks import Shape
from augment.registry import PartError
from augment.runtime import checkpoint, precision, seeding
from augment.runtime.process_group import ProcessGroup
from augment.train import split
from augment.train.assemble import build
from augment.train.optimisers import OPTIMISERS, SCHEDULES
from augment.train.settings import TrainSettings


class Engine:
    """A model with an optimiser for each of its phases.

    ``rates`` multiply the learning rate of each phase; ``weights`` are those that the settings give
    the penalties. A watch over training may change both (``adjust``).
    """

    def __init__(
        self, settings: TrainSettings, shape: Shape, classes: int, device: torch.device,
        group: ProcessGroup | None = None,
    ):  # fmt: skip
        """Fresh weights that follow from the seed, for images of ``shape``.

        The processes of ``group`` share every step; each has an engine, and the leader's tells the
        others what to do. Raises PartError where they cannot.
        """
        self.settings, self.device, self.group = settings, device, group
        seeding.everything(settings.seed, "model")
        self.model = build(settings, shape, classes)
        for module in self.model.modules().values():
            module.to(device).to(memory_format=torch.channels_last)
        self.phases = {phase.name: phase for phase in self.model.phases()}
        if group:
            shared_evenly(settings, group.size)
            split.split(self.phases.values())
        if settings.compile != "none":
            for phase in self.phases.values():
                for module in phase.modules:  # what they are called and saved as stays the same
                    module.compile(backend=settings.compile)
        self.batches = max(phase.repeats for phase in self.phases.values())  # of a step
        self.schedule = SCHEDULES.build(settings.rate.schedule)
        self.optimisers = {name: self._optimiser(name) for name in self.phases}
        self.rates = dict.fromkeys(self.phases, 1.0)
        self.weights = [penalty.weight for penalty in self.model.penalties]

    def step(self, number: int, feed: Callable[[int], Batch]) -> dict[str, Tensor]:
        """The optimiser steps of every phase; losses and facts by name, on the device.

        ``feed`` gives the batches of the step, each by its number; a phase that takes fewer steps
        than another sees the last of them.
        """
        self._tell("step", number)
        with self.group.together() if self.group else nullcontext():
            return self._step(number, feed)

    def _step(self, number: int, feed: Callable[[int], Batch]) -> dict[str, Tensor]:
        """``step`` in each process."""
        settings, model = self.settings, self.model
        seeding.everything(settings.seed, "step", number)
        share = self.schedule(number / settings.length)
        seen: dict[int, Batch] = {}  # a batch's randomness goes on from phase to phase
        row: dict[str, Tensor] = {}
        for phase in self.phases.values():
            for place in range(self.batches - phase.repeats, self.batches):
                if place not in seen:
                    seen = {place: feed(number * self.batches + place)}
                batch = seen[place]
                safe = not phase.second_order(batch.step)
                with precision.training(self.device) if safe else nullcontext():
                    with self.precision(safe), self.compiled(safe), self._split():
                        terms = phase.losses(batch)
                    row[f"gradient_{phase.prefix}"] = self._descend(phase, terms, share)
                phase.after()
                row |= {f"{phase.prefix}_{name}": term.detach() for name, term in terms.items()}
        model.on_step(number, settings.ema)
        return row | model.facts

    def adjust(self, remedies: Iterable[Mapping[str, Any]]) -> None:
        """Multiply the settings' rates and penalty weights by those of ``remedies``."""
        remedies = list(remedies)
        self._tell("adjust", remedies)
        for name in self.phases:
            self.rates[name] = math.prod(remedy["rates"].get(name, 1.0) for remedy in remedies)
        factor = math.prod(remedy["penalties"] for remedy in remedies)
        for penalty, weight in zip(self.model.penalties, self.weights, strict=True):
            penalty.weight = weight * factor

    def state(self) -> dict[str, Tensor]:
        """Weights, averages and optimisers as tensors by name."""
        tensors: dict[str, Tensor] = {}
        for name, module in self.model.modules().items():
            tensors |= checkpoint.flatten(name, module.state_dict())
        for name, optimiser in self.optimisers.items():
            state = {str(key): value for key, value in optimiser.state_dict()["state"].items()}
            tensors |= checkpoint.flatten(f"optimiser.{name}", state)
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load a copy of the tensors that ``state`` gave."""
        if self._leads:
            self._tell("load", checkpoint.packed(tensors))  # a pickle takes its time for each
        for name, module in self.model.modules().items():
            module.load_state_dict(checkpoint.part_of(tensors, name))
        for name, optimiser in self.optimisers.items():
            state = checkpoint.nest(checkpoint.part_of(tensors, f"optimiser.{name}"))
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
            for parameter, values in optimiser.state.items():  # copies, laid out like the weights
                for key, value in values.items():
                    alike = value.shape == parameter.shape
                    values[key] = (
                        torch.empty_like(parameter).copy_(value) if alike else value.clone()
                    )

    def _tell(self, *order: Any) -> None:
        if self._leads:
            assert self.group is not None
            self.group.tell(order)

    @property
    def _leads(self) -> bool:
        return self.group is not None and not self.group.rank

    def _descend(self, phase: Phase, terms: Mapping[str, Tensor], share: float) -> Tensor:
        """One step of the phase's optimiser down the sum of ``terms``; the gradient's norm."""
        optimiser = self.optimisers[phase.name]
        rate = self.settings.rate.of(phase.name) * share * self.rates[phase.name]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        weights = phase.parameters()  # gradients of other modules' weights would cost and not count
        torch.autograd.backward(
            torch.stack([term.float() for term in terms.values()]).sum(), inputs=weights
        )
        if self.group:
            split.average_gradients(weights)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        optimiser.step()
        return norm

    def _optimiser(self, name: str) -> torch.optim.Optimizer:
        optimiser: torch.optim.Optimizer = OPTIMISERS.build(
            self.settings.optimiser, self.phases[name].parameters(), self.settings.rate.of(name)
        )()
        return optimiser

    def _split(self) -> Any:
        """Networks that take their share of the rows, where several processes share a step."""
        return split.step() if self.group else nullcontext()

    def precision(self, safe: bool) -> Any:
        """bf16, where it is faster, for passes without double backward; otherwise float32."""
        return precision.autocast(self.device) if safe else nullcontext()

    def compiled(self, safe: bool) -> Any:
        """Compiled networks for passes without double backward, which compiled ones have not."""
        return nullcontext() if safe else torch.compiler.set_stance("force_eager")


def shared_evenly(settings: TrainSettings, size: int) -> None:
    """Raise PartError where ``size`` processes cannot share a batch."""
    if settings.batch % size:
        raise PartError(f"train.batch: {settings.batch} images are no multiple of {size} processes")
    if settings.compile != "none":
        raise PartError(
            f"train.compile: {settings.compile!r} is for one device; found {size} processes"
        )
