"""Clip thresholds: choose the norm to clip to from past norms, with state machines of tensors on the device.

They are kept in float64 where the device has it: a recurrence over a long run accumulates rounding errors.
Nothing here synchronizes with the host, and a non-finite norm changes no state.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_tricks.core.devices import precise_dtype


@dataclass(frozen=True)
class NormHistory:
    """The last norms, in a ring buffer.

    Attributes:
        norms: ``(window,)``; unused entries are ``inf``.
        seen: ``()`` how many finite norms there were.
    """

    norms: Tensor
    seen: Tensor


@dataclass(frozen=True)
class NormStatistics:
    """Mean and variance of the norms: a plain average during the warm-up, then an exponential one.

    Attributes:
        mean: ``()``.
        variance: ``()``.
        seen: ``()`` how many finite norms there were.
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor


def empty_history(window: int, device: torch.device | str = "cpu") -> NormHistory:
    """Return an empty history of ``window`` norms."""
    device = torch.device(device)
    norms = torch.full((window,), torch.inf, dtype=precise_dtype(device), device=device)
    return NormHistory(norms, torch.zeros((), dtype=torch.int64, device=device))


def resize_history(history: NormHistory, window: int) -> NormHistory:
    """Return the history resized to another window, keeping the latest norms, for a window changed on resume."""
    old, seen = len(history.norms), int(history.seen)
    if old == window:
        return history
    kept = min(seen, old, window)
    latest = history.norms[[(seen - kept + i) % old for i in range(kept)]]
    norms = history.norms.new_full((window,), torch.inf)
    norms[:kept] = latest
    return NormHistory(norms, torch.full_like(history.seen, kept))


@torch.no_grad()
def observe_percentile(history: NormHistory, norm: Tensor, percentile: float) -> tuple[NormHistory, Tensor]:
    r"""Add a norm to the history and return the percentile of its norms, including the new one.

    .. math:: c_t = \operatorname{percentile}_p(\lVert g_1 \rVert, \dots, \lVert g_t \rVert)

    Percentiles between two norms are interpolated linearly, as in numpy.

    Args:
        history: the norms so far.
        norm: ``()`` the norm of this step's gradient. A non-finite norm leaves the history unchanged.
        percentile: p, in ``[0, 100]``.

    Returns:
        The new history and ``()`` the threshold, which is ``inf`` until the first finite norm.

    Example:
        >>> history = empty_history(window=3)
        >>> for norm in (1.0, 9.0, float("nan"), 5.0, 7.0):
        ...     history, threshold = observe_percentile(history, torch.tensor(norm), 50)
        ...     print(float(threshold))
        1.0
        5.0
        5.0
        5.0
        7.0

    References:
        Seetharaman, Wichern, Pardo & Le Roux, AutoClip: adaptive gradient clipping for source separation, 2020, eq. 2.
    """
    finite = norm.isfinite()
    place = (history.seen % len(history.norms)).view(1)
    entry = torch.where(finite, norm, history.norms[place]).to(history.norms)
    history = NormHistory(history.norms.index_copy(0, place, entry), history.seen + finite)
    last = history.seen.clamp(min=1, max=len(history.norms)) - 1
    position = last.to(history.norms.dtype) * percentile / 100.0
    low = position.floor()
    ranked = history.norms.sort().values
    ends = ranked[torch.stack([low, position.ceil()]).to(torch.int64)]
    # not lerp: with both ends infinite (no norm yet), their difference would be NaN
    threshold = torch.where(position == low, ends[0], ends[0] + (ends[1] - ends[0]) * (position - low))
    return history, threshold


def empty_statistics(device: torch.device | str = "cpu") -> NormStatistics:
    """Return the statistics of no norms."""
    device = torch.device(device)
    zero = torch.zeros((), dtype=precise_dtype(device), device=device)
    return NormStatistics(zero, zero.clone(), torch.zeros((), dtype=torch.int64, device=device))


@torch.no_grad()
def observe_zscore(
    statistics: NormStatistics, norm: Tensor, z: float = 2.5, alpha: float = 0.97, warmup: int = 25
) -> tuple[NormStatistics, Tensor]:
    r"""Compare a norm with the statistics, return the threshold for it, and update them with the clipped norm.

    .. math::
        z_t &= \frac{\lVert g_t \rVert - \mu}{\sigma + 10^{-6}}, \qquad
        c_t = \mu + \frac{z^2}{z_t} \sigma \text{ if } z_t > z \text{ else } \infty \\
        \hat g_t &= \min(\lVert g_t \rVert, c_t), \qquad
        \mu \leftarrow \alpha \mu + (1 - \alpha) \hat g_t, \qquad
        \sigma^2 \leftarrow \alpha \sigma^2 + (1 - \alpha) (\hat g_t - \mu)^2

    The update of the variance uses the new mean. The first ``warmup`` norms are not clipped; their mean and variance
    are the start of the recurrence.

    Args:
        statistics: of the previous norms.
        norm: ``()`` the norm of this step's gradient. A non-finite norm leaves the statistics unchanged.
        z: maximum number of standard deviations above the mean, > 0.
        alpha: weight of the old average, in ``[0, 1)``.
        warmup: number of initial norms that are only collected, at least 1.

    Returns:
        The new statistics and ``()`` the threshold, ``inf`` where the norm need not be clipped.

    Example:
        >>> statistics = empty_statistics()
        >>> for norm in (1.0, 3.0, 2.0, 100.0):
        ...     statistics, threshold = observe_zscore(statistics, torch.tensor(norm), warmup=3)
        >>> round(float(threshold), 4)
        2.0425

    References:
        Kumar, Owen, Chowdhury & Güra, ZClip: adaptive spike mitigation for LLM pre-training, 2025, algorithm 1.
    """
    mean, variance = statistics.mean, statistics.variance
    finite, warm = norm.isfinite(), statistics.seen >= warmup
    value = norm.to(mean)
    deviation = variance.sqrt()
    score = (value - mean) / (deviation + 1e-6)
    spike = warm & finite & (score > z)
    threshold = torch.where(spike, mean + z * z * deviation / score, torch.inf)
    clipped = torch.minimum(value, threshold)

    # Welford's form of the plain average until the warm-up is over, then the exponential one
    weight = torch.where(warm, 1.0 - alpha, 1.0 / (statistics.seen + 1).to(mean))
    new_mean = mean + weight * (clipped - mean)
    other = torch.where(warm, clipped - new_mean, clipped - mean)
    new_variance = variance + weight * (other * (clipped - new_mean) - variance)
    return NormStatistics(
        torch.where(finite, new_mean, mean),
        torch.where(finite, new_variance, variance),
        statistics.seen + finite,
    ), threshold


def outlier_level(statistics: NormStatistics, z: float, warmup: int) -> Tensor:
    """Return ``()`` the norm above which the next one would be clipped; ``inf`` during the warm-up."""
    level = statistics.mean + z * (statistics.variance.sqrt() + 1e-6)
    return torch.where(statistics.seen >= warmup, level, torch.inf)
