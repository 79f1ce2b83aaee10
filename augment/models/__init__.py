"""Models: what is trained. Networks, losses and how a step goes, behind one contract."""

from __future__ import annotations

from augment.registry import Registry

MODELS = Registry("model")

from augment.models import acgan, gan, infogan  # noqa: E402, F401  (they register themselves)
