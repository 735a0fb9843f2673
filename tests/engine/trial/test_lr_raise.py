"""LR raise: higher rates are tried during the run, undone, and kept only where they train better."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from ranks import SaveRank, load_ranks
from tiny import BATCHES, LargeBatchNet, StatefulLoader, fit, same, trainer, weights

from lightning_tricks import CosineDecay, LRFinder, OneCycle, ReduceLROnPlateau
from lightning_tricks.engine.trial import raise_times
from lightning_tricks.engine.trial.lr_raise import LRRaise, Outlook

TOO_SMALL, TOO_LARGE = 1e-4, 0.5


def raising(*times: Any, **arguments: Any) -> LRFinder:
    """A finder that only raises the rate that the optimizer was built with."""
    return LRFinder(at_epochs=(), raise_at=times or ("0.5dur",), **arguments)


def tops(net: Any) -> list[float]:
    """The rate of the head at each of its steps."""
    return [lrs[-1] for index, lrs in net.trace if index == len(net.trainer.optimizers) - 1]


def read_raises(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """What a rank found, and the rates of its steps."""
    found = next(cb.raises for cb in trainer.callbacks if isinstance(cb, LRFinder))
    return {"found": [list(each) for each in found], "trace": pl_module.trace}


def test_a_rate_that_is_far_too_small_is_raised_at_each_time_and_the_groups_keep_their_ratio() -> None:
    finder = raising("0.3dur", "0.6dur")
    net = fit(finder, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=5)
    assert [(each.step, each.before, each.after) for each in finder.raises] == [
        (2 * BATCHES, TOO_SMALL, pytest.approx(4 * TOO_SMALL)),
        (3 * BATCHES, pytest.approx(4 * TOO_SMALL), pytest.approx(16 * TOO_SMALL)),
    ]
    assert tops(net) == pytest.approx(
        [TOO_SMALL] * 2 * BATCHES + [4 * TOO_SMALL] * BATCHES + [16 * TOO_SMALL] * 2 * BATCHES
    )
    assert all(lrs[0] == pytest.approx(lrs[1] / 10) for _, lrs in net.trace)


@pytest.mark.parametrize("manual", [False, True])
def test_where_no_higher_rate_is_better_training_is_bit_identical_and_later_times_try_nothing(manual: bool) -> None:
    arguments = {"max_epochs": 4} if manual else {"max_epochs": 4, "accumulate_grad_batches": 2}
    finder = raising(1, 2, 3)
    tried = fit(finder, net=LargeBatchNet(manual=manual, lr=TOO_LARGE), **arguments)
    plain = fit(net=LargeBatchNet(manual=manual, lr=TOO_LARGE), **arguments)
    assert same(weights(tried), weights(plain))
    assert tried.trace == plain.trace
    (only,) = finder.raises
    assert (only.before, only.after) == (TOO_LARGE, TOO_LARGE)
    assert [rate for rate, _ in only.trials] == [TOO_LARGE, 2 * TOO_LARGE]
    assert "stays at 0.5: " in str(only)


class Stuck(LargeBatchNet):
    """A net whose loss falls during the first epoch and stays the same after it, but for a little noise of the rate."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        if loss is None:
            return None
        taken = self.trainer.global_step
        noise = 1e-4 * (-1) ** batch_idx * float(self.trainer.optimizers[0].param_groups[-1]["lr"])
        return 0 * loss + noise + (2.0 - taken / BATCHES if taken < BATCHES else 1.0)


