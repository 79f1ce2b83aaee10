"""Optimisers without torch's compiler: the same steps, and no import of it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from augment.runtime.untraced import WRAPPED, untraced

TRAINED = """
import inspect, sys
import numpy as np, torch
from augment.runtime.untraced import WRAPPED
from augment.classifiers.fit import fit_classifier
from augment.train.optimisers import OPTIMISERS

pixels = np.zeros((4, 1, 8, 8), np.uint8)
fit_classifier(pixels, np.arange(4) % 2, classes=2, network="cnn", steps=2, batch=4,
               device="cpu", seed=0, title="")
for name in OPTIMISERS:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = OPTIMISERS.build(name)([weight], 0.1)
    weight.sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
print({name: vars(inspect.unwrap(getattr(torch.optim.Optimizer, name))) for name in WRAPPED})
"""


def test_training_does_not_import_the_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINED], capture_output=True, text=True, check=True
    )
    imported, on_torch_s_own = done.stdout.splitlines()
    assert imported == "False"
    assert on_torch_s_own == repr({name: {} for name in WRAPPED})  # others may have theirs traced


def steps(kind: type[Optimizer], options: dict[str, Any]) -> tuple[list[Tensor], dict[str, Any]]:
    """A weight after each of four steps, the last two from a state that was loaded; the state."""
    weight = nn.Parameter(torch.linspace(-1, 1, 7))
    optimiser = kind([weight], lr=0.1, **options)  # type: ignore[call-arg]
    after = []
    for number in range(4):
        if number == 2:
            state = optimiser.state_dict()
            optimiser = kind([weight], lr=0.3, **options)  # type: ignore[call-arg]
            optimiser.load_state_dict(state)
        optimiser.zero_grad()
        (weight.sin() * (number + 1)).sum().backward()
        optimiser.step()
        assert torch.is_grad_enabled() and weight.requires_grad
        after.append(weight.detach().clone())
    return after, optimiser.state_dict()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.optim.Adam, {"betas": (0.0, 0.99), "fused": True}),
        (torch.optim.AdamW, {"weight_decay": 0.1, "fused": True}),
        (torch.optim.RMSprop, {"foreach": True}),
    ],
)
def test_its_steps_are_those_of_torch(kind: type[Optimizer], options: dict[str, Any]) -> None:
    places, state = steps(untraced(kind), options)
    expected, its_state = steps(kind, options)
    assert all(map(torch.equal, places, expected))
    assert not torch.equal(places[1], places[2])
    assert state["param_groups"] == its_state["param_groups"]
    assert state["state"][0].keys() == its_state["state"][0].keys()
    assert issubclass(untraced(kind), kind)
