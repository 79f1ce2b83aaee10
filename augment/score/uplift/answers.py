"""What a learner answers, fitted once and kept on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from augment.classifiers import judge
from augment.classifiers.classifier import Floats
from augment.classifiers.networks import CLASSIFIERS
from augment.data import images
from augment.registry import Spec
from augment.runtime import precision
from augment.runtime.cache import Values, cached, code_digest, digest_of_arrays
from augment.score.uplift import learners, policies
from augment.score.uplift.arms import Training
from augment.score.uplift.learners import LEARNERS, Terms
from augment.score.uplift.policies import POLICIES


def fitted_answers(
    folder: Path, learner: Spec, terms: Terms, training: Training, seed: int,
    pixels: images.Pixels, title: str,
) -> Floats:  # fmt: skip
    """Class probabilities (N, K) of ``pixels`` by a learner fitted to ``training``.

    They are kept in ``folder`` and read from there the next time. A learner that takes neither
    steps nor policies nor seeds is fitted once for all of these.
    """
    spec = LEARNERS.resolve(learner)
    key: dict[str, Any] = {
        "learner": spec,
        "data": digest_of_arrays(training.pixels, training.labels),
        "classes": terms.classes,
        "pixels": digest_of_arrays(pixels),
        "code": code_digest(*judge.CODE, learners, policies),
    }
    if LEARNERS.describe(spec["name"]).facts["trained"]:
        policy = training.policy
        key |= {
            "network": CLASSIFIERS.resolve(terms.network),
            "policy": None if policy is None else POLICIES.resolve(policy),
            "profile": terms.profile,
            "steps": terms.steps,
            "batch": terms.batch,
            "device": terms.device.type,
            "precision": precision.decided(terms.device.type),
            "seed": seed,
        }

    def compute() -> Values:
        predict = LEARNERS.build(learner, training, terms, seed, title)()
        return {"probabilities": predict(pixels)}

    return cached(folder, "answers", key, compute)["probabilities"]
