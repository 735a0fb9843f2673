"""auto_tricks: the recipe ``auto`` for a Trainer."""

from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import BATCHES, Net, StatefulLoader, fit, same, weights

from hydra import compose, initialize_config_module
from lightning_tricks import RunReport, auto_tricks, instantiate_callbacks


def settings(callbacks) -> list[str]:
    return sorted(map(repr, callbacks))


def test_it_is_the_recipe_auto() -> None:
    with initialize_config_module("lightning_tricks.conf", version_base="1.3"):
        packaged = instantiate_callbacks(compose(overrides=["+recipes=auto"]).tricks)
    assert settings(packaged) == settings(auto_tricks())
    assert settings(auto_tricks(report=False)) == settings(cb for cb in packaged if not isinstance(cb, RunReport))


def test_its_arguments_reach_the_callbacks() -> None:
    given = {"mode": "max", "warmup": 1, "decay": 2, "max_norm": 3.0, "refine": "0.1dur", "replace_scheduler": True}
    finder, schedule, clipping, best = auto_tricks("acc", **given, average=False, report=False)
    assert finder.refine == "0.1dur"
    assert (schedule.warmup, schedule.decay, schedule.replace_scheduler) == (1, 2, True)
    assert clipping.max_norm == 3.0
    assert (best.monitor, best.mode) == ("acc", "max")
    with pytest.raises(TypeError, match="`report`"):
        auto_tricks(report="yes")  # type: ignore[arg-type]


def test_a_resumed_run_averages_and_keeps_the_best_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    saved = ModelCheckpoint(tmp_path, save_top_k=-1)
    whole = fit(*auto_tricks(report=False), saved, max_epochs=4)
    file = tmp_path / f"epoch=1-step={2 * BATCHES}.ckpt"
    resumed = fit(*auto_tricks(report=False), max_epochs=4, ckpt_path=file)
    assert same(weights(resumed), weights(whole))
    held = torch.load(file, weights_only=True)
    assert not same(held["state_dict"], held["current_model_state"])


@pytest.mark.parametrize("optimizer", [torch.optim.NAdam, torch.optim.RMSprop, torch.optim.SGD, torch.optim.Adagrad])
def test_any_optimizer_trains_though_its_own_rate_is_far_too_small(
    optimizer: type[torch.optim.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Net, "configure_optimizers", lambda net: optimizer(net.parameters(), lr=1e-12))
    net = Net()
    before = float(net.loss(next(iter(StatefulLoader()))))
    fit(*auto_tricks(report=False), net=net, max_epochs=20)
    assert float(net.eval().loss(next(iter(StatefulLoader())))) < 0.5 * before


def test_a_run_of_unknown_length_is_refused_before_the_first_step() -> None:
    net = Net()
    with pytest.raises((ValueError, MisconfigurationException), match="nothing bounds this run"):
        fit(*auto_tricks(report=False), net=net, max_epochs=-1, limit_train_batches=2)
    assert net.trace == []
