"""Networks that draw an image pixel by pixel, row by row, each from what stands above and left.

They give the probability of every image exactly. A number of noise decides a value: they take
C · H · W normal numbers, then what joins them, and a condition.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape
from augment.models.networks.grey_values import Mixtures, numbers
from augment.models.networks.layers import divide, told_of
from augment.registry import Count

REACH = 3  # pixels that the first layer sees above and at either side
PLANES = 4  # maps of the condition: what it says about places
DILATIONS = (1, 2, 4)  # of the layers, in turn (van den Oord et al. 2016, WaveNet)


@dataclass
class Memory:
    """What a layer keeps while an image is drawn: the rows and pixels that it has seen."""

    told: Tensor  # (N, …): the layer's share of the condition
    rows: list[Tensor] = field(default_factory=list)  # inputs (N, F, 1, W), from the top
    above: Tensor = field(default_factory=lambda: torch.empty(0))  # (W, N, …) for this row
    line: list[Tensor] = field(default_factory=list)  # inputs (N, F) of this row
    states: list[list[Tensor]] = field(default_factory=list)  # of a row LSTM's pixels


class Layer(nn.Module):
    """A layer of maps of two kinds: ``v`` has seen what stands above, ``h`` what stands left too.

    Both are (N, F, H, W). ``whole`` maps complete images; ``row`` and ``pixel`` give the same for a
    row, and a pixel of it, from the memory of those before.
    """

    tell: nn.Linear

    def whole(self, v: Tensor, h: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """The next ``v`` and ``h``; ``told`` is (N, T)."""
        raise NotImplementedError

    def row(self, v: Tensor, memory: Memory) -> Tensor:
        """The next row (N, F, 1, W) of ``v``; the pixels of the row can follow."""
        raise NotImplementedError

    def pixel(self, h: Tensor, column: int, memory: Memory) -> Tensor:
        """The next pixel (N, F) of ``h``."""
        raise NotImplementedError


def gate(maps: Tensor) -> Tensor:
    """Half of the channels through tanh, let through by the sigmoid of the other half."""
    values, doors = maps.chunk(2, 1)
    return values.tanh() * doors.sigmoid()


def flat(layer: nn.Conv2d) -> Tensor:
    """The weights of a convolution of one row as a matrix: (outputs, columns · inputs)."""
    return layer.weight[:, :, 0].mT.flatten(1)


def by_pixel(row: Tensor) -> Tensor:
    """A row (N, F, 1, W) as pixels (W, N, F)."""
    return row[:, :, 0].permute(2, 0, 1).contiguous()


class GatedLayer(Layer):
    """The gated layer with two stacks, of which the one has no blind spot."""

    def __init__(self, width: int, told: int, dilation: int):
        """For ``width`` maps, a condition of ``told`` numbers and neighbours ``dilation`` off."""
        super().__init__()
        self.off, self.width = dilation, width
        self.vertical = nn.Conv2d(width, 2 * width, (2, 3), dilation=dilation)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, 2), dilation=dilation)
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.tell = nn.Linear(told, 4 * width)

    def whole(self, v: Tensor, h: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """See Layer."""
        for_v, for_h = self.tell(told)[:, :, None, None].chunk(2, 1)
        off = self.off
        above = self.vertical(functional.pad(v, (off, off, off, 0))) + for_v
        left = self.horizontal(functional.pad(h, (off, 0, 0, 0)))
        return v + gate(above), h + self.out(gate(left + self.across(above) + for_h))

    def row(self, v: Tensor, memory: Memory) -> Tensor:
        """See Layer."""
        memory.rows.append(v)
        memory.line = []
        place = len(memory.rows) - 1 - self.off
        far = memory.rows[place] if place >= 0 else torch.zeros_like(v)
        pair = functional.pad(torch.cat([far, v], 2), (self.off, self.off))
        vertical = self.vertical
        above = functional.conv2d(pair, vertical.weight, vertical.bias, dilation=(1, self.off))
        for_v, for_h = memory.told[:, :, None, None].chunk(2, 1)
        above = above + for_v
        memory.above = by_pixel(self.across(above) + for_h)
        return v + gate(above)

    def pixel(self, h: Tensor, column: int, memory: Memory) -> Tensor:
        """See Layer."""
        memory.line.append(h)
        far = memory.line[column - self.off] if column >= self.off else torch.zeros_like(h)
        left = functional.linear(
            torch.cat([far, h], 1), flat(self.horizontal), self.horizontal.bias
        )
        gated = gate(left + memory.above[column])
        return h + functional.linear(gated, flat(self.out), self.out.bias)


class RowLayer(Layer):
    """A row LSTM: each pixel has a state, which follows from the states of three pixels above."""

    def __init__(self, width: int, told: int):
        """For maps of ``width`` and a condition of ``told`` numbers."""
        super().__init__()
        self.inside = nn.Conv2d(width, 4 * width, (1, 2))
        self.above = nn.Conv2d(width, 4 * width, (1, 3), padding=(0, 1), bias=False)
        self.tell = nn.Linear(told, 4 * width)

    def whole(self, v: Tensor, h: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """See Layer."""
        inputs = self.inside(functional.pad(h, (1, 0, 0, 0))) + self.tell(told)[:, :, None, None]
        cell = state = torch.zeros_like(h[:, :, :1])
        states = []
        for row in inputs.split(1, 2):
            cell, state = update(row + self.above(state), cell)
            states.append(state)
        return v, h + torch.cat(states, 2)

    def row(self, v: Tensor, memory: Memory) -> Tensor:
        """See Layer."""
        before = memory.states or [[torch.zeros_like(v[:, :, 0, 0])] * 2] * v.shape[3]
        states = torch.stack([state for _, state in before], 2)[:, :, None]
        memory.above = by_pixel(self.above(states) + memory.told[:, :, None, None])
        memory.rows = [cell for cell, _ in before]
        memory.line, memory.states = [], []
        return v

    def pixel(self, h: Tensor, column: int, memory: Memory) -> Tensor:
        """See Layer."""
        memory.line.append(h)
        left = memory.line[column - 1] if column else torch.zeros_like(h)
        gates = functional.linear(torch.cat([left, h], 1), flat(self.inside), self.inside.bias)
        cell, state = update(gates + memory.above[column], memory.rows[column])
        memory.states.append([cell, state])
        return h + state


def update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next cell and state (N, F, …) of an LSTM for its four gates (N, 4 F, …)."""
    enter, forget, leave, value = gates.chunk(4, 1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * value.tanh()
    return cell, leave.sigmoid() * cell.tanh()


class PixelNetwork(nn.Module):
    """Base of both: a first layer, layers, and the distribution of each pixel at the end.

    The networks of the papers tell the channels of a pixel apart by masks, here the distribution
    does (``grey_values``).
    """

    by_rows = ("forward", "surprise")

    noise_for_each_value = True

    def __init__(self, latent: int, shape: Shape, condition: int, width: int, mixture: int):
        """``width`` maps; a pixel is a mixture of ``mixture`` distributions."""
        super().__init__()
        self.shape = shape
        channels, height, side = shape
        self.told = told_of(latent, shape, condition)
        self.above = nn.Conv2d(channels, width, (REACH, 2 * REACH + 1))
        self.left = nn.Conv2d(channels, width, (1, REACH))
        self.place = nn.Linear(self.told, PLANES * height * side)
        self.placed = nn.Conv2d(PLANES, width, 1)
        self.layers = nn.ModuleList()
        self.last = nn.Conv2d(width, width, 1)
        self.end = nn.Conv2d(width, numbers(channels, mixture), 1)
        start = self.end.bias.data.view(-1, mixture)  # type: ignore[union-attr]
        start[1 : 1 + channels] = torch.linspace(-1, 1, mixture)
        start[1 + channels : 1 + 2 * channels] = -2.0

    def surprise(self, images: Tensor, told: Tensor) -> Tensor:
        """Nats (N, C, H, W) at each value of images in [-1, 1], those before it being known.

        ``told`` (N, T) says of what class they are. Values lie where ``grey_values.rounded`` puts
        them.
        """
        return Mixtures(self.raw(images, told), self.shape[0]).surprise(images)

    def raw(self, images: Tensor, told: Tensor) -> Tensor:
        """The numbers (N, R, H, W) of each pixel's distribution, from the pixels before it."""
        v = self.above(functional.pad(images, (REACH, REACH, REACH, 0))[:, :, :-1])
        v = v + self.placed(self.places(told))
        h = v + self.left(functional.pad(images, (REACH, 0))[..., :-1])
        for layer in self.layers:
            v, h = layer.whole(v, h, told)  # type: ignore[operator]
        raw: Tensor = self.end(self.last(h.relu()).relu())
        return raw

    def places(self, told: Tensor) -> Tensor:
        """What a condition (N, T) says about places: (N, PLANES, H, W)."""
        maps: Tensor = self.place(told).view(len(told), PLANES, *self.shape[1:])
        return maps

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1], each a grey value.

        A value is that below which lies the share of its distribution that lies below its number
        of noise in a normal one. Each pixel is computed once.
        """
        noise, told = divide(inputs, condition, self.shape)
        uniform = torch.special.ndtr(noise.double()).to(inputs).view(-1, *self.shape)
        channels, height, side = self.shape
        canvas = inputs.new_zeros(len(inputs), channels, height + REACH, side + 2 * REACH)
        placed = self.placed(self.places(told))
        memories = [Memory(layer.tell(told)) for layer in self.layers]  # type: ignore[operator]
        for row in range(height):
            v = self.above(canvas[:, :, row : row + REACH]) + placed[:, :, row : row + 1]
            above = by_pixel(v)
            for layer, memory in zip(self.layers, memories, strict=True):
                v = layer.row(v, memory)  # type: ignore[operator]
            for column in range(side):
                near = canvas[:, :, row + REACH, column : column + REACH].mT.flatten(1)
                h = above[column] + functional.linear(near, flat(self.left), self.left.bias)
                for layer, memory in zip(self.layers, memories, strict=True):
                    h = layer.pixel(h, column, memory)  # type: ignore[operator]
                h = functional.linear(h.relu(), flat(self.last), self.last.bias)
                raw = functional.linear(h.relu(), flat(self.end), self.end.bias)
                pixel = Mixtures(raw, channels).draw(uniform[:, :, row, column])
                canvas[:, :, row + REACH, column + REACH] = pixel
        return canvas[:, :, REACH:, REACH:-REACH].contiguous()


@GENERATORS.register(
    "pixelcnn",
    paper="van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders "
    "(arXiv:1606.05328); Salimans et al. 2017, PixelCNN++ (arXiv:1701.05517)",
)
class Gated(PixelNetwork):
    """Gated convolutions over the pixels above and left, drawn pixel by pixel."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, layers: Count = 6, mixture: Count = 5,
    ):  # fmt: skip
        """``layers`` of ``width`` maps; a pixel is a mixture of ``mixture`` distributions.

        The layers' neighbours lie 1, 2 and 4 pixels off, in turn.
        """
        super().__init__(latent, shape, condition, width, mixture)
        for number in range(layers):
            dilation = DILATIONS[number % len(DILATIONS)]
            self.layers.append(GatedLayer(width, self.told, dilation))


@GENERATORS.register(
    "pixelrnn",
    paper="van den Oord et al. 2016, Pixel Recurrent Neural Networks (arXiv:1601.06759)",
)
class RowLstm(PixelNetwork):
    """A row LSTM, whose every pixel sees a triangle above it up to the first row."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, layers: Count = 3, mixture: Count = 5,
    ):  # fmt: skip
        """``layers`` of ``width`` maps; a pixel is a mixture of ``mixture`` distributions."""
        super().__init__(latent, shape, condition, width, mixture)
        for _ in range(layers):
            self.layers.append(RowLayer(width, self.told))
