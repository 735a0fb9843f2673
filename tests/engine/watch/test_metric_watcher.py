"""What both watchers of a metric share: when they check, what they make of the ranks, and when they may stop."""

import copy
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torchmetrics
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from lightning.pytorch.callbacks import ModelCheckpoint
from scripted import Scripted, endless, fit_scripted
from tiny import Net, fit, same, trainer, weights

from lightning_tricks import EarlyStopping, OneCycle, ReduceLROnPlateau
from lightning_tricks.functional.lr_path import short

FREQUENCIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "each epoch": ({}, {}),
    "each batch": ({}, {"val_check_interval": 1, "limit_train_batches": 6}),
    "every 4 steps across epochs": (
        {},
        {"val_check_interval": 4, "check_val_every_n_epoch": None, "limit_train_batches": 6},
    ),
    "half an epoch": ({}, {"val_check_interval": 0.5, "limit_train_batches": 2}),
    "every other epoch": ({}, {"check_val_every_n_epoch": 2}),
    "after a sanity check": ({}, {"num_sanity_val_steps": 1}),
    "accumulating": ({}, {"accumulate_grad_batches": 4, "limit_train_batches": 6, "val_check_interval": 1}),
    "synchronised": ({"sync_dist": True}, {}),
    "at the epoch's end of validation": ({"where": "on_validation_epoch_end"}, {}),
    "torchmetrics": ({"where": "torchmetrics"}, {}),
    "training step": ({"where": "training_step"}, {"limit_val_batches": 0}),
    "training step next to validation": ({"where": "training_step"}, {"val_check_interval": 1}),
    "training epoch's end": ({"where": "on_train_epoch_end"}, {"limit_val_batches": 0}),
    "training epoch's end next to validation": ({"where": "on_train_epoch_end"}, {"limit_train_batches": 2}),
}
BOTH = [ReduceLROnPlateau, EarlyStopping]


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_the_defaults_halve_ten_times_and_stop_at_every_frequency(frequency: str) -> None:
    of_net, of_trainer = FREQUENCIES[frequency]
    rule, net = ReduceLROnPlateau("score"), Scripted([1.0], **of_net)
    runner = fit_scripted(net, rule, **of_trainer)
    assert (rule.num_reductions, rule.lr_factor, rule.best_score) == (10, 1 / 1024, 1.0)
    assert len(rule.history) == net.checks == 101
    assert runner.should_stop
    heads = [rates[1] for _, rates in net.trace]
    assert set(heads) <= {0.1 / 2**k for k in range(10)}
    assert heads == sorted(heads, reverse=True)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_early_stopping_counts_one_check_at_every_frequency(frequency: str) -> None:
    of_net, of_trainer = FREQUENCIES[frequency]
    rule, net = EarlyStopping("score", patience=4), Scripted([3.0, 2.0, 2.5, 1.0, 5.0], **of_net)
    fit_scripted(net, rule, **of_trainer)
    assert (rule.best_score, rule.wait_count, net.checks) == (1.0, 4, 8)
    assert rule.stopping_reason_message == "no better score in 4 checks"


@pytest.mark.parametrize("rule", BOTH)
def test_a_monitor_that_is_not_logged_is_an_error_that_names_those_that_are(rule: Any) -> None:
    for arguments in ({}, {"limit_val_batches": 0}, {"val_check_interval": 2, "limit_train_batches": 6}):
        with pytest.raises(RuntimeError, match=r"`val_los`, which is not available. Logged so far: .*`train_loss`"):
            fit(rule("val_los"), **arguments)


