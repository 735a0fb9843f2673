"""LRSchedule: any function of time on every clock, what all schedules share, and what they refuse."""

import copy
import itertools
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from omegaconf import OmegaConf
from schedule_family import check_each_step, check_manual_optimization, each_clock, used
from tiny import BATCHES, Endless, Net, fit, logged, trainer

import lightning_tricks as lt
from lightning_tricks import CosineDecay, CosineWarmRestarts, LRSchedule, cosine_decay, join, linear_warmup


def test_several_manual_steps_in_one_batch_count_one_by_one() -> None:
    net = fit(CosineDecay("30st"), net=Net(manual=True, steps_per_batch=3), max_epochs=1)
    assert [10 * lr for lr in used(net)] == pytest.approx(cosine_decay(30).values(range(3 * BATCHES)), rel=1e-12)


def test_an_optimizer_that_evaluates_its_closure_many_times_counts_one_step() -> None:
    class ByClosure(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=4)

    class ByHand(ByClosure):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()

            def closure() -> Any:
                optimizer.zero_grad()
                loss = self.loss(batch)
                self.manual_backward(loss)
                return loss

            optimizer.step(closure)

    for net in (ByClosure(), ByHand(manual=True)):
        fit(CosineDecay("12st"), net=net, max_epochs=1)
        rates = [lr for lr, _ in itertools.groupby(used(net))]
        assert len(net.trace) > BATCHES
        assert rates == pytest.approx(cosine_decay(12).values(range(BATCHES)), rel=1e-12)


def test_corners_are_exact_whatever_floats_say() -> None:
    net = fit(CosineDecay("0.07dur", end_factor=0.5), max_steps=100, max_epochs=-1)
    assert used(net)[7:] == [0.5] * 93
    assert used(net)[6] > 0.5
    net = fit(CosineWarmRestarts("0.1dur"), max_epochs=3)  # 0.3 epochs of 6 steps are 1.8 steps
    assert used(net)[9] == 1.0  # 5 × 0.3 = 1.5 epochs


def test_warmup_multiplies_does_not_shift_and_may_have_another_clock() -> None:
    net = fit(CosineDecay(3, warmup="5st", warmup_start=0.2))
    rule, warmup = cosine_decay(3), linear_warmup(5, 0.2)
    assert used(net) == pytest.approx([rule(i / BATCHES) * warmup(i) for i in range(3 * BATCHES)], rel=1e-12)


def test_any_function_of_time_will_do() -> None:
    assert used(fit(LRSchedule(lambda t: 1 / (1 + t), unit="st"), max_epochs=1)) == pytest.approx(
        [1 / (1 + i) for i in range(6)]
    )
    schedule = join([linear_warmup(1), cosine_decay(2)], [1])
    assert used(fit(LRSchedule(schedule))) == pytest.approx(schedule.values([i / 6 for i in range(18)]))


def test_a_run_in_steps_bounds_a_share_and_the_bound_that_is_reached_first_counts() -> None:
    rule = cosine_decay(9)
    assert used(fit(CosineDecay(), max_steps=9)) == pytest.approx(rule.values(range(9)))
    assert used(fit(CosineDecay(), max_steps=9, max_epochs=100)) == pytest.approx(rule.values(range(9)))
    in_epochs = cosine_decay(2).values([i / 6 for i in range(12)])
    assert used(fit(CosineDecay(), max_steps=900, max_epochs=2)) == pytest.approx(in_epochs)


def loader_without_length() -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(Endless(), batch_size=4)


class Streaming(Net):
    def train_dataloader(self) -> Any:
        return loader_without_length()


def test_a_loader_without_length_works_in_steps_and_in_epochs_once_one_was_seen(tmp_path: Path) -> None:
    assert used(fit(CosineDecay("18st"), net=Streaming())) == pytest.approx(cosine_decay(18).values(range(18)))
    later = join([lambda t: 1.0, cosine_decay(2)], [1])  # stands still in the first epoch
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole = used(fit(LRSchedule(later), saver, net=Streaming()))
    assert whole == pytest.approx([1.0] * 6 + cosine_decay(2).values([i / 6 for i in range(12)]))
    rest = used(fit(LRSchedule(later), net=Streaming(), ckpt_path=tmp_path / "step=12.ckpt"))
    assert rest == pytest.approx(whole[12:])


def test_a_schedule_that_needs_the_length_sooner_offers_steps() -> None:
    for callback, factor in ((CosineDecay(3), "schedule"), (LRSchedule(lambda t: 1.0, warmup=1), "warmup")):
        with pytest.raises(MisconfigurationException, match=rf'The {factor} of .* has no length.*"500st"'):
            fit(callback, net=Streaming())


def test_an_epoch_that_the_module_cuts_short_counts_as_a_whole_one() -> None:
    class Short(Net):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 2 else None

    expected = [cosine_decay(3)(epoch + i / 6) for epoch in range(3) for i in range(2)]
    assert used(fit(CosineDecay(3), net=Short())) == pytest.approx(expected)


