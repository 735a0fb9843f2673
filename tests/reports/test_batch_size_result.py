"""A batch size result is data, a table, a picture and a fragment of HTML."""

import json
import math

import pytest

from lightning_tricks import BatchSizeResult
from lightning_tricks.reports.batch_size_result import BatchSizeTrial

CURVE = [(0.0, 0, 2.0), (1.0, 320, 1.0), (2.0, 640, 0.6), (3.0, 960, 0.5)]
TRIALS = [
    BatchSizeTrial(32, 0.1, "completed", 30, 3.0, 960, CURVE),
    BatchSizeTrial(64, 0.2, "diverged", 2, 0.1, 128, [*CURVE[:1], (1.0, 64, math.inf)], "`val_loss` is inf"),
    BatchSizeTrial(128, 0.4, "out of memory", detail="CUDA out of memory"),
]
RESULT = BatchSizeResult(32, "`a_long_metric` goes from 2 to 0.5", TRIALS, 0.1, 2.0, 3.0, "a_long_metric")


def test_it_returns_from_json_as_it_was() -> None:
    assert BatchSizeResult.from_dict(json.loads(json.dumps(RESULT.to_dict()))) == RESULT


def test_the_score_is_the_mean_of_the_last_third_and_only_a_whole_trial_has_one() -> None:
    longer = [*CURVE, (4.0, 1280, 0.4), (5.0, 1600, 0.3), (6.0, 1920, 0.2)]
    assert BatchSizeTrial(32, 0.1, "completed", curve=longer).score == pytest.approx(0.25)
    assert TRIALS[0].score == 0.5
    assert all(math.isnan(trial.score) for trial in TRIALS[1:])


def test_the_table_has_a_line_for_each_size_with_what_went_wrong() -> None:
    head, about, columns, *rows = str(RESULT).splitlines()
    assert head == "batch size 32: `a_long_metric` goes from 2 to 0.5"
    assert "3 s from the same state" in about
    assert len(columns) == len(rows[0])
    assert rows[0].split() == ["32", "0.1", "30", "960", "0.5"]
    assert rows[1].endswith("diverged: `val_loss` is inf")
    assert rows[2].endswith("out of memory: CUDA out of memory")


def test_the_picture_has_curves_over_seconds_and_over_rows_and_a_notebook_shows_both() -> None:
    seconds, rows = RESULT.plot().axes
    assert (seconds.get_xlabel(), rows.get_xlabel()) == ("seconds of training", "rows")
    assert [list(panel.lines[0].get_xdata()) for panel in (seconds, rows)] == [[0, 1, 2, 3], [0, 320, 640, 960]]
    assert [line.get_label() for line in rows.lines] == ["32", "64 (diverged)"]
    assert seconds.lines[0].get_linewidth() > seconds.lines[1].get_linewidth()
    html = RESULT._repr_html_()
    assert "<pre>batch size 32" in html
    assert "data:image/png;base64," in html
