"""The picture of a run under the rule of no improvement in n."""

from pathlib import Path

import pytest

from lightning_tricks.reports.plateau import plot_plateau

HISTORY = [(10, 0.9, 1.0), (20, 0.5, 1.0), (30, 0.6, 0.5), (40, 0.7, 0.25), (50, 0.3, 0.25), (60, 0.4, 0.25)]


def lines(axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_score_best_and_rate_are_drawn_and_each_cut_is_marked_in_both_frames(tmp_path: Path) -> None:
    figure = plot_plateau(HISTORY, tmp_path / "plot.png", monitor="val_loss", base_lr=0.1)
    above, below = figure.axes
    assert lines(above)["val_loss"] == [0.9, 0.5, 0.6, 0.7, 0.3, 0.4]
    assert lines(above)["best so far"] == [0.9, 0.5, 0.5, 0.5, 0.3, 0.3]
    assert list(below.lines[0].get_ydata()) == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025, 0.025, 0.025])
    for axes in (above, below):
        assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [30, 40]
    assert "reduction (2)" in lines(above)
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_the_best_of_a_score_that_rises_rises_and_starts_at_the_first_number() -> None:
    figure = plot_plateau([(1, float("nan"), 1.0), (2, 0.5, 1.0), (3, 0.4, 1.0), (4, 0.8, 1.0)], mode="max")
    first, *rest = lines(figure.axes[0])["best so far"]
    assert first != first  # NaN, which matplotlib does not draw
    assert rest == [0.5, 0.5, 0.8]


def test_a_run_without_a_check_has_no_picture() -> None:
    with pytest.raises(ValueError, match="`history` must contain at least one check"):
        plot_plateau([])
