"""Questions about NaN: in the loss, in gradients, in weights, in the data."""

from typing import Any

import torch
import torch.nn.functional as F
from question import Model, mlp, numbers, on, question, table
from torch import Tensor, nn


@question("My hand-written cross entropy becomes NaN", "NUM001")
def logarithm_of_a_softmax() -> dict[str, Any]:
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return -(F.one_hot(y, 3) * torch.log(torch.softmax(1000 * logits, 1))).sum(1).mean()

    return on(Model(mlp(), loss), table())


@question("Loss is fine, then all weights are NaN after one step", "NUM002")
def distances_between_equal_rows() -> dict[str, Any]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        distances = (z[:, None] - z[None]).square().sum(-1).sqrt()
        same = y[:, None] == y[None]
        return distances[same].mean() + F.relu(1 - distances[~same]).mean()

    return on(Model(mlp(), loss), table())


@question("torch.where does not stop the NaN in the backward pass", "NUM002")
def where_after_a_logarithm() -> dict[str, Any]:
    def root(preds: Tensor, y: Tensor) -> Tensor:
        return (torch.where(preds > 0, preds.sqrt(), torch.zeros_like(preds)) - y[:, None]).square().mean()

    return on(Model(mlp(8, 1), root), numbers())


@question("Loss is NaN from the first batch", "DAT006")
def missing_values_in_the_table() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp()), (torch.where(x > 2, torch.nan, x), y))


@question("Predictions are NaN after loading a checkpoint", "NUM003")
def a_checkpoint_of_a_diverged_run() -> dict[str, Any]:
    net = mlp()
    with torch.no_grad():
        net[2].bias[1] = float("nan")
    return on(Model(net), table())


@question("NaN where a feature is constant within the batch", "NUM001")
def standardized_by_a_deviation_of_zero() -> dict[str, Any]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner((x - x.mean(0)) / x.std(0))

    x, y = table()
    x[:, 5] = 1.0
    return on(Model(Net()), (x, y))


@question("Attention gives NaN for padded sequences", "NUM001")
def a_row_of_padding() -> dict[str, Any]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(20, 8, padding_idx=0), nn.Linear(8, 3)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.embed(ids)
            scores = (x @ x.mT).masked_fill((ids == 0)[:, None], float("-inf"))
            return self.head((scores.softmax(-1) @ x).mean(1))

    ids = torch.randint(1, 20, (64, 6))
    ids[::9] = 0
    return on(Model(Net()), (ids, torch.arange(64) % 3))


@question("Arc cosine of a similarity has NaN gradients", "NUM002", "NUM001")
def angle_to_itself() -> dict[str, Any]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        unit = F.normalize(z, dim=1)
        return torch.acos((unit @ unit.T).clamp(-1, 1)).mean()

    return on(Model(mlp(), loss), table())


@question("Loss goes to NaN after a few steps with SGD", "OPT001", "RUN002", "RUN003")
def a_rate_that_diverges() -> dict[str, Any]:
    model = Model(mlp(8, 1, 32, nn.Flatten(0)), F.mse_loss, lambda params: torch.optim.SGD(params, 5.0))
    return on(model, numbers(), fit={"max_epochs": 1})


@question("Some batches have a loss of NaN, others do not", "NUM001")
def a_batch_without_positives() -> dict[str, Any]:
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits[y >= 0], y[y >= 0])

    x, y = table()
    y[32:64] = -1
    arguments = on(Model(mlp(), loss), (x, y), fit={"max_epochs": 1})
    return arguments | {"train_dataloaders": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 32)}
