"""Domain weights: estimate how similar a source row is to the target domain, with a classifier of the two domains."""

from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn import functional as F

from lightning_tricks.core.arguments import check_count, check_number
from lightning_tricks.data.checked_rows import as_table

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 3
_MOST_ROWS = 5_000
"""Rows of each domain used to select the classifier, which is then fitted to all rows."""
_MOST_SQUARES = 64
"""Maximum number of features for which squares are also considered."""
_FEW = 0.05
"""The effective share of the rows below which the weights depend on too few of them."""


def domain_weights(source: Any, target: Any, *, max_weight: float = 10.0, seed: int = 0) -> Tensor:
    r"""Return one weight per source row: its probability in the target domain relative to the source domain.

    .. math:: w(x) \propto \frac{p(\mathrm{target} \mid x)}{p(\mathrm{source} \mid x)}

    estimated by a logistic classifier of the two domains on standardized features and, if they help, their squares;
    this choice and the L2 penalty are made by cross-validation. Weighted source rows represent the inputs of the target
    domain, provided that the targets depend on the inputs in the same way in both domains (covariate shift). Use it as
    ``(weights * losses).mean()`` or in ``weighted_sampler``.

    Args:
        source: ``(N, d)`` features of the labeled rows, at least 10 rows.
        target: ``(M, d)`` features of the domain where the model will be used, at least 10 rows; no labels.
        max_weight: largest weight, >= 1; a larger value gives a few rows more influence.
        seed: seed of the cross-validation folds.

    Returns:
        ``(N,)`` float32 with mean 1, each at most ``max_weight``.

    Raises:
        TypeError: the values are not numbers.
        ValueError: there are NaN values or too few rows, the shapes do not match, or an argument is out of range.

    Example:
        >>> source, target = torch.arange(20.0).view(-1, 1), torch.arange(10.0, 30).view(-1, 1)
        >>> weights = domain_weights(source, target)
        >>> bool(weights[:10].mean() < weights[10:].mean()), round(weights.mean().item(), 4)
        (True, 1.0)

    References:
        Bickel, Brückner & Scheffer, Discriminative learning for differing training and test distributions, 2007.
    """
    check_number("max_weight", max_weight, 1)
    check_count("seed", seed, 0)
    ours, theirs = as_table("source", source, 10), as_table("target", target, 10)
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f"`source` and `target` must have the same features, got {ours.shape[1]} and {theirs.shape[1]} columns."
        )
    logits = _fit(ours, theirs, torch.Generator().manual_seed(seed))
    weights = _bounded((logits - logits.max()).exp(), max_weight)
    _warn_if_few_rows_count(weights)
    return weights.float()


def _fit(source: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Return the logit of the target domain for each source row."""
    rows = _standardized(torch.cat([source, target]))
    is_target = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).double()
    sample = torch.cat(
        [
            start + torch.randperm(count, generator=generator)[:_MOST_ROWS]
            for start, count in ((0, len(source)), (len(source), len(target)))
        ]
    )
    sample = sample[torch.randperm(len(sample), generator=generator)]
    candidates = [rows]
    if rows.shape[1] <= _MOST_SQUARES:
        candidates.append(_standardized(torch.cat([rows, rows.square()], 1)))
    scored = [
        (_held_out_loss(table[sample], is_target[sample], penalty), i, -penalty)
        for i, table in enumerate(candidates)
        for penalty in _PENALTIES
    ]
    _, best, negative_penalty = min(scored)
    table = candidates[best]
    return _logits(table[: len(source)], _logistic_regression(table, is_target, -negative_penalty))


def _standardized(rows: Tensor) -> Tensor:
    deviation = rows.std(0, correction=0)
    return (rows - rows.mean(0)) / torch.where(deviation > 0, deviation, 1)


def _held_out_loss(rows: Tensor, labels: Tensor, penalty: float) -> float:
    """Return the mean log loss on held-out rows."""
    losses = []
    for fold in range(_FOLDS):
        held_out = torch.arange(len(rows)) % _FOLDS == fold
        coefficients = _logistic_regression(rows[~held_out], labels[~held_out], penalty)
        losses.append(F.binary_cross_entropy_with_logits(_logits(rows[held_out], coefficients), labels[held_out]))
    return torch.stack(losses).mean().item()


def _logits(rows: Tensor, coefficients: Tensor) -> Tensor:
    return rows @ coefficients[:-1] + coefficients[-1]


def _logistic_regression(rows: Tensor, labels: Tensor, penalty: float) -> Tensor:
    """Return the coefficients and the intercept that minimize the penalized log loss."""
    coefficients = torch.zeros(rows.shape[1] + 1, dtype=rows.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=100, tolerance_change=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(_logits(rows, coefficients), labels)
        value = value + penalty / 2 * coefficients[:-1].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return coefficients.detach()


def _bounded(ratios: Tensor, max_weight: float) -> Tensor:
    """Return ``min(s * ratios, max_weight)`` with s such that the mean is 1, found by bisection of log s."""
    low, high = -50.0, 800.0
    ratios = ratios.clamp(min=1e-300)
    for _ in range(200):
        middle = (low + high) / 2
        mean = (ratios.log() + middle).exp().clamp(max=max_weight).mean()
        low, high = (middle, high) if mean < 1 else (low, middle)
    weights = (ratios.log() + high).exp().clamp(max=max_weight)
    return (weights / weights.mean()).clamp(max=max_weight)


def _warn_if_few_rows_count(weights: Tensor) -> None:
    effective = (weights.sum().square() / weights.square().sum()).item()
    if effective < _FEW * len(weights):
        rank_zero_warn(
            f"`domain_weights`: only {effective:.0f} of {len(weights)} source rows are effective; the domains hardly "
            f"overlap, and training will depend on these rows. Lower `max_weight`, or align features with "
            "`coral_loss`."
        )
