"""Fixtures that several test files share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
import yaml
from filelock import FileLock
from torch import Tensor

from augment import new_project
from augment.clean.checks.base import CHECKS, defaults
from augment.data import images, table
from augment.data.reports import (
    ArmResult,
    ClassGain,
    Confusion,
    Gain,
    PartGain,
    Spread,
    UpliftReport,
)
from augment.readers import builtin
from augment.runtime import precision
from augment.vision import content
from benchmarks import mnist, pages, results

# Networks compute in float32, here and in the processes that tests start, so that numbers are much
# the same on every machine: a note says that bf16 is no faster.
_CACHE = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _CACHE.name
precision.notes().parent.mkdir()
precision.notes().write_text(json.dumps({precision.machine(): 0.0}))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # Debian's name first
IN_TURN = ("train", "train", "valid", "train", "test")  # splits of the images of each class

# All but those for which models read the images: these take minutes, and tests/clean has them.
QUICK = [name for name in defaults("glyph") if not CHECKS.describe(name).facts.get("reads")]
SMALL = {
    "ingest": {"source": "builtin:digits", "split": {"valid": 0.1, "test": 0.333}},
    "clean": {"size": "auto", "checks": QUICK},
    "train": {
        "model": {"name": "infogan", "noise": 16},
        "conditioning": {"generator": {"name": "embed", "width": 8}},
        "generator": {"name": "dcgan", "width": 16},
        "discriminator": {"name": "dcgan", "width": 16},
        "steps": 200,
        "every": 50,
        "batch": 32,
        "labeller": {"steps": 150},
        "device": "cpu",
    },
    "codes": {"device": "cpu"},
    "adopt": {"device": "cpu"},
    "synth": {"per_class": 12, "probability": 0.2, "max_candidates": 1000.0, "device": "cpu"},
    "score": {"steps": 60, "device": "cpu"},
    "write": {"writer": "parquet", "dose": None},
    "report": {"images": 4},
}


LONG = ("test_pipeline", "test_split", "test_process_group", "test_dvc", "test_boards")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no worker is left alone with one."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session")
def digits_table() -> Callable[..., Path]:
    """Writes scikit-learn's digits as a cleaned table: 60 % train, 20 % valid, 20 % test."""

    def write(folder: Path, *, per_class: int = 20, invert_test: bool = False) -> Path:
        pixels, labels = builtin.digits()
        seen: Counter[str] = Counter()
        with table.TableWriter(folder) as writer:
            for place, (image, label) in enumerate(zip(pixels, map(str, labels), strict=True)):
                if seen[label] == per_class:
                    continue
                split = IN_TURN[seen[label] % len(IN_TURN)]
                seen[label] += 1
                data = images.encode(255 - image if invert_test and split == "test" else image)
                writer.add(
                    {
                        "id": hashlib.sha256(data).hexdigest(),
                        "image": {"bytes": data, "path": f"digits/{place}"},
                        "label": label,
                        "split": split,
                        "origin": "real",
                        "width": 8,
                        "height": 8,
                        "mode": "L",
                    }
                )
        return folder

    return write


def whole_uplift(classes: tuple[str, ...] = ("a", "b"), **changes: Any) -> UpliftReport:
    """One synthetic image for each real one helps every class; ``changes`` replace fields."""
    gain = Gain(0.02, 0.01, 0.03, "helps")
    recalls = dict.fromkeys(classes, 0.9)
    counts = [[int(row == column) for column in classes] for row in classes]
    report = UpliftReport(
        classic=Spread(0.9, 0.01, [0.89, 0.91]),
        written=Spread(0.92, 0.01, [0.91, 0.93]),
        gain=Spread(0.02, 0.0, [0.02, 0.02]),
        seeds=[0, 1],
        steps=200,
        arms={
            "classic": ArmResult(0.9, 0.01, [0.89, 0.91], 0.9, recalls, None),
            "synthetic@1": ArmResult(0.92, 0.01, [0.91, 0.93], 0.92, recalls, gain),
        },
        policy="elastic",
        adopted=False,
        dose=1.0,
        chosen_on="valid",
        low=0.01,
        high=0.03,
        mcnemar=0.01,
        verdict="helps",
        per_class={name: ClassGain(**vars(gain), dose=1.0) for name in classes},
        parts={"synthetic": PartGain(**vars(gain), dose=1.0)},
        samples=PartGain(**vars(gain), dose=1.0),
        learning_curve=[],
        equal_images=None,
        data_multiplier=None,
        controls={},
        confusion=Confusion(list(classes), counts, counts),
    )
    return dataclasses.replace(report, **changes)


