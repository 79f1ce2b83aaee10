"""FID, KID, precision and recall as torch-fidelity computes them, on features that exist already.

The rows of a feature array take the place of images, and a registered extractor hands them through.
torch-fidelity ignores unknown keywords and caches by names that do not know the content: the first
is kept in check by a test, the second is off.
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_fidelity
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from augment.score.scores.base import Floats, ScoreError, evenly_spaced

NAMES = ("fid", "kid", "precision", "recall")
SUBSET = 500  # rows of a KID subset: chosen by hand, as KID is unbiased at any size
ROWS = 512  # of a block of distances; chosen by hand
_EXTRACTOR = "augment-rows"
_INCEPTION = ["2048", "logits_unbiased"]


class _Rows(torch.utils.data.Dataset[Tensor]):
    """A data set whose items are ``size`` rows each, or single rows without their first axis."""

    def __init__(self, rows: NDArray[Any], size: int = 1):
        self.rows = rows
        self.size = size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, index: int) -> Tensor:
        block = self.rows[index * self.size :][: self.size]
        return torch.tensor(block[0] if self.size == 1 else block)


class _Through(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]
    """The extractor of torch-fidelity that hands rows through, as if they were features."""

    def __init__(self, name: str, features_list: list[str], **_: Any):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return ("rows",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "rows"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, rows: Tensor) -> tuple[Tensor]:
        return (rows.flatten(0, -2),)


torch_fidelity.register_feature_extractor(_EXTRACTOR, _Through)


def compare(real: Floats, other: Floats, subsets: int, most: int) -> dict[str, float]:
    """The numbers called NAMES of feature rows (N, F) and (M, F); NaN for less than two of either.

    Precision and recall look at ``most`` rows of either and at 3 neighbours, or at all there are.
    """
    fewest = min(len(real), len(other), most)
    if fewest < 2:
        return dict.fromkeys(NAMES, float("nan"))
    distances = _calculate(
        real, other, fid=True, kid=True, kid_subsets=subsets, kid_subset_size=min(SUBSET, fewest)
    )
    balls = _calculate(
        evenly_spaced(real, most),
        evenly_spaced(other, most),
        prc=True,
        prc_neighborhood=min(3, fewest - 1),
        prc_batch_size=ROWS,
    )
    return {
        "fid": max(0.0, distances["frechet_inception_distance"]),  # rounding may leave -1e-6
        "kid": distances["kernel_inception_distance_mean"],
        "precision": balls["precision"],
        "recall": balls["recall"],
    }


def _calculate(real: Floats, other: Floats, **options: Any) -> dict[str, float]:
    """What torch-fidelity computes, without its cache and its progress bars."""
    metrics: dict[str, float] = torch_fidelity.calculate_metrics(
        input1=_Rows(other, ROWS),
        input2=_Rows(real, ROWS),
        feature_extractor=_EXTRACTOR,
        batch_size=1,  # the last item has fewer rows
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        **options,
    )
    return metrics


def inception(pixels: NDArray[np.uint8], weights: Path, cuda: bool) -> tuple[Floats, Floats]:
    """Inception-v3's features (N, 2048) and logits (N, 1008) of uint8 images (N, C, H, W)."""
    if not len(pixels):
        return np.zeros((0, 2048), np.float32), np.zeros((0, 1008), np.float32)
    with tempfile.TemporaryDirectory(prefix="augment-") as scratch:
        plain = Path(scratch) / "weights.pth"  # torch-fidelity unpickles whatever it is given
        torch.save(read_weights(weights), plain)
        extractor = create_feature_extractor(
            "inception-v3-compat", _INCEPTION, cuda=cuda, feature_extractor_weights_path=plain
        )
    colours = _Rows(np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:])))
    layers = get_featuresdict_from_dataset(colours, extractor, 64, cuda, True, False)
    features, logits = (layers[layer].numpy() for layer in _INCEPTION)
    return features, logits


def inception_score(logits: Floats) -> float:
    """The mean inception score of logits (N, K) over ten parts, or N where there are fewer."""
    if not len(logits):
        return float("nan")
    splits = min(10, len(logits))
    return float(isc_features_to_metric(torch.from_numpy(logits), splits)["inception_score_mean"])


def read_weights(path: Path) -> Any:
    """The tensors in ``path``; ScoreError where it holds anything else, which could run code."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ScoreError(f"score.inception: {path}: no such file") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ScoreError(f"score.inception: {path}: no file of weights ({reason})") from None
