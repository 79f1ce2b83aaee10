"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import acgan, cyclegan, dagan, gan, infogan, pix2pix, vae  # noqa: F401
