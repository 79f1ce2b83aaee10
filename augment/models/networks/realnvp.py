"""RealNVP: couplings of checkerboards and of channels, from the finest size to the coarsest."""

from __future__ import annotations

from augment.models.networks import GENERATORS, Shape
from augment.models.networks.bijections import ActNorm, Bijection, Coupling, Preparation
from augment.models.networks.invertible import Adviser, Flow, checkerboard, halves, pyramid
from augment.models.networks.layers import told_of
from augment.registry import Count, Number

BOARDS, CHANNELS, LAST = 3, 3, 4  # couplings before and after a halving, and at the last size


@GENERATORS.register(
    "realnvp", paper="Dinh et al. 2017, Density estimation using Real NVP (arXiv:1605.08803)"
)
class Generator(Flow):
    """Pixels of a checkerboard move and stretch the others, then channels do, at every size.

    Norms of the first batch (Kingma & Dhariwal 2018) stand in place of batch norms, by which an
    image's likelihood would depend on the images beside it.
    """

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 24, blocks: Number = 1, halvings: Number = 2,
        preparation: Preparation = "logit",
    ):  # fmt: skip
        """Networks of ``width`` channels with ``blocks`` residual blocks; the paper has 64 and 8.

        An image is halved ``halvings`` times, less often where a side becomes odd or below eight.
        ``preparation`` is how values come to the flow: their ``logit``, or moved by a half.
        """
        told = told_of(latent, shape, condition)

        def steps(shape: Shape, halved: bool, last: bool) -> list[Bijection]:
            count = CHANNELS if halved else LAST if last else BOARDS
            mask = halves if halved else checkerboard
            maps: list[Bijection] = []
            for place in range(count):
                network = Adviser(shape[0], 2 * shape[0], told, width, blocks)
                maps += [ActNorm(shape[0]), Coupling(mask(shape, place), network)]
            return maps

        body = pyramid(shape, halvings, steps)
        super().__init__(latent, shape, condition, body, preparation)
