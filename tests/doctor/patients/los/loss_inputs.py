"""Patients of the rules on what a loss is given."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes, healthy, numbers, sick
from torch import nn


def ending(*layers: nn.Module, loss: Any = F.cross_entropy, outputs: int = 3) -> Step:
    return Step(nn.Sequential(nn.Linear(8, outputs), *layers), loss)


def bits(n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = classes(n)
    return x, (y > 0).float().unsqueeze(1)


def one_hot(n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = classes(n)
    return x, F.one_hot(y, 3).float()


@sick("LOS003", "`kl_div` received values in [0", severity="error")
def probabilities_into_kl_div() -> dict:
    return {"model": ending(loss=lambda out, y: F.kl_div(out.softmax(1), y, reduction="batchmean")), "batch": one_hot()}


@healthy("LOS003")
def log_probabilities_into_kl_div() -> dict:
    loss = lambda out, y: F.kl_div(out.log_softmax(1), y, reduction="batchmean")  # noqa: E731
    return {"model": ending(loss=loss), "batch": one_hot()}


@sick("LOS001", "Softmax net.1", severity="error")
def softmax_module() -> dict:
    return {"model": ending(nn.Softmax(1)), "batch": classes()}


@sick("LOS001", "`softmax`", severity="error")
def softmax_function_and_a_view() -> dict:
    return {"model": ending(loss=lambda out, y: F.cross_entropy(out.softmax(-1).view(-1, 3), y)), "batch": classes()}


@sick("LOS001", severity="info")
def log_softmax_twice() -> dict:
    return {"model": ending(nn.LogSoftmax(1), loss=nn.CrossEntropyLoss()), "batch": classes()}


@healthy("LOS001")
def logits() -> dict:
    return {"model": ending(), "batch": classes()}


@healthy("LOS001")
def attention_before_the_logits() -> dict:
    loss = lambda out, y: F.cross_entropy(out.softmax(-1) @ torch.ones(3, 3), y)  # noqa: E731
    return {"model": ending(loss=loss), "batch": classes()}


@sick("LOS002", "Sigmoid net.1", severity="error")
def sigmoid_twice() -> dict:
    model = ending(nn.Sigmoid(), loss=F.binary_cross_entropy_with_logits, outputs=1)
    return {"model": model, "batch": bits()}


@healthy("LOS002")
def sigmoid_once() -> dict:
    return {"model": ending(nn.Sigmoid(), loss=F.binary_cross_entropy, outputs=1), "batch": bits()}


@healthy("LOS002")
def binary_logits() -> dict:
    return {"model": ending(loss=F.binary_cross_entropy_with_logits, outputs=1), "batch": bits()}


@sick("LOS003", "`nll_loss`", "log-probabilities", severity="error")
def logits_into_nll() -> dict:
    return {"model": ending(loss=F.nll_loss), "batch": classes()}


@sick("LOS003", "`binary_cross_entropy`", severity="error")
def logits_into_bce_which_pytorch_refuses() -> dict:
    return {"model": ending(loss=F.binary_cross_entropy, outputs=1), "batch": bits()}


@healthy("LOS003")
def log_probabilities_made_otherwise() -> dict:
    loss = lambda out, y: F.nll_loss((out.exp() / out.exp().sum(1, keepdim=True)).log(), y)  # noqa: E731
    return {"model": ending(loss=loss), "batch": classes()}


@sick("LOS004", "Softmax net.1", "zeros and ones", severity="warning")
def squared_error_of_probabilities() -> dict:
    return {"model": ending(nn.Softmax(1), loss=F.mse_loss), "batch": one_hot()}


@sick("LOS004", "3 distinct integers", severity="warning")
def squared_error_of_class_indices() -> dict:
    loss = lambda out, y: F.mse_loss(out, y.float().unsqueeze(1).expand(-1, 3))  # noqa: E731
    return {"model": ending(loss=loss), "batch": classes()}


@healthy("LOS004")
def regression() -> dict:
    return {"model": ending(loss=F.mse_loss, outputs=1), "batch": numbers()}


@healthy("LOS004")
def regression_of_whole_numbers() -> dict:
    x, y = classes()
    return {"model": ending(loss=F.mse_loss, outputs=1), "batch": (x, y.float().unsqueeze(1))}


@healthy("LOS004")
def black_and_white_images() -> dict:
    image = (torch.randn(4, 1, 6, 6) > 0).float()
    model = Step(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid()), F.mse_loss)
    return {"model": model, "batch": (image, image)}


@sick("LOS005", "Softmax net.1", "size 1", severity="error")
def softmax_of_one() -> dict:
    model = ending(nn.Softmax(1), loss=F.binary_cross_entropy, outputs=1)
    return {"model": model, "batch": bits()}


@healthy("LOS005")
def softmax_of_three() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), "batch": torch.randn(4, 8)}


@healthy("LOS005")
def attention_over_one_position() -> dict:
    model = Calling(lambda net, x: net.fc(x).mean(1, keepdim=True).softmax(1) * net.fc(x), fc=nn.Linear(8, 3))
    return {"model": model, "batch": torch.randn(4, 8)}


@sick("LOS006", "dimension 0", "16 samples", severity="error")
def softmax_over_the_batch() -> dict:
    loss = lambda out, y: F.nll_loss(out.log_softmax(0), y)  # noqa: E731
    return {"model": ending(loss=loss), "batch": classes()}


@sick("LOS006", "has no `dim`", severity="error")
def implicit_dimension_of_maps() -> dict:
    model = Calling(lambda net, x: F.softmax(net.fc(x), _stacklevel=5), fc=nn.Linear(8, 3))
    return {"model": model, "batch": torch.randn(5, 4, 8)}


@healthy("LOS006")
def softmax_over_the_classes() -> dict:
    return {"model": ending(loss=lambda out, y: F.nll_loss(out.log_softmax(1), y)), "batch": classes()}


@healthy("LOS006")
def similarities_in_a_batch() -> dict:
    loss = lambda out, y: F.nll_loss((out @ out.T).log_softmax(0), torch.arange(len(y)))  # noqa: E731
    return {"model": ending(loss=loss), "batch": classes()}
