"""Noise scale: the batch size at which the noise of a gradient is as large as the gradient itself."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lightning_tricks.core.arguments import check_number


class NoiseScale(NamedTuple):
    """The simple noise scale of a gradient, and the numbers it was computed from.

    Attributes:
        simple: B_simple in rows; ``inf`` if the gradient cannot be distinguished from its noise.
        small: mean squared L2 norm of the gradients of small batches.
        large: squared L2 norm of the gradient of the large batch.
        small_batch: rows per small batch.
        large_batch: rows of the large batch.
        low: two standard errors below ``simple``, at least 0; NaN if unknown.
        high: two standard errors above ``simple``.

    Example:
        >>> print(NoiseScale(100.0, 2.0, 1.0, 32, 3200, 80.0, 120.0))
        noise scale 100 rows (80 to 120): batches of about 128 rows; smaller ones are noisier, larger ones gain less
    """

    simple: float
    small: float
    large: float
    small_batch: int = 0
    large_batch: int = 0
    low: float = math.nan
    high: float = math.nan

    @property
    def suggestion(self) -> int | None:
        """The power of two closest to ``simple``; ``None`` if it is infinite."""
        return 2 ** round(math.log2(max(1.0, self.simple))) if math.isfinite(self.simple) else None

    def __str__(self) -> str:
        if self.suggestion is None:
            return "noise scale unknown: the gradient cannot be distinguished from its noise; read more batches"
        spread = "" if math.isnan(self.low) else f" ({self.low:.3g} to {self.high:.3g})"
        return (
            f"noise scale {self.simple:.3g} rows{spread}: batches of about {self.suggestion} rows; smaller ones are "
            "noisier, larger ones gain less"
        )


def noise_scale(small: float, large: float, small_batch: int, large_batch: int) -> NoiseScale:
    r"""Return the simple noise scale from squared gradient norms at two batch sizes.

    .. math::
        |G|^2 = \frac{B |G_B|^2 - b |G_b|^2}{B - b}, \quad
        S = \frac{|G_b|^2 - |G_B|^2}{1/b - 1/B}, \quad
        B_{simple} = S / |G|^2

    Args:
        small: mean of the squared L2 norms :math:`|G_b|^2` over batches of ``small_batch`` rows, >= 0.
        large: the same for ``large_batch`` rows, >= 0.
        small_batch: at least 1.
        large_batch: above ``small_batch``.

    Returns:
        The scale without an interval. Both estimates are unbiased; their ratio is only asymptotically unbiased.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(noise_scale(5.0, 1.4, 10, 100).simple, 3)
        40.0

    References:
        McCandlish et al., An Empirical Model of Large-Batch Training, 2018, appendix A.1.
    """
    check_number("small", small, 0)
    check_number("large", large, 0)
    check_number("small_batch", small_batch, 1)
    check_number("large_batch", large_batch, small_batch, low_open=True)
    signal = (large_batch * large - small_batch * small) / (large_batch - small_batch)
    noise = (small - large) / (1 / small_batch - 1 / large_batch)
    simple = max(0.0, noise) / signal if signal > 0 else math.inf
    return NoiseScale(simple, small, large, small_batch, large_batch)


def with_interval(scale: NoiseScale, left_out: Sequence[NoiseScale]) -> NoiseScale:
    r"""Return a noise scale with an interval of two standard errors on both sides, by the jackknife.

    Args:
        scale: the noise scale of all batches.
        left_out: the noise scales with each group of batches left out in turn.

    Example:
        >>> parts = [noise_scale(5.0, large, 10, 90) for large in (1.38, 1.4, 1.42)]
        >>> found = with_interval(noise_scale(5.0, 1.4, 10, 100), parts)
        >>> found.low < found.simple < found.high
        True

    References:
        Efron & Stein, The Jackknife Estimate of Variance, 1981.
    """
    found = [each.simple for each in left_out]
    if len(found) < 2 or not math.isfinite(scale.simple):
        return scale
    mean = sum(found) / len(found)
    if not math.isfinite(mean):
        return scale._replace(low=0.0, high=math.inf)
    error = math.sqrt((len(found) - 1) / len(found) * sum((each - mean) ** 2 for each in found))
    return scale._replace(low=max(0.0, scale.simple - 2 * error), high=scale.simple + 2 * error)
