"""State dictionaries as safetensors with settings as JSON beside them; nothing loaded runs code.

A checkpoint is a folder ``step-00000500`` that appears whole (written aside, then renamed). Older
checkpoints are removed afterwards, so that a killed run always leaves a complete one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from augment.data import files
from augment.errors import AugmentError


class CheckpointError(AugmentError):
    """A file is missing, damaged or of other settings."""


def save_state(folder: Path, name: str, tensors: Mapping[str, Tensor], meta: Any) -> None:
    """Write ``name.safetensors`` and ``name.json`` in ``folder``, each atomically."""
    files.write_bytes(folder / f"{name}.safetensors", packed(tensors))
    files.write_json(folder / f"{name}.json", meta)


def load_state(folder: Path, name: str) -> tuple[dict[str, Tensor], Any]:
    """Tensors and ``meta`` as ``save_state`` wrote them. Raises CheckpointError naming the file."""
    path = folder / f"{name}.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        path = folder / f"{name}.safetensors"
        return load_file(path), meta
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; train first") from None
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from None


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """``tensors`` in the format of safetensors."""
    return save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})


def unpacked(data: bytes) -> dict[str, Tensor]:
    """The tensors that were ``packed``."""
    return load(data)


def digest_of_checkpoint(folder: Path, name: str) -> str:
    """SHA-256 of the two files that ``save_state`` wrote under ``name``."""
    total = hashlib.sha256()
    for suffix in ("json", "safetensors"):
        total.update(hashlib.sha256((folder / f"{name}.{suffix}").read_bytes()).digest())
    return total.hexdigest()


def flatten(prefix: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a nested state dictionary under dotted names."""
    flat: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            flat[f"{prefix}.{key}"] = value
        elif isinstance(value, Mapping):
            flat |= flatten(f"{prefix}.{key}", value)
    return flat


def nest(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """An optimiser's ``state`` from tensors named ``parameter.name``."""
    nested: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        parameter, _, name = key.partition(".")
        nested.setdefault(int(parameter), {})[name] = value
    return nested


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, under their names without it."""
    start = f"{prefix}."
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}


def write_step(folder: Path, step: int, tensors: Mapping[str, Tensor], meta: Any) -> None:
    """Write the state after ``step`` steps as a checkpoint and remove older checkpoints."""
    destination = folder / f"step-{step:08d}"
    temporary = files.temporary_beside(destination)
    save_state(temporary, "state", tensors, meta)
    files.publish(temporary, destination)
    for old in steps(folder)[:-1]:
        shutil.rmtree(old)


def steps(folder: Path) -> list[Path]:
    """The complete checkpoints in ``folder``, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def latest(folder: Path) -> tuple[dict[str, Tensor], Any] | None:
    """Tensors and meta of the newest complete checkpoint, or None. Raises CheckpointError."""
    checkpoints = steps(folder)
    return load_state(checkpoints[-1], "state") if checkpoints else None
