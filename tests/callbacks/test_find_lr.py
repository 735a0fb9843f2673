"""`find_lr`: a rate without a fit, and nothing but the result to tell that there was one."""

import contextlib
import math
import random
import signal
from typing import Any

import lightning.pytorch as lightning_pytorch
import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from stateful_net import DATA, LOADERS, StatefulNet, end_state
from tiny import Net, OtherNet, StatefulLoader, same, trainer, weights
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import CosineDecay, LRFinder, find_lr
from lightning_tricks.functional.range_test import lr_grid


def test_two_lines_find_a_rate_and_leave_model_and_random_numbers_as_they_were() -> None:
    net, loader = StatefulNet(), DataLoader(DATA, 20, shuffle=True, generator=torch.Generator().manual_seed(5))
    attributes = {name: dict(vars(module)) for name, module in net.named_modules()}
    before = [weights(net), torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()]
    position = loader.generator.get_state()
    result = find_lr(net, loader)
    assert result.suggestion is not None
    assert 1e-4 < result.suggestion < 1
    assert same([weights(net), torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()], before)
    assert same(loader.generator.get_state(), position)
    for name, module in net.named_modules():
        assert vars(module).keys() == attributes[name].keys()
        assert all(value is attributes[name][key] for key, value in vars(module).items()), name
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("of_trainer", [{}, {"precision": "bf16-mixed", "accumulate_grad_batches": 2}])
def test_a_fit_after_it_with_the_same_trainer_equals_one_without_it(of_trainer: dict[str, Any], tmp_path: Any) -> None:
    def run(look: bool) -> dict[str, Any]:
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        net, loader = StatefulNet(scheduler="cosine"), LOADERS["global generator"]()
        runner = trainer(CosineDecay(replace_scheduler=True), ModelCheckpoint(tmp_path), max_epochs=2, **of_trainer)
        if look:
            before = list(runner.callbacks)
            find_lr(net, loader, trainer=runner, num_steps=20)
            assert runner.callbacks == before
            assert (runner.global_step, runner.current_epoch, runner.max_epochs) == (0, 0, 2)
            assert runner.state.fn is None
            assert not list(tmp_path.iterdir())
        runner.fit(net, loader)
        for path in tmp_path.iterdir():
            path.unlink()
        return end_state(runner, net)

    assert same(run(look=True), run(look=False))


def test_it_looks_again_with_a_trainer_that_has_fitted() -> None:
    net = Net()
    runner = trainer(max_epochs=1)
    runner.fit(net, StatefulLoader())
    before = weights(net)
    result = find_lr(net, StatefulLoader(batch_size=32), trainer=runner)
    assert len(result.lrs) > 20
    assert same(weights(net), before)
    assert (runner.global_step, runner.current_epoch) == (6, 1)


