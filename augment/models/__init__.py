"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import (  # noqa: F401
    acgan,
    animegan,
    autoencoder,
    cartoongan,
    cyclegan,
    dagan,
    gan,
    infogan,
    pix2pix,
    pixelcnn,
    stargan,
    vae,
)
