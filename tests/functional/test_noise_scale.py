"""The simple noise scale from two squared norms, at its limits and with its interval."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks import NoiseScale
from lightning_tricks.functional.noise_scale import noise_scale, with_interval


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(1, 64), st.integers(2, 100))
def test_expected_norms_give_back_noise_over_signal(signal: float, noise: float, small: int, times: int) -> None:
    found = noise_scale(signal + noise / small, signal + noise / (small * times), small, small * times)
    assert found.simple == pytest.approx(noise / signal, rel=1e-6)


def test_without_noise_it_is_zero_and_without_signal_infinite() -> None:
    assert noise_scale(2.0, 2.0, 4, 8).simple == 0
    assert noise_scale(1.0, 2.0, 4, 8).simple == 0
    nothing = noise_scale(8.0, 4.0, 4, 8)
    assert (nothing.simple, nothing.suggestion) == (math.inf, None)
    assert "cannot be distinguished from its noise" in str(nothing)


@pytest.mark.parametrize(("simple", "size"), [(0.0, 1), (1.2, 1), (48.0, 64), (90.0, 64), (91.0, 128), (4000.0, 4096)])
def test_the_suggestion_is_the_nearest_power_of_two(simple: float, size: int) -> None:
    found = NoiseScale(simple, 1.0, 1.0)
    assert found.suggestion == size
    assert f"batches of about {size} rows" in str(found)


def test_the_interval_is_two_jackknife_errors_wide() -> None:
    parts = [NoiseScale(simple, 1.0, 1.0) for simple in (9.0, 10.0, 11.0)]
    found = with_interval(NoiseScale(10.0, 1.0, 1.0), parts)
    error = math.sqrt(2 / 3 * 2)
    assert (found.low, found.high) == pytest.approx((10 - 2 * error, 10 + 2 * error))
    unsure = with_interval(NoiseScale(10.0, 1.0, 1.0), [*parts, NoiseScale(math.inf, 1.0, 1.0)])
    assert (unsure.low, unsure.high) == (0, math.inf)
    assert math.isnan(with_interval(NoiseScale(10.0, 1.0, 1.0), parts[:1]).low)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, 1, 2), "`small` must be"),
        ((1, math.nan, 1, 2), "`large` must be"),
        ((1, 1, 0, 2), "`small_batch` must be"),
        ((1, 1, 2, 2), "`large_batch` must be finite and > 2, got 2"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[float, float, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise_scale(*arguments)
