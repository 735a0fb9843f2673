"""Steps that never happened: training after a finder that changes nothing equals training without it, bit for bit."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.profilers import SimpleProfiler
from stateful_net import LOADERS, end_state, fit_stateful
from subprocesses import run_script
from tiny import fit, same

import lightning_tricks
from lightning_tricks import LRFinder


def quiet(**arguments: Any) -> LRFinder:
    return LRFinder(**{"apply": False, "num_steps": 25, "min_lr": 1e-4, "max_lr": 1.0, **arguments})


def assert_transparent(finder: LRFinder, loader: str = "global generator", **arguments: Any) -> None:
    with_finder = end_state(*fit_stateful(finder, loader, **copy.deepcopy(arguments)))
    without = end_state(*fit_stateful(None, loader, **copy.deepcopy(arguments)))
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


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_after_it_equals_training_without_it_under_a_scaler(optimizer: str) -> None:
    def scaled() -> Any:
        return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=256.0))

    finder = quiet(max_lr=1e4)
    one = fit_stateful(finder, "large batches", optimizer=optimizer, plugins=[scaled()])
    other = fit_stateful(None, "large batches", optimizer=optimizer, plugins=[scaled()])
    assert finder.result is not None
    assert same(end_state(*one), end_state(*other))
    states = [runner.precision_plugin.scaler.state_dict() for runner, _ in (one, other)]
    assert states[0] == states[1]


@pytest.mark.parametrize("name", ["AutoClip", "GradientClipping", "ZClip", "AdaptiveGradientClipping"])
def test_clipping_acts_in_the_trial_and_forgets_it(name: str) -> None:
    def clip() -> Any:
        more = {"warmup": 3, "z": 0.5} if name == "ZClip" else {}
        return getattr(lightning_tricks, name)(log=True, **more)

    finders, clippers = [quiet(max_lr=1e3), None], [clip(), clip()]
    pairs = zip(finders, clippers, strict=True)
    with_finder, without = (end_state(*fit_stateful(finder, "large batches", callbacks=[c])) for finder, c in pairs)
    assert same(with_finder, without)
    assert same(clippers[0].state_dict(), clippers[1].state_dict())
    bare = quiet(max_lr=1e3)
    fit_stateful(bare, "large batches")
    assert finders[0].result.losses != bare.result.losses  # type: ignore[union-attr]


def test_two_sharded_processes_train_on_as_without(tmp_path: Path) -> None:
    run = run_script("finder_ranks", tmp_path, ranks=2)
    assert run.returncode == 0, run.stdout + run.stderr
    ranks = [torch.load(tmp_path / f"both{rank}.pt", weights_only=True) for rank in (0, 1)]
    for with_finder, without in ranks:
        assert same(with_finder["weights"], without["weights"])
        assert with_finder["trace"] == without["trace"]
    assert ranks[0][0]["found"] == ranks[1][0]["found"]
    assert len(ranks[0][0]["found"]["losses"]) > 10


def test_the_steps_of_a_sweep_are_no_part_of_the_runs_profile() -> None:
    profilers = [SimpleProfiler(), SimpleProfiler()]
    fit(profiler=profilers[0])
    fit(LRFinder(min_lr=1e-4, num_steps=20), profiler=profilers[1])
    counts = [
        {key: len(times) for key, times in profiler.recorded_durations.items() if "backward" in key}
        for profiler in profilers
    ]
    assert counts[0]
    assert {key: counts[1][key] for key in counts[0]} == counts[0]
