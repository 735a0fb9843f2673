"""Batch pipeline: steps follow the hook of whoever owns it, in the order of their stages, and leave nothing behind."""

import copy
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from tiny import Net, StatefulLoader, trainer

from lightning_tricks import NormalizeInputs
from lightning_tricks.engine.batch.batch_pipeline import BatchHook, Stage, add_step


class Owner:
    def on_after_batch_transfer(self, batch: list[str], dataloader_idx: int) -> list[str]:
        return [*batch, "own"]


def test_steps_act_after_the_own_hook_in_the_order_of_their_stages() -> None:
    owner = Owner()
    stages = [Stage.MIX, Stage.AUGMENT, Stage.NORMALIZE, Stage.AUGMENT]
    detach = [
        add_step(owner, stage, lambda batch, mark=f"{stage.name}{i}": [*batch, mark]) for i, stage in enumerate(stages)
    ]
    assert owner.on_after_batch_transfer([], 0) == ["own", "NORMALIZE2", "AUGMENT1", "AUGMENT3", "MIX0"]
    for take_off in detach:
        take_off()
        take_off()
    assert vars(owner) == {}
    assert owner.on_after_batch_transfer([], 0) == ["own"]


def test_a_pause_begins_with_the_stage_that_is_named() -> None:
    owner = Owner()
    for stage in Stage:
        add_step(owner, stage, lambda batch, mark=stage.name: [*batch, mark])
    vars(owner)["on_after_batch_transfer"].paused_from = Stage.AUGMENT
    assert owner.on_after_batch_transfer([], 0) == ["own", "NORMALIZE"]


def test_a_hook_that_an_object_has_of_its_own_is_put_back() -> None:
    owner = Owner()
    owner.on_after_batch_transfer = lambda batch, dataloader_idx: ["other"]  # type: ignore[method-assign]
    before = owner.on_after_batch_transfer
    add_step(owner, Stage.MIX, lambda batch: [*batch, "step"])()
    assert owner.on_after_batch_transfer is before


def test_a_copy_of_the_object_has_the_bare_hook() -> None:
    owner = Owner()
    add_step(owner, Stage.MIX, lambda batch: [*batch, "step"])
    other = copy.deepcopy(owner)
    assert other.on_after_batch_transfer([], 0) == ["own"]
    assert isinstance(owner.on_after_batch_transfer, BatchHook)


class Data(LightningDataModule):
    """Its own hook adds 5 to the inputs."""

    def train_dataloader(self) -> StatefulLoader:
        return StatefulLoader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] + 5, batch[1]


@pytest.mark.parametrize("of_module", [False, True])
def test_it_works_next_to_a_hook_of_the_data_module_or_the_module(of_module: bool) -> None:
    seen: list[torch.Tensor] = []

    class Watching(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(batch[0])
            return super().training_step(batch, batch_idx)

    class Hooked(Watching):
        on_after_batch_transfer = Data.on_after_batch_transfer

    net, data = (Hooked(), None) if of_module else (Watching(), Data())
    normalizer = NormalizeInputs()
    trainer(normalizer, max_epochs=1, limit_val_batches=0).fit(net, datamodule=data)
    assert normalizer.statistics is not None
    assert normalizer.statistics.mean.mean() == pytest.approx(5, abs=0.5)
    torch.testing.assert_close(torch.cat(seen).mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    assert "on_after_batch_transfer" not in {**vars(net), **(vars(data) if data else {})}


def test_a_module_that_fetches_its_own_batches_is_refused() -> None:
    class Fetching(Net):
        def training_step(self, dataloader_iter: Any) -> Any:  # type: ignore[override]
            return self.loss(next(dataloader_iter)[0])

    with pytest.raises(MisconfigurationException, match="takes `dataloader_iter`"):
        trainer(NormalizeInputs()).fit(Fetching())
