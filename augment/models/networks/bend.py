"""A network that bends a source image: where its pixels lie, and how heavy its strokes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape
from augment.registry import Count, Fraction

_PAPER = "Jaderberg et al. 2015, Spatial Transformer Networks (arXiv:1506.02025)"
START = 1e-3  # standard deviation of the last layer's first weights, so that it starts as a copier
SMOOTH = (0.25, 0.5, 0.25)  # weights of a pixel and its neighbours, across and down
TINY = 1e-6  # of a step: an image without any is as steep as another
ROUNDS = 3  # of sharpening; the last changes next to nothing
LEAST, MOST = -0.5, 1.0  # of a round
FLAT = 0.1  # a difference of two pixels' neighbours that is hardly an edge; images span 2


@GENERATORS.register("bend", paper=_PAPER)
class Generator(nn.Module):
    """Bends a source image and paints nothing: a coarse flow, an affine map, stroke weight.

    Noise alone says how. So what is learned on some classes goes for another, whose images a
    network that looks at them would take for what they are not. What it makes is as sharp as its
    source: reading between pixels blurs, and where one class has images made so and another has
    not, a classifier learns the blur.
    """

    source = True  # what tells such a network from those that draw from noise alone
    rows: Tensor
    columns: Tensor

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *, width: Count = 32, cells: Count = 4,
        flow: Fraction = 0.12, affine: Fraction = 0.3, weight: Fraction = 1.0,
    ):  # fmt: skip
        """Two hidden layers of four times ``width``.

        What it does is smooth between ``cells`` points along the shorter side, and bounded:
        ``flow`` moves a place by that share of the image's side, ``affine`` adds to each number of
        the unit map, ``weight`` makes strokes up to one pixel wider or thinner on either side.
        """
        super().__init__()
        _, *sides = shape
        self.coarse = [max(1, round(side * cells / min(sides))) for side in sides]
        points = self.coarse[0] * self.coarse[1]
        self.layers = nn.Sequential(
            nn.Linear(latent + condition, 4 * width), nn.LeakyReLU(0.2),
            nn.Linear(4 * width, 4 * width), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.bend = nn.Linear(4 * width, 3 * points + 6)  # flow across and down, weight; affine
        for parameter in self.bend.parameters():
            nn.init.normal_(parameter, std=START)
        self.bounds = flow, affine, weight
        for name, small, large in zip(("rows", "columns"), self.coarse, sides, strict=True):
            self.register_buffer(name, enlarger(small, large), persistent=False)

    def forward(self, inputs: Tensor, condition: Tensor | None = None, *, source: Tensor) -> Tensor:
        """(N, latent), (N, condition) and ``source`` (N, C, H, W) to images of its shape."""
        joined = inputs if condition is None else torch.cat([inputs, condition], 1)
        numbers = self.bend(self.layers(joined)).float().tanh()
        with torch.autocast(source.device.type, enabled=False):  # places need float32
            maps = numbers[:, :-6].view(-1, 3, *self.coarse)
            maps = self.rows @ maps @ self.columns.T
            images = bent(source.float(), maps, numbers[:, -6:], self.bounds)
            return as_sharp(images, source.float())


def enlarger(small: int, large: int) -> Tensor:
    """The matrix (large, small) that enlarges a column of numbers by bicubic interpolation.

    Products with two of them enlarge maps in a tenth of the time that torch takes on a CPU.
    """
    unit = torch.eye(small)[None, None]
    return functional.interpolate(unit, (large, small), mode="bicubic", align_corners=False)[0, 0]


def bent(
    source: Tensor, maps: Tensor, affine: Tensor, bounds: tuple[float, float, float]
) -> Tensor:
    """``source`` (N, C, H, W) in [-1, 1], bent by ``maps`` (N, 3, H, W) and ``affine`` (N, 6).

    Both are numbers from -1 to 1, shares of ``bounds`` (flow, affine, weight). Zeros give the
    source. A pixel is read from where the affine map and twice the flow, in coordinates from -1 to
    1, take its own place; beyond the border it is what the border is.
    """
    flow, turn, weight = bounds
    unit = torch.eye(2, 3, device=source.device)
    places = functional.affine_grid(
        unit + turn * affine.view(-1, 2, 3), list(source.shape), align_corners=False
    )
    places = places + 2 * flow * maps[:, :2].permute(0, 2, 3, 1)
    uphill = read(ascent(source), places, "bilinear") * (weight * maps[:, 2:])
    pixel = 2 / torch.tensor(source.shape[:1:-1], device=source.device)
    places = places + pixel * uphill.permute(0, 2, 3, 1)
    return read(source, places, "bicubic").clamp(-1, 1)


def read(images: Tensor, places: Tensor, mode: str) -> Tensor:
    """``images`` (N, C, H, W) at ``places`` (N, H, W, 2), in coordinates from -1 to 1."""
    return functional.grid_sample(
        images, places, mode=mode, padding_mode="border", align_corners=False
    )


def ascent(images: Tensor) -> Tensor:
    """The way (N, 2, H, W), across and down, to lighter pixels: of length 1 on edges, 0 elsewhere.

    A pixel that is read from up the slope makes a light stroke wider, from down the slope thinner,
    and leaves its edges as they are.
    """
    around = functional.pad(smoothed(images.mean(1, keepdim=True)), (1, 1, 1, 1), mode="replicate")
    across = around[..., 1:-1, 2:] - around[..., 1:-1, :-2]
    down = around[..., 2:, 1:-1] - around[..., :-2, 1:-1]
    slope = torch.cat([across, down], 1)
    unit: Tensor = slope / (slope.norm(dim=1, keepdim=True) + FLAT)
    return unit


def as_sharp(images: Tensor, models: Tensor) -> Tensor:
    """``images`` (N, C, H, W) in [-1, 1] with edges as steep as those of ``models``."""
    ends = steepness(models)
    for _ in range(ROUNDS):
        lacking = (2 * (ends / steepness(images) - 1)).clamp(LEAST, MOST)
        images = (images + lacking * (images - smoothed(images))).clamp(-1, 1)
    return images


def steepness(images: Tensor) -> Tensor:
    """The mean step (N, 1, 1, 1) between neighbours in images (N, C, H, W), weighted by the step.

    Half an edge's height where it takes two pixels; flat areas do not count.
    """
    steps = [images.diff(dim=axis).flatten(1) for axis in (2, 3)]
    square = torch.stack([step.square().mean(1) for step in steps]).sum(0)
    plain = torch.stack([step.abs().mean(1) for step in steps]).sum(0)
    return ((square + TINY) / (plain + TINY))[:, None, None, None]


def smoothed(images: Tensor) -> Tensor:
    """``images`` (N, C, H, W), each pixel the weighted mean of itself and its neighbours."""
    once = torch.tensor(SMOOTH, device=images.device)
    kernel = (once[:, None] * once).expand(images.shape[1], 1, 3, 3)
    around = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(around, kernel, groups=images.shape[1])
