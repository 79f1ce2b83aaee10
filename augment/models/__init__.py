"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import acgan, dagan, gan, infogan, stargan, vae  # noqa: F401
