"""Early stopping: Lightning's behaviour where Lightning's is right, and the best weights kept."""

import itertools
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    StochasticWeightAveraging,
    Timer,
    TQDMProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from recorders import Recorder, weights_now
from scripted import Scripted, endless, fit_scripted
from tiny import Endless, Net, StatefulLoader, fit, same, trainer, weights

from lightning_tricks import EarlyStopping, ReduceLROnPlateau


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"patience": -1}, ValueError, "`patience` must be at least 0, got -1"),
        ({"patience": True}, TypeError, "`patience` must be a whole number, got True"),
        ({"min_delta": -1}, ValueError, "`min_delta` must be finite and >= 0, got -1"),
        ({"mode": "auto"}, ValueError, "`mode` must be one of 'min', 'max', got 'auto'"),
        ({"stopping_threshold": math.nan}, ValueError, "`stopping_threshold` must be finite, got nan"),
        ({"divergence_threshold": "9"}, TypeError, "`divergence_threshold` must be a number, got '9'"),
        ({"check_on_train_epoch_end": 1}, TypeError, "`check_on_train_epoch_end` must be True or False, got 1"),
        ({"start_after": "3 epochs"}, ValueError, "`start_after` must be a duration"),
        ({"start_after": -1}, ValueError, "`start_after` must be a duration >= 0, got -1"),
        ({"restore_best": None}, TypeError, "`restore_best` must be True or False, got None"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_value(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        EarlyStopping(**arguments)


@pytest.mark.parametrize(
    ("scores", "patience", "checks"),  # those of Lightning's own tests
    [
        ([6, 5, 5, 5, 5, 5], 3, 5),
        ([6, 5, 4, 4, 3, 3, 5, 5], 1, 4),
        ([6, 5, 6, 5, 5, 5], 3, 5),
        ([6, 5, 4, 3, 2, 1], 3, 6),
    ],
)
@pytest.mark.parametrize("where", ["validation_step", "on_train_epoch_end"])
def test_patience_counts_checks_in_a_row_without_a_new_best(
    scores: list[float], patience: int, checks: int, where: str
) -> None:
    rule, net = EarlyStopping("score", patience=patience), Scripted(scores, where=where)
    fit_scripted(net, rule, max_epochs=len(scores))
    assert net.checks == checks
    assert rule.stopped_epoch == (checks - 1 if checks < len(scores) else 0)


@pytest.mark.parametrize("seed", range(20))
def test_random_scores_stop_where_lightnings_stops(seed: int) -> None:
    draw = random.Random(seed)
    scores = [round(draw.uniform(0, 3), 1) for _ in range(25)]
    common: dict[str, Any] = {
        "patience": draw.randint(1, 4),
        "mode": draw.choice(["min", "max"]),
        "min_delta": draw.choice([0.0, 0.2]),
        "stopping_threshold": draw.choice([None, 0.1, 2.9]),
        "divergence_threshold": draw.choice([None, 2.95]),
        "check_on_train_epoch_end": draw.choice([None, True, False]),
    }
    ours, theirs = EarlyStopping("score", **common), LightningsEarlyStopping("score", **common)
    nets = Scripted(scores), Scripted(scores)
    for net, rule in zip(nets, (ours, theirs), strict=True):
        fit_scripted(net, rule, max_epochs=len(scores))
    assert nets[0].checks == nets[1].checks
    assert ours.stopped_epoch == theirs.stopped_epoch
    assert ours.wait_count == theirs.wait_count or "threshold" in str(ours.stopping_reason_message)


@pytest.mark.parametrize(
    ("scores", "arguments", "checks", "reason"),
    [
        ([5, math.nan], {}, 2, "score = nan is not finite"),
        ([5, math.inf], {}, 2, "score = inf is not finite"),
        ([5, math.nan, 4, 6, 6], {"check_finite": False, "patience": 2}, 5, "no better score in 2 checks"),
        ([5, 4, 3, 2], {"stopping_threshold": 3.5}, 3, "score = 3 is better than the stopping threshold 3.5"),
        ([5, 6, 7], {"stopping_threshold": 5.5, "mode": "max"}, 2, "score = 6 is better than"),
        ([5, 6, 9.5], {"divergence_threshold": 9}, 3, "score = 9.5 is worse than the divergence threshold 9"),
        ([5, 4, 0.5], {"divergence_threshold": 1, "mode": "max"}, 3, "score = 0.5 is worse than"),
    ],
)
def test_it_stops_at_once_for_a_reason(scores: list[float], arguments: Any, checks: int, reason: str) -> None:
    rule, net = EarlyStopping("score", **arguments), Scripted(scores)
    fit_scripted(net, rule)
    assert net.checks == checks
    assert str(rule.stopping_reason_message).startswith(reason)


def test_the_score_that_reaches_the_threshold_is_the_best_and_its_weights_are_kept() -> None:
    rule, net = EarlyStopping("val_loss", stopping_threshold=100.0), Net()
    fit(rule, net=net)
    assert trainer().validate(net, verbose=False)[0]["val_loss"] == rule.best_score


class Steady(Net):
    """Its validation set comes in one order, so that the mean has one last bit."""

    def val_dataloader(self) -> Any:
        data = StatefulLoader(batches=2, seed=100)
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data.x, data.y), batch_size=4)


