"""ZClip in a run: the paper's recurrence, its bound on top, its arguments."""

import math
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger
from scaled_grad_net import ScaledGradNet, batches
from tiny import Net, fit, logged, trainer

from lightning_tricks import ZClip


def test_it_clips_outliers_as_the_paper_does_and_forgets_what_was_not_finite(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    factors = [1.0, math.nan, 2.0, 0.5, 1.0, 500.0, 1.0, math.inf, 1.0, 90.0, 1.0, 400.0]
    z, alpha, warmup = 1.5, 0.8, 3
    clipper = ZClip(z, alpha=alpha, warmup=warmup, log=True)
    runner = trainer(clipper, logger=logger, log_every_n_steps=1, max_epochs=1)
    runner.fit(ScaledGradNet(), batches(factors))
    collected: list[float] = []
    mean = variance = 0.0
    spikes = 0
    for (_, norm), (_, after) in zip(
        *(logged(logger, name) for name in ("grad_norm", "grad_norm_clipped")), strict=True
    ):
        if not math.isfinite(norm):
            continue
        expected = norm
        if len(collected) < warmup:
            collected.append(norm)
            mean = sum(collected) / len(collected)
            variance = sum((x - mean) ** 2 for x in collected) / len(collected)
        else:
            score = (norm - mean) / (variance**0.5 + 1e-6)
            if score > z:
                spikes += 1
                expected = mean + z * variance**0.5 / (score / z)
            mean = alpha * mean + (1 - alpha) * expected
            variance = alpha * variance + (1 - alpha) * (expected - mean) ** 2
        assert after == pytest.approx(expected, rel=1e-4)
    assert spikes >= 2
    assert clipper.num_skipped == 2
    rule = clipper.state_dict()["optimizers"][0]["rules"][0]
    assert float(rule["mean"]) == pytest.approx(mean, rel=1e-5)
    assert float(rule["variance"]) == pytest.approx(variance, rel=1e-4)


def test_max_norm_bounds_every_step_from_the_first_on() -> None:
    runner = trainer(ZClip(warmup=1000, max_norm=1e-3, log=True), log_every_n_steps=1)
    runner.fit(Net())
    assert float(runner.callback_metrics["grad_norm_clipped"]) == pytest.approx(1e-3, rel=1e-2)
    assert float(runner.callback_metrics["clip_threshold"]) == pytest.approx(1e-3)
    assert float(runner.callback_metrics["clip_rate"]) == 1


def test_each_optimizer_and_each_group_may_have_statistics_of_its_own() -> None:
    clipper = ZClip(warmup=2)
    fit(clipper, net=Net(manual=True))
    states = clipper.state_dict()["optimizers"]
    assert [int(states[i]["rules"][0]["seen"]) for i in (0, 1)] == [18, 9]
    clipper = ZClip(warmup=2, per_group=True)
    fit(clipper)
    rules = clipper.state_dict()["optimizers"][0]["rules"]
    assert float(rules[0]["mean"]) != float(rules[1]["mean"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"z": 0}, ValueError, "`z` must be finite and > 0, got 0"),
        ({"z": math.nan}, ValueError, "`z` must be finite and > 0, got nan"),
        ({"alpha": 1.0}, ValueError, r"`alpha` must lie in \[0, 1\), got 1.0"),
        ({"warmup": 0}, ValueError, "`warmup` must be at least 1, got 0"),
        ({"warmup": 2.5}, TypeError, "`warmup` must be a whole number, got 2.5"),
        ({"max_norm": -1.0}, ValueError, "`max_norm` must be finite and > 0, got -1.0"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ZClip(**arguments)
