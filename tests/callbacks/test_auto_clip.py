"""AutoClip in a run: the paper's recurrence, histories, a changed window, its arguments."""

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
from lightning.pytorch.loggers import CSVLogger
from scaled_grad_net import GOOD, ScaledGradNet, batches
from tiny import Net, fit, logged, trainer

from lightning_tricks import AutoClip


def test_it_clips_to_the_percentile_of_the_norms_so_far_and_forgets_what_was_not_finite(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    factors = [math.nan, 1.0, 50.0, 0.1, math.inf, 1.0, 7.0, 1.0, 0.5, 1.0, 30.0, 1.0]
    clipper = AutoClip(30, window=4, log=True)
    runner = trainer(clipper, logger=logger, log_every_n_steps=1, max_epochs=1)
    runner.fit(ScaledGradNet(), batches(factors))
    seen: list[float] = []
    before, after, threshold = (
        dict(logged(logger, name)) for name in ("grad_norm", "grad_norm_clipped", "clip_threshold")
    )
    for step, norm in before.items():
        if math.isfinite(norm):
            seen.append(norm)
            expected = numpy.percentile(seen[-4:], 30)
            assert threshold[step] == pytest.approx(expected, rel=1e-5), step
            assert after[step] == pytest.approx(min(norm, expected), rel=1e-5), step
    assert len(seen) == 10
    assert clipper.num_skipped == 2


def test_each_optimizer_has_a_history_of_its_own() -> None:
    clipper = AutoClip(50, window=100)
    fit(clipper, net=Net(manual=True))
    states = clipper.state_dict()["optimizers"]
    assert [int(states[i]["rules"][0]["seen"]) for i in (0, 1)] == [18, 9]


def test_each_group_may_have_a_history_and_a_threshold_of_its_own() -> None:
    clipper = AutoClip(50, window=6, per_group=True, log=True)
    runner = trainer(clipper, log_every_n_steps=1)
    runner.fit(Net())
    rules = clipper.state_dict()["optimizers"][0]["rules"]
    assert [len(rules[group]["norms"]) for group in (0, 1)] == [6, 6]
    assert {"clip_threshold-group_0", "clip_threshold-group_1"} <= set(runner.callback_metrics)


@pytest.mark.parametrize("window", [3, 30])
def test_a_window_changed_on_resume_wins_and_keeps_the_latest_norms(window: int, tmp_path: Path) -> None:
    first, clipper = ScaledGradNet(), AutoClip(50, window=10)
    runner = trainer(clipper, max_epochs=1)
    runner.fit(first, batches([GOOD] * 12))
    runner.save_checkpoint(tmp_path / "a.ckpt")
    norms = clipper.state_dict()["optimizers"][0]["rules"][0]["norms"].tolist()
    in_order = norms[2:] + norms[:2]
    resumed = AutoClip(50, window=window)
    trainer(resumed, max_epochs=2).fit(ScaledGradNet(), batches([GOOD]), ckpt_path=tmp_path / "a.ckpt")
    rule = resumed.state_dict()["optimizers"][0]["rules"][0]
    assert len(rule["norms"]) == window
    kept = [norm for norm in rule["norms"].tolist() if norm in in_order]
    assert sorted(kept) == sorted(in_order[-2:] if window == 3 else in_order)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"percentile": -1}, ValueError, r"`percentile` must lie in \[0, 100\], got -1"),
        ({"percentile": 101}, ValueError, r"`percentile` must lie in \[0, 100\], got 101"),
        ({"percentile": math.nan}, ValueError, r"`percentile` must lie in \[0, 100\], got nan"),
        ({"window": 0}, ValueError, "`window` must be at least 1, got 0"),
        ({"window": 10.0}, TypeError, "`window` must be a whole number, got 10.0"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        AutoClip(**arguments)
