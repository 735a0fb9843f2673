"""Live orders: the factor after a sequence of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.live_orders import factor_after, read_entry

RATES = st.floats(1e-6, 1e3)


@given(st.lists(RATES, max_size=5), RATES, RATES)
def test_a_number_takes_the_place_of_all_before_it_and_factors_multiply_on(
    factors: list[float], rate: float, largest: float
) -> None:
    factor = 1.0
    for further in factors:
        factor = factor_after(factor, f"x{further!r}", largest)
    factor = factor_after(factor, rate, largest)
    assert factor * largest == pytest.approx(rate)
    assert factor_after(factor, "x0.5", largest) == factor * 0.5


@pytest.mark.parametrize(("factor", "lr", "largest"), [(1e300, "x1e300", 1.0), (1e-300, "x1e-300", 1.0), (1.0, 0.1, 0)])
def test_a_rate_of_zero_or_infinity_is_refused(factor: float, lr: str | float, largest: float) -> None:
    with pytest.raises(ValueError, match=r"would make it (inf|0)|all learning rates are 0"):
        factor_after(factor, lr, largest)


def test_there_is_no_other_key() -> None:
    with pytest.raises(ValueError, match="`LR` is not an order; the orders are lr, stop, checkpoint, validate, id"):
        read_entry("LR", "x0.5")