def test_the_callbacks_that_change_a_step_act_and_the_others_do_not() -> None:
    calls: list[str] = []

    class Changes(Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            calls.append("changes")
            for parameter in pl_module.parameters():
                parameter.grad = torch.zeros_like(parameter)

    class Watches(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            calls.append("watches")

    runner = trainer(Changes(), Watches())
    result = find_lr(Net(), StatefulLoader(batch_size=64), trainer=runner, num_steps=20)
    assert calls == ["changes"] * 20
    assert result.suggestion is None, "no weight ever moved"


def test_it_works_with_the_other_package_and_with_a_datamodule() -> None:
    class Data(lightning_pytorch.LightningDataModule):
        def train_dataloader(self) -> Any:
            return StatefulLoader(batch_size=32)

    ours = find_lr(Net(), datamodule=Data())
    theirs = find_lr(OtherNet(), StatefulLoader(batch_size=32))
    assert ours.losses == theirs.losses
    assert ours.suggestion == theirs.suggestion


def test_it_looks_also_with_a_trainer_for_a_dry_run() -> None:
    dry = find_lr(Net(), StatefulLoader(), trainer=trainer(fast_dev_run=True), num_steps=20)
    assert dry.lrs == lr_grid(1e-7, 10.0, 20, "exponential")[: len(dry.lrs)]
    assert len(dry.lrs) > 10


@pytest.mark.parametrize("name", ["apply", "at_epochs", "raise_at", "monitor", "log_figure"])
def test_an_argument_that_belongs_to_the_callback_alone_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"`{name}`"):
        find_lr(Net(), StatefulLoader(), **{name: True})


def test_what_cannot_be_done_is_refused_and_leaves_everything_as_before() -> None:
    empty = DataLoader(TensorDataset(torch.zeros(0, 4), torch.zeros(0, 1)), 4)
    with pytest.raises(ValueError, match="no training batch"):
        find_lr(Net(), empty)
    with pytest.raises(MisconfigurationException, match="forked"):
        find_lr(Net(), StatefulLoader(), trainer=trainer(strategy="ddp_fork", devices=2))

    class Fails(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ZeroDivisionError

    net, runner = Fails(), trainer(LRFinder())
    before, state = weights(net), torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        find_lr(net, StatefulLoader(), trainer=runner)
    assert same(weights(net), before)
    assert same(torch.get_rng_state(), state)
    assert [type(cb).__name__ for cb in runner.callbacks] == ["LRFinder"]
    assert runner.state.fn is None


def everything(net: Any, runner: Any) -> Any:
    """What a caller may look at after `find_lr`."""
    of_trainer = (runner.max_epochs, runner.max_steps, runner.global_step, runner.current_epoch, runner.should_stop)
    limits = (runner.limit_val_batches, runner.num_sanity_val_steps, runner.check_val_every_n_epoch, runner.state.fn)
    modes = [part.training for part in net.modules()]
    grads = [None if value.grad is None else value.grad.clone() for value in net.parameters()]
    dice = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    return weights(net), modes, grads, of_trainer, limits, dice, net._trainer is None, sorted(vars(net))


class Breaks(Net):
    """Raises an error at that step, if any, after having changed much of itself."""

    def __init__(self, error: BaseException | None, at: int = 6) -> None:
        super().__init__()
        self.error, self.at, self.steps = error, at, 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.steps += 1
        random.random()
        np.random.rand()
        torch.rand(())
        if self.steps == self.at and self.error is not None:
            self.eval()
            self.head.requires_grad_(False)
            raise self.error
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "error", [None, ZeroDivisionError(), KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__
)
def test_everything_is_as_before_whatever_the_outcome(error: Any, fitted: bool) -> None:
    net, runner = Breaks(None), trainer(max_epochs=2)
    if fitted:
        runner.fit(net)
    net.error, net.at = error, net.steps + 6
    before, handler = everything(net, runner), signal.getsignal(signal.SIGINT)
    expected = contextlib.nullcontext() if error is None else pytest.raises((ZeroDivisionError, SystemExit))
    with expected:
        find_lr(net, StatefulLoader(), trainer=runner, num_steps=20)
    assert same(everything(net, runner), before)
    assert all(value.requires_grad for value in net.parameters())
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("bounds", [{"max_steps": 6}, {"max_epochs": 1}, {"max_epochs": 1, "max_steps": 6}])
def test_a_trainer_that_has_reached_its_end_finds_a_rate_and_stays_where_it_is(bounds: dict[str, int]) -> None:
    net, runner = Net(), trainer(**bounds)
    runner.fit(net)
    place = (runner.max_steps, runner.max_epochs, runner.global_step, runner.current_epoch)
    assert len(find_lr(net, StatefulLoader(), trainer=runner, num_steps=20).lrs) > 3
    assert (runner.max_steps, runner.max_epochs, runner.global_step, runner.current_epoch) == place


def test_it_looks_with_a_barebones_trainer() -> None:
    runner = lightning_pytorch.Trainer(barebones=True, max_epochs=1, accelerator="cpu")
    found = find_lr(Net(), StatefulLoader(), trainer=runner, num_steps=20)
    plain = find_lr(Net(), StatefulLoader(), trainer=trainer(), num_steps=20)
    assert (found.lrs, found.losses) == (plain.lrs, plain.losses)


def test_a_seed_gives_the_same_sweep_again_and_leaves_the_generators_alone() -> None:
    class Noisy(Net):
        def loss(self, batch: Any) -> Any:
            return super().loss(batch) * (1 + 0.1 * torch.rand(()) + 0.1 * random.random() + 0.1 * np.random.rand())

    net, state = Noisy(), torch.get_rng_state()
    first, second = (find_lr(net, StatefulLoader(), num_steps=20, seed=5).losses for _ in range(2))
    assert first == second
    assert first != find_lr(net, StatefulLoader(), num_steps=20, seed=6).losses
    assert same(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="`seed`"):
        find_lr(net, StatefulLoader(), seed=-1)


def test_the_epochs_of_the_training_to_come_lower_the_rate() -> None:
    short, long = (find_lr(Net(), StatefulLoader(batch_size=64), epochs=epochs, seed=1) for epochs in (1, 50))
    assert (short.planned_steps, long.planned_steps) == (6, 300)
    assert long.suggestion < short.suggestion  # type: ignore[operator]
    assert "a training of 300 steps" in long.reason
    with pytest.raises(ValueError, match="`epochs`=3 and `trainer`"):
        find_lr(Net(), StatefulLoader(), epochs=3, trainer=trainer())


def test_text_picture_and_json_give_the_same_reason() -> None:
    result = find_lr(Net(), StatefulLoader(batch_size=64), seed=1)
    assert str(result).startswith(f"learning rate {result.suggestion:.3g}: {result.reason}\n")
    assert result.to_dict()["reason"] == result.reason
    assert " ".join(result.plot().axes[0].get_title().split()) == result.reason
    assert str(result).count("lowest") == 1


@pytest.mark.parametrize("row", [8, 200, 330])
def test_a_batch_that_is_not_finite_is_named_as_what_ended_the_sweep(row: int) -> None:
    inputs = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    inputs[row] = math.nan
    result = find_lr(Net(), DataLoader(TensorDataset(inputs, torch.ones(400, 1)), 4), seed=0)
    assert "is not finite although it had not risen: look for NaN or infinity in the data" in result.reason
