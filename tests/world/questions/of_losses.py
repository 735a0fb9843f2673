"""Questions about losses: flat, negative, constant, or of the wrong kind."""

from typing import Any

import torch
import torch.nn.functional as F
from question import Model, images, mlp, numbers, on, question, table
from torch import Tensor, nn


def binary(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], (y == 0).float())


@question("Why does my cross entropy stop at 0.55 for two classes?", "LOS001")
def softmax_in_the_network() -> dict[str, Any]:
    return on(Model(mlp(8, 3, 32, nn.Softmax(dim=1))), table())


@question("BCEWithLogitsLoss does not fall below 0.3", "LOS002")
def sigmoid_in_the_network() -> dict[str, Any]:
    return on(Model(mlp(8, 1, 32, nn.Sigmoid()), binary), table())


@question("Why is my NLLLoss negative?", "LOS003")
def nll_of_logits() -> dict[str, Any]:
    return on(Model(mlp(), F.nll_loss), table())


@question("Is MSE fine for classification? The accuracy stays at chance", "LOS004")
def squared_error_of_one_hot_classes() -> dict[str, Any]:
    def loss(probabilities: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(probabilities, F.one_hot(y, 3).float())

    return on(Model(mlp(8, 3, 32, nn.Softmax(dim=1)), loss), table())


@question("My regression predicts the mean for every row", "LOS007")
def column_against_row() -> dict[str, Any]:
    return on(Model(mlp(8, 1), F.mse_loss), numbers())


@question("The network outputs 1 whatever I feed it", "LOS005")
def softmax_of_one_output() -> dict[str, Any]:
    def loss(probability: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy(probability[:, 0], (y == 0).float())

    return on(Model(mlp(8, 1, 32, nn.Softmax(dim=1)), loss), table())


@question("Loss stuck at log(num_classes), most logits are zero", "LOS012")
def relu_on_the_last_layer() -> dict[str, Any]:
    return on(Model(mlp(8, 3, 32, nn.ReLU())), table())


@question("My regression never predicts negative numbers", "ACT004")
def sigmoid_for_numbers_of_any_size() -> dict[str, Any]:
    return on(Model(mlp(8, 1, 32, nn.Sigmoid(), nn.Flatten(0)), F.mse_loss), numbers())


@question("The loss is in the billions for house prices", "DAT009")
def targets_in_dollars() -> dict[str, Any]:
    x, y = numbers()
    return on(Model(mlp(8, 1, 32, nn.Flatten(0)), F.mse_loss), (x, 250_000 + 80_000 * y))


@question("RuntimeError: grad can be implicitly created only for scalar outputs", "LOS013")
def a_loss_without_reduction() -> dict[str, Any]:
    return on(Model(mlp(), lambda logits, y: F.cross_entropy(logits, y, reduction="none")), table())


@question("The loss explodes when I enlarge the batch", "LOS008")
def a_sum_over_the_batch() -> dict[str, Any]:
    model = Model(
        mlp(8, 1, 32, nn.Flatten(0)),
        lambda preds, y: F.mse_loss(preds, y, reduction="sum"),
        lambda params: torch.optim.SGD(params, 0.05),
    )
    return on(model, numbers())


@question("IndexError: Target 3 is out of bounds", "LOS011", "DOC001")
def classes_counted_from_one() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp()), (x, y + 1))


@question("element 0 of tensors does not require grad", "LOS010", "DOC001")
def the_accuracy_as_the_loss() -> dict[str, Any]:
    return on(Model(mlp(), lambda logits, y: (logits.argmax(1) != y).float().mean()), table())


@question("The probabilities of a row do not sum to one", "LOS006")
def softmax_over_the_samples() -> dict[str, Any]:
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.nll_loss(F.log_softmax(logits, dim=0), y)

    return on(Model(mlp(), loss), table())


@question("Segmentation with BCE of float masks in 0 to 255", "LOS011", "LOS003", "ACT004", "DOC001", "DAT009")
def masks_of_255() -> dict[str, Any]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(self.conv(x))

    x, _ = images()
    return on(Model(Net(), F.binary_cross_entropy), (x, 255.0 * (x[:, :1] > 0.5)))
