"""Which loss is suggested for which targets, with the words that explain it."""

import re
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lightning_tricks import suggest_loss

NOISE = torch.randn(1000, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(1000) % 7
COUNTS = torch.poisson(torch.full((1000,), 9.0), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("target", "num_outputs", "name", "words"),
    [
        (NOISE, None, "mse_loss", "real numbers"),
        (NOISE.view(-1, 4), 4, "mse_loss", "same shape"),
        (200 + NOISE, None, "mse_loss", "standardize the target .mean 200"),
        (NOISE**5, None, "mse_loss", "huber_loss"),
        (NOISE.sigmoid(), None, "mse_loss", "binary_cross_entropy_with_logits"),
        (torch.full((10,), 0.7), None, "mse_loss", "nothing to learn"),
        (CLASSES, None, "cross_entropy", "7 classes.*poisson_nll_loss"),
        (CLASSES, 10, "cross_entropy", "10 classes"),
        (CLASSES.float(), 7, "cross_entropy", r"target.long\(\)"),
        (CLASSES.float(), None, "poisson_nll_loss", "give `num_outputs`"),
        (CLASSES, 1, "poisson_nll_loss", "counts"),
        (torch.where(CLASSES == 3, -100, CLASSES), None, "cross_entropy", "ignore_index=-100"),
        (CLASSES.view(10, 10, 10), None, "cross_entropy", r"\(N, C, \*\)"),
        (COUNTS, None, "poisson_nll_loss", "log_input=True"),
        (torch.arange(1000), None, "poisson_nll_loss", "0 to 999"),
        (CLASSES - 3, None, "mse_loss", "real numbers"),
        (CLASSES % 2, None, "binary_cross_entropy_with_logits", "one output"),
        ((CLASSES % 2).bool(), 1, "binary_cross_entropy_with_logits", r"target.float\(\)"),
        ((CLASSES % 2).view(-1, 1), 1, "binary_cross_entropy_with_logits", "one output"),
        (CLASSES % 2, 2, "cross_entropy", "two classes and 2 outputs"),
        (torch.ones(10), None, "binary_cross_entropy_with_logits", "nothing to learn"),
        ((torch.arange(1000) < 20).float(), None, "binary_cross_entropy_with_logits", "`pos_weight` to 49"),
        (F.one_hot(CLASSES), 7, "cross_entropy", "one-hot"),
        (torch.rand(50, 3).softmax(1), 3, "cross_entropy", "soft labels"),
        ((torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)) > 0.5).long(), 3,
         "binary_cross_entropy_with_logits", "multi-label"),
        ((torch.arange(990) < 30).view(-1, 3) | torch.tensor([True, False, False]), 3,
         "binary_cross_entropy_with_logits", "rarest label is in 3.0% of the rows"),
        ((torch.arange(1000) >= 900).long() + (torch.arange(1000) >= 950), None, "cross_entropy",
         r"18 times.*class_weights.*focal_loss"),
        ([0, 1, 2, 0, 1, 2], None, "cross_entropy", "3 classes"),
        (CLASSES.numpy(), None, "cross_entropy", "7 classes"),
    ],
)  # fmt: skip
def test_targets_get_the_loss_that_fits(target: Any, num_outputs: int | None, name: str, words: str) -> None:
    suggestion = suggest_loss(target, num_outputs=num_outputs)
    assert suggestion.name == name
    assert callable(getattr(F, name))
    assert re.search(words, suggestion.reason), suggestion.reason


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ([], ValueError, r"at least one row, got shape \(0,\)"),
        (torch.tensor(1.0), ValueError, "at least one row"),
        (torch.tensor([1.0, float("nan")]), ValueError, "1 NaN or infinite"),
        (["cat", "dog"], TypeError, "convert class names to numbers first"),
        (torch.zeros(3, dtype=torch.complex64), TypeError, "must be real"),
    ],
)
def test_what_is_no_target_is_refused(target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        suggest_loss(target)


def test_a_wrong_number_of_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_outputs` must be at least 1, got 0"):
        suggest_loss([1.0, 2.0], num_outputs=0)
