"""Lengths of wall time."""

import pytest

from lightning_tricks.core.time_budgets import parse_budget


@pytest.mark.parametrize(
    ("given", "seconds"), [("30s", 30), ("2min", 120), ("1h", 3600), ("0.5 s", 0.5), (" 7 ", 7), (3, 3), (1e-9, 1e-9)]
)
def test_a_budget_is_seconds(given: object, seconds: float) -> None:
    assert parse_budget("budget", given) == seconds


@pytest.mark.parametrize(
    ("given", "error"),
    [("soon", ValueError), ("3 days", ValueError), ("-1s", ValueError), ("0s", ValueError), (0, ValueError),
     (float("nan"), ValueError), (float("inf"), ValueError), (None, TypeError), (True, TypeError)],
)  # fmt: skip
def test_anything_else_is_refused_with_the_value(given: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="`budget` must"):
        parse_budget("budget", given)
