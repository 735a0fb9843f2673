"""Patients of the rules on the weights of classes."""

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes, healthy, sick
from torch import nn


def with_loss(loss: object, net: nn.Module | None = None) -> dict:
    return {"model": Step(net or nn.Linear(8, 3), loss), "batch": classes()}


def of_maps(loss: object) -> dict:
    y = (torch.arange(4 * 36) % 3).view(4, 6, 6)
    return {"model": Step(nn.Conv2d(2, 3, 3, padding=1), loss), "batch": (torch.randn(4, 2, 6, 6), y)}


def of_words(loss: nn.Module) -> dict:
    ids = torch.arange(60).view(6, 10) % 7
    net = Calling(lambda net, x: net.head(net.words(x)).transpose(1, 2), words=nn.Embedding(7, 4), head=nn.Linear(4, 7))
    return {"model": Step(net, loss), "batch": (ids, ids.flip(1))}


@sick("LOS016", "class 1 has weight 0", "31% of the targets", severity="warning")
def a_weight_of_zero() -> dict:
    return with_loss(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 2.0])))


@sick("LOS016", "classes 0, 2 have weight 0")
def two_weights_of_zero_after_log_softmax() -> dict:
    weight = torch.tensor([0.0, 1.0, 0.0])
    return with_loss(lambda out, y: F.nll_loss(out.log_softmax(1), y, weight=weight))


@sick("LOS016", "ignore_index=0", "one of its 3 classes: 38% of the targets", severity="warning")
def an_ignored_class() -> dict:
    return with_loss(nn.CrossEntropyLoss(ignore_index=0))


@sick("LOS016", "ignore_index=0", severity="info")
def void_pixels() -> dict:
    return of_maps(nn.CrossEntropyLoss(ignore_index=0))


@healthy("LOS016")
def positive_weights() -> dict:
    return with_loss(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.1, 2.0])))


@healthy("LOS016")
def a_class_without_weight_and_without_targets() -> dict:
    return with_loss(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 1.0, 0.0])), nn.Linear(8, 4))


@healthy("LOS016")
def pixels_of_no_class() -> dict:
    return of_maps(lambda out, y: F.cross_entropy(out, torch.where(y == 1, 255, y), ignore_index=255))


@healthy("LOS016")
def padding_of_words() -> dict:
    return of_words(nn.CrossEntropyLoss(ignore_index=0))


@healthy("LOS016")
def padding_of_words_by_weight() -> dict:
    return of_words(nn.CrossEntropyLoss(weight=torch.tensor([0.0, *[1.0] * 6])))


def rare(loss: nn.Module, outputs: int) -> dict:
    """One row of eight has class 1."""
    y = (torch.arange(32) % 8 == 0).long()
    squeezed = (lambda out, y: loss(out[:, 0], y.float())) if outputs == 1 else loss
    return {"model": Step(nn.Linear(8, outputs), squeezed), "batch": (torch.randn(32, 8), y)}


@sick(
    "LOS017",
    "`pos_weight` works against balance",
    "7 times the smallest without it, 49 times with it",
    severity="warning",
)
def positives_over_negatives() -> dict:
    return rare(nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1 / 7)), 1)


@sick("LOS017", "`weight` works against balance")
def weights_of_the_counts() -> dict:
    return rare(nn.CrossEntropyLoss(weight=torch.tensor([28.0, 4.0])), 2)


@healthy("LOS017")
def negatives_over_positives() -> dict:
    return rare(nn.BCEWithLogitsLoss(pos_weight=torch.tensor(7.0)), 1)


@healthy("LOS017")
def weights_of_inverse_counts() -> dict:
    return rare(nn.CrossEntropyLoss(weight=torch.tensor([1 / 28, 1 / 4])), 2)


@healthy("LOS017")
def weights_of_balanced_classes() -> dict:
    return with_loss(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.0])))


@sick("LOS019", "label_smoothing = 0.9", severity="warning")
def hidden_labels() -> dict:
    return with_loss(nn.CrossEntropyLoss(label_smoothing=0.9))


@sick("LOS019", "label_smoothing = 0.3", severity="info")
def strong_smoothing() -> dict:
    return with_loss(nn.CrossEntropyLoss(label_smoothing=0.3))


@healthy("LOS019")
def typical_smoothing() -> dict:
    return with_loss(nn.CrossEntropyLoss(label_smoothing=0.1))
