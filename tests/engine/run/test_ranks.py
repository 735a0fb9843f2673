"""Ranks: processes that were configured differently are told apart before they train, and told what to do."""

from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback
from tiny import Net, fit, trainer

from hydra import compose, initialize_config_module
from lightning_tricks import CosineDecay
from lightning_tricks.engine.run.ranks import plain

CURE = r"(?s)configured differently.*{what}.*`hydra/callbacks=lightning_tricks_ddp`.*`strategy=ddp_spawn` or `ddp_fork`"


class Job(Callback):
    """A job of a sweep that this process runs for itself; in the other one, with another value."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        with initialize_config_module("lightning_tricks.conf", version_base="1.3"):
            drawn = [f"+width={8 + trainer.global_rank}", f"hydra.mode={self.mode}"]
            HydraConfig.instance().set_config(compose(overrides=drawn, return_hydra_config=True))


class OwnDecay(Net):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, weight_decay=0.1 * self.trainer.global_rank)


def test_an_optimizers_other_settings_count_too() -> None:
    with pytest.raises(Exception, match=CURE.format(what=r"optimizers.0 \(SGD\).weight_decay: \[0.0\] / \[0.1\]")):
        fit(CosineDecay(), net=OwnDecay(), strategy="ddp_fork", devices=2)


def test_whatever_a_sweep_sampled_counts_even_where_no_trick_can_see_it() -> None:
    with pytest.raises(Exception, match=CURE.format(what=r"hydra.overrides: \['\+width=8'\] / \['\+width=9'\]")):
        fit(Job("MULTIRUN"), CosineDecay(), strategy="ddp_fork", devices=2)


def test_a_single_run_may_be_told_other_things_on_each_node() -> None:
    runner = trainer(Job("RUN"), CosineDecay(), strategy="ddp_fork", devices=2)
    runner.fit(Net())
    assert runner.state.finished


def test_a_number_on_a_device_is_the_same_number_on_every_device() -> None:
    assert plain((torch.tensor(0.5), torch.tensor(2, dtype=torch.int64))) == [0.5, 2]
    assert plain({"a": [torch.zeros(2)]}) == {"a": [[0.0, 0.0]]}
