"""Patients of the rules on operations that make NaN or infinity."""

import math

import torch
import torch.nn.functional as F
from patient import Step, classes, healthy, sick
from torch import Tensor, nn


def losing(loss) -> dict:
    torch.manual_seed(0)
    return {"model": Step(nn.Linear(8, 3), loss), "batch": classes()}


def masked_rows(logits: Tensor, y: Tensor) -> Tensor:
    attention = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool), -math.inf).softmax(1)
    return F.cross_entropy(attention * logits, y)


def angle(logits: Tensor, y: Tensor) -> Tensor:
    unit = F.normalize(logits, dim=1)
    return F.cross_entropy(logits, y) + torch.acos((unit * unit).sum(1).clamp(max=1)).mean()


@sick("NUM001", "`sqrt`", "NaN", severity="error")
def root_of_negative_numbers() -> dict:
    return losing(lambda logits, y: F.cross_entropy(logits.sqrt(), y))


@sick("NUM001", "`log`", "of them 0")
def logarithm_of_zero_times_zero() -> dict:
    return losing(lambda logits, y: (F.relu(logits).log() * 0).mean())


@sick("NUM001", "`div`", "of them 0")
def zero_over_zero() -> dict:
    return losing(lambda logits, y: ((logits * 0) / (logits * 0)).mean())


@sick("NUM001", "`softmax`", "fully masked rows")
def attention_to_nothing() -> dict:
    return losing(masked_rows)


@sick("NUM001", "`mean`", "empty selection")
def mean_over_nothing() -> dict:
    return losing(lambda logits, y: logits[y > 5].mean())


@sick("NUM001", "`exp`", "infinite")
def exponent_out_of_range() -> dict:
    return losing(lambda logits, y: (1000 * logits).exp().mean())


@sick("NUM001", "`log`", "raises ValueError")
def distribution_that_refuses_nan() -> dict:
    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        normal = torch.distributions.Normal(logits.log(), 1.0, validate_args=True)  # the compiler turns checks off
        return -normal.log_prob(y[:, None]).mean()

    return losing(loss)


@healthy("NUM001")
def a_finite_step() -> dict:
    return losing(F.cross_entropy)


@healthy("NUM001")
def infinite_scores_under_a_mask() -> dict:
    return losing(lambda logits, y: F.cross_entropy(logits + F.one_hot(y, 3).log().clamp_min(-1), y))


@healthy("NUM001")
def masked_attention() -> dict:
    upper = torch.ones(3, 3, dtype=torch.bool).triu(1)
    return losing(
        lambda logits, y: F.cross_entropy(
            (logits[:, :, None] * logits[:, None]).masked_fill(upper, -math.inf).softmax(-1).mean(1), y
        )
    )


@sick("NUM002", "`sqrt`", "1 of them 0", severity="error")
def distance_of_zero() -> dict:
    return losing(lambda logits, y: F.cross_entropy(logits, y) + ((logits - logits.detach()) ** 2).sum().sqrt())


@sick("NUM002", "`acos`")
def angle_of_zero() -> dict:
    return losing(angle)


@sick("NUM002", "`sqrt`", "masked out afterwards")
def where_after_the_root() -> dict:
    return losing(lambda logits, y: torch.where(logits > 0, logits.sqrt(), logits).pow(2).mean())


@healthy("NUM002")
def where_before_the_root() -> dict:
    return losing(lambda logits, y: torch.where(logits > 0, logits, torch.ones(())).sqrt().mean())


@healthy("NUM002")
def root_with_an_epsilon() -> dict:
    return losing(lambda logits, y: (((logits - logits.detach()) ** 2).sum() + 1e-12).sqrt() + logits.mean())


@healthy("NUM002")
def finite_gradients() -> dict:
    return losing(F.cross_entropy)
