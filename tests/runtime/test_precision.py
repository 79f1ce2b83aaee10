"""Precision: who decides on bf16, what is kept of it, and that it changes no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import fit_classifier
from augment.data.images import Pixels
from augment.readers import builtin
from augment.runtime import precision

CPU = torch.device("cpu")
TRAIN = 1200  # digits that are learned; the others are read


@pytest.fixture(autouse=True)
def _auto_again() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on which backward passes take bf16
    yield
    torch.set_num_threads(threads)
    precision.use("auto")
    precision.speedup.cache_clear()


def digits() -> tuple[Pixels, np.ndarray]:
    pixels, labels = builtin.digits()
    return pixels[:, None], labels


def fitted(setting: precision.Precision) -> Classifier:
    pixels, labels = digits()
    precision.use(setting)
    return fit_classifier(
        pixels[:TRAIN], labels[:TRAIN], classes=10, network="cnn", steps=120, batch=32, seed=0
    )


@pytest.mark.parametrize(
    ("times", "expected"), [(0.0, "full"), (1.19, "full"), (1.2, "bf16"), (4.0, "bf16")]
)
def test_a_processor_that_is_faster_in_it_takes_bf16(
    monkeypatch: pytest.MonkeyPatch, times: float, expected: str
) -> None:
    monkeypatch.setattr(precision, "speedup", lambda: times)
    assert precision.decided("cpu") == expected
    assert precision.decided("cuda") == "bf16"
    assert precision.decided("mps") == "full"  # of which the processor's speed says nothing
    with torch.inference_mode():
        half = isinstance(precision.autocast(CPU), torch.autocast)
    assert half == (expected == "bf16")


@pytest.mark.parametrize(
    ("threads", "setting", "expected"),
    [(1, "bf16", 1), (2, "bf16", 1), (3, "bf16", 3), (2, "full", 2)],
)
def test_a_backward_pass_takes_bf16_on_one_thread_alone(
    threads: int, setting: precision.Precision, expected: int
) -> None:
    torch.set_num_threads(threads)
    with precision.fixed(setting), precision.training(CPU):
        assert torch.get_num_threads() == expected
        half = isinstance(precision.autocast(CPU), torch.autocast)
        assert half == (setting == "bf16" and expected == 1)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_setting_stands_above_the_measurement(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(precision, "speedup", lambda: 4.0)
    precision.use("full")
    assert precision.decided(kind) == "full"
    assert isinstance(precision.autocast(CPU), nullcontext)
    precision.use("bf16")
    assert precision.decided(kind) == "bf16"


def faked(monkeypatch: pytest.MonkeyPatch, folder: Path, **able: object) -> list[float]:
    """Fakes the processor's abilities and its measurement; gives what was measured."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "a chip", **able})
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    measured: list[float] = []

    def measure() -> float:
        measured.append(2.0)
        return 2.0

    monkeypatch.setattr(precision, "measured", measure)
    return measured


@pytest.mark.parametrize("ability", ["amx_bf16", "avx512_bf16"])
def test_a_machine_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ability: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    measured = faked(monkeypatch, tmp_path, **{ability: True})
    for _ in range(2):
        precision.speedup.cache_clear()
        assert precision.speedup() == 2.0
    assert measured == [2.0]
    assert capsys.readouterr().err == (
        "bf16 is 2.0 times as fast as float32 here: networks take it (precision: full does not)\n"
    )
    (kept,) = json.loads((tmp_path / "augment" / "bf16.json").read_text()).items()
    assert kept == (f"a chip, torch {torch.__version__}", 2.0)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a chip": "fast"}', "7"])
def test_a_damaged_note_is_measured_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    measured = faked(monkeypatch, tmp_path, amx_bf16=True)
    (tmp_path / "augment").mkdir()
    (tmp_path / "augment" / "bf16.json").write_text(text)
    precision.speedup.cache_clear()
    assert precision.speedup() == 2.0 and measured == [2.0]


def test_a_processor_without_the_command_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured = faked(monkeypatch, tmp_path, avx512_bf16=False)
    precision.speedup.cache_clear()
    assert precision.speedup() == 0.0 and not measured


def test_a_measurement_gives_a_number_of_times() -> None:
    assert 0.01 < precision.measured() < 100


def test_a_classifier_answers_alike_in_both() -> None:
    classifier, (pixels, _) = fitted("full"), digits()
    answers = {}
    for setting in ("full", "bf16"):
        precision.use(setting)
        answers[setting] = classifier.both(pixels[TRAIN:])
    (features, chances), (half_features, half_chances) = answers["full"], answers["bf16"]
    assert half_features.dtype == half_chances.dtype == np.float32
    assert (chances.argmax(1) == half_chances.argmax(1)).mean() > 0.995
    assert abs(chances - half_chances).mean() < 0.002
    assert abs(features - half_features).mean() < 0.01 * abs(features).mean()
    assert not np.array_equal(features, half_features), "bf16 was not taken"


def test_a_classifier_learns_as_well_in_both() -> None:
    pixels, labels = digits()
    classifiers = [fitted(setting) for setting in ("full", "bf16")]
    precision.use("full")
    right = [
        (classifier.predict(pixels[TRAIN:]).argmax(1) == labels[TRAIN:]).mean()
        for classifier in classifiers
    ]
    assert min(right) > 0.9 and abs(right[0] - right[1]) < 0.02
    assert classifiers[0].digest != classifiers[1].digest, "bf16 was not taken"
