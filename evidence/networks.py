"""Small networks of several kinds: perceptrons, convolutions, residual blocks, recurrent nets and transformers."""

import torch
from torch import Tensor, nn


def mlp(inputs: int, outputs: int, width: int = 32, dropout: float = 0.0) -> nn.Sequential:
    """Return a perceptron with two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs),
    )  # fmt: skip


def normed_mlp(inputs: int, outputs: int, width: int = 48) -> nn.Sequential:
    """Return a perceptron with a batch norm before each activation."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, outputs),
    )  # fmt: skip


def cnn(classes: int) -> nn.Sequential:
    """Return two convolutions and a linear layer for 8×8 images."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, classes),
    )  # fmt: skip


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1, bias=False), nn.BatchNorm1d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, T)`` features."""
        return torch.relu(x + self.body(x))


class ResidualNet(nn.Module):
    """A residual network over time for ``(N, T, C)`` series; images ``(N, 1, 8, 8)`` are read as series of rows."""

    def __init__(self, inputs: int, outputs: int, width: int = 16, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv1d(inputs, width, 2 * stride + 1, stride, padding=stride)
        self.blocks = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)``."""
        return self.head(self.blocks(self.stem((x[:, 0] if x.ndim > 3 else x).mT)).mean(-1))


class Recurrent(nn.Module):
    """An LSTM or GRU that reads ``(N, T, C)`` series or the rows of images ``(N, 1, 8, 8)``; its last state counts."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], inputs: int, outputs: int, width: int = 24) -> None:
        super().__init__()
        self.rows, self.head = kind(inputs, width, batch_first=True), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)``."""
        return self.head(self.rows(x[:, 0] if x.ndim > 3 else x)[0][:, -1])


class Transformer(nn.Module):
    """A transformer encoder over ``(N, T, C)`` series, with learned positions; the mean over time counts."""

    def __init__(self, inputs: int, outputs: int, length: int, width: int = 16) -> None:
        super().__init__()
        self.stem, self.places = nn.Linear(inputs, width), nn.Parameter(0.02 * torch.randn(length, width))
        self.encoder = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)``."""
        return self.head(self.encoder(self.stem(x) + self.places).mean(1))


class CharacterModel(nn.Module):
    """Predict the next character at each place, by a GRU or by a causal transformer layer."""

    def __init__(self, characters: int, length: int, recurrent: bool, width: int = 24) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.body: nn.Module = (
            nn.GRU(width, width, batch_first=True)
            if recurrent
            else nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True, norm_first=True)
        )
        self.head = nn.Linear(width, characters)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, characters, T)`` logits for ``(N, T)`` characters."""
        features = self.embedding(x) + self.places
        if isinstance(self.body, nn.GRU):
            return self.head(self.body(features)[0]).mT
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.head(self.body(features, src_mask=mask, is_causal=True)).mT


class Autoencoder(nn.Module):
    """Compress 8×8 images to a few numbers and restore them."""

    def __init__(self, code: int = 8, width: int = 48) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.GELU(), nn.Linear(width, code),
            nn.Linear(code, width), nn.GELU(), nn.Linear(width, 64), nn.Unflatten(1, (1, 8, 8)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return images like ``x``."""
        return self.body(x)
