"""Result names: a result of a trick is told from a metric of the model wherever metrics are chosen or drawn."""

import pytest

from lightning_tricks.core.result_names import RESULT_PREFIX, is_result
from lightning_tricks.reports.curves import plot_curves
from lightning_tricks.sweeps.metric_choice import choose_metric


def test_a_result_is_neither_the_metric_of_a_sweep_nor_a_factor_in_a_picture() -> None:
    result = f"{RESULT_PREFIX}EarlyStopping/best_score"
    assert is_result(result)
    assert choose_metric(["score", result]) == "score"
    assert choose_metric([result]) == "val_loss"
    figure = plot_curves({"train_loss": [(0, 1.0)], "lr-SGD": [(0, 0.1)], result: [(0, 9.0)]})
    assert len(figure.axes) == 2, "without a factor there is no third axis"


@pytest.mark.parametrize("name", ["val_loss", "Val/tricks", "tricks", "CosineDecay/schedule"])
def test_other_names_are_not_results(name: str) -> None:
    assert not is_result(name)
