"""A batch of another library: an object that holds its features in a dictionary."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes
from torch import Tensor, nn


class Table:
    """Features by kind, and a target."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.y, self.names, self.features = y, ["a", "b"], {"numbers": x}

    def to(self, device: Any) -> "Table":
        return self


class OnTable(Step):
    """A step that hands the whole table to its net."""

    def training_step(self, batch: Table, batch_idx: int) -> torch.Tensor:
        return F.cross_entropy(self.net(batch), batch.y)


def on_table() -> dict[str, Any]:
    """The arguments of `diagnose` for a healthy net on a table."""
    net = Calling(lambda net, table: net.fc(table.features["numbers"]), fc=nn.Linear(8, 3))
    return {"model": OnTable(net), "batch": Table(*classes())}
