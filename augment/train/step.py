"""One training step: losses summed, optimisers stepped. No algorithm, no data, no files.

What it does at a step follows from the batch and the state alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from augment.models.base import Batch
from augment.models.networks import Shape
from augment.runtime import checkpoint, seeding
from augment.train.assemble import build
from augment.train.optimisers import OPTIMISERS, SCHEDULES
from augment.train.settings import TrainSettings

NETWORKS = ("discriminator", "generator")


class Engine:
    """A model with its optimisers.

    ``rates`` multiply the learning rate of each network; ``weights`` are those that the settings
    give the penalties. A watch over training may change both (``adjust``).
    """

    def __init__(self, settings: TrainSettings, shape: Shape, classes: int, device: torch.device):
        """Fresh weights that follow from the seed, for images of ``shape``."""
        self.settings, self.device = settings, device
        seeding.everything(settings.seed, "model")
        self.model = build(settings, shape, classes)
        for module in self.model.modules().values():
            module.to(device).to(memory_format=torch.channels_last)
        if settings.compile != "none":
            for name in NETWORKS:  # what they are called and saved as stays the same
                getattr(self.model, name).compile(backend=settings.compile)
        self.schedule = SCHEDULES.build(settings.rate.schedule)
        self.optimisers = {name: self._optimiser(name) for name in NETWORKS}
        self.rates = dict.fromkeys(NETWORKS, 1.0)
        self.weights = [penalty.weight for penalty in self.model.parts.penalties]

    def step(self, number: int, feed: Callable[[int], Batch]) -> dict[str, Tensor]:
        """The discriminator's steps and the generator's; losses and facts by name, on the device.

        ``feed`` gives the batch of each discriminator step by its number.
        """
        settings, model = self.settings, self.model
        seeding.everything(settings.seed, "step", number)
        share = self.schedule(number / settings.steps)
        found: dict[str, Tensor] = {}
        for repeat in range(settings.discriminator_steps):
            batch = feed(number * settings.discriminator_steps + repeat)
            second = model.second_order(batch.step)
            with self.precision(not second), self.compiled(not second):
                terms = model.discriminator_losses(batch)
            found["gradient_d"] = self._descend("discriminator", terms, share)
            model.after_discriminator_step()
            found |= {f"d_{name}": value.detach() for name, value in terms.items()}
        with self.precision(True):
            terms = model.generator_losses(batch)
        found["gradient_g"] = self._descend("generator", terms, share)
        model.on_step(number, settings.ema)
        found |= {f"g_{name}": value.detach() for name, value in terms.items()}
        return found | model.facts

    def adjust(self, remedies: Iterable[Mapping[str, Any]]) -> None:
        """Multiply the settings' rates and penalty weights by those of ``remedies``."""
        remedies = list(remedies)
        for name in NETWORKS:
            self.rates[name] = math.prod(remedy[name] for remedy in remedies)
        factor = math.prod(remedy["penalties"] for remedy in remedies)
        for penalty, weight in zip(self.model.parts.penalties, self.weights, strict=True):
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
        """Take up what ``state`` gave."""
        for name, module in self.model.modules().items():
            module.load_state_dict(checkpoint.part_of(tensors, name))
        for name, optimiser in self.optimisers.items():
            state = checkpoint.nest(checkpoint.part_of(tensors, f"optimiser.{name}"))
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
            for parameter, values in optimiser.state.items():  # in the weights' memory layout
                for key, value in values.items():
                    if value.shape == parameter.shape:
                        values[key] = torch.empty_like(parameter).copy_(value)

    def _descend(self, name: str, terms: Mapping[str, Tensor], share: float) -> Tensor:
        optimiser = self.optimisers[name]
        for group in optimiser.param_groups:
            group["lr"] = getattr(self.settings.rate, name) * share * self.rates[name]
        optimiser.zero_grad()
        torch.stack([term.float() for term in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in getattr(self.model, name).parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        optimiser.step()
        return norm

    def _optimiser(self, name: str) -> torch.optim.Optimizer:
        parameters: list[nn.Parameter] = list(getattr(self.model, name).parameters())
        rate: float = getattr(self.settings.rate, name)
        optimiser: torch.optim.Optimizer = OPTIMISERS.build(
            self.settings.optimiser, parameters, rate
        )()
        return optimiser

    def precision(self, safe: bool) -> Any:
        """bf16 on a GPU for passes without double backward; full precision otherwise."""
        half = safe and self.device.type == "cuda"
        return torch.autocast("cuda", torch.bfloat16) if half else nullcontext()

    def compiled(self, safe: bool) -> Any:
        """Compiled networks for passes without double backward, which compiled ones have not."""
        return nullcontext() if safe else torch.compiler.set_stance("force_eager")