def test_factors_are_logged_on_request_for_the_step_that_uses_them(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    callback = CosineWarmRestarts(1, warmup="4st", log_factors=True, name="x")
    trainer(callback, logger=logger, log_every_n_steps=2, max_epochs=2).fit(Net())
    steps, warmup = zip(*logged(logger, "CosineWarmRestarts[name=x]/warmup"), strict=True)
    assert steps == (1, 3, 5, 7, 9, 11)
    assert warmup == pytest.approx([0.25, 0.75, 1, 1, 1, 1])
    schedule = [value for _, value in logged(logger, "CosineWarmRestarts[name=x]/schedule")]
    assert schedule == pytest.approx([cosine_decay(1)(i % 6 / 6) for i in steps], rel=1e-6)


def test_what_a_spawned_process_cannot_be_handed_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"`schedule` of `LRSchedule` cannot be sent to another process.*ddp_spawn"):
        fit(LRSchedule(lambda t: 1.0), strategy="ddp_spawn", devices=2)
    assert copy.deepcopy(LRSchedule(lambda t: 0.5)).schedule(3) == 0.5  # a copy within the process needs no pickle


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LRSchedule(0.5), TypeError, "`schedule` must be a function of time, got 0.5"),
        (
            lambda: LRSchedule(cosine_decay(1), unit="epoch"),
            ValueError,
            "`unit` must be one of 'ep', 'st', got 'epo",
        ),
        (lambda: LRSchedule(cosine_decay(1), warmup="3"), ValueError, "`warmup` must be a duration"),
        (
            lambda: LRSchedule(cosine_decay(1), warmup_start=2),
            ValueError,
            r"`warmup_start` must lie in \[0, 1\], ",
        ),
        (lambda: LRSchedule(cosine_decay(1), log_factors="yes"), TypeError, "`log_factors` must be True or False"),
        (lambda: LRSchedule(cosine_decay(1), replace_scheduler=1), TypeError, "`replace_scheduler` must be True or"),
        (lambda: LRSchedule(cosine_decay(1), name=""), ValueError, "`name` must not be empty"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_share_of_a_run_that_nothing_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`decay_steps` is a share of the run \(1dur\), but nothing bounds this run"):
        fit(CosineDecay(), max_epochs=-1, max_time={"seconds": 1})


def test_a_share_of_steps_that_several_optimizers_take_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing bounds this run"):
        fit(CosineDecay(), net=Net(manual=True), max_steps=20)


@each_clock
@pytest.mark.parametrize("form", ["any function"])
def test_every_step_uses_the_closed_form_of_any_function(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


def test_an_option_nests_any_schedule_also_inside_a_list() -> None:
    root = Path(lt.__file__).parent / "conf" / "tricks" / "lr_schedule.yaml"
    node = OmegaConf.load(root).lr_schedule
    node.schedule = {
        "_target_": "lightning_tricks.join",
        "schedules": [
            {"_target_": "lightning_tricks.linear_warmup", "length": 2},
            {"_target_": "lightning_tricks.piecewise_constant", "boundaries": [3], "factors": [1, 0.5]},
        ],
        "boundaries": [2],
    }
    callback = instantiate(node)
    assert callback.schedule == lt.join([lt.linear_warmup(2), lt.piecewise_constant([3], [1, 0.5])], [2])


@pytest.mark.parametrize("number", [0.5, 1, torch.tensor(0.5), Fraction(1, 2), np.float32(0.5), np.int64(1), True])
def test_a_schedule_may_return_any_real_number(number: Any) -> None:
    assert used(fit(LRSchedule(lambda t: number), max_epochs=1)) == pytest.approx([float(number)] * BATCHES)


@pytest.mark.parametrize("number", [None, "0.5", [0.5, 0.5], math.nan, math.inf, -1.0, torch.ones(2)])
def test_a_first_value_that_is_no_multiplier_is_refused_with_the_callback_and_the_value(number: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"`schedule` of `LRSchedule` must return .*got .* t = 0"):
        fit(LRSchedule(lambda t: number))


def test_a_later_value_that_is_no_multiplier_leaves_the_rate_with_one_warning_and_training_goes_on() -> None:
    with pytest.warns(UserWarning, match=r"got nan \(float\) at t = 0.5. The multiplier stays at 0.9") as caught:
        net = fit(LRSchedule(lambda t: 0.9 if t < 0.5 else math.nan), max_epochs=2)
    assert used(net) == pytest.approx([0.9] * 12)
    assert sum("`schedule`" in str(warning.message) for warning in caught) == 1


def test_factors_are_logged_at_the_steps_at_which_all_other_metrics_are(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    trainer(CosineDecay(log_factors=True), logger=logger, log_every_n_steps=4).fit(Net())  # an epoch has 6 batches
    steps = [step for step, _ in logged(logger, "CosineDecay/schedule")]
    assert steps == [step for step, _ in logged(logger, "train_loss")] == [3, 7, 11, 15]


def test_factors_may_be_asked_for_where_nothing_is_logged() -> None:
    assert len(fit(CosineDecay(log_factors=True), log_every_n_steps=0).trace) == 18