def company(folder: Path) -> dict[str, list[Any]]:
    return {
        "alone": [],
        "EMA": [EMAWeightAveraging(decay=0.7)],
        "SWA": [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)],
        "checkpoints": [ModelCheckpoint(folder, monitor="val_loss", save_top_k=2, save_last=True), Timer()],
        "monitor": [LearningRateMonitor("step"), ReduceLROnPlateau(patience=2, restore_best=True)],
        "rich": [RichProgressBar()],
        "tqdm": [TQDMProgressBar()],
    }


@pytest.mark.parametrize("interval", [2, 1.0])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("others", ["alone", "EMA", "SWA", "checkpoints", "monitor", "rich", "tqdm"])
def test_validate_after_fit_equals_the_best_score(others: str, where: str, interval: Any, tmp_path: Path) -> None:
    rule, friends = EarlyStopping(patience=9), company(tmp_path)[others]
    callbacks = [rule, *friends] if where == "first" else [*friends, rule]
    bar = others in ("rich", "tqdm")
    net = Steady(lr=2.0)  # too high: the best is not the last
    runner = trainer(
        *callbacks,
        max_epochs=6,
        val_check_interval=interval,
        logger=CSVLogger(tmp_path),
        enable_progress_bar=bar,
        enable_checkpointing=others == "checkpoints",
    )
    runner.fit(net)
    again = trainer().validate(net, verbose=False)[0]["val_loss"]
    assert again == rule.best_score
    assert runner.callback_metrics[f"{rule.state_key}/best_score"] == rule.best_score
    # the same Trainer, whose averaging callback exchanges weights in this validation too
    assert runner.validate(net, verbose=False)[0]["val_loss"] == rule.best_score


def test_a_module_that_swaps_weights_for_its_validation_gets_those_back() -> None:
    class Swapping(Net):
        def on_validation_start(self) -> None:
            self.kept = weights(self)
            with torch.no_grad():
                self.head.weight.mul_(0.5)

        def on_validation_epoch_end(self) -> None:
            self.load_state_dict(self.kept)

    net, rule = Swapping(), EarlyStopping()
    fit(rule, net=net)
    plain = Net()
    plain.load_state_dict(net.state_dict())
    assert trainer().validate(plain, verbose=False)[0]["val_loss"] == rule.best_score


@pytest.mark.parametrize("check", [None, True, False])
def test_the_weights_are_those_of_the_validation_also_if_the_check_comes_later(check: bool | None) -> None:
    rule, seen = EarlyStopping("score", check_on_train_epoch_end=check), Recorder(on_validation_batch_end=weights_now)
    net = Scripted(endless(3.0, 1.0))
    fit_scripted(net, rule, seen, max_epochs=4, limit_train_batches=5, val_check_interval=3)
    assert same(weights(net), seen.seen["on_validation_batch_end"][1])


