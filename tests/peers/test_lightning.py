"""Each row of the page on Lightning and torch: both sides are built from its text and do the same."""

import functools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, callbacks
from lightning.pytorch.tuner import Tuner
from peer_rows import SCORES, Check, Row, build, factors_of, our_rates, read_rows, stop_of
from tiny import Net
from torch.optim import lr_scheduler

import lightning_tricks as lt

LR = 0.1
SCHEDULES = (
    *("ExponentialLR", "StepLR", "MultiStepLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "PolynomialLR"),
    *("LinearLR", "OneCycleLR", "LambdaLR"),
)


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=LR, momentum=0.9)


def torch_rates(scheduler: Any, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def same_rates(steps: int = 8) -> Check:
    def check(theirs: Any, ours: Any) -> None:
        assert our_rates(ours, steps, lr=LR) == pytest.approx(torch_rates(theirs, steps))

    return check


def same_after_warmup_is_added(theirs: Any, ours: Any) -> None:
    constant = lt.LRSchedule(lambda t: 1.0, warmup=ours.warmup, warmup_start=ours.warmup_start)
    assert our_rates(constant, 8, lr=LR) == pytest.approx(torch_rates(theirs, 8))


def peak_one_step_later(theirs: Any, ours: Any) -> None:
    torchs, own = torch_rates(theirs, 100), our_rates(ours, 100, 100, lr=LR)
    assert torchs.index(max(torchs)) == 29
    assert own.index(max(own)) == 30
    assert own[0] == pytest.approx(torchs[0])
    assert max(own) == pytest.approx(max(torchs))


def same_reductions(theirs: Any, ours: Any) -> None:
    factors = []
    for score in [*SCORES, *[0.72] * 6]:
        theirs.step(score)
        factors.append(theirs.get_last_lr()[0] / LR)
    assert factors_of(ours, [*SCORES, *[0.72] * 6]) == pytest.approx(factors)
    assert factors[-1] < 0.5


def same_stop(theirs: Any, ours: Any) -> None:
    stops = [check for check, score in enumerate(SCORES) if theirs._evaluate_stopping_criteria(torch.tensor(score))[0]]
    assert stop_of(ours) == stops[0]


def same_gradients(theirs: Trainer, ours: Any) -> None:
    clipped = []
    for trainer in (theirs, Trainer(max_steps=1, callbacks=[ours], **QUIET)):
        net = Net()
        torch.manual_seed(0)
        trainer.fit(net)
        clipped.append([parameter.detach().clone() for parameter in net.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*clipped, strict=True))


def same_range(theirs: Any, ours: Any) -> None:
    rates = theirs.results["lr"]
    assert rates[0] == pytest.approx(ours.lrs[0])
    assert rates[3] / rates[2] == pytest.approx(10 ** (6 / 60))  # Lightning's grid does not reach its upper end
    assert ours.lrs[3] / ours.lrs[2] == pytest.approx(10 ** (6 / 59))


def same_groups(theirs: Any, ours: Any) -> None:
    times, _ = lt.functional.thaw_times.plan_thaw(ours.schedule, ours.every, 2, SimpleNamespace(epochs=5, steps=None))
    assert [float(time) for time in times] == [theirs.unfreeze_backbone_at_epoch, 0.0]


QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False,
}  # fmt: skip
CHECKS: dict[str, Check] = {
    "EarlyStopping": same_stop,
    "Trainer": same_gradients,
    "Tuner.lr_find": same_range,
    "OneCycleLR": peak_one_step_later,
    "LinearLR": same_after_warmup_is_added,
    "ReduceLROnPlateau": same_reductions,
    "BackboneFinetuning": same_groups,
    **{name: same_rates() for name in SCHEDULES if name not in ("OneCycleLR", "LinearLR")},
}


def names() -> dict[str, Any]:
    """What the cells of the first column are built from."""
    schedulers = {name: functools.partial(getattr(lr_scheduler, name), optimizer()) for name in SCHEDULES}
    plateau = functools.partial(lr_scheduler.ReduceLROnPlateau, optimizer())
    trainer = functools.partial(Trainer, max_steps=1, **QUIET)
    tuner = Tuner(Trainer(max_epochs=1, **QUIET))
    lr_find = functools.partial(tuner.lr_find, Net(), update_attr=False, early_stop_threshold=None)
    return schedulers | {
        "ReduceLROnPlateau": plateau,
        "EarlyStopping": callbacks.EarlyStopping,
        "BackboneFinetuning": callbacks.BackboneFinetuning,
        "Trainer": trainer,
        "Tuner": SimpleNamespace(lr_find=lr_find),
        "lr": LR,
        "f": lambda t: 1 / (1 + t),
    }


@pytest.mark.parametrize("row", read_rows("lightning"), ids=lambda row: row.theirs)
def test_both_sides_of_a_row_agree(row: Row, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ours = {"lr": LR, "f": lambda t: 1 / (1 + t), "find_lr": functools.partial(lt.find_lr, Net())}
    CHECKS[row.theirs.partition("(")[0]](build(row.theirs, **names()), build(row.ours, **ours))
