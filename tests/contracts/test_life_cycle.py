"""Every public callback, by being public: resume, second fit, exceptions, other stages, host synchronisations."""

import copy
import signal
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning_pytorch
import pytest
import pytorch_lightning
import torch
from killed_fit import every_batch
from leftovers import shape_of
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from subprocesses import run_script
from tiny import Net, OtherNet, StatefulLoader, fit, same, trainer, weights
from torch.utils._python_dispatch import TorchDispatchMode
from tricks import TINY, public_callbacks

NAMES = public_callbacks()
MODES = {
    "automatic": ({}, {}),
    "accumulation": ({}, {"accumulate_grad_batches": 2}),
    "manual": ({"manual": True}, {}),
}
POINTS = {
    "end of epoch": {"every_n_epochs": 1, "save_on_train_epoch_end": True},
    "end of validation": {"every_n_epochs": 1, "save_on_train_epoch_end": False},
    "mid-epoch": {"every_n_train_steps": 1},
}


class PlacedCheckpoint(ModelCheckpoint):
    """One of several in a Trainer."""

    @property
    def state_key(self) -> str:
        return f"{super().state_key} in {self.dirpath}"


def saver(folder: Path, point: str) -> ModelCheckpoint:
    return PlacedCheckpoint(folder, filename="{epoch}-{step}", save_top_k=-1, **POINTS[point])


def saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ckpt"), key=lambda path: int(path.stem.rsplit("=", 1)[1]))


def loses_something(checkpoint: Path, point: str, accumulation: int) -> bool:
    """With gradients half gathered, or before a validation that is due: Lightning's checkpoint holds neither."""
    loops = torch.load(checkpoint, weights_only=True)["loops"]["fit_loop"]
    batches = loops["epoch_loop.batch_progress"]["current"]["ready"]
    return batches % accumulation != 0 or (point == "mid-epoch" and batches % 3 == 0)


def test_every_public_callback_stands_in_the_table_of_tiny_instances() -> None:
    assert sorted(TINY) == sorted(NAMES)
    for name, make in TINY.items():
        assert type(make()).__name__ == name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_resumed_at_any_point_equals_one_that_never_stopped(name: str, mode: str, tmp_path: Path) -> None:
    of_net, of_trainer = MODES[mode]
    arguments = {"val_check_interval": 3, **of_trainer}
    callback = TINY[name]()
    whole = fit(callback, *(saver(tmp_path / point, point) for point in POINTS), net=Net(**of_net), **arguments)
    for point in POINTS:
        checkpoints = saved(tmp_path / point)
        assert len(checkpoints) >= 3
        for checkpoint in checkpoints[1:-1]:
            if loses_something(checkpoint, point, arguments.get("accumulate_grad_batches", 1)):
                continue
            resumed_callback = TINY[name]()
            resumed = fit(resumed_callback, net=Net(**of_net), ckpt_path=checkpoint, **arguments)
            place = f"{point}, {checkpoint.name}"
            assert resumed.trace == whole.trace[len(whole.trace) - len(resumed.trace) :], place
            assert len(resumed.trace) < len(whole.trace)
            assert same(weights(resumed), weights(whole)), place
            assert same(resumed_callback.state_dict(), callback.state_dict()), place


def test_a_killed_process_resumes_as_if_it_had_not_been(tmp_path: Path) -> None:
    run = run_script("killed_fit", tmp_path, 9)
    assert run.returncode == -signal.SIGKILL, run.stderr
    last = saved(tmp_path)[-1]
    whole = fit(*[make() for make in TINY.values()], every_batch(str(tmp_path / "whole")))
    resumed = fit(*[make() for make in TINY.values()], every_batch(str(tmp_path / "rest")), ckpt_path=last)
    assert len(resumed.trace) == len(whole.trace) - 9
    assert resumed.trace == whole.trace[9:]
    assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("name", NAMES)
def test_its_entry_in_a_checkpoint_is_plain_and_goes_round(name: str, tmp_path: Path) -> None:
    callback = TINY[name]()
    fit(callback, saver(tmp_path, "end of epoch"))
    entries = torch.load(saved(tmp_path)[-1], weights_only=True)["callbacks"]
    entry = entries[callback.state_key]
    assert entry, "an empty state would not be loaded"
    other = TINY[name]()
    other.load_state_dict(copy.deepcopy(entry))
    assert same(other.state_dict(), entry)
    assert callback.state_key.startswith(name)


