"""Steps that never happened: training after a finder that changes nothing equals training without it, bit for bit."""

import copy
import math
from typing import Any

import pytest
from eventful import LOADERS, ended, run_eventful
from tiny import same

from lightning_tricks import LRFinder


def quiet(**arguments: Any) -> LRFinder:
    return LRFinder(**{"apply": False, "num_steps": 25, "min_lr": 1e-4, "max_lr": 1.0, **arguments})


def assert_transparent(finder: LRFinder, loader: str = "global generator", **arguments: Any) -> None:
    with_finder = ended(*run_eventful(finder, loader, **copy.deepcopy(arguments)))
    without = ended(*run_eventful(None, loader, **copy.deepcopy(arguments)))
    assert finder.result is not None
    assert len(finder.result.losses) > 5
    for name in without:
        assert same(with_finder[name], without[name]), name


@pytest.mark.parametrize("loader", LOADERS)
def test_training_after_it_equals_training_without_it_whatever_the_loader(loader: str) -> None:
    assert_transparent(quiet(), loader)


@pytest.mark.parametrize("optimizer", ["adam", "tensor", "sgd", "lbfgs"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_after_it_equals_training_without_it_whatever_the_optimizer(optimizer: str, precision: str) -> None:
    assert_transparent(quiet(), "own generator", optimizer=optimizer, precision=precision)


@pytest.mark.parametrize("scheduler", ["cosine", "lambda", "cycle", "plateau", "sequence"])
def test_training_after_it_equals_training_without_it_whatever_the_scheduler(scheduler: str) -> None:
    assert_transparent(quiet(), scheduler=scheduler)


@pytest.mark.parametrize(
    "finder",
    [
        {"at_epochs": (0, 1)},
        {"at_epochs": (1,)},
        {"refine": 5},
        {"num_steps": 10, "mode": "linear"},
        {"max_lr": 1e6, "stop_factor": math.inf},
    ],
)
def test_training_after_it_equals_training_without_it_whatever_it_does(finder: dict[str, Any]) -> None:
    assert_transparent(quiet(**finder))


def test_training_after_it_equals_training_without_it_under_accumulation() -> None:
    assert_transparent(quiet(), accumulate_grad_batches=4)
