"""Focal losses against cross entropy, the formula written out, and finite differences."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lightning_tricks import binary_focal_loss, focal_loss

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SHAPES = st.sampled_from([(5, 3), (1, 2), (4, 1), (2, 4, 3), (2, 3, 2, 2), (3,), (0, 3)])


def draw(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, class indices, class probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    dim = 0 if len(shape) == 1 else 1
    index = torch.randint(shape[dim], shape[:dim] + shape[dim + 1 :], generator=generator)
    return logits, index, torch.randn(shape, generator=generator, dtype=torch.float64).softmax(dim)


def weights_of(shape: tuple[int, ...], seed: int) -> Tensor:
    classes = shape[0] if len(shape) == 1 else shape[1]
    return torch.rand(classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1


def written_out(logits: Tensor, q: Tensor, gamma: float, alpha: Tensor, weight: Tensor) -> Tensor:
    """The formula for rows `(N, C)`, without any care for numbers."""
    p = logits.softmax(1)
    return (q * alpha * weight * (1 - p) ** gamma * -p.log()).sum(1)


@given(
    shape=SHAPES,
    seed=st.integers(0, 999),
    weighted=st.booleans(),
    ignore_index=st.sampled_from([-100, 0, 1, -1]),
    label_smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=REDUCTIONS,
    probabilities=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_gamma_zero_is_cross_entropy_with_the_same_arguments(
    shape: tuple[int, ...], seed: int, weighted: bool, ignore_index: int, probabilities: bool, **arguments: Any
) -> None:
    logits, index, soft = draw(shape, seed)
    arguments["weight"] = weights_of(shape, seed) if weighted else None
    arguments["ignore_index"] = min(ignore_index, -1) if probabilities else ignore_index
    if not probabilities and ignore_index < 0 and index.numel():
        index = torch.where(torch.rand(index.shape, generator=torch.Generator().manual_seed(seed)) < 0.3, -1, index)
        arguments["ignore_index"] = -1
    target = soft if probabilities else index
    torch.testing.assert_close(
        focal_loss(logits, target, gamma=0.0, **arguments),
        F.cross_entropy(logits, target, **arguments),
        equal_nan=True,
        rtol=1e-12,
        atol=1e-12,
    )


@given(
    seed=st.integers(0, 999),
    gamma=st.sampled_from([0.0, 0.3, 1.0, 2.0, 5.0]),
    label_smoothing=st.sampled_from([0.0, 0.2]),
    probabilities=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_each_class_adds_its_share_times_alpha_weight_and_the_modulating_factor(
    seed: int, gamma: float, label_smoothing: float, probabilities: bool
) -> None:
    logits, index, soft = draw((6, 4), seed)
    alpha, weight = weights_of((6, 4), seed + 1), weights_of((6, 4), seed + 2)
    target = soft if probabilities else index
    q = soft if probabilities else F.one_hot(index, 4).double()
    rows = written_out(logits, (1 - label_smoothing) * q + label_smoothing / 4, gamma, alpha, weight)
    arguments: dict[str, Any] = {
        "gamma": gamma, "alpha": alpha, "weight": weight, "label_smoothing": label_smoothing
    }  # fmt: skip
    torch.testing.assert_close(focal_loss(logits, target, reduction="none", **arguments), rows)
    count = 6 if probabilities else weight[index].sum()
    torch.testing.assert_close(focal_loss(logits, target, **arguments), rows.sum() / count)


@pytest.mark.parametrize(
    ("probabilities", "gamma", "label_smoothing"), list(itertools.product([False, True], [0.0, 0.5, 2.0], [0.0, 0.1]))
)
def test_its_gradient_is_that_of_finite_differences(probabilities: bool, gamma: float, label_smoothing: float) -> None:
    logits, index, soft = draw((3, 4, 2), 0)
    weight = weights_of((3, 4), 1)

    def loss(z: Tensor) -> Tensor:
        return focal_loss(
            z, soft if probabilities else index, gamma=gamma, weight=weight, label_smoothing=label_smoothing
        )

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_finite_at_saturated_logits(
    dtype: torch.dtype, gamma: float, label_smoothing: float
) -> None:
    corners = torch.tensor(list(itertools.product([-1e4, 0.0, 1e4], repeat=3)), dtype=dtype).repeat(3, 1)
    index = torch.arange(3).repeat_interleave(27)
    for target in (index, F.one_hot(index, 3).to(dtype)):
        logits = corners.clone().requires_grad_()
        loss = focal_loss(logits, target, gamma=gamma, label_smoothing=label_smoothing, reduction="none")
        loss.float().sum().backward()
        assert loss.isfinite().all()
        assert logits.grad.isfinite().all()
    for label in (0.0, 0.5, 1.0):
        logits = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], dtype=dtype, requires_grad=True)
        loss = binary_focal_loss(logits, torch.full_like(logits, label), gamma=gamma, reduction="none")
        loss.float().sum().backward()
        assert loss.isfinite().all()
        assert logits.grad.isfinite().all()


def test_a_class_that_is_masked_with_minus_infinity_does_no_harm() -> None:
    logits = torch.tensor([[1.0, -torch.inf, 2.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0])).backward()
    two = logits.detach()[:, [0, 2]].requires_grad_()
    focal_loss(two, torch.tensor([0])).backward()
    torch.testing.assert_close(logits.grad[:, [0, 2]], two.grad)
    assert logits.grad[0, 1] == 0


def test_the_class_weight_stays_outside_of_the_modulating_factor() -> None:
    logits = torch.tensor([[0.88, 0.12]]).log()
    target, weight = torch.tensor([0]), torch.tensor([3.0, 1.0])
    expected = 3 * (1 - 0.88) ** 2 * -math.log(0.88)  # 0.0055; with the weight in p it would be 0.0382
    assert focal_loss(logits, target, weight=weight, reduction="sum").item() == pytest.approx(expected, rel=1e-5)


def test_alpha_is_of_its_own_class_and_the_mean_does_not_divide_by_it() -> None:
    logits, target = torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])
    plain = focal_loss(logits, target, reduction="none")
    torch.testing.assert_close(
        focal_loss(logits, target, alpha=[0.25, 0.75], reduction="none"), plain * torch.tensor([0.25, 0.25, 0.25, 0.75])
    )
    torch.testing.assert_close(focal_loss(logits, target, alpha=[2.0, 2.0]), 2 * plain.mean())
    positive = binary_focal_loss(torch.zeros(1), torch.ones(1), alpha=0.25)
    negative = binary_focal_loss(torch.zeros(1), torch.zeros(1), alpha=0.25)
    torch.testing.assert_close(3 * positive, negative)


def test_ignored_rows_neither_count_in_the_mean_nor_get_a_gradient() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    target = torch.tensor([0, 7, 2, 7])
    loss = focal_loss(logits, target, ignore_index=7, label_smoothing=0.1)
    torch.testing.assert_close(loss, focal_loss(logits[[0, 2]], target[[0, 2]], label_smoothing=0.1))
    loss.backward()
    assert logits.grad[[1, 3]].abs().sum() == 0


@given(
    seed=st.integers(0, 999),
    gamma=st.sampled_from([0.0, 0.5, 2.0]),
    alpha=st.sampled_from([None, 0.25, 1.0]),
    reduction=REDUCTIONS,
    soft=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_binary_loss_is_its_formula_and_bce_at_gamma_zero(
    seed: int, gamma: float, alpha: float | None, reduction: str, soft: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    q = torch.rand(5, 2, generator=generator, dtype=torch.float64)
    q = q if soft else q.round()
    p = logits.sigmoid()
    positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    rows = -positive * q * (1 - p) ** gamma * p.log() - negative * (1 - q) * p**gamma * (1 - p).log()
    expected = {"none": rows, "sum": rows.sum(), "mean": rows.mean()}[reduction]
    found = binary_focal_loss(logits, q, gamma=gamma, alpha=alpha, reduction=reduction)
    torch.testing.assert_close(found, expected)
    if gamma == 0 and alpha is None:
        torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits, q, reduction=reduction))


def test_the_binary_gradient_is_that_of_finite_differences_and_labels_may_be_bool() -> None:
    logits = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([True, False, True, True, False, False])
    assert torch.autograd.gradcheck(lambda z: binary_focal_loss(z, labels, gamma=0.5), logits)
    assert binary_focal_loss(logits, labels) == binary_focal_loss(logits, labels.double())


def test_two_classes_equal_the_binary_loss_of_the_difference() -> None:
    logits, target, _ = draw((8, 2), 0)
    torch.testing.assert_close(
        focal_loss(logits, target, alpha=[0.7, 0.3]),
        binary_focal_loss(logits[:, 1] - logits[:, 0], target, alpha=0.3),
    )


def test_under_autocast_it_computes_in_float32_as_cross_entropy_does() -> None:
    logits, target, _ = draw((8, 5), 0)
    half = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = focal_loss(half, target, gamma=2.0, weight=torch.ones(5))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, focal_loss(half.float(), target))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gamma": -1.0}, ValueError, "`gamma` must be finite and >= 0, got -1.0"),
        ({"gamma": float("nan")}, ValueError, "`gamma`"),
        ({"label_smoothing": 1.5}, ValueError, "`label_smoothing` must lie in"),
        ({"reduction": "avg"}, ValueError, "`reduction` must be one of 'mean'"),
        ({"alpha": 0.25}, TypeError, "`alpha` must hold one factor per class.*`binary_focal_loss`"),
        ({"alpha": [0.25]}, ValueError, r"`alpha` must have one factor per class, \(3,\), got \(1,\)"),
        ({"alpha": [1.0, -1.0, 1.0]}, ValueError, r"`alpha\[1\]`"),
        ({"weight": torch.ones(2)}, ValueError, "`weight` must have one factor per class"),
        ({"target": torch.zeros(4, 2)}, ValueError, r"shape of `logits`, \(4, 3\).*`target.long\(\)`"),
        ({"target": torch.zeros(4, 3, dtype=torch.long)}, ValueError, r"must have shape \(4,\) for class indices"),
        ({"target": torch.zeros(4, dtype=torch.bool)}, TypeError, r"use `target.long\(\)`"),
        ({"target": torch.zeros(4, 3), "ignore_index": 0}, ValueError, "`ignore_index` is for class indices"),
        ({"logits": torch.zeros(4, 3, dtype=torch.long)}, TypeError, "`logits` must be floating-point"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(arguments: Any, error: type[Exception], message: str) -> None:
    given = {"logits": torch.zeros(4, 3), "target": torch.zeros(4, dtype=torch.long), **arguments}
    with pytest.raises(error, match=message):
        focal_loss(given.pop("logits"), given.pop("target"), **given)


def test_the_binary_loss_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match=r"`target` must have the shape of `logits`, \(4, 1\), got \(4,\)"):
        binary_focal_loss(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match=r"`alpha` must lie in \[0, 1\], got 2"):
        binary_focal_loss(torch.zeros(4), torch.zeros(4), alpha=2)