@pytest.mark.parametrize("name", NAMES)
def test_two_that_cannot_be_told_apart_are_refused_in_our_words(name: str) -> None:
    with pytest.raises(MisconfigurationException, match=f"Two `{name}`"):
        fit(TINY[name](), TINY[name]())


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_starts_anew(name: str) -> None:
    callback = TINY[name]()
    first, second = fit(callback), fit(callback)
    assert first.trace == second.trace
    assert same(weights(first), weights(second))


@pytest.mark.parametrize("name", NAMES)
def test_validate_test_predict_and_the_sanity_check_leave_it_untouched(name: str) -> None:
    callback, net = TINY[name](), Net()
    net.test_step, net.predict_step = net.validation_step, lambda batch, batch_idx: net.loss(batch)
    before = copy.deepcopy(callback.state_dict())
    runner = trainer(callback)
    runner.validate(net, verbose=False)
    runner.test(net, StatefulLoader(batches=2), verbose=False)
    runner.predict(net, StatefulLoader(batches=2))
    assert same(callback.state_dict(), before)
    checked = fit(TINY[name](), num_sanity_val_steps=2)
    assert checked.trace == fit(TINY[name](), num_sanity_val_steps=0).trace


@pytest.mark.parametrize("name", NAMES)
def test_it_works_in_both_packages_trainers(name: str) -> None:
    ours = fit(TINY[name](), package=lightning_pytorch)
    theirs = fit(TINY[name](), net=OtherNet(), package=pytorch_lightning)
    assert ours.trace == theirs.trace
    assert same(weights(ours), weights(theirs))


@pytest.mark.parametrize("name", NAMES)
def test_fast_dev_run_runs(name: str) -> None:
    assert len(fit(TINY[name](), fast_dev_run=2).trace) == 2


HOOKS = [
    "setup", "on_fit_start", "on_sanity_check_start", "on_sanity_check_end", "on_train_start", "on_train_epoch_start",
    "on_train_batch_start", "on_before_backward", "on_after_backward", "on_before_optimizer_step",
    "on_before_zero_grad", "on_train_batch_end", "on_validation_start", "on_validation_batch_end",
    "on_validation_epoch_end", "on_validation_end", "on_train_epoch_end", "on_train_end", "on_fit_end", "teardown",
]  # fmt: skip


class Bomb(Callback):
    """Raise in one hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.explode)

    def explode(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError("the bomb")


@cache
def shape_of_bare(hook: str) -> dict[str, Any]:
    """What an exception leaves behind where there is no callback of ours."""
    net, runner = Net(), trainer(Bomb(hook))
    with pytest.raises(ZeroDivisionError):
        runner.fit(net)
    return shape_of(runner, net)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_in_any_hook_leaves_nothing_behind(name: str, place: str) -> None:
    """Each fit is the next one of the same callback, so that what one left behind would show in the next."""
    callback, expected = TINY[name](), fit(TINY[name]())
    for hook in HOOKS:
        net, bomb = Net(), Bomb(hook)
        runner = trainer(*((bomb, callback) if place == "before" else (callback, bomb)))
        with pytest.raises(ZeroDivisionError):
            runner.fit(net)
        assert shape_of(runner, net) == shape_of_bare(hook), hook
        assert net.trace == expected.trace[: len(net.trace)], hook
    again = fit(callback)
    assert again.trace == expected.trace
    assert same(weights(again), weights(expected))


class CountSyncs(TorchDispatchMode):
    """Count the operations that make a host wait for its device."""

    SYNCS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in self.SYNCS
        return func(*args, **(kwargs or {}))


def syncs_in(epochs: int, *callbacks: Callback) -> int:
    class Silent(Net):
        def on_before_optimizer_step(self, optimizer: Any) -> None: ...

    with CountSyncs() as counter:
        fit(*callbacks, net=Silent(), max_epochs=epochs, limit_val_batches=0)
    return counter.count


@pytest.mark.parametrize("name", NAMES)
def test_it_adds_no_host_synchronisation_to_a_training_step(name: str) -> None:
    """One exception: whoever leaves out steps of an optimizer that is not fused reads one flag a step."""
    steps = 3 * 6 if getattr(TINY[name](), "skip_nonfinite", False) else 0
    bare = syncs_in(6) - syncs_in(3)
    assert syncs_in(6, TINY[name]()) - syncs_in(3, TINY[name]()) == bare + steps
