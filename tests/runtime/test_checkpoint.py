"""Checkpoints: exact round trips, whole or not at all, and a damaged file named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from augment.data import files
from augment.runtime import checkpoint
from augment.runtime.checkpoint import CheckpointError

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b.c": torch.tensor(3),
    "half": torch.tensor([1.5, -2], dtype=torch.bfloat16),
    "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "slice": torch.arange(9)[2:4],
}
META = {"step": 3, "classes": ["a", "ß"], "nested": {"rate": 0.1, "none": None}}


def damaged(change: Callable[[bytes], bytes], path: Path) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_round_trip(tmp_path: Path) -> None:
    checkpoint.save_state(tmp_path / "deep", "model", TENSORS, META)
    tensors, meta = checkpoint.load_state(tmp_path / "deep", "model")
    assert meta == META
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype and torch.equal(tensors[name], value)
    files = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert files == ["model.json", "model.safetensors"]


def test_same_state_same_bytes_and_digest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        checkpoint.save_state(tmp_path / name, "model", TENSORS, META)
    first, second = (
        checkpoint.digest_of_checkpoint(tmp_path / name, "model") for name in ("one", "two")
    )
    assert first == second and files.digest_of_folder(tmp_path / "one") == files.digest_of_folder(
        tmp_path / "two"
    )
    checkpoint.save_state(tmp_path / "two", "model", TENSORS, META | {"step": 4})
    assert checkpoint.digest_of_checkpoint(tmp_path / "two", "model") != first
    checkpoint.save_state(tmp_path / "two", "model", TENSORS | {"a": torch.zeros(1)}, META)
    assert checkpoint.digest_of_checkpoint(tmp_path / "two", "model") != first


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize(
    "change",
    [lambda data: b"", lambda data: data[:-9], lambda data: b"\xff" * 20 + data],
    ids=["empty", "cut", "overwritten"],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, suffix: str, change: Callable[[bytes], bytes]
) -> None:
    checkpoint.save_state(tmp_path, "model", TENSORS, META)
    damaged(change, tmp_path / f"model.{suffix}")
    with pytest.raises(CheckpointError, match=rf"model\.{suffix}: damaged"):
        checkpoint.load_state(tmp_path, "model")


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    checkpoint.save_state(tmp_path, "model", TENSORS, META)
    (tmp_path / f"model.{suffix}").unlink()
    with pytest.raises(CheckpointError, match=rf"model\.{suffix}: no such file; train first"):
        checkpoint.load_state(tmp_path, "model")


def test_an_optimisers_state_survives(tmp_path: Path) -> None:
    def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, torch.optim.Adam(model.parameters(), 0.1)

    def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()

    model, optimiser = trained()
    step(model, optimiser)
    state = {str(key): value for key, value in optimiser.state_dict()["state"].items()}
    flat = checkpoint.flatten("model", model.state_dict())
    flat |= checkpoint.flatten("optimiser", state)
    assert set(flat) >= {"model.weight", "optimiser.0.exp_avg", "optimiser.1.step"}
    checkpoint.save_state(tmp_path, "state", flat, None)
    tensors, _ = checkpoint.load_state(tmp_path, "state")

    again, fresh = trained()
    again.load_state_dict(checkpoint.part_of(tensors, "model"))
    restored = checkpoint.nest(checkpoint.part_of(tensors, "optimiser"))
    fresh.load_state_dict({**fresh.state_dict(), "state": restored})
    for pair in ((model, optimiser), (again, fresh)):
        step(*pair)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_part_of_takes_whole_words_only() -> None:
    flat = {name: torch.tensor(place) for place, name in enumerate(("a.x", "a.x.y", "ab.x", "a"))}
    assert list(checkpoint.part_of(flat, "a")) == ["x", "x.y"]


def tensor(value: int) -> dict[str, Tensor]:
    return {"value": torch.tensor(value)}


def test_steps_keep_the_newest_only(tmp_path: Path) -> None:
    home = tmp_path / "steps"
    assert checkpoint.latest(home) is None and checkpoint.steps(home) == []
    for step in (5, 50, 500, 500):
        checkpoint.write_step(home, step, tensor(step), {"step": step})
        assert [path.name for path in home.iterdir()] == [f"step-{step:08}"]
        newest = checkpoint.latest(home)
        assert newest is not None
        assert (newest[0]["value"].item(), newest[1]) == (step, {"step": step})


def test_a_killed_write_leaves_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write_step(tmp_path, 5, tensor(5), {})

    def killed(*_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_step(tmp_path, 10, tensor(10), {})
    assert len(list(tmp_path.iterdir())) == 2  # the temporary one has another name
    newest = checkpoint.latest(tmp_path)
    assert newest is not None and newest[0]["value"] == 5


def test_both_stand_until_the_old_one_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write_step(tmp_path, 99, tensor(99), {})

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("augment.runtime.checkpoint.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_step(tmp_path, 100, tensor(100), {})
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-00000099", "step-00000100"]
    newest = checkpoint.latest(tmp_path)
    assert newest is not None and newest[0]["value"] == 100
