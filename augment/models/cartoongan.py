"""From photographs to images in the style of the set, by CartoonGAN: clear edges, content kept."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.registry import Amount, Count
from augment.vision.content import Features, content_features
from augment.vision.edges import smooth_edges

Share = Annotated[float, Field(ge=0, lt=1)]  # of a run

DIFFERENT = 0.05  # between two images somewhere, of 2: else they are the same; chosen by hand
LEAST = 1e-2  # deviation of a feature, below which it counts as constant; chosen by hand


@MODELS.register(
    "cartoongan",
    paper="Chen et al. 2018, CartoonGAN: Generative Adversarial Networks for Photo Cartoonization "
    "(CVPR)",
)
class CartoonGan(AdversarialModel):
    """The set's images are the style, and those of a further domain the photographs it is given to.

    Images of the set with blurred edges count as fakes too, and what a photograph shows is kept by
    its features. A sample is of the class of its photograph; the set's labels are not used.
    """

    matched = True
    patches = True
    follows_length = True

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 8,
        features: Features = "filters",
        content: Amount = 0.4,
        smoothed: Amount = 1.0,
        warm_up: Share = 0.1,
    ):
        """``latent`` Gaussian inputs; ``features`` are those by which content is compared.

        ``efficientnet``, learned on ImageNet, needs the extra ``features``. ``content`` weighs the
        loss of content, ``smoothed`` the blurred images as fakes. During the share ``warm_up`` of
        the run the generator learns to keep the content and nothing else.
        """
        self.content, self.smoothed, self.warm_up = content, smoothed, warm_up
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes
        self.features = content_features(features)

    @property
    def needs(self) -> Needs:
        """An image of a further domain beside every image; no label."""
        return Needs(labels="none", source="domain")

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Images whose edges are blurred count as fakes."""
        further = {"smoothed": (smooth_edges(batch.real), self.smoothed)}
        return self.against(further, real, batch)

    def against(
        self, further: dict[str, tuple[Tensor, float]], real: Tensor, batch: Batch
    ) -> Losses:
        """Losses that tell the real images, of features ``real``, from ``further`` fakes of them.

        These are (N, C, H, W) and the weight of each loss. One that is hardly another image than
        the real one does not count.
        """
        labels, critic, losses = self.packed(batch.labels), self.discriminator, {}
        right = critic.logits_of(real, labels).view(len(real), -1)
        for name, (images, weight) in further.items():
            apart = (images - batch.real).abs().flatten(1).amax(1) > DIFFERENT
            if weight and apart.any():
                wrong = critic(self.show(images, batch), labels).view(len(real), -1)
                loss = self.parts.loss.discriminator(
                    real=right[apart].flatten(), fake=wrong[apart].flatten()
                )
                losses[name] = loss * weight
        return losses

    def generator_losses(self, batch: Batch) -> Losses:
        """While the run warms up the content alone, then the adversarial loss as well."""
        if batch.done < self.warm_up:
            return {"content": self.content_loss(self.fakes_of(batch), batch)}
        return super().generator_losses(batch)

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """What was lost of the photographs' content."""
        return {"content": self.content_loss(fakes, batch)}

    def content_loss(self, fakes: Fakes, batch: Batch) -> Tensor:
        """The weighted difference of features of the fakes and of what they start from."""
        assert batch.source is not None
        with torch.no_grad():
            before = self.features_of(batch.source)
        return relative_difference(self.features_of(fakes.images), before) * self.content

    def features_of(self, images: Tensor) -> Tensor:
        """Features (N, F, h, w) of images (N, C, H, W)."""
        features: Tensor = self.features.to(images.device)(images.float())
        return features.float()


def deviations(features: Tensor) -> Tensor:
    """How far each of ``features`` (N, F, h, w) is from its mean, on average: (1, F, 1, 1)."""
    centred = features - features.mean((0, 2, 3), keepdim=True)
    return centred.abs().mean((0, 2, 3), keepdim=True).clamp(min=LEAST)


def relative_difference(features: Tensor, before: Tensor) -> Tensor:
    """The mean absolute difference of (N, F, h, w), each feature in units of its deviation before.

    It is 0 for the same features, and about 1 for images that are all alike. The paper's plain
    difference depends on how large a network's features happen to be.
    """
    return ((features - before).abs() / deviations(before)).mean()