def test_on_a_plateau_a_rate_that_is_not_worse_is_kept_at_each_time() -> None:
    finder = raising(2, 3, 4)
    net = fit(finder, net=Stuck(lr=0.01), max_epochs=5)
    assert [(each.step // BATCHES, each.after, each.on_plateau) for each in finder.raises] == [
        (2, pytest.approx(0.04), True),
        (3, pytest.approx(0.16), True),
        (4, pytest.approx(0.64), True),
    ]
    assert tops(net)[-1] == pytest.approx(0.64)
    assert "is raised from 0.01 to 0.04: the training loss is on a plateau, and that of short trials is 1 at 0.01" in (
        str(finder.raises[0])
    )


def test_a_loss_that_still_falls_is_no_plateau() -> None:
    class Falls(LargeBatchNet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return 0 * super().training_step(batch, batch_idx) + 0.9**self.trainer.global_step

    finder = raising(2)
    fit(finder, net=Falls(lr=0.01), max_epochs=3)
    (only,) = finder.raises
    assert (only.after, only.on_plateau) == (0.01, False)


def test_on_a_plateau_a_rate_that_is_worse_is_not_kept() -> None:
    class Worse(Stuck):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            lr = self.trainer.optimizers[0].param_groups[-1]["lr"]
            return super().training_step(batch, batch_idx) * (1.3 if lr > 0.03 else 1.0)

    finder = raising(2, 3)
    fit(finder, net=Worse(lr=0.01), max_epochs=4)
    (only,) = finder.raises
    assert only.after == pytest.approx(0.02)
    assert [rate for rate, _ in only.trials] == pytest.approx([0.01, 0.02, 0.04])


def test_a_loss_on_which_the_rate_has_no_effect_raises_no_rate() -> None:
    class Constant(LargeBatchNet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return 0 * super().training_step(batch, batch_idx) + 2.0

    finder = raising(2)
    fit(finder, net=Constant(lr=0.01), max_epochs=3)
    (only,) = finder.raises
    assert (only.after, only.on_plateau) == (0.01, True)


def test_a_loss_that_is_once_not_finite_hides_no_plateau() -> None:
    class Once(Stuck):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            taken = self.trainer.global_step
            return loss * math.nan if taken == 2 * BATCHES - 2 and self.trainer.current_epoch == 1 else loss

    finder = raising(2)
    fit(finder, net=Once(lr=0.01), max_epochs=3)
    assert finder.raises[0].on_plateau


class Pays(LargeBatchNet):
    """A net whose losses fall as a power of the steps; to that of training, each rate adds noise in its proportion."""

    power = 0.5

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        lr = float(self.trainer.optimizers[0].param_groups[-1]["lr"])
        noise = 1 + 1e-4 * (-1) ** batch_idx
        return 0 * loss + (1 + self.trainer.global_step) ** -0.5 + 0.03 * noise * lr / 0.01 * (BATCHES * 3 + 1) ** -0.5

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.trainer.global_step**-self.power if self.trainer.global_step else 1.0)

    def val_dataloader(self) -> Any:
        return self.train_dataloader()


def pays(finder: LRFinder, *callbacks: Any, net: Any = None, **arguments: Any) -> list[LRRaise]:
    """Fit such a net for ten epochs and return the comparisons."""
    fit(finder, *callbacks, net=Pays(lr=0.01) if net is None else net, **{"max_epochs": 10, **arguments})
    return finder.raises


def test_a_higher_rate_is_kept_where_its_speed_gains_more_than_its_noise_costs() -> None:
    (first,) = pays(raising(4))
    assert first.exponent == pytest.approx(0.5, rel=0.1)
    assert first.after == pytest.approx(0.04)
    assert first.trials[0][1] < first.trials[1][1] < first.trials[2][1]
    assert not first.on_plateau
    assert "and the validation loss falls as t^-0.5" in str(first)


@pytest.mark.parametrize("power", [0.0, 0.01, -0.5])
def test_a_validation_loss_that_falls_too_slowly_or_rises_pays_for_no_noise(power: float) -> None:
    net = Pays(lr=0.01)
    net.power = power
    (only,) = pays(raising(4), net=net)
    assert only.after == 0.01
    assert only.exponent == pytest.approx(max(power, 0.0), abs=0.002)


def test_little_time_left_pays_for_less() -> None:
    (early,), (late,) = pays(raising(4)), pays(raising(9))
    assert early.exponent == pytest.approx(late.exponent, rel=0.1)
    assert (early.after, late.after) == (pytest.approx(0.04), 0.01)


@pytest.mark.parametrize(
    ("finder", "arguments"),
    [
        (raising(4, monitor="another_loss"), {}),
        (raising(4), {"limit_val_batches": 0}),
        (raising(4), {"check_val_every_n_epoch": 2}),
        (raising(4), {"max_epochs": -1, "max_time": {"minutes": 5}}),
    ],
    ids=["another name", "no validation", "two validations", "no end"],
)
def test_without_a_history_of_the_validation_loss_or_an_end_nothing_is_expected(
    finder: LRFinder, arguments: dict[str, Any]
) -> None:
    class Stops(Pays):
        def on_train_epoch_end(self) -> None:
            self.trainer.should_stop = self.trainer.current_epoch == 5

    (only,) = pays(finder, net=Stops(lr=0.01), **arguments)
    assert only.after == 0.01


def test_a_sanity_check_is_no_part_of_the_history() -> None:
    with_check, without = pays(raising(4), num_sanity_val_steps=2), pays(raising(4), num_sanity_val_steps=0)
    assert with_check == without


def test_a_validation_alone_is_no_part_of_the_history() -> None:
    finder, net = raising(4), Pays(lr=0.01)
    runner = trainer(finder, max_epochs=2)
    runner.validate(net, verbose=False)
    runner.fit(net)
    state = finder.plain_state()
    runner.validate(net, verbose=False)
    assert finder.plain_state() == state
    assert len(state["raises"]["scores"]["scores"]) == 2


@pytest.mark.parametrize("arguments", [{"limit_val_batches": 0}, {"max_epochs": -1, "max_time": {"minutes": 5}}])
def test_where_no_gain_is_known_a_loss_that_is_lower_by_less_than_its_noise_raises_nothing(
    arguments: dict[str, Any],
) -> None:
    class Noisy(Pays):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            lr = float(self.trainer.optimizers[0].param_groups[-1]["lr"])
            noise = lr * (-1) ** batch_idx
            return 0 * super().training_step(batch, batch_idx) + 0.9**self.trainer.current_epoch + noise - 0.5 * lr

        def on_train_epoch_end(self) -> None:
            self.trainer.should_stop = self.trainer.current_epoch == 5

    (only,) = pays(raising(4, num_steps=10), net=Noisy(lr=0.01), **arguments)
    assert only.trials[1][1] < only.trials[0][1]
    assert (only.after, only.on_plateau) == (0.01, False)


@pytest.fixture
def aheads(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time to come at each comparison, relative to the time so far; nothing is tried."""
    seen: list[float] = []

    def note(trainer: Any, pl_module: Any, most_steps: int, outlook: Outlook) -> None:
        seen.append(outlook.ahead)

    monkeypatch.setattr(raise_times, "try_to_raise", note)
    return seen


@pytest.mark.parametrize("manual", [False, True], ids=["automatic", "two optimizers by hand"])
def test_the_time_to_come_is_that_of_the_rates_to_come(manual: bool, aheads: list[float]) -> None:
    for schedule in ([], [CosineDecay()]):
        fit(raising(5), *schedule, net=LargeBatchNet(manual=manual, lr=0.01), max_epochs=10)
    steps = 10 * BATCHES
    cosine = [0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    expected = sum(cosine[steps // 2 :]) / sum(cosine[: steps // 2])
    assert aheads == [pytest.approx(1.0), pytest.approx(expected, rel=0.1)]


def test_a_base_that_a_search_changes_counts_from_then_on(aheads: list[float]) -> None:
    finder = LRFinder(at_epochs=(5,), raise_at=(6,), num_steps=20)
    fit(finder, net=LargeBatchNet(lr=0.001), max_epochs=10, check_val_every_n_epoch=6)
    assert finder.result is not None
    found = finder.result.suggestion
    assert found is not None
    assert found != pytest.approx(0.001, rel=0.5)
    assert aheads == [pytest.approx(4 * found / (5 * 0.001 + found))]


def test_steps_at_a_raised_rate_count_as_more_time() -> None:
    finder = raising(4, 8)
    first, second = pays(finder, max_epochs=12)
    before, after = 4 * BATCHES * 0.01, 4 * BATCHES * 0.04
    assert (first.before, second.before) == (0.01, pytest.approx(0.04))
    times = [before + after * share for share in (1 / 4, 1 / 2, 3 / 4, 1)]
    steps = [BATCHES * epoch for epoch in (5, 6, 7, 8)]
    scores = [step**-0.5 for step in steps]
    expected = math.log(sum(scores[:2]) / sum(scores[2:])) / math.log(sum(times[2:]) / sum(times[:2]))
    assert second.exponent == pytest.approx(expected)


def test_the_history_of_the_validation_loss_survives_a_restart(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    whole = pays(raising(4, 6), saver)
    for step in (2 * BATCHES + 1, 4 * BATCHES - 1, 5 * BATCHES + 1):
        assert pays(raising(4, 6), ckpt_path=tmp_path / f"step={step}.ckpt") == whole


def test_ranks_expect_what_the_mean_of_their_validation_losses_says(tmp_path: Path) -> None:
    class Local(Pays):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            taken = max(self.trainer.global_step, 1)
            self.log("val_loss", taken**-0.5 if self.global_rank else 2 * taken**-0.5)

    pays(raising(4), SaveRank(tmp_path, read_raises), net=Local(lr=0.01), strategy="ddp_fork", devices=2)
    first, second = load_ranks(tmp_path, 2)
    assert same(first, second)
    assert LRRaise(*first["found"][0]).exponent == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("times", [("0.4dur", "0.3dur"), (2, "2ep"), ("9st", 1, "8st")])
def test_times_that_do_not_increase_are_refused(times: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="The times of `raise_at` must increase"):
        LRFinder(raise_at=times)


def test_a_time_at_the_end_and_trials_that_apply_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="earlier than the end of the run, got '1dur'"):
        LRFinder(raise_at=("0.3dur", "1dur"))
    with pytest.raises(ValueError, match="`raise_at` changes the rate, which `apply=False` forbids"):
        LRFinder(raise_at=(1,), apply=False)


def test_under_a_schedule_the_message_says_that_its_factor_is_in_the_rates_that_were_tried() -> None:
    finder = raising(1)
    fit(finder, CosineDecay(), net=LargeBatchNet(lr=TOO_SMALL), max_epochs=2)
    assert "of short trials, with the schedule's factor, is" in str(finder.raises[0])
    assert "schedule" not in str(LRRaise(3, 0.1, 0.2, [(0.1, 1.0), (0.2, 0.9)]))


def test_a_step_that_returns_no_loss_has_no_plateau() -> None:
    finder = raising(2)
    fit(finder, net=Stuck(manual=True, lr=TOO_LARGE), max_epochs=3)
    assert [each.on_plateau for each in finder.raises] == [False]


def test_a_plateau_is_recognized_across_a_restart(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    finder = raising(2)
    whole = fit(finder, saver, net=Stuck(lr=0.01), max_epochs=3)
    again = raising(2)
    resumed = fit(again, net=Stuck(lr=0.01), max_epochs=3, ckpt_path=tmp_path / f"step={2 * BATCHES - 1}.ckpt")
    assert again.raises == finder.raises
    assert again.raises[0].on_plateau
    assert resumed.trace == whole.trace[2 * BATCHES - 1 :]


def test_under_manual_optimization_a_small_rate_of_every_optimizer_is_raised() -> None:
    finder = raising(1)
    net = fit(finder, net=LargeBatchNet(manual=True, lr=TOO_SMALL), max_epochs=2)
    assert finder.raises[0].after == pytest.approx(4 * TOO_SMALL)
    body = [lrs[0] for index, lrs in net.trace if index == 0]
    assert body == pytest.approx([TOO_SMALL / 10] * BATCHES + [4 * TOO_SMALL / 10] * BATCHES)


def test_a_resumed_run_goes_on_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    finder = raising(1, 2, 3)
    whole = fit(finder, saver, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=4)
    for step in (BATCHES - 1, BATCHES + 1, 2 * BATCHES + 2):
        again = raising(1, 2, 3)
        resumed = fit(again, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=4, ckpt_path=tmp_path / f"step={step}.ckpt")
        assert resumed.trace == whole.trace[step:]
        assert again.raises == finder.raises
        assert same(weights(resumed), weights(whole))


def test_a_time_whose_start_of_an_epoch_is_not_reported_comes_with_the_next_one(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=BATCHES)
    fit(raising(1), saver, max_epochs=1)
    finder = raising(1)
    fit(finder, max_epochs=3, ckpt_path=tmp_path / f"step={BATCHES}.ckpt")
    assert [each.step for each in finder.raises] == [2 * BATCHES]


def test_a_checkpoint_from_before_these_trials_is_resumed(tmp_path: Path) -> None:
    fit(LRFinder(at_epochs=()), ModelCheckpoint(tmp_path, filename="old"), max_epochs=1)
    held = torch.load(tmp_path / "old.ckpt", weights_only=True)
    del held["callbacks"]["LRFinder"]["raises"]
    torch.save(held, tmp_path / "old.ckpt")
    finder = raising(2)
    fit(finder, max_epochs=3, ckpt_path=tmp_path / "old.ckpt")
    assert [each.step for each in finder.raises] == [2 * BATCHES]


def test_ranks_try_the_same_and_decide_the_same(tmp_path: Path) -> None:
    def read(trainer: Any, pl_module: Any) -> dict[str, Any]:
        found = next(cb.raises for cb in trainer.callbacks if isinstance(cb, LRFinder))
        return {"found": [list(each) for each in found], "weights": weights(pl_module), "trace": pl_module.trace}

    arguments = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 3}
    fit(raising(1, 2), SaveRank(tmp_path, read), net=LargeBatchNet(lr=TOO_SMALL), **arguments)
    first, second = load_ranks(tmp_path, 2)
    assert len(first["found"]) == 2
    assert same(first, second)


def test_the_losses_of_the_first_rank_decide_whether_all_are_on_a_plateau(tmp_path: Path) -> None:
    class Differs(Stuck):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            return loss if self.global_rank == 0 else loss * 0.9**self.trainer.global_step

    fit(raising(2), SaveRank(tmp_path, read_raises), net=Differs(lr=0.01), strategy="ddp_fork", devices=2, max_epochs=3)
    first, second = load_ranks(tmp_path, 2)
    assert [LRRaise(*each).on_plateau for each in first["found"]] == [True]
    assert same(first, second)


def test_the_highest_rate_to_come_is_the_one_that_is_compared() -> None:
    rising, falling = raising(1), raising(1)
    fit(rising, OneCycle(pct_start=0.5), net=LargeBatchNet(lr=TOO_SMALL), max_epochs=4)
    fit(falling, CosineDecay(), net=LargeBatchNet(lr=TOO_SMALL), max_epochs=2)
    peak, half = rising.raises[0].trials[0][0], falling.raises[0].trials[0][0]
    assert peak == pytest.approx(TOO_SMALL, rel=0.05)
    assert half == pytest.approx(TOO_SMALL / 2, rel=0.2)
    assert falling.raises[0].after == pytest.approx(4 * TOO_SMALL)


def test_the_modules_own_scheduler_goes_on_from_the_raised_rate() -> None:
    class Scheduled(LargeBatchNet):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), TOO_SMALL)
            return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]

    net = fit(raising(1), net=Scheduled(), max_epochs=3)
    rates = [net.trace[epoch * BATCHES][1][0] for epoch in range(3)]
    assert rates == pytest.approx([TOO_SMALL, 2 * TOO_SMALL, TOO_SMALL])


def test_nothing_is_tried_while_a_plateau_rule_has_reduced_the_rate() -> None:
    class Unimproved(LargeBatchNet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.tensor(1.0))

    finder = raising(3)
    net = fit(finder, ReduceLROnPlateau(patience=1), net=Unimproved(lr=TOO_SMALL), max_epochs=4)
    assert finder.raises == []
    assert tops(net)[-1] < TOO_SMALL


@pytest.mark.parametrize(("epochs", "steps"), [(1, []), (2, [BATCHES]), (5, [2 * BATCHES]), (10, [3 * BATCHES])])
def test_a_time_is_the_nearest_start_of_an_epoch_after_the_first(epochs: int, steps: list[int]) -> None:
    finder = raising("0.3dur")
    fit(finder, net=LargeBatchNet(lr=TOO_LARGE), max_epochs=epochs)
    assert [each.step for each in finder.raises] == steps


def test_times_in_steps_and_several_at_one_epoch_are_one_comparison() -> None:
    finder = raising("9st", "10st")
    fit(finder, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=-1, max_steps=4 * BATCHES)
    assert [each.step for each in finder.raises] == [2 * BATCHES]


def test_a_share_of_an_endless_run_is_refused_before_the_first_step() -> None:
    net = LargeBatchNet()
    with pytest.raises(ValueError, match="`raise_at` is a share of the run"):
        fit(raising("0.3dur"), net=net, max_epochs=-1)
    assert net.trace == []


def test_without_times_nothing_is_tried() -> None:
    finder = LRFinder(at_epochs=())
    net = fit(finder, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=2)
    assert finder.raises == []
    assert set(tops(net)) == {TOO_SMALL}


def test_a_second_fit_starts_anew() -> None:
    finder = raising(1)
    for _ in range(2):
        fit(finder, net=LargeBatchNet(lr=TOO_SMALL), max_epochs=2)
        assert len(finder.raises) == 1


def test_after_a_rate_that_is_not_kept_nothing_is_tried_any_more() -> None:
    class Bounded(LargeBatchNet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            lr = self.trainer.optimizers[0].param_groups[-1]["lr"]
            return loss * math.nan if lr > 3 * TOO_SMALL else loss

    finder = raising(1, 2)
    net = fit(finder, net=Bounded(lr=TOO_SMALL), max_epochs=3)
    assert [(each.after, len(each.trials)) for each in finder.raises] == [(2 * TOO_SMALL, 3)]
    assert tops(net)[-1] == 2 * TOO_SMALL


def test_a_trial_that_diverges_is_not_better() -> None:
    class Fragile(LargeBatchNet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            lr = self.trainer.optimizers[0].param_groups[-1]["lr"]
            return loss * math.nan if lr > 1.5 * TOO_SMALL else loss

    finder = raising(1)
    fit(finder, net=Fragile(lr=TOO_SMALL), max_epochs=2)
    assert finder.raises[0].after == TOO_SMALL
    assert finder.raises[0].trials[1] == (2 * TOO_SMALL, math.inf)


@pytest.mark.parametrize(
    "error", [MisconfigurationException("read only once"), torch.OutOfMemoryError("no memory"), ValueError("too large")]
)
def test_a_trial_that_fails_costs_a_warning_and_not_the_training(error: Exception) -> None:
    class Breaks(LargeBatchNet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.trainer.optimizers[0].param_groups[-1]["lr"] > 1.5 * TOO_SMALL:
                raise error
            return super().training_step(batch, batch_idx)

    plain, net = LargeBatchNet(lr=TOO_SMALL), Breaks(lr=TOO_SMALL)
    fit(net=plain, max_epochs=4)
    with pytest.warns(UserWarning, match="could not try higher learning rates, and the rate stays at 0.0001") as said:
        fit(raising(1, 2, 3), net=net, max_epochs=4)
    assert len([each for each in said if f"{type(error).__name__}: {error}" in str(each.message)]) == 1
    assert same(weights(net), weights(plain))
    assert "log" not in vars(net)


def test_a_comparison_can_be_printed() -> None:
    raised = LRRaise(40, 0.01, 0.02, [(0.01, 0.5), (0.02, 0.25), (0.04, math.inf)])
    assert str(raised) == (
        "the learning rate is raised from 0.01 to 0.02: the training loss of short trials is 0.5 at 0.01, "
        "0.25 at 0.02, inf at 0.04"
    )


def test_it_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        fit(raising(1), net=LargeBatchNet(lr=TOO_SMALL), max_epochs=2)
    said = [record.getMessage() for record in caplog.records if "is raised from" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("LRFinder: the learning rate is raised from 0.0001 to 0.0004: ")


def test_the_loader_goes_on_where_it_was() -> None:
    loader = StatefulLoader(batch_size=32)
    seen: list[float] = []

    class Sees(LargeBatchNet):
        def train_dataloader(self) -> StatefulLoader:
            return loader

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append(float(batch[0].sum()))

    fit(raising(1), net=Sees(lr=TOO_SMALL), max_epochs=2)
    with_trials, seen[:] = list(seen), []
    fit(net=Sees(lr=TOO_SMALL), max_epochs=2)
    own = [value for value in with_trials if value in seen]
    assert own[:BATCHES] == seen[:BATCHES]
    assert own[-BATCHES:] == seen[-BATCHES:]
