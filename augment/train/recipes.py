"""Whole training configurations under the names that people know.

A recipe is what differs from the defaults in ``augment.train.settings``; every line of it can be
overridden in params.yaml or on the command line. Rates are the defaults where a paper's are for
runs of a hundred thousand steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """Settings of the ``train`` group, what they are and where they come from."""

    summary: str
    paper: str
    settings: Mapping[str, Any]


_BARE: dict[str, Any] = {"augment": []}
_CONDITIONAL = {**_BARE, "model": "cgan", "conditioning": {"generator": "embed"}}
# At the usual rate and momentum digits are as good only after several times as many steps.
_PIXELS = {
    **_CONDITIONAL,
    "model": "pixelcnn",
    "batch": 16,  # an image is hundreds of examples
    "optimiser": {"betas": [0.9, 0.999]},
    "rate": {"default": 5e-3, "schedule": "linear"},
}
# The papers' residual network with instance norms forgets colours and leaves specks of noise.
_PAINTER = {"name": "unet", "added": True, "norm": "layer"}
_FLOW = {
    **_BARE,
    "model": "flow",
    "conditioning": {"generator": "embed"},
    "optimiser": {"betas": [0.9, 0.999]},
}
_JUDGE = {"name": "patch", "norm": "none", "spectral": True}

RECIPES: dict[str, Recipe] = {
    "infogan": Recipe(
        "The default: InfoGAN whose networks are told the class and, within it, a style",
        "Chen et al. 2016; Miyato & Koyama 2018; Liu et al. 2020",
        {},
    ),
    "r3gan": Recipe(
        "Residual networks, relativistic loss with R1 + R2, no codes",
        "Huang et al. 2024",
        {
            "model": "cgan",
            "generator": "resnet",
            "discriminator": "resnet",
            "conditioning": {"generator": "embed"},
            "loss": "relativistic",
            "penalties": [{"name": "r1", "weight": 0.05}, {"name": "r2", "weight": 0.05}],
            "optimiser": {"betas": [0.0, 0.99]},
            "rate": {"schedule": "linear"},
        },
    ),
    "gan": Recipe(
        "The original: fully connected, no label",
        "Goodfellow et al. 2014",
        {**_BARE, "model": "gan", "generator": "mlp", "discriminator": "mlp"},
    ),
    "dcgan": Recipe(
        "Convolutions with batch norm, no label",
        "Radford et al. 2016",
        {**_BARE, "model": "gan"},
    ),
    "cgan": Recipe(
        "DCGAN networks that are given the class",
        "Mirza & Osindero 2014",
        {**_BARE, "model": "cgan", "conditioning": {"discriminator": "concat"}},
    ),
    "acgan": Recipe(
        "A discriminator that finds the class, taught by ReACGAN's loss",
        "Odena et al. 2017; Kang et al. 2021",
        {**_BARE, "model": {"name": "acgan", "classifier": "d2d"}},
    ),
    "autoencoder": Recipe(
        "The beginner's way: a plain autoencoder, sampled from a density of each class's codes",
        "Hinton & Salakhutdinov 2006; Ghosh et al. 2020",
        {**_BARE, "model": "autoencoder"},
    ),
    "vae": Recipe(
        "The rival: a conditional autoencoder, sampled from a prior that it learns",
        "Kingma & Welling 2014; Sohn et al. 2015; Tomczak & Welling 2018",
        {**_CONDITIONAL, "model": {"name": "vae", "prior": "mixture"}},
    ),
    "pixelcnn": Recipe(
        "Pixel by pixel, each from those above and left: slow samples, exact probabilities",
        "van den Oord et al. 2016; Salimans et al. 2017",
        {**_PIXELS, "generator": "pixelcnn"},
    ),
    "pixelrnn": Recipe(
        "The same by a row LSTM, which sees up to the first row",
        "van den Oord, Kalchbrenner & Kavukcuoglu 2016",
        {**_PIXELS, "generator": "pixelrnn"},
    ),
    "fastgan": Recipe(
        "For few images of 64 pixels and more: the discriminator rebuilds what it saw",
        "Liu et al. 2021",
        {
            "model": "fastgan",
            "generator": "fastgan",
            "discriminator": "fastgan",
            "conditioning": {"generator": "conditional_norm"},
            "loss": "hinge",
        },
    ),
    "nice": Recipe(
        "A flow of fully connected layers, by maximum likelihood",
        "Dinh et al. 2015",
        {**_FLOW, "generator": "nice"},
    ),
    "realnvp": Recipe(
        "A flow of convolutions, checkerboards and channels",
        "Dinh et al. 2017",
        {**_FLOW, "generator": "realnvp"},
    ),
    "glow": Recipe(
        "A flow that learns how to mix its channels",
        "Kingma & Dhariwal 2018",
        {**_FLOW, "generator": "glow"},
    ),
    "flow_matching": Recipe(
        "Noise flows to images along learned velocities, under guidance by the class",
        "Lipman et al. 2023; Liu et al. 2023; Ho & Salimans 2022",
        {**_FLOW, "model": "flow_matching", "generator": "velocity"},
    ),
    "projected": Recipe(
        "For photographs: discriminators on the features of a network that knows ImageNet",
        "Sauer et al. 2021",
        {
            "model": "projected",
            "generator": "fastgan",
            "discriminator": {**_JUDGE, "layers": 1},
            "conditioning": {"generator": "conditional_norm"},
            "loss": "hinge",
        },
    ),
    "ssgan": Recipe(
        "Draws a structure, a skeleton or the layout of colours, and paints on it, or on yours",
        "Wang & Gupta 2016",
        {
            "model": "ssgan",
            "generator": "ssgan",
            "conditioning": {"generator": "conditional_norm"},
        },
    ),
    "dagan": Recipe(
        "Bends a real image into another one of its class",
        "Antoniou et al. 2017; Mao et al. 2019",
        {
            "model": "dagan",
            "generator": {"name": "bend", "cells": 7},
            "loss": "relativistic",
            "penalties": [{"name": "r1", "weight": 0.5, "interval": 8}],
            "optimiser": {"betas": [0.0, 0.99]},
        },
    ),
    "pix2pix": Recipe(
        "Images of a further domain into images of the set, learned from pairs of one class",
        "Isola et al. 2017",
        {"model": "pix2pix", "generator": "unet", "discriminator": "patch"},
    ),
    "cyclegan": Recipe(
        "The same without pairs: a generator each way that must lead back",
        "Zhu et al. 2017",
        {
            "model": "cyclegan",
            "generator": "translator",
            "discriminator": "patch",
            "loss": "lsgan",
        },
    ),
    "dualgan": Recipe(
        "CycleGAN's game with Wasserstein distance and clipped weights",
        "Yi et al. 2017",
        {
            "model": {"name": "cyclegan", "cycle": 10.0, "buffer": 0},
            "generator": "unet",
            "discriminator": "patch",
            "loss": "wasserstein",
            "penalties": [{"name": "clip", "limit": 0.03}],
            "optimiser": "rmsprop",
            "discriminator_steps": 3,
        },
    ),
    "discogan": Recipe(
        "CycleGAN's game with squared distances and discriminators of whole images",
        "Kim et al. 2017",
        {
            "model": {"name": "cyclegan", "cycle": 10.0, "distance": "l2", "buffer": 0},
            "generator": "translator",
        },
    ),
    "stargan": Recipe(
        "Turns an image of any class into one of any other, and back",
        "Choi et al. 2018; Mao et al. 2019",
        {
            "model": "stargan",
            "generator": "translator",
            "discriminator": {"name": "patch", "norm": "none"},
            "loss": "wasserstein",
            "penalties": ["gradient"],
            "discriminator_steps": 5,
        },
    ),
    "cartoongan": Recipe(
        "Gives photographs of a further domain the style of the set: clear edges, flat areas",
        "Chen et al. 2018",
        {
            **_BARE,
            "model": "cartoongan",
            "generator": _PAINTER,
            "discriminator": _JUDGE,
            "rate": {"generator": 3e-4},
        },
    ),
    "animegan": Recipe(
        "The lighter one: the style's texture, the photographs' colours",
        "Chen, Liu & Chen 2019",
        {
            **_BARE,
            "model": "animegan",
            "generator": {**_PAINTER, "width": 16},
            "discriminator": _JUDGE,
            "loss": "lsgan",
            "rate": {"generator": 3e-4},
        },
    ),
    "lapgan": Recipe(
        "A GAN for each size of the Laplacian pyramid: details for the next smaller image",
        "Denton et al. 2015",
        {
            **_BARE,
            "model": "lapgan",
            "generator": "pyramid",
            "conditioning": {"generator": "conditional_norm"},
            "rate": {"generator": 2e-4},  # as quick as its critics it leaves them behind, all alike
        },
    ),
    "progressive": Recipe(
        "Networks that grow from a few pixels to the full size",
        "Karras et al. 2018",
        {
            "model": "progressive",
            "generator": "growing",
            "discriminator": "growing",
            "conditioning": {"generator": "embed"},
            "penalties": [{"name": "r1", "weight": 1.0, "interval": 8}],
            "optimiser": {"betas": [0.0, 0.99]},
        },
    ),
    "lsgan": Recipe("Least squares", "Mao et al. 2017", {**_CONDITIONAL, "loss": "lsgan"}),
    "fgan": Recipe(
        "A divergence of choice", "Nowozin et al. 2016", {**_CONDITIONAL, "loss": "fgan"}
    ),
    "wgan": Recipe(
        "Wasserstein distance, clipped weights",
        "Arjovsky et al. 2017",
        {
            **_CONDITIONAL,
            "discriminator": {"norm": "none"},
            "loss": "wasserstein",
            "penalties": [{"name": "clip", "limit": 0.03}],
            "optimiser": "rmsprop",
            "discriminator_steps": 5,
        },
    ),
    "wgan_gp": Recipe(
        "Wasserstein distance, gradient penalty",
        "Gulrajani et al. 2017",
        {
            **_CONDITIONAL,
            "loss": "wasserstein",
            "penalties": ["gradient"],
            "optimiser": {"betas": [0.0, 0.9]},
            "discriminator_steps": 5,
        },
    ),
    "sngan": Recipe(
        "Hinge loss, spectral norm, conditional batch norm and projection",
        "Miyato et al. 2018; Miyato & Koyama 2018",
        {
            **_CONDITIONAL,
            "discriminator": {"norm": "none", "spectral": True},
            "conditioning": {"generator": "conditional_norm"},
            "loss": "hinge",
            "optimiser": {"betas": [0.0, 0.9]},
        },
    ),
}


def apply(changes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over their recipe over ``defaults``; a part keeps options that are not mentioned.

    Raises ValueError for an unknown recipe.
    """
    name = changes.get("recipe", defaults.get("recipe"))
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    base = {key: _plain(value) for key, value in defaults.items()}
    return _over(_over(base, RECIPES[name].settings), changes)


def _over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``change`` over ``base``, level by level; another part's options are not mixed in."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        old = {"name": old} if isinstance(old, str) else old
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            same = value.get("name", old.get("name")) == old.get("name")
            merged[key] = _over(old if same else {}, value)
        else:
            merged[key] = value
    return merged


def _plain(value: Any) -> Any:
    """Settings as the mapping that they were made from."""
    return value.model_dump() if hasattr(value, "model_dump") else value