def test_a_training_metric_keeps_the_weights_at_the_end_of_its_epoch() -> None:
    recorder = Recorder(on_train_epoch_end=weights_now)
    net = Scripted(endless(3.0, 1.0), where="on_train_epoch_end")
    fit_scripted(net, recorder, EarlyStopping("score"), EMAWeightAveraging(), max_epochs=4)
    assert same(weights(net), recorder.seen["on_train_epoch_end"][1])


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ZeroDivisionError])
def test_ctrl_c_keeps_the_best_and_any_other_exception_leaves_the_weights(
    interrupt: Any, tmp_path: Path, caplog: Any
) -> None:
    class Interrupt(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if trainer.current_epoch == 3:
                last.update(weights(pl_module))
                raise interrupt

    last: dict[str, Any] = {}
    seen, net = Recorder(on_validation_batch_end=weights_now), Scripted(endless(3.0, 1.0))
    keep = ModelCheckpoint(tmp_path, filename="stopped", save_on_exception=True, every_n_epochs=100)
    runner = trainer(EarlyStopping("score"), seen, Interrupt(), keep, limit_train_batches=1, max_epochs=9)
    with pytest.raises((SystemExit, interrupt)), caplog.at_level("INFO"):
        runner.fit(net)
    assert ("Training interrupted (" in caplog.text) == (interrupt is KeyboardInterrupt)
    assert same(weights(net), seen.seen["on_validation_batch_end"][2] if interrupt is KeyboardInterrupt else last)
    # what was saved on the way out is the training, not the best: it can be resumed
    files = [torch.load(path, weights_only=True)["state_dict"] for path in tmp_path.glob("*.ckpt")]
    assert len(files) == 1
    assert same(dict(files[0]), last)
    assert "on_exception" not in vars(runner.strategy)


def test_where_no_check_was_a_number_nothing_is_put_back(caplog: Any) -> None:
    seen, net = Recorder(on_validation_batch_end=weights_now), Scripted([math.nan])
    with caplog.at_level("INFO"):
        fit_scripted(net, EarlyStopping("score", check_finite=False, patience=3), seen)
    assert same(weights(net), seen.seen["on_validation_batch_end"][-1])
    assert "No score was better than inf." in caplog.text


def test_checkpoints_hold_the_training_weights_and_beside_them_the_best(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    rule, seen, net = (
        EarlyStopping("score", patience=3),
        Recorder(on_validation_batch_end=weights_now),
        Scripted(endless(3.0, 1.0)),
    )
    fit_scripted(net, rule, seen, keep)
    saved = torch.load(tmp_path / "epoch=3.ckpt", weights_only=True)
    assert same(dict(saved["state_dict"]), seen.seen["on_validation_batch_end"][3])
    best = saved["callbacks"][rule.state_key]["weights"]["tensors"]
    assert same(best, {name: seen.seen["on_validation_batch_end"][1][name] for name in best})
    assert set(best) == set(seen.seen["on_validation_batch_end"][1])
    lean = EarlyStopping("score", patience=3, restore_best=False)
    net = Scripted(endless(3.0, 1.0))
    fit_scripted(net, lean, seen)
    assert lean.state_dict()["weights"] == {}
    assert same(weights(net), seen.seen["on_validation_batch_end"][-1])


def test_a_run_resumed_after_its_best_check_puts_those_weights_back(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    net = Scripted(endless(3.0, 1.0))
    fit_scripted(net, EarlyStopping("score", patience=5), keep, limit_train_batches=1.0)
    for epoch in (1, 3, 6):  # the last had stopped
        rest = Scripted([9.0])
        rule = EarlyStopping("score", patience=5)
        trainer(rule, max_epochs=400, limit_val_batches=1).fit(rest, ckpt_path=str(tmp_path / f"epoch={epoch}.ckpt"))
        assert same(weights(rest), weights(net))
        assert (rule.best_score, rule.wait_count, rule.stopped_epoch) == (1.0, 5, 6)
    finished = Scripted([9.0])
    trainer(EarlyStopping("score", patience=5), max_epochs=4).fit(finished, ckpt_path=str(tmp_path / "epoch=3.ckpt"))
    assert finished.trace == []
    assert same(weights(finished), weights(net))


@pytest.mark.parametrize("interval", [4, 1.0])
def test_a_score_that_waits_for_the_end_of_the_epoch_outlives_a_resume(interval: Any, tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1, save_last=False)
    after = ModelCheckpoint(tmp_path / "after", filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    make = {"patience": 2, "check_on_train_epoch_end": True}
    whole, rule = Net(lr=0.8), EarlyStopping(**make)
    arguments: dict[str, Any] = {"val_check_interval": interval, "max_epochs": 6}
    fit(rule, keep, after, EMAWeightAveraging(decay=0.5), net=whole, **arguments)
    files = [*(tmp_path / "after").glob("*.ckpt"), *(tmp_path / f"step={n}.ckpt" for n in (5, 11))]
    assert len(files) >= 4
    for file in files:
        rest, again = Net(lr=0.8), EarlyStopping(**make)
        fit(again, EMAWeightAveraging(decay=0.5), net=rest, ckpt_path=file, **arguments)
        assert (again.best_score, again.stopped_epoch) == (rule.best_score, rule.stopped_epoch), file
        assert same(weights(rest), weights(whole)), file


def test_a_checkpoint_without_best_weights_is_resumed_with_a_warning(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    fit_scripted(Scripted([1.0]), EarlyStopping("score", restore_best=False), keep, max_epochs=2)
    net, seen = Scripted([4.0, 3.0, 9.0]), Recorder(on_validation_batch_end=weights_now)
    with pytest.warns(
        UserWarning, match="continues with a best `score` of 1, but the checkpoint does not contain the wei"
    ):
        trainer(EarlyStopping("score"), seen, max_epochs=5, limit_val_batches=1).fit(
            net, ckpt_path=str(tmp_path / "epoch=1.ckpt")
        )
    assert same(weights(net), seen.seen["on_validation_batch_end"][1])  # the best of the checks since


@pytest.mark.parametrize(
    ("start", "arguments", "first"),
    [
        (0, {}, 1),
        (3, {}, 3),
        ("3ep", {}, 3),
        ("3st", {}, 3),
        ("0.5dur", {"max_epochs": 8}, 4),
        (1.5, {"limit_train_batches": 4, "val_check_interval": 1}, 6),
        ("0.3dur", {"max_epochs": None, "max_steps": 10, "val_check_interval": 1, "limit_train_batches": 5}, 3),
        (1.5, {"limit_train_batches": 4, "val_check_interval": 1, "accumulate_grad_batches": 2}, 6),
    ],
)
def test_checks_before_start_after_are_ignored_and_one_at_that_very_time_counts(
    start: Any, arguments: Any, first: int
) -> None:
    rule, net = EarlyStopping("score", patience=2, start_after=start), Scripted([1.0] + [5.0] * 20)
    fit_scripted(net, rule, **arguments)
    assert net.checks == first + 2
    assert rule.best_score == (1.0 if first == 1 else 5.0)


@pytest.mark.parametrize(
    ("start", "arguments"),
    [
        (4, {"max_epochs": 3}),
        ("4st", {"max_epochs": 3}),
        ("4st", {"max_epochs": -1, "max_steps": 3}),
        (4, {"max_epochs": -1, "max_steps": 3}),
        ("1.1dur", {"max_epochs": 3}),
    ],
)
def test_a_start_beyond_the_run_is_refused(start: Any, arguments: Any) -> None:
    with pytest.raises(MisconfigurationException, match=r"`start_after`=.* is later than the end of this run"):
        fit_scripted(Scripted([1.0]), EarlyStopping("score", start_after=start), **arguments)
    fit_scripted(Scripted([1.0]), EarlyStopping("score", start_after=3), max_epochs=3)


def test_a_share_of_a_run_without_end_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match="`start_after` is a share of the run"):
        fit_scripted(Scripted([1.0]), EarlyStopping("score", start_after="0.1dur"), max_epochs=-1)


def test_a_loader_without_length_advances_inside_an_epoch_once_one_was_seen() -> None:
    class Stream(Scripted):
        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Endless(), batch_size=4)

    rule, net = EarlyStopping("score", patience=1, start_after=1.5), Stream([1.0])
    fit_scripted(net, rule, limit_train_batches=1.0, val_check_interval=3)
    assert net.checks == 4  # at the times 0.5 (unknown), 1, 1.5 and 2


def test_verbose_says_each_new_best_and_the_stop(caplog: Any) -> None:
    with caplog.at_level("INFO"):
        fit_scripted(Scripted([3.0, 2.0]), EarlyStopping("score", patience=2, verbose=True))
    said = [record.message for record in caplog.records if "best" in record.message][:3]
    assert said == [
        "score reached a new best score: 3.",
        "score improved by 1 and reached a new best score: 2.",
        "EarlyStopping: no better score in 2 checks; the best score is 2.",
    ]


def test_ours_and_lightnings_live_side_by_side() -> None:
    net = Scripted([1.0])
    fit_scripted(net, EarlyStopping("score", patience=5), LightningsEarlyStopping("score", patience=3))
    assert net.checks == 4


def test_averaging_that_starts_late_is_still_told_from_training_weights() -> None:
    class Late(WeightAveraging):
        def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
            return step_idx is not None and step_idx >= 6

    for order in itertools.permutations([EarlyStopping(), Late()]):
        net = fit(*order)
        rule = next(callback for callback in order if isinstance(callback, EarlyStopping))
        assert trainer().validate(net, verbose=False)[0]["val_loss"] == rule.best_score
