"""OneCycle: the rate against torch's, and the momentum at every step, wherever somebody looks."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from schedule_family import check_each_step, check_manual_optimization, each_clock
from tiny import BATCHES, Net, fit, logged, trainer

from lightning_tricks import OneCycle
from lightning_tricks.functional.schedule_cycles import one_cycle_momentum


class Watched(Net):
    """Records the momentum that each optimizer step uses; its groups have momenta of their own."""

    make: Any = torch.optim.SGD
    arguments: tuple[dict[str, Any], dict[str, Any]] = ({"momentum": 0.9}, {"momentum": 0.9})

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.momenta: list[list[Any]] = []

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": layer.parameters(), **given}
            for layer, given in zip((self.body, self.head), self.arguments, strict=True)
        ]
        return self.make(groups, lr=0.1)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        super().on_before_optimizer_step(optimizer)
        self.momenta.append(
            [group["betas"] if "betas" in group else group["momentum"] for group in optimizer.param_groups]
        )


class WatchedAdam(Watched):
    make = torch.optim.AdamW
    arguments = ({"betas": (0.9, 0.99)}, {"betas": (0.8, 0.999)})


class PartlyWithout(Watched):
    arguments = ({"momentum": 0.0}, {"momentum": 0.5})


def expected(steps: int = 3 * BATCHES, total: float = 3 * BATCHES, **arguments: float) -> list[float]:
    return one_cycle_momentum(total, **arguments).values(range(steps))


def test_rate_and_momentum_agree_with_torch_whose_cycle_is_one_step_shorter() -> None:
    total, peak = 17, 5
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=total + 1, pct_start=(peak + 1) / (total + 1)
    )
    net = fit(OneCycle(f"{total}st", pct_start=peak / total), net=Watched())
    for (_, lrs), momenta in zip(net.trace, net.momenta, strict=True):
        group = optimizer.param_groups[0]
        assert lrs == pytest.approx([group["lr"]] * 2, rel=1e-12)
        assert momenta == pytest.approx([group["momentum"]] * 2, rel=1e-12)
        optimizer.step()
        if scheduler.last_epoch < total:
            scheduler.step()


def test_the_momentum_of_the_adam_family_is_its_first_beta() -> None:
    net = fit(OneCycle(), net=WatchedAdam())
    assert [first[0] for first, _ in net.momenta] == pytest.approx(expected(), rel=1e-12)
    assert [second[0] for _, second in net.momenta] == pytest.approx(expected(), rel=1e-12)
    assert {(first[1], second[1]) for first, second in net.momenta} == {(0.99, 0.999)}


def test_a_group_built_without_momentum_keeps_none() -> None:
    net = fit(OneCycle(), net=PartlyWithout())
    assert {first for first, _ in net.momenta} == {0.0}
    assert [second for _, second in net.momenta] == pytest.approx(expected(), rel=1e-12)


def test_an_optimizer_that_knows_no_momentum_is_left_in_peace() -> None:
    class Without(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.Adagrad(self.parameters(), lr=0.1)

    assert len(fit(OneCycle(), net=Without()).trace) == 3 * BATCHES


def test_the_momentum_can_be_left_alone() -> None:
    net = fit(OneCycle(cycle_momentum=False), net=Watched())
    assert {momentum for momenta in net.momenta for momentum in momenta} == {0.9}


@pytest.mark.parametrize("base", [0.85, 0.0])
def test_a_resumed_run_has_the_momentum_of_one_that_never_stopped_even_from_zero(base: float, tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    make = lambda: OneCycle(pct_start=4 / 18, base_momentum=base)  # noqa: E731
    whole = fit(make(), saver, net=Watched())
    assert whole.momenta[4] == [base, base]
    for step in (3, 4, 5, 10):
        rest = fit(make(), net=Watched(), ckpt_path=tmp_path / f"step={step}.ckpt")
        assert rest.momenta == whole.momenta[step:]
        assert rest.trace == whole.trace[step:]


def test_under_manual_optimization_each_optimizer_follows_its_own_steps() -> None:
    class Both(Net):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            super().on_before_optimizer_step(optimizer)
            group = optimizer.param_groups[0]
            seen.append((self.trace[-1][0], group["betas"][0] if "betas" in group else group["momentum"]))

    seen: list[tuple[int, float]] = []
    fit(OneCycle("12st"), net=Both(manual=True))
    for index, steps in ((0, 3 * BATCHES), (1, 3 * BATCHES // 2)):
        assert [momentum for i, momentum in seen if i == index] == pytest.approx(expected(steps, total=12), rel=1e-12)


@pytest.mark.parametrize("place", [0, 1])
def test_a_monitor_shows_the_momentum_of_each_step_wherever_it_stands(place: int, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    callbacks: list[Any] = [OneCycle()]
    callbacks.insert(place, LearningRateMonitor("step", log_momentum=True))
    trainer(*callbacks, logger=logger, log_every_n_steps=1).fit(Watched())
    values = [value for _, value in logged(logger, "lr-SGD/pg2-momentum")]
    assert values == pytest.approx(expected(), rel=1e-6)


def test_warmup_multiplies_the_rate_and_leaves_the_momentum() -> None:
    plain, warm = fit(OneCycle(), net=Watched()), fit(OneCycle(warmup=1), net=Watched())
    assert warm.momenta == plain.momenta
    ratios = [a[-1] / b[-1] for (_, a), (_, b) in zip(warm.trace, plain.trace, strict=True)]
    assert ratios == pytest.approx([min(i / BATCHES, 1) for i in range(3 * BATCHES)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"total": 0}, ValueError, "`total` must be a duration > 0, got 0"),
        ({"pct_start": 1}, ValueError, r"`pct_start` must lie in \[0, 1\), got 1"),
        ({"pct_start": math.nan}, ValueError, r"`pct_start` must lie in \[0, 1\), got nan"),
        ({"div_factor": 0.5}, ValueError, "`div_factor` must be finite and >= 1, got 0.5"),
        ({"final_div_factor": 0}, ValueError, "`final_div_factor` must be finite and > 0, got 0"),
        ({"max_momentum": 1}, ValueError, r"`max_momentum` must lie in \[0, 1\), got 1"),
        ({"base_momentum": 0.96}, ValueError, r"`base_momentum` must lie in \[0, 0.95\], got 0.96"),
        ({"cycle_momentum": "no"}, TypeError, "`cycle_momentum` must be True or False, got 'no'"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OneCycle(**arguments)


@each_clock
@pytest.mark.parametrize("form", ["one cycle"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")
