"""Thaw times: the guides' order, exact on their clock."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.core.durations import RunLength
from lightning_tricks.functional.thaw_times import plan_thaw, run_end

RUN = RunLength(epochs=None, steps=100)


@pytest.mark.parametrize(("n", "expected"), [(1, [0]), (2, [2, 0]), (3, [2, 1, 0]), (4, [2, 2, 1, 0])])
def test_halves_of_a_few_groups(n: int, expected: list[int]) -> None:
    assert plan_thaw("halves", 1, n, RUN) == (expected, "ep")


@given(st.integers(1, 40), st.sampled_from(["halves", "one_per_epoch"]))
def test_the_head_begins_and_nothing_thaws_before_what_is_above_it(n: int, schedule: str) -> None:
    times, _ = plan_thaw(schedule, "0.07dur", n, RUN)
    assert times[-1] == 0
    assert times == sorted(times, reverse=True)
    assert set(times) <= {7 * k for k in range(max(n, 3))}  # exact, whatever floats say
    if schedule == "halves" and n > 1:
        assert sum(time <= 7 for time in times) == -(-n // 2)


def test_a_list_is_from_the_head_downwards_on_one_clock() -> None:
    assert plan_thaw([0, "20st", "0.5dur"], 1, 3, RUN) == ([50, 20, 0], "st")
    assert plan_thaw([0, "20st", None], 1, 3, RUN) == ([None, 20, 0], "st")
    with pytest.raises(ValueError, match="must share a clock"):
        plan_thaw([0, "1ep", "20st"], 1, 3, RUN)
    with pytest.raises(ValueError, match="needs one time per group, from the head downwards; it has 2 for 3 groups"):
        plan_thaw([0, 1], 1, 3, RUN)
    with pytest.raises(ValueError, match="nothing bounds this run"):
        plan_thaw("halves", "0.1dur", 3, RunLength(None, None))


def test_the_end_of_a_run_on_the_other_clock_follows_from_the_steps_of_an_epoch() -> None:
    assert run_end("ep", RunLength(3, None), None) == 3
    assert run_end("st", RunLength(3, None), 7) == 21
    assert run_end("ep", RUN, 40) == Fraction(5, 2)
    assert run_end("ep", RUN, None) is None
    assert run_end("st", RunLength(None, None), 7) is None
