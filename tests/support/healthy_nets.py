"""Nets as people write them: multilayer perceptrons, convolutions, recurrent cells, attention, a few by hand."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Net = Callable[[int, int], nn.Module]


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, norm: Any = None, drop: float = 0.0) -> Net:
    def build(inputs: int, outputs: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for width in widths:
            layers.append(nn.Linear(inputs, width, bias=norm is not nn.BatchNorm1d))
            layers += [norm(width)] if norm else []
            layers.append(act())
            layers += [nn.Dropout(drop)] if drop and norm is not nn.BatchNorm1d else []
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, outputs))

    return build


class Block(nn.Module):
    """A residual block whose branch starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class Fixup(nn.Module):
    """A residual block without norms, whose last convolution starts at zero (Zhang et al., 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


def cnn(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, outputs),
    )  # fmt: skip


def resnet(block: Callable[[int], nn.Module]) -> Net:
    return lambda inputs, outputs: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), block(16), block(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, outputs),
    )  # fmt: skip


def separable(inputs: int, outputs: int) -> nn.Module:
    def pair(a: int, b: int) -> list[nn.Module]:
        return [
            nn.Conv2d(a, a, 3, padding=1, groups=a, bias=False), nn.BatchNorm2d(a), nn.ReLU6(),
            nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU6(),
        ]  # fmt: skip

    return nn.Sequential(*pair(1, 16), *pair(16, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, outputs))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], outputs: int) -> None:
        super().__init__()
        self.cell, self.head = kind(8, 32, num_layers=2, batch_first=True, dropout=0.2), nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self, outputs: int, norm_first: bool) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(8, 32), nn.Parameter(torch.zeros(1, 8, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.place).mean(1))


class Mixer(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.norm1, self.rows = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.norm2, self.cells = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.rows(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.cells(self.norm2(x))).mean(1))


class Gated(nn.Module):
    """Squeeze and excitation: a sigmoid that multiplies."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body, self.gate, self.head = nn.Linear(inputs, 32), nn.Linear(32, 32), nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body(x.flatten(1)))
        return self.head(x * torch.sigmoid(self.gate(x)))


class ByHand(nn.Module):
    """Weights made by hand, functional calls."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(inputs, 64) / math.sqrt(inputs))
        self.w2 = nn.Parameter(torch.randn(64, outputs) * 0.01)
        self.b1 = nn.Parameter(torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x.flatten(1) @ self.w1 + self.b1) @ self.w2


def careful(inputs: int, outputs: int) -> nn.Module:
    """He's initialisation, zero biases, an output layer that starts at zero."""
    net = mlp(64, 64)(inputs, outputs)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(net[-1].weight)
    return net


def orthogonal(inputs: int, outputs: int) -> nn.Module:
    net = mlp(64, 64, act=nn.Tanh)(inputs, outputs)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain=math.sqrt(2))
    return net


def on_frozen_features(inputs: int, outputs: int) -> nn.Module:
    body = mlp(64)(inputs, 64)
    body.requires_grad_(False)
    return nn.Sequential(body, nn.ReLU(), nn.Linear(64, outputs))
