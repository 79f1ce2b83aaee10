"""Learned checks: what models that never saw an image say against it.

Each returns measures of which under 0.5 is a fault, by a rule that it finds from the train and
valid images of the set, so that no image of the test split moves a threshold.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import binomtest

from augment.clean.checks.base import CHECKS
from augment.clean.checks.evidence import Evidence, Floats
from augment.errors import AugmentError
from augment.registry import Count, Fraction
from augment.vision.neighbours import blocks

_LEAST = 1e-6
_GUESSED = 1e-3
_USUAL = 20  # images from which on their spread says something

Measures = NDArray[np.float64]


class MissingPackageError(AugmentError, ImportError):
    """A check whose package is not installed."""


@CHECKS.register(
    "wrong_label",
    paper="Northcutt, Jiang & Chuang 2021, Confident Learning (arXiv:1911.00068)",
    kind="learned",
    threshold=0.5,
    profiles=("glyph", "natural"),
    certain=False,
    module="cleanlab",
)
def wrong_label(
    evidence: Evidence,
    *,
    method: Literal["prune_by_class", "prune_by_noise_rate", "both", "confident_learning"] = "both",
    margin: Fraction = 0.9,
    few: Count = 5,
    half: Fraction = 0.5,
) -> pd.DataFrame:
    """Label quality by confident learning, halved for labels that are called wrong; else above.

    ``method`` is cleanlab's way to choose them; of these another class leads by ``margin`` in
    probability. Not judged are images without a label, of classes of which fewer than ``few``
    teach, and where the models cannot read: of a class of whose images they confirm less than
    ``half``, or of a set that they do not read better than by chance. A test image is called wrong
    where another class is at least as probable as it is on average for the train and valid images
    labelled so. Suggested is the most probable class where it is not the label. Raises
    MissingPackageError without cleanlab.
    """
    frame, labels, probabilities = evidence.frame, evidence.labels, evidence.probabilities
    found = pd.DataFrame(
        {"measure": np.nan, "suggested_label": None, "probability": np.nan}, index=frame.index
    )
    taught = np.bincount(labels[evidence.open & (labels >= 0)], minlength=len(evidence.classes))
    judged = np.isin(labels, _readable(evidence, np.flatnonzero(taught >= few), half))
    taught_rows = np.flatnonzero(judged & evidence.open)
    kinds, own = np.unique(labels[taught_rows], return_inverse=True)
    if len(kinds) < 2:
        return found
    sure = probabilities[:, kinds].astype(np.float64)
    sure /= sure.sum(1, keepdims=True)
    wrong = np.zeros(len(frame), bool)
    wrong[taught_rows] = _cleanlab("filter").find_label_issues(
        own, sure[taught_rows], filter_by=method, n_jobs=1
    )
    bars = _cleanlab("count").get_confident_thresholds(own, sure[taught_rows])
    places = np.searchsorted(kinds, labels).clip(0, len(kinds) - 1)
    best = sure.argmax(1)
    confident = (best != places) & (sure.max(1) >= bars[best])
    lead = sure.max(1) - sure[np.arange(len(sure)), places]
    wrong = judged & np.where(evidence.open, wrong, confident) & (lead >= margin)
    rows = np.flatnonzero(judged)
    quality = np.full(len(frame), np.nan)
    quality[rows] = _cleanlab("rank").get_label_quality_scores(
        places[rows], sure[rows], method="normalized_margin"
    )
    other = judged & (best != places)
    names = np.array(evidence.classes, dtype=object)
    found["measure"] = np.where(wrong, quality / 2 - _LEAST, (1 + quality) / 2).clip(0, 1)
    found["suggested_label"] = pd.Series(names[kinds[best]], found.index).where(other, None)
    found["probability"] = np.where(other, sure.max(1), np.nan)
    return found


def _readable(evidence: Evidence, kinds: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Those of ``kinds`` of whose taught images at least a ``share`` is read as it is labelled.

    None where the labels of all these could as well be guessed (binomial test, 0.1 %).
    """
    rows = np.flatnonzero(evidence.open & np.isin(evidence.labels, kinds))
    own = evidence.labels[rows]
    if len(kinds) < 2:
        return kinds
    right = kinds[evidence.probabilities[rows][:, kinds].argmax(1)] == own
    chance = np.bincount(own).max() / len(own)
    if binomtest(int(right.sum()), len(own), chance, alternative="greater").pvalue > _GUESSED:
        return kinds[:0]
    return np.array([kind for kind in kinds if right[own == kind].mean() >= share], np.int64)


@CHECKS.register("turned", kind="learned", threshold=0.5, profiles=("glyph",), certain=False)
def turned(evidence: Evidence, *, odds: Annotated[float, Field(gt=0)] = 8.0) -> pd.DataFrame:
    """1 / (1 + r / ``odds``): how much better (r) the class explains an image turned than upright.

    r compares the probability that the image shows its class turned by 90, 180 or 270° with the
    greater of two: that it shows it upright, and what upright images of the classes it looks like
    are given there by mistake. So nobody is blamed where a class looks the same turned (0, 一, 口)
    or like another (6 and 9). Images without a label are not judged.
    """
    labels, turns = evidence.labels, evidence.turns.astype(np.float64)
    known = labels >= 0
    measure = np.full(len(labels), np.nan)
    if not turns[..., 1:].any():
        return pd.DataFrame({"measure": measure}, index=evidence.frame.index)
    own = turns[known, labels[known]]
    mistaken = np.zeros((len(evidence.classes), *turns.shape[1:]))
    for label in np.unique(labels[known & evidence.open]):
        mean = turns[evidence.open & (labels == label)].mean(0)
        mistaken[label] = mean / max(mean[label, 0], _LEAST)
    upright = turns[known, :, 0]
    expected = np.empty_like(own)
    for label in np.unique(labels[known]):
        rows = labels[known] == label
        expected[rows] = upright[rows] @ mistaken[:, label]
    rivals = np.maximum(np.maximum(own[:, :1], expected[:, 1:]), _LEAST)
    measure[known] = 1 / (1 + (own[:, 1:] / rivals).max(1) / odds)
    return pd.DataFrame({"measure": measure}, index=evidence.frame.index)


