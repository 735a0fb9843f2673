"""Warm-up, stable, decay: the formula of each form, corners and bounds, and torch's schedules in a row."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.schedule_phases import FORMS, warmup_stable_decay
from lightning_tricks.functional.schedules import cosine_decay, join

lengths = st.floats(1e-3, 1e6)
shares = st.floats(0, 1)
forms = st.sampled_from(FORMS)
SHAPES = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2,
    "sqrt": lambda x: 1 - math.sqrt(x),
}


@given(lengths, st.floats(0.01, 1), shares, shares, forms)
def test_it_is_1_then_follows_the_formula_of_its_form(
    total: float, part: float, end: float, x: float, form: str
) -> None:
    decay = part * total
    schedule = warmup_stable_decay(total, decay, form, end)  # type: ignore[arg-type]
    assert schedule(x * (total - decay) * 0.999) == 1
    expected = end + (1 - end) * SHAPES[form](x)
    assert schedule(total - decay + x * decay) == pytest.approx(expected, rel=1e-6, abs=1e-5)


@given(lengths, st.floats(0.01, 1), shares, forms, st.lists(shares, min_size=2))
def test_it_never_rises_and_ends_exactly(total: float, part: float, end: float, form: str, xs: list[float]) -> None:
    schedule = warmup_stable_decay(total, part * total, form, end)  # type: ignore[arg-type]
    values = schedule.values(x * 1.2 * total for x in sorted(xs))
    assert values == sorted(values, reverse=True)
    assert all(end <= value <= 1 for value in values)
    assert schedule(0) == 1
    assert schedule(total) == schedule(2 * total) == end


def test_a_linear_decay_agrees_with_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    parts = torch.optim.lr_scheduler
    scheduler = parts.SequentialLR(
        optimizer,
        [parts.ConstantLR(optimizer, factor=1.0), parts.LinearLR(optimizer, 1.0, 0.1, total_iters=10)],
        milestones=[30],
    )
    ours = warmup_stable_decay(40, 10, end_factor=0.1)
    for step in range(45):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours(step), rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_a_cosine_decay_over_the_whole_run_is_the_cosine_and_a_shorter_one_begins_later() -> None:
    assert warmup_stable_decay(40, 40, "cosine", 0.2).values(range(50)) == cosine_decay(40, 0.2).values(range(50))
    flat = join([lambda t: 1.0, cosine_decay(10)], [30])
    assert warmup_stable_decay(40, 10, "cosine").values(range(50)) == pytest.approx(flat.values(range(50)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1), "`total` must be finite and > 0, got 0"),
        ((1, 0), "`decay_steps` must be finite and > 0, got 0"),
        ((1, 2), "`decay_steps` must be at most `total`, got 2 and 1"),
        ((2, 1, "exp"), "`form` must be .*got 'exp'"),
        ((2, 1, "sqrt", 1.1), r"`end_factor` must lie in \[0, 1\], got 1.1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        warmup_stable_decay(*arguments)  # type: ignore[arg-type]
