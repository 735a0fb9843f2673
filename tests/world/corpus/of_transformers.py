"""Models of transformers with random weights, trained from scratch."""

from functools import partial
from typing import Any

import torch
from program import Stepping, adam, adamw, add
from torch import Tensor
from transformers_batches import NAMES, model_and_batch

PACKAGE = "transformers"
_ROWS = 256


class Rows(torch.utils.data.Dataset):
    """Rows of a dict of tensors."""

    def __init__(self, **columns: Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: column[index] for name, column in self.columns.items()}


def _step(parts: Any, batch: Any) -> Tensor:
    return parts["model"](**batch).loss


def _fresh(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """As many rows of the same kind as a training set has."""
    generator = torch.Generator().manual_seed(0)
    rows: dict[str, Tensor] = {}
    for name, column in columns.items():
        shape = (_ROWS, *column.shape[1:])
        if name == "labels" and "input_ids" in columns and column.ndim > 1 and not column.is_floating_point():
            rows[name] = rows["input_ids"]
        elif column.is_floating_point():
            rows[name] = torch.randn(shape, generator=generator)
        else:
            low = 3 if name == "input_ids" else int(column.min())
            rows[name] = torch.randint(low, int(column.max()) + 1, shape, generator=generator)
            if column.ndim > 1 and name == "input_ids":
                rows[name][:, -1] = 2  # Bart reads the last token of each sentence
    return rows


def _build(name: str, tune: Any) -> Any:
    model, batch = model_and_batch(name)
    data = torch.utils.data.DataLoader(Rows(**_fresh(batch)), 16, shuffle=True)
    return Stepping(_step, tune, model=model), data


_KNOWN = {
    "PatchTST": {"PLC001": "`positional_dropout` feeds the batch norm of the first block"},
    "SpeechT5": {"PLC002": "the layers of the post-net have dropout before the next layer's batch norm"},
    "MobileNetV2": {"PLC017": "a momentum of 0.997, TensorFlow's convention, keeps only the last batch"},
    "LeViT": {"RUN008": "the last stage has one position: a softmax over one key gives its queries no gradient"},
}

for _number, _name in enumerate(NAMES):
    add(PACKAGE, _name, partial(_build, _name, (adam, adamw)[_number % 2]), **_KNOWN.get(_name, {}))
