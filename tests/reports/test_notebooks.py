"""Notebooks: what a cell ends in is shown as a picture or a short text, with no magic command before it."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure
from tricks import TINY, required_arguments

import lightning_tricks as lt
from lightning_tricks.reports.series import Series

PREVIEW = lt.preview_lr([lt.CosineDecay(warmup=1)], epochs=40, steps_per_epoch=100, lr=0.1)
RESULT = lt.LRFinderResult([1e-3, 1e-2, 1e-1] * 50, [1.0, 0.5, 2.0] * 50, False, 0.004, "a share of the lowest")


@pytest.mark.parametrize("draw", [PREVIEW.plot, RESULT.plot], ids=["preview", "finder"])
def test_a_plot_is_a_figure_that_shows_itself(draw: Callable[[], Any]) -> None:
    figure = draw()
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("result", [PREVIEW, RESULT], ids=["preview", "finder"])
def test_a_result_is_short_as_text_and_has_its_picture_as_html(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(repr(result)) < 120
    assert "data:image/png;base64," in result._repr_html_()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "lightning_tricks.reports.shown_figure")
    assert result._repr_html_().startswith("<div><pre>")
    assert "<img" not in result._repr_html_(), "without matplotlib the text alone"


RECORD = lt.RunRecord("Net", metrics={"val_loss": Series([0, 1], [1.0, 0.5])}, tricks=("Doctor()",) * 50)
REPORT = lt.Report("Net", [lt.Finding("PLC010", "bias-before-batchnorm", "info", "conv", "x" * 500, "bias=False")])


@pytest.mark.parametrize("result", [RECORD, RECORD.checklist, REPORT], ids=["record", "checklist", "report"])
def test_a_report_is_one_line_as_text_and_whole_as_html(result: Any) -> None:
    assert repr(result).startswith(f"{type(result).__name__}(")
    assert len(repr(result)) < 120
    html = result._repr_html_()
    parts = {
        "RunRecord": ["val_loss", "Doctor()"],
        "Checklist": [step.title for step in RECORD.checklist.steps],
        "Report": ["x" * 500, "bias=False"],
    }
    for part in parts[type(result).__name__]:
        assert part in html


@pytest.mark.parametrize("name", TINY)
def test_a_callback_is_the_call_that_builds_it(name: str) -> None:
    trick = TINY[name]()
    assert repr(trick).startswith(f"{name}(")
    assert len(repr(getattr(lt, name)(**required_arguments(name)))) < 100
    assert trick._repr_html_().startswith(f"<code>{name}(")


def test_only_what_differs_from_the_defaults_is_shown() -> None:
    assert repr(lt.CosineDecay()) == "CosineDecay()"
    assert repr(lt.GradientClipping(0.5, log=True)) == "GradientClipping(max_norm=0.5, log=True)"
    assert repr(lt.EarlyStopping("val_acc", mode="max")) == "EarlyStopping(monitor='val_acc', mode='max')"
