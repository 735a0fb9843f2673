"""A sweep as text, HTML and figure."""

import math

from lightning_tricks.reports.lr_sweep import describe_sweep, plot_sweep
from lightning_tricks.reports.text_and_figure import text_and_figure


def test_the_text_says_why_there_is_no_suggestion() -> None:
    assert describe_sweep([0.1], [1.0], None, "the loss is flat").startswith("no suggestion: the loss is flat")


def test_the_figure_has_a_logarithmic_axis_names_the_choice_and_cuts_off_the_explosion() -> None:
    losses = [2.0, 1.0, 1e9, math.inf]
    figure = plot_sweep([1e-3, 1e-2, 0.1, 1.0], losses, losses, {"minimum": 1e-2, "slide": None}, ("auto", 1e-3))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 10
    assert [text.get_text() for text in axes.texts] == ["auto: 0.001"]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "smoothed", "minimum: 0.01", "slide: none"]


def test_it_draws_into_axes_that_are_given_and_into_html() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    assert plot_sweep([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], {}, ("auto", None), axes) is figure
    assert "no suggestion" in axes.get_title()
    assert "data:image/png;base64," in text_and_figure("a < b", lambda: figure, "loss")
    assert "a &lt; b" in text_and_figure("a < b", lambda: figure, "loss")