@pytest.mark.parametrize("rule", BOTH)
def test_without_strict_a_monitor_that_is_not_logged_is_one_warning(rule: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(rule("val_los", strict=False))
    assert len([w for w in caught if "`val_los`, which is not available" in str(w.message)]) == 1


@pytest.mark.parametrize("rule", BOTH)
def test_a_validation_that_is_still_to_come_is_waited_for(rule: Any) -> None:
    watcher = rule("val_loss")
    fit(watcher, check_val_every_n_epoch=3, num_sanity_val_steps=0)
    assert watcher.best_score < math.inf


@pytest.mark.parametrize("rule", BOTH)
def test_a_monitor_that_is_not_a_scalar_is_an_error_with_its_shape(rule: Any) -> None:
    class Vector(Callback):
        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.callback_metrics["vector"] = torch.ones(3)

    with pytest.raises(RuntimeError, match=r"`vector`, which must be a single number, got a tensor of shape \(3,\)"):
        fit(Vector(), rule("vector"), num_sanity_val_steps=0)


@pytest.mark.parametrize("other", [EarlyStopping, LightningsEarlyStopping])
def test_contradicting_modes_are_refused(other: Any) -> None:
    with pytest.raises(MisconfigurationException, match=r"treats a lower `val_loss` as better.*`EarlyStopping` a high"):
        fit(ReduceLROnPlateau("val_loss"), other("val_loss", mode="max"))
    fit(ReduceLROnPlateau("val_loss"), EarlyStopping("train_loss", mode="max", patience=20, restore_best=False))


def test_two_that_put_back_different_weights_are_warned_about_once() -> None:
    rules = [EarlyStopping("val_loss"), EarlyStopping("train_loss")]
    with pytest.warns(UserWarning, match="both restore their best weights") as caught:
        fit(*rules)
    assert len([w for w in caught if "both restore" in str(w.message)]) == 1


@pytest.mark.parametrize("mode", ["min", "max"])
def test_two_of_a_class_with_different_identities_work(mode: Any) -> None:
    first, second = ReduceLROnPlateau(name="a", mode=mode), ReduceLROnPlateau(name="b", mode=mode)
    fit(first, second)
    assert math.isfinite(first.best_score)
    assert first.best_score == second.best_score
    assert first.state_key == f"ReduceLROnPlateau[monitor=val_loss, mode={mode}, name=a]"


@pytest.mark.parametrize("rule", BOTH)
def test_min_epochs_hold_a_stop_back_until_the_first_check_after_them(rule: Any) -> None:
    arguments = {"min_factor": 0.5} if rule is ReduceLROnPlateau else {}
    watcher, net = rule("score", patience=2, **arguments), Scripted([1.0])
    runner = fit_scripted(net, watcher, min_epochs=7)
    assert (net.checks, runner.current_epoch, watcher.stopped_epoch) == (7, 7, 6)
    watcher, net = rule("score", patience=2, **arguments), Scripted([1.0])
    runner = fit_scripted(net, watcher, min_steps=9, limit_train_batches=2)
    assert (runner.global_step, net.checks) == (10, 5)


def test_a_run_that_improves_again_before_min_epochs_goes_on() -> None:
    rule = EarlyStopping("score", patience=2)
    net = Scripted([5.0, 6.0, 6.0, 6.0, 4.0, 3.0, 2.0, 1.0, 8.0])
    fit_scripted(net, rule, min_epochs=5)
    assert (rule.best_score, net.checks) == (1.0, 10)


def test_a_stop_in_the_middle_of_the_last_of_min_epochs_does_not_latch() -> None:
    rule = EarlyStopping("score", patience=2)
    net = Scripted([5.0, 6.0, 6.0, 4.0, 3.0, 8.0])
    fit_scripted(net, rule, min_epochs=1, limit_train_batches=4, val_check_interval=1)
    assert (rule.best_score, net.checks) == (3.0, 7)


@pytest.mark.parametrize("rule", BOTH)
def test_fast_dev_run_decides_nothing(rule: Any) -> None:
    watcher = rule("score", patience=1)
    fit_scripted(Scripted([math.nan]), watcher, fast_dev_run=5)
    assert (watcher.wait_count, watcher.best_score, watcher.stopping_reason_message) == (0, math.inf, None)


def test_a_checkpoint_saved_when_the_run_had_stopped_stops_the_resumed_run_at_once(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, save_on_train_epoch_end=False, filename="{step}")
    rule = EarlyStopping("score", patience=2)
    net = Scripted(endless(3.0, 2.0, 1.0))
    fit_scripted(net, rule, keep)
    last = sorted(tmp_path.glob("*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))[-1]

    def resume(patience: int) -> tuple[EarlyStopping, Scripted]:
        again, rest = EarlyStopping("score", patience=patience), Scripted([9.0])
        trainer(again, max_epochs=400, limit_train_batches=1, limit_val_batches=1).fit(rest, ckpt_path=str(last))
        return again, rest

    again, rest = resume(patience=2)
    assert rest.trace == []
    assert same(weights(rest), weights(net))
    assert again.stopping_reason_message == rule.stopping_reason_message
    assert again.stopped_epoch == rule.stopped_epoch
    _, more = resume(patience=4)
    assert len(more.trace) == 2  # a patience changed by the user wins over the checkpoint's


@pytest.mark.parametrize("rule", BOTH)
def test_the_module_is_left_without_wrappers_and_can_be_copied_while_it_trains(rule: Any) -> None:
    class Copy(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            assert "on_train_end" in vars(pl_module)
            for twin in (copy.deepcopy(pl_module), pickle.loads(pickle.dumps(pl_module))):
                assert twin.on_train_end.__self__ is twin

    net = Net()
    fit(rule("val_loss"), Copy(), net=net)
    assert not {"on_train_end", "on_train_epoch_end"} & set(vars(net))


def test_the_last_line_says_what_stopped_the_run_the_best_score_and_the_path_of_the_rate(caplog: Any) -> None:
    rules = ReduceLROnPlateau("score", patience=2), EarlyStopping("score", patience=50)
    with caplog.at_level("INFO"):
        fit_scripted(Scripted(endless(2.0, 1.0)), *rules)
    lines = [record.message for record in caplog.records if record.message.startswith("Training ")]
    expected = (
        "Training stopped by ReduceLROnPlateau: no better score in 2 checks after 10 reductions of the learning rate "
        "(epoch 21, step 22). Best score 1 (epoch 1, step 2), restored. LR 1e-1 -> 2e-4. 10 reductions."
    )
    assert lines == [expected]


def test_the_last_line_has_the_first_the_highest_and_the_last_rate_of_all_factors_also_after_a_resume(
    caplog: Any, tmp_path: Path
) -> None:
    def tricks() -> list[Any]:
        return [OneCycle(div_factor=10, final_div_factor=10), EarlyStopping(patience=50)]

    keeper = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    with caplog.at_level("INFO"):
        whole = fit(*tricks(), keeper)
        fit(*tricks(), ckpt_path=tmp_path / "step=12.ckpt")
        fit(EarlyStopping(patience=50))
    used = [max(rates) for _, rates in whole.trace]
    assert (short(used[0]), short(max(used)), short(used[-1])) == ("1e-2", "9.9e-2", "2.5e-3")
    lines = [record.message for record in caplog.records if record.message.startswith("Training ")]
    assert len(lines) == 3
    assert [line.endswith("restored. LR 1e-2 -> 2.5e-3, highest 9.9e-2.") for line in lines] == [True, True, False]
    assert all("ended at max_epochs=3 (epoch 2, step 18)" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [({"max_epochs": 3}, "ended at max_epochs=3"), ({"max_steps": 2, "max_epochs": -1}, "ended at max_steps=2")],
)
def test_the_last_line_says_how_a_run_ended_that_nobody_stopped(caplog: Any, arguments: Any, cause: str) -> None:
    with caplog.at_level("INFO"):
        fit_scripted(Scripted([2.0]), EarlyStopping("score"), **arguments)
    assert [record.message for record in caplog.records if f"Training {cause} (" in record.message]


def test_a_stop_by_somebody_else_is_said_to_be_one(caplog: Any) -> None:
    class Stop(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = True

    with caplog.at_level("INFO"):
        fit_scripted(Scripted([2.0]), EarlyStopping("score"), Stop())
    assert "Training stopped by another callback or the module (epoch 0, step 1)" in caplog.text


def test_a_run_that_ends_before_its_first_check_is_warned_about() -> None:
    with pytest.warns(UserWarning, match="`EarlyStopping` never checked `val_loss`"):
        fit(EarlyStopping(), check_val_every_n_epoch=5)


def test_a_metric_that_keeps_its_memory_from_run_to_run_is_seen_to_be_new() -> None:
    class InPlace(torchmetrics.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.total = torch.zeros(())

        def update(self, value: float) -> None:
            self.total.fill_(value)

        def compute(self) -> torch.Tensor:
            return self.total

        def reset(self) -> None:
            super().reset()
            self.total.zero_()

    net, rule = Scripted([3.0, 2.0, 4.0], where="torchmetrics"), EarlyStopping("score", patience=3)
    net.metric = InPlace()
    fit_scripted(net, rule)
    assert (net.checks, rule.best_score) == (5, 2.0)


def test_a_metric_logged_only_in_some_epochs_counts_only_there() -> None:
    class NowAndThen(Scripted):
        def on_train_epoch_end(self) -> None:
            if self.trainer.current_epoch % 3 == 0:
                super().on_train_epoch_end()

    net, rule = NowAndThen([1.0], where="on_train_epoch_end"), EarlyStopping("score", patience=2)
    fit_scripted(net, rule)
    assert (net.checks, rule.stopped_epoch) == (3, 6)


def test_runs_resumed_at_any_step_take_the_same_decisions_and_end_with_the_same_weights(tmp_path: Path) -> None:
    def rules() -> list[Any]:
        return [
            ReduceLROnPlateau(patience=2, restore_best=True, cooldown=1),
            EarlyStopping(patience=7, start_after="3st"),
        ]

    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    arguments = {"val_check_interval": 2, "max_epochs": 30}
    decided, whole = rules(), Net(lr=0.8)
    fit(*decided, keep, net=whole, **arguments)
    assert decided[0].num_reductions > 1
    assert decided[1].stopping_reason_message
    for step in range(1, len(whole.trace), 2):  # at the even ones Lightning loses a validation that is due
        again, rest = rules(), Net(lr=0.8)
        fit(*again, net=rest, ckpt_path=tmp_path / f"step={step}.ckpt", **arguments)
        assert rest.trace == whole.trace[step:], step
        assert same(weights(rest), weights(whole)), step
        assert [rule.state_dict()["record"] for rule in again] == [rule.state_dict()["record"] for rule in decided]
