"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import acgan, animegan, cartoongan, dagan, gan, infogan, vae  # noqa: F401
