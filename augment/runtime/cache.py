"""A cache of computed arrays on disk.

The cache is a folder of safetensors files. A file's name is a digest of data, settings and code,
from which the content follows. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from augment.data import files

_CHECKSUM = "sha256"
Values = dict[str, NDArray[Any]]


def cached(
    folder: Path, kind: str, key: Mapping[str, Any], compute: Callable[[], Values]
) -> Values:
    """The arrays of ``compute``, by name; read from ``folder`` if it has a whole file for ``key``.

    ``kind`` begins the file's name; ``key`` must determine the result.
    """
    path = folder / f"{kind}-{name_of(key)}.safetensors"
    try:
        values = load(path.read_bytes())
        if bytes(values.pop(_CHECKSUM)).hex() == digest_of_arrays(*_sorted(values)):
            return values
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        pass  # not there, or damaged
    values = {name: np.ascontiguousarray(value) for name, value in compute().items()}
    checksum = np.frombuffer(bytes.fromhex(digest_of_arrays(*_sorted(values))), np.uint8)
    files.write_bytes(path, save({**values, _CHECKSUM: checksum}))
    return values


def digest_of_arrays(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the types, shapes and contents of arrays, in order."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _sorted(values: Values) -> list[NDArray[Any]]:
    return [values[name] for name in sorted(values)]


def name_of(key: Mapping[str, Any]) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of ``key``, for a file name."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def code_digest(*modules: ModuleType) -> str:
    """SHA-256 of torch's version and the sources of ``modules``: other code, other results."""
    total = hashlib.sha256(version("torch").encode())
    for module in modules:
        total.update(Path(str(module.__file__)).read_bytes())
    return total.hexdigest()
