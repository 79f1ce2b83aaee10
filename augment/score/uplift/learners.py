"""Learners: models fitted to an arm's training set; several, so that no claim hangs on one.

A learner is ``learner(training, terms, seed, title, *, options) -> predict`` where ``predict``
gives the class probabilities (N, K) of uint8 images (N, C, H, W). The registered fact ``trained``
says that it takes steps, policies and seeds; a learner without it ignores them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from augment.classifiers.classifier import ClassifierError
from augment.classifiers.fit import fit_classifier
from augment.data.images import Pixels
from augment.registry import Registry, Spec
from augment.score.uplift.arms import Training
from augment.score.uplift.policies import POLICIES

LEARNERS = Registry("learner")

Floats = NDArray[np.float32]
Predict = Callable[[Pixels], Floats]


@dataclass(frozen=True)
class Terms:
    """The terms that are the same for every arm.

    classes: how many; steps and batch: of the training; network: of the judge; profile: glyph or
    natural, which says how policies may change images.
    """

    classes: int
    steps: int
    batch: int
    network: Spec
    profile: str
    device: torch.device


@LEARNERS.register("judge", trained=True)
def judge(training: Training, terms: Terms, seed: int, title: str) -> Predict:
    """The small network of ``score.judge``."""
    return _network(terms.network, training, terms, seed, title)


@LEARNERS.register(
    "resnet18", paper="He et al. 2016, Deep Residual Learning (arXiv:1512.03385)", trained=True
)
def resnet18(training: Training, terms: Terms, seed: int, title: str) -> Predict:
    """ResNet-18 of torchvision, with a stem for small images."""
    return _network("resnet18", training, terms, seed, title)


@LEARNERS.register("svc", paper="Cortes & Vapnik 1995, Support-Vector Networks", trained=False)
def svc(
    training: Training,
    terms: Terms,
    seed: int,
    title: str,
    *,
    cost: Annotated[float, Field(gt=0)] = 10.0,
) -> Predict:
    """A support-vector machine on pixels: no network, no policy, no steps.

    Its probabilities are calibrated by cross-validation; where a class has a single image, all is
    given to the first choice.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    kinds, counts = np.unique(training.labels, return_counts=True)
    if len(kinds) < 2:
        raise ClassifierError(f"svc needs images of 2 classes, found {len(kinds)}")
    machine = SVC(C=cost)
    folds = min(3, int(counts.min()))
    if folds > 1:
        machine = CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    machine.fit(_flat(training.pixels), training.labels)

    def predict(pixels: Pixels) -> Floats:
        probabilities = np.zeros((len(pixels), terms.classes), np.float32)
        if not len(pixels):
            return probabilities
        if folds > 1:
            probabilities[:, kinds] = machine.predict_proba(_flat(pixels))
        else:
            probabilities[np.arange(len(pixels)), machine.predict(_flat(pixels))] = 1
        return probabilities

    return predict


def _network(spec: Spec, training: Training, terms: Terms, seed: int, title: str) -> Predict:
    """A network of the kind ``spec`` fitted to ``training`` on the terms of all arms."""
    policy = training.policy
    fitted = fit_classifier(
        training.pixels,
        training.labels,
        classes=terms.classes,
        network=spec,
        steps=terms.steps,
        batch=terms.batch,
        seed=seed,
        device=terms.device,
        augment=() if policy is None else POLICIES.build(policy, terms.profile),
        title=title,
    )
    return fitted.predict


def _flat(pixels: Pixels) -> Floats:
    return (pixels.reshape(len(pixels), -1) / 255).astype(np.float32)
