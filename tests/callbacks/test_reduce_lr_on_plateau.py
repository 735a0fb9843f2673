"""The rule of no improvement in n as a factor of the learning-rate product."""

import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from recorders import Recorder, weights_now
from scripted import Scripted, endless, fit_scripted
from tiny import Net, fit, logged, same, trainer, weights

from lightning_tricks import CosineDecay, EarlyStopping, ReduceLROnPlateau
from lightning_tricks.functional.plateau import PlateauState, observe


def heads(net: Net) -> list[float]:
    return [rates[-1] for _, rates in net.trace]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"patience": -1}, ValueError, "`patience` must be at least 0, got -1"),
        ({"patience": 2.0}, TypeError, "`patience` must be a whole number, got 2.0"),
        ({"factor": 1.0}, ValueError, r"`factor` must lie in \(0, 1\), got 1.0"),
        ({"factor": 0}, ValueError, r"`factor` must lie in \(0, 1\), got 0"),
        ({"min_factor": 1}, ValueError, r"`min_factor` must lie in \(0, 1\), got 1"),
        ({"min_factor": 0.0}, ValueError, r"`min_factor` must lie in \(0, 1\), got 0.0"),
        ({"min_delta": -0.1}, ValueError, "`min_delta` must be finite and >= 0, got -0.1"),
        ({"cooldown": -1}, ValueError, "`cooldown` must be at least 0, got -1"),
        ({"mode": "maximum"}, ValueError, "`mode` must be one of 'min', 'max', got 'maximum'"),
        ({"stop_at_min": "no"}, TypeError, "`stop_at_min` must be True or False, got 'no'"),
        ({"monitor": ""}, ValueError, "`monitor` must not be empty"),
        ({"monitor": None}, TypeError, "`monitor` must be a string, got None"),
        ({"name": ""}, ValueError, "`name` must not be empty"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_value(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ReduceLROnPlateau(**arguments)


@pytest.mark.parametrize("seed", range(12))
def test_scripted_scores_through_a_trainer_equal_the_rule(seed: int) -> None:
    draw = random.Random(seed)
    scores = [draw.choice([0.25, 0.5, 1.0, math.nan, draw.random()]) for _ in range(40)]
    rule: dict[str, Any] = {
        "mode": draw.choice(["min", "max"]),
        "patience": draw.randint(1, 3),
        "factor": draw.choice([0.5, 0.1]),
        "cooldown": draw.randint(0, 2),
        "min_delta": draw.choice([0.0, 0.125]),
    }
    state, factors = PlateauState(), []
    for score in scores:
        factors.append(state.lr_factor)
        state = observe(state, torch.tensor(score).item(), **rule)
    callback, net = ReduceLROnPlateau("score", stop_at_min=False, **rule), Scripted(scores)
    fit_scripted(net, callback, max_epochs=len(scores))
    assert callback.state == state
    assert heads(net) == pytest.approx([0.1 * factor for factor in factors], rel=1e-12)


def test_a_cut_is_in_force_from_the_very_next_step() -> None:
    net = Scripted([1.0])
    fit_scripted(net, ReduceLROnPlateau("score", patience=2), max_epochs=1, limit_train_batches=6, val_check_interval=1)
    assert heads(net) == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]


def test_on_the_floor_without_a_stop_the_rate_stays_and_nothing_counts_as_a_cut() -> None:
    rule, net = ReduceLROnPlateau("score", patience=1, stop_at_min=False, min_factor=0.25), Scripted([1.0])
    fit_scripted(net, rule, max_epochs=12)
    assert (rule.num_reductions, rule.lr_factor) == (2, 0.25)
    assert heads(net) == [0.1, 0.1, 0.05, *[0.025] * 9]


def test_the_factor_multiplies_a_schedule_and_keeps_the_ratio_of_groups_in_any_order() -> None:
    alone = fit(CosineDecay(), val_check_interval=2)
    for swapped in (False, True):
        rules = [ReduceLROnPlateau(patience=1, min_delta=9.0), CosineDecay(warmup="1st", warmup_start=1.0)]
        net = fit(*(rules[::-1] if swapped else rules), val_check_interval=2)
        assert rules[0].history[0].step == 2
        factors = [0.5 ** max(step // 2 - 1, 0) for step in range(18)]
        expected = [[rate * f for rate in rates] for (_, rates), f in zip(alone.trace, factors, strict=True)]
        assert [rates for _, rates in net.trace] == [pytest.approx(rates, rel=1e-12) for rates in expected]


def test_a_tensor_rate_is_cut_in_place() -> None:
    class TensorRate(Scripted):
        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=torch.tensor(0.1), foreach=False)

    net = TensorRate([1.0])
    fit_scripted(net, ReduceLROnPlateau("score", patience=1), max_epochs=4)
    assert heads(net) == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_a_module_with_a_scheduler_is_refused_or_loses_it() -> None:
    class Stepping(Net):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    with pytest.raises(MisconfigurationException, match=r"StepLR.*ReduceLROnPlateau"):
        fit(ReduceLROnPlateau(), net=Stepping())
    assert heads(fit(ReduceLROnPlateau(replace_scheduler=True), net=Stepping())) == [0.1] * 18


@pytest.mark.parametrize(
    ("kind", "patience", "own"), [(EarlyStopping, 9, 10), (LightningsEarlyStopping, 10, 10), (EarlyStopping, 3, 3)]
)
def test_an_early_stopping_whose_patience_is_not_longer_is_warned_about(
    kind: Any, patience: int, own: int, recwarn: Any
) -> None:
    with pytest.warns(UserWarning, match=rf"EarlyStopping.*patience={patience}.*ReduceLROnPlateau.*patience={own}"):
        fit(kind("val_loss", patience=patience), ReduceLROnPlateau(patience=own))
    recwarn.clear()
    fit(kind("val_loss", patience=own + 1), ReduceLROnPlateau(patience=own))
    assert not [w for w in recwarn if "EarlyStopping" in str(w.message)]


@pytest.mark.parametrize("swapped", [False, True])
def test_at_their_defaults_an_early_stopping_waits_for_all_cuts_and_neither_warns(swapped: bool, recwarn: Any) -> None:
    rules = [ReduceLROnPlateau("score"), EarlyStopping("score")]
    fit_scripted(Scripted([1.0]), *(rules[::-1] if swapped else rules))
    assert rules[0].num_reductions == 10
    assert [check.step for check in rules[0].history][-1] == 101
    assert rules[1].stopping_reason_message is None
    assert not [w for w in recwarn if "EarlyStopping" in str(w.message)]


@pytest.mark.parametrize("swapped", [False, True])
def test_on_the_floor_an_early_stopping_of_the_same_patience_counts_on(swapped: bool) -> None:
    rules = [
        ReduceLROnPlateau("score", patience=2, min_factor=0.25, stop_at_min=False),
        EarlyStopping("score", patience=2),
    ]
    fit_scripted(Scripted([1.0]), *(rules[::-1] if swapped else rules))
    assert [check.lr_factor for check in rules[0].history] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert rules[1].stopping_reason_message == "no better score in 2 checks"


def test_an_early_stopping_of_another_metric_or_a_longer_patience_counts_through_the_cuts() -> None:
    plateau, stopping = ReduceLROnPlateau("score", patience=2), EarlyStopping("score", patience=5)
    fit_scripted(Scripted([1.0]), plateau, stopping)
    assert (plateau.num_reductions, len(plateau.history)) == (2, 6)
    plateau, stopping = ReduceLROnPlateau("score", patience=2), EarlyStopping("val_loss", patience=2, min_delta=9.0)
    fit_scripted(Scripted([1.0]), plateau, stopping)
    assert len(plateau.history) == 3


def test_the_monitor_shows_each_step_s_rate_and_the_factor_can_be_logged(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    rule = ReduceLROnPlateau("score", patience=2, log_factors=True)
    callbacks = [LearningRateMonitor("step"), rule]
    net = Scripted([1.0])
    fit_scripted(net, *callbacks, logger=logger, log_every_n_steps=1, max_epochs=8)
    logger.save()
    assert [rate for _, rate in logged(logger, "lr-SGD/pg2")] == heads(net)
    factors = [factor for _, factor in logged(logger, f"{rule.state_key}/lr_factor")]
    assert factors == [rate / 0.1 for rate in heads(net)]


def test_restore_best_goes_on_from_the_best_weights_after_each_cut_and_ends_with_them(tmp_path: Path) -> None:
    recorder = Recorder(on_train_batch_start=weights_now, on_validation_end=weights_now)
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    rule = ReduceLROnPlateau("score", patience=2, min_factor=0.25, restore_best=True)
    net = Scripted(endless(3.0, 1.0))
    fit_scripted(net, rule, recorder, keep)
    before_batches, evaluated = recorder.seen["on_train_batch_start"], recorder.seen["on_validation_end"]
    best = evaluated[1]
    assert len(evaluated) == 6
    for batch in range(1, 6):  # the cuts came with the checks 3 and 5
        assert same(before_batches[batch], best if batch in (2, 4) else evaluated[batch - 1]), batch
    assert same(weights(net), best)
    for step in range(1, 7):  # a file holds the weights that its score belongs to
        saved = torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)["state_dict"]
        assert same(dict(saved), evaluated[step - 1])


def test_a_run_resumed_at_a_cut_puts_the_best_weights_back_as_the_whole_run_did(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    scores = endless(3.0, 1.0)
    make = {"patience": 2, "min_factor": 0.125, "restore_best": True}
    rule, net = ReduceLROnPlateau("score", **make), Scripted(scores)
    fit_scripted(net, rule, keep, limit_train_batches=1.0)
    for check in range(1, 8):
        again, rest = ReduceLROnPlateau("score", **make), Scripted(scores[check:] or [9.0])
        checkpoint = str(tmp_path / f"step={check * 6}.ckpt")
        trainer(again, max_epochs=400, limit_val_batches=1).fit(rest, ckpt_path=checkpoint)
        assert rest.trace == net.trace[check * 6 :]
        assert same(weights(rest), weights(net)), check
        assert same(again.state_dict(), rule.state_dict())


def test_the_history_holds_step_score_and_factor_of_each_check() -> None:
    rule = ReduceLROnPlateau("score", patience=1, stop_at_min=False)
    fit_scripted(Scripted([3.0, 2.0, 2.0, 4.0]), rule, max_epochs=4)
    assert [tuple(check) for check in rule.history] == [(1, 3.0, 1.0), (2, 2.0, 1.0), (3, 2.0, 0.5), (4, 4.0, 0.25)]


def test_a_new_base_takes_the_factor_back_to_one_and_keeps_the_best() -> None:
    class Find(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 4:
                rule.reset_factor()

    rule, net = ReduceLROnPlateau("score", patience=1), Scripted([1.0])
    fit_scripted(net, rule, Find(), max_epochs=6)
    assert heads(net) == [0.1, 0.1, 0.05, 0.025, 0.1, 0.05]
    assert (rule.best_score, rule.num_reductions) == (1.0, 2)


def test_cuts_are_said_where_that_was_asked_for(caplog: Any) -> None:
    with caplog.at_level("INFO"):
        fit_scripted(Scripted([1.0]), ReduceLROnPlateau("score", patience=3, verbose=True), max_epochs=4)
    assert "score has not improved in 3 checks (best 1): learning rate x 0.5, reduction number 1." in caplog.text


def test_manual_optimization_with_two_optimizers_is_cut_too() -> None:
    class Manual(Scripted):
        def __init__(self) -> None:
            super().__init__([1.0])
            self.automatic_optimization = False

        training_step = Net.training_step

    net, rule = Manual(), ReduceLROnPlateau("score", patience=1)
    fit_scripted(net, rule, max_epochs=3, limit_train_batches=2)
    first = [rates[0] for index, rates in net.trace if index == 0]
    assert first == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.005, 0.005])
    assert [rates[0] for index, rates in net.trace if index == 1] == pytest.approx([0.1, 0.1, 0.05])


def test_bests_within_the_noise_of_the_metric_are_stated_with_a_min_delta_that_ignores_them() -> None:
    noise = torch.randn(40, generator=torch.Generator().manual_seed(0)).tolist()
    drifting = [1 - 0.005 * i + 0.02 * value for i, value in enumerate(noise)]
    callback = ReduceLROnPlateau("score", patience=99)
    fit_scripted(Scripted(drifting), callback, max_epochs=40)
    sentence = callback.summary_sentences()[-1]
    assert re.match(r"\d+ of \d+ new bests gained less than the noise of score, about 0\.0\d+, and each", sentence)
    assert "`min_delta=0.02` ignores them" in sentence
    for scores, min_delta in ((drifting, 0.05), ([0.9**i for i in range(40)], 0.0)):
        callback = ReduceLROnPlateau("score", patience=99, min_delta=min_delta)
        fit_scripted(Scripted(scores), callback, max_epochs=40)
        assert callback.summary_sentences()[-1] == "0 reductions."
