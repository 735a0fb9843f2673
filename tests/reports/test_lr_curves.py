"""LR curves: bars that keep their proportions, and figures that show each factor once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.reports.lr_curves import changing_factors, describe_lr, plot_gallery, plot_lr, sparkline

BARS = "▁▂▃▄▅▆▇█"


@given(st.lists(st.floats(0, 1e6), max_size=300), st.integers(1, 80))
def test_a_sparkline_has_one_bar_a_value_or_its_width(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BARS)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60))
def test_a_higher_value_never_has_a_lower_bar_and_the_highest_has_the_full_one(values: list[float]) -> None:
    heights = [BARS.index(bar) for bar in sparkline(values)]
    assert heights[values.index(max(values))] == 7
    assert all(
        heights[i] <= heights[j] for i in range(len(values)) for j in range(len(values)) if values[i] <= values[j]
    )


def test_a_constant_stands_full_and_nothing_lies_flat() -> None:
    assert sparkline([0.3] * 4) == "████"
    assert sparkline([0.0] * 3) == "▁▁▁"
    assert sparkline([]) == ""


def test_what_is_no_finite_number_does_not_hide_the_rest() -> None:
    assert sparkline([1.0, math.nan, 2.0, math.inf, -1.0]) == "▅?█?▁"
    assert "first 1, highest inf (step 1), last inf" in describe_lr([1.0, math.inf], {})


def test_a_factor_of_one_throughout_is_left_out_of_what_is_shown() -> None:
    factors = {"a/schedule": [1.0, 0.5], "a/warmup": [1.0, 1.0]}
    assert list(changing_factors(factors)) == ["a/schedule"]
    assert "warmup" not in describe_lr([1, 0.5], factors)


def test_the_figure_has_a_panel_for_the_rate_and_one_for_each_factor_that_moves() -> None:
    factors = {"a/schedule": [1.0, 0.5], "a/warmup": [1.0, 1.0], "b/schedule": [0.2, 0.4]}
    panels = plot_lr([0, 0.5], [0.2, 0.2], factors, ["Plateau"]).axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "Learning rate over 2 steps: first 0.2, highest 0.2, last 0.2\nknown only during the run, counts as 1: Plateau",
        "× a/schedule",
        "× b/schedule",
    ]
    assert list(panels[1].lines[0].get_ydata()) == [1.0, 0.5]
    assert panels[-1].get_xlabel() == "epoch"


def test_the_gallery_draws_each_curve_from_its_function() -> None:
    panels = plot_gallery({"rise": lambda t: t, "fall": lambda t: 1 - t}, end=1, columns=3, points=4).axes
    shown = [panel for panel in panels if panel.axison]
    assert [panel.get_title() for panel in shown] == ["rise", "fall"]
    assert list(shown[1].lines[0].get_ydata()) == [1, 0.75, 0.5, 0.25]
