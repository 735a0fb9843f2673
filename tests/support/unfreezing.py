"""A net to thaw layer by layer, and a recorder of what trains at each step."""

from typing import Any

import torch
from lightning.pytorch import Callback
from tiny import Net, weights
from torch import nn

GROUPS: Any = ["body.0.*", "body.1.*", "head.*"]


class Deep(Net):
    """A Dropout in the body, and one optimizer group, as people write it."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm1d, **options: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), norm(8), nn.Dropout(0.0), nn.ReLU())
        self.options = options

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.1, weight_decay=0.1, **self.options)


class LayerRecorder(Callback):
    """What trains and has state, by module, before each optimizer step; all weights after each."""

    def __init__(self) -> None:
        self.training: list[list[str]] = []
        self.resting: list[list[str]] = []
        self.grads: list[list[str]] = []
        self.states: list[list[str]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        names = {id(value): name for name, value in pl_module.named_parameters()}
        self.training.append([name for name, value in pl_module.named_parameters() if value.requires_grad])
        self.grads.append([name for name, value in pl_module.named_parameters() if value.grad is not None])
        self.resting.append([name for name, module in pl_module.named_modules() if not module.training])
        held = {names[id(value)] for optimizer in trainer.optimizers for value in optimizer.state}
        self.states.append([name for name in names.values() if name in held])
        self.weights.append(weights(pl_module))


def modules_of(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name.rsplit(".", 1)[0] for name in names))
