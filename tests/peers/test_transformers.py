"""Each row of the page on transformers: both sides are built from its text and do the same."""

import functools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peer_rows import SCORES, Check, Row, build, our_rates, read_rows, stop_of

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

LR, WARMUP, STEPS, CYCLES = 0.1, 5, 25, 2


def arguments_of(**given: Any) -> SimpleNamespace:
    """Arguments of a `TrainingArguments`, which itself needs accelerate."""
    assert set(given) <= set(transformers.TrainingArguments.__dataclass_fields__)
    return SimpleNamespace(**given)


def same_rates(scheduler: Any, ours: Any) -> None:
    rates = []
    for _ in range(STEPS - 1):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    assert our_rates(ours, STEPS - 1, STEPS, lr=LR) == pytest.approx(rates)


def same_norm(theirs: Any, ours: Any) -> None:
    assert theirs.max_grad_norm == ours.max_norm


def same_stop(theirs: Any, ours: Any) -> None:
    arguments = arguments_of(metric_for_best_model="loss", greater_is_better=False)
    state, control = transformers.TrainerState(), transformers.TrainerControl()
    stops = []
    for check, score in enumerate(SCORES):
        theirs.check_metric_value(arguments, state, control, score)
        if state.best_metric is None or score < state.best_metric:
            state.best_metric = score
        if theirs.early_stopping_patience_counter >= theirs.early_stopping_patience:
            stops.append(check)
    assert stop_of(ours) == stops[0]


CHECKS: dict[str, Check] = {"TrainingArguments": same_norm, "EarlyStoppingCallback": same_stop}


@pytest.mark.parametrize("row", read_rows("transformers"), ids=lambda row: row.theirs)
def test_both_sides_of_a_row_agree(row: Row) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=LR)
    name = row.theirs.partition("(")[0]
    function = arguments_of if name == "TrainingArguments" else getattr(transformers, name)
    numbers = {"w": WARMUP, "n": STEPS, "c": CYCLES, "lr": LR}
    made = functools.partial(function, optimizer) if name.startswith("get") else function
    theirs = build(row.theirs, **{name: made}, **numbers)
    CHECKS.get(name, same_rates)(theirs, build(row.ours, **numbers))
