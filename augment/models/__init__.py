"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import (  # noqa: F401
    acgan,
    animegan,
    cartoongan,
    cyclegan,
    dagan,
    fastgan,
    gan,
    infogan,
    pix2pix,
    projected,
    ssgan,
    stargan,
    vae,
)
