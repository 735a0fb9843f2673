"""The picture of a clipped run: what is drawn, and what is said where nothing was logged."""

import math
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger
from scaled_grad_net import ScaledGradNet, batches
from tiny import Net, trainer

from lightning_tricks import GradientClipping, ZClip
from lightning_tricks.reports.clipping import plot_clipping
from lightning_tricks.reports.curves import read_metrics


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def metrics_of(clipper: Any, net: Any, data: Any, folder: Path) -> Any:
    logger = CSVLogger(folder)
    trainer(clipper, logger=logger, log_every_n_steps=1, max_epochs=1).fit(net, data)
    return read_metrics(Path(logger.log_dir) / "metrics.csv")


def test_a_run_is_drawn_with_its_threshold_and_its_bad_steps(tmp_path: Path) -> None:
    factors = [1.0, 2.0, 1.0, 1.0, math.nan, 300.0, 1.0]
    metrics = metrics_of(ZClip(1.0, warmup=2, log=True), ScaledGradNet(), batches(factors), tmp_path)
    figure = plot_clipping(metrics, tmp_path / "clip.png", title="apply_factors")
    assert labels(figure) == ["norm", "norm after clipping", "threshold", "not finite"]
    norm, clipped = (line.get_ydata() for line in figure.axes[0].lines[:2])
    assert math.isnan(norm[4])
    assert clipped[5] < norm[5] / 10
    assert figure.axes[0].lines[-1].get_xdata() == [4]
    assert (tmp_path / "clip.png").stat().st_size > 5_000


def test_one_optimizer_of_several_is_chosen_by_its_mark(tmp_path: Path) -> None:
    metrics = metrics_of(GradientClipping(log=True), Net(manual=True), None, tmp_path)
    figure = plot_clipping(metrics, mark="-optimizer_1")
    assert list(figure.axes[0].lines[0].get_ydata()) == [norm for _, norm in metrics["grad_norm-optimizer_1"]]
    with pytest.raises(KeyError, match=r"no grad_norm, grad_norm_clipped, clip_rate to draw.*log=True"):
        plot_clipping(metrics)
