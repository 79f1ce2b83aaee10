"""Settings of the adopt stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from augment.registry import Count, Fraction
from augment.settings import MOST, Kind, MostImages, PartSpec, Profile, Settings


class AdoptSettings(Settings):
    """Which labellers label the images without a label, and which labels are adopted."""

    labellers: Annotated[
        list[PartSpec], Field(min_length=1), Kind("augment.adopt.opinions", "OPINIONS")
    ] = ["graph", "domain", "head", "self_training"]
    """Who is asked about an image without a label; at least one. `domain` has no opinion without
    `ingest.domains`.
    """
    profile: Profile = "glyph"
    """The profile of the data, handed on from the top of params.yaml."""
    probability: Fraction = 0.65
    """The least calibrated probability of a label with which an image is adopted, 0 to 1. 0.65 was
    chosen on three subsets of MNIST: only hard images teach anything new.
    """
    steps: Count = 600
    """Training steps of each classifier that is taught, at most: n images, labelled or not, get
    100 + 2 n.
    """
    images: MostImages = MOST
    """Train images at most that are looked at: so many with a label, and so many without one. Of
    more it is a seeded sample, of labelled ones the same share of every class and never fewer than
    10 of one; an unlabelled image outside it is not adopted. Of valid images it is so many at most.
    """
    rounds: Count = 1
    """Rounds of teaching: each starts anew with the labels of the one before."""
    batch: Count = 64
    """Images in a batch."""
    device: str = "auto"
    """Where networks run: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:1`."""
    seed: int = 0
    """Seed of the classifiers."""
