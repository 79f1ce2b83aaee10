"""Generators: what is trained, its networks, losses and penalties, and what is sampled."""

from augment.models import (  # noqa: F401
    acgan,
    animegan,
    autoencoder,
    cartoongan,
    cyclegan,
    dagan,
    fastgan,
    flow,
    flow_matching,
    gan,
    infogan,
    lapgan,
    pix2pix,
    pixelcnn,
    progressive,
    projected,
    ssgan,
    stargan,
    vae,
)