@CHECKS.register(
    "outlier",
    paper="Kuan & Mueller 2022, Back to the Basics: Revisiting Out-of-Distribution Detection "
    "Baselines (arXiv:2207.03061)",
    kind="learned",
    threshold=0.5,
    profiles=("glyph", "natural"),
    certain=False,
)
def outlier(
    evidence: Evidence,
    *,
    deviations: Annotated[float, Field(gt=0)] = 4.6,
    share: Fraction = 0.05,
    few: Count = 5,
    score: Literal["label", "cleanlab"] = "label",
) -> pd.DataFrame:
    """``deviations`` / (``deviations`` + z): 0.5 where an image is as far from all classes as that.

    z, in robust standard deviations of train and valid images, is the sum of two: the distance to
    the nearest class, and how little the network sees the image's own class in it (without a label
    the likeliest; with ``score`` cleanlab the out-of-distribution score of all probabilities, which
    found fewer letters among digits). The distance to a class is that to the member nearer than all
    but a ``share`` of them, at least the ``few``-th, so that a few odd ones vouch for nobody.
    Images of a class of no more than ``few`` are not judged, unless all classes are so small, and
    none of a set that is too small to say what is usual. Where the network cannot read the classes
    distance alone counts.
    Raises MissingPackageError without cleanlab where that is asked for.
    """
    labels, usable = evidence.labels, np.flatnonzero(evidence.open)
    found = pd.DataFrame({"measure": np.nan}, index=evidence.frame.index)
    members = {k: np.flatnonzero(evidence.open & (labels == k)) for k in np.unique(labels)}
    members = {k: rows for k, rows in members.items() if k >= 0 and len(rows) > few}
    judged = np.isin(labels, [-1, *members])
    if len(usable) < _USUAL:
        return found
    if not members:  # no class is large enough: all are taken for one
        members, judged = {-1: usable}, np.ones(len(labels), bool)
    away = [
        _deviations(_far(evidence.features, rows, share, few), rows) for rows in members.values()
    ]
    z = np.maximum(_deviations(np.min(away, axis=0), usable), -1)
    if len(_readable(evidence, np.array([k for k in members if k >= 0], np.int64), 0.0)) > 1:
        strange = _strange(evidence) if score == "label" else _odd(evidence)
        z += np.maximum(_deviations(strange, usable), -1)
    measures = deviations / (deviations + np.maximum(z, 0))
    found["measure"] = np.where(judged, measures, np.nan)
    return found


def _strange(evidence: Evidence) -> Measures:
    """Logarithm of the odds against an image's own class, upright; without a label, the best."""
    upright = evidence.turns[..., 0].astype(np.float64)
    labels = np.where(evidence.labels < 0, upright.argmax(1), evidence.labels)
    own = upright[np.arange(len(labels)), labels]
    return np.asarray(np.log((1 - own + _LEAST) / (own + _LEAST)), dtype=np.float64)


def _far(features: Floats, members: NDArray[np.int64], share: float, few: int) -> Measures:
    """Logarithm of the distance of each image (N,) to one of ``members``, not counting itself."""
    rank = max(few, int(share * len(members))) - 1
    found = np.empty(len(features))
    places = np.full(len(features), -1)
    places[members] = np.arange(len(members))
    for start, squares in blocks(features, features[members]):
        own = places[start : start + len(squares)]
        inside = np.flatnonzero(own >= 0)
        squares[inside, own[inside]] = np.inf
        found[start : start + len(squares)] = np.partition(squares, rank, axis=1)[:, rank]
    logs: Measures = 0.5 * np.log(np.maximum(found, _LEAST))
    return logs


def _odd(evidence: Evidence) -> Measures:
    """Logarithm of how far probabilities (N,) are from those of any one class, by cleanlab."""
    scorer = _cleanlab("outlier").OutOfDistribution({"adjust_pred_probs": False})
    scores = scorer.fit_score(pred_probs=evidence.probabilities.astype(np.float64), verbose=False)
    return np.asarray(np.log(np.maximum(1 - scores, _LEAST)), dtype=np.float64)


def _deviations(values: Measures, rows: NDArray[np.int64]) -> Measures:
    """How many robust standard deviations of ``values[rows]`` each lies above their median."""
    middle = np.median(values[rows])
    spread = 1.4826 * np.median(np.abs(values[rows] - middle))
    return np.asarray((values - middle) / max(spread, _LEAST), dtype=np.float64)


def _cleanlab(module: str) -> Any:
    """A module of cleanlab, imported late: it takes a second."""
    try:
        return importlib.import_module(f"cleanlab.{module}")
    except ImportError:
        raise MissingPackageError(
            f"clean.checks: the package cleanlab ({module}) is missing: install the extra 'clean' "
            "(pip install 'augment[clean]') or leave out wrong_label and outlier's score cleanlab"
        ) from None