@pytest.fixture(scope="session")
def uplift_report() -> Callable[..., UpliftReport]:
    """Makes a whole report of the uplift, for tests of those who read it: whole_uplift."""
    return whole_uplift


@pytest.fixture(scope="session")
def small() -> Callable[[Path], Path]:
    """Writes the params.yaml of a run that takes seconds."""

    def write(root: Path) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        (root / "params.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
        return root

    return write


@pytest.fixture(scope="session")
def dvc() -> Callable[..., str]:
    """Runs DVC in a folder, with the package of another folder where one is named."""

    def run(root: Path, *words: str, package: Path | None = None) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path}
        if package is not None:
            environment["PYTHONPATH"] = str(package)
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words], cwd=root, env=environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="session")
def project(
    tmp_path_factory: pytest.TempPathFactory, small: Callable[[Path], Path],
    dvc: Callable[..., str], worker_id: str,
) -> Path:  # fmt: skip
    """A project in which DVC has run every stage on scikit-learn's digits; not to be changed.

    Where several workers test, the first that asks makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "project"
    with FileLock(f"{root}.lock"):
        done = root.with_suffix(".done")
        if not done.exists():
            assert new_project.init(root, "builtin:digits") == []
            small(root)
            done.write_text(dvc(root, "repro"))
    return root


@pytest.fixture
def whole(project: Path, tmp_path: Path) -> Path:
    """A copy of a user's project whose stages have all run, as DVC knows."""
    return Path(shutil.copytree(project, tmp_path / "mine"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks store: nothing of the repository is written to."""
    monkeypatch.setattr(mnist, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(pages, "write", lambda: None)
    return tmp_path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no chromium in PATH (Debian: apt-get install chromium)")
    with driver.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket of a server that listens on 127.0.0.1 alone."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        s3fs.S3FileSystem.clear_instance_cache()
        storage = s3fs.S3FileSystem()
        storage.mkdir("bucket")
        yield storage
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def plausible() -> Callable[[int], dict[str, Tensor]]:
    """Gives weights for so many blocks of EfficientNet, which hand on what they get."""
    return _weights


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package of the extra ``features`` for all tests that follow, with weights at random."""
    folder = tmp_path_factory.mktemp("site") / content.PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    rng = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(value.shape, generator=rng) * value[0].numel() ** -0.5
        if value.ndim == 4
        else value
        for name, value in _weights(len(content.BLOCKS)).items()
    }
    torch.save(weights, folder / "models/efficientnet-lite0-00000000.pth")
    sys.path.insert(0, str(folder.parent))


def _weights(blocks: int) -> dict[str, Tensor]:
    """Weights of ``blocks`` named and laid out as in the package; what goes in comes out."""
    weights: dict[str, Tensor] = {}

    def norm(name: str, width: int) -> None:
        for part, value in zip(
            ("weight", "bias", "running_mean", "running_var"), (1.0, 0.0, 0.0, 0.999), strict=True
        ):
            weights[f"{name}.{part}"] = torch.full((width,), value)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(1)

    weights["_conv_stem.weight"] = torch.zeros(32, 3, 3, 3)
    weights["_conv_stem.weight"][0, :, 0, 0] = 1.0  # the sum of colours at the filter's corner
    norm("_bn0", 32)
    for number, (kernel, _, growth, inputs, outputs) in enumerate(content.BLOCKS[:blocks]):
        inner = inputs * growth
        block, norms = f"_blocks.{number}", iter(range(3) if growth > 1 else range(1, 3))
        if growth > 1:
            weights[f"{block}._expand_conv.weight"] = torch.eye(inner, inputs)[..., None, None]
            norm(f"{block}._bn{next(norms)}", inner)
        depthwise = torch.zeros(inner, 1, kernel, kernel)
        depthwise[:, :, kernel // 2, kernel // 2] = 1.0
        weights[f"{block}._depthwise_conv.weight"] = depthwise
        norm(f"{block}._bn{next(norms)}", inner)
        weights[f"{block}._project_conv.weight"] = torch.eye(outputs, inner)[..., None, None]
        norm(f"{block}._bn{next(norms)}", outputs)
    weights["_fc.bias"] = torch.zeros(1000)  # of a layer that is not built
    return weights
