"""Scores: the table says mean and spread, the picture shows every seed."""

from pathlib import Path

from lightning_tricks.reports.scores import describe_scores, plot_scores

SCORES = {"a": [0.5, 0.7, 0.9], "b": [1.0]}


def test_the_table_says_mean_spread_and_ends_and_no_spread_of_one_seed() -> None:
    head, first, second = (line.split() for line in describe_scores(SCORES, "accuracy").splitlines())
    assert head == ["accuracy", "±", "lowest", "highest"]
    assert first == ["a", "0.700", "0.200", "0.500", "0.900"]
    assert second == ["b", "1.000", "1.000", "1.000"]


def test_every_seed_is_a_dot_and_the_ways_are_named(tmp_path: Path) -> None:
    figure = plot_scores(SCORES, tmp_path / "scores.png", name="accuracy", title="why")
    (axes,) = figure.axes
    dots = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert dots == list(SCORES.values())
    assert [label.get_text() for label in axes.get_yticklabels()] == list(SCORES)
    assert (tmp_path / "scores.png").stat().st_size > 0
