"""Every named schedule with its formula written out, and what a fit with it must show."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import BATCHES, Net, fit

import lightning_tricks as lt
from lightning_tricks import (
    CosineDecay,
    ExponentialDecay,
    InverseSqrtDecay,
    InverseTimeDecay,
    LRSchedule,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    WarmupStableDecay,
)

EPOCHS = 3
UNITS = ("epochs", "steps", "share")


def used(net: Net, optimizer: int = 0, group: int = -1) -> list[float]:
    """The rates that an optimizer's steps used, as multipliers of the base 0.1."""
    return [lrs[group] / 0.1 for index, lrs in net.trace if index == optimizer]


def up_and_down(x: float) -> float:
    """One cycle with its peak at 0.4, from 1/10 to 1/1000, at the share x of it."""
    start, turn, x = (0.1, 1.0, x / 0.4) if x < 0.4 else (1.0, 0.001, (x - 0.4) / 0.6)
    return turn + (start - turn) * (1 + math.cos(math.pi * min(x, 1))) / 2


# by name: the callback for a Duration, a unit of time, and twice that Duration; the formula for t and the length n
FAMILY: dict[str, tuple[Callable[..., Any], Callable[[Fraction, Fraction], float]]] = {
    "exponential": (lambda d, u, d2: ExponentialDecay(0.6, decay_steps=d), lambda t, n: 0.6 ** float(t / n)),
    "staircase": (
        lambda d, u, d2: ExponentialDecay(0.6, decay_steps=d, staircase=True),
        lambda t, n: 0.6 ** math.floor(t / n),
    ),
    "inverse time": (lambda d, u, d2: InverseTimeDecay(0.7, decay_steps=d), lambda t, n: 1 / (1 + 0.7 * float(t / n))),
    "inverse time staircase": (
        lambda d, u, d2: InverseTimeDecay(0.7, decay_steps=d, staircase=True),
        lambda t, n: 1 / (1 + 0.7 * math.floor(t / n)),
    ),
    "inverse sqrt": (lambda d, u, d2: InverseSqrtDecay(0.8, unit=u), lambda t, n: 0.8 / math.sqrt(t + 1)),
    "piecewise": (
        lambda d, u, d2: PiecewiseConstant([d, d2], [1, 0.5, 0.2]),
        lambda t, n: 1 if t < n else 0.5 if t < 2 * n else 0.2,
    ),
    "polynomial": (
        lambda d, u, d2: PolynomialDecay(d, end_factor=0.1, power=2),
        lambda t, n: 0.1 + 0.9 * float(1 - min(t, n) / n) ** 2,
    ),
    "polynomial cycle": (
        lambda d, u, d2: PolynomialDecay(d, end_factor=0.1, cycle=True),
        lambda t, n: 0.1 + 0.9 * float(1 - t / (n * max(1, math.ceil(t / n)))),
    ),
    "cosine": (
        lambda d, u, d2: CosineDecay(d, end_factor=0.1),
        lambda t, n: 0.1 + 0.45 * (1 + math.cos(math.pi * min(t / n, 1))),
    ),
    "one cycle": (
        lambda d, u, d2: OneCycle(d, pct_start=0.4, div_factor=10, final_div_factor=100),
        lambda t, n: up_and_down(float(t / n)),
    ),
    "warm-up, stable, decay": (
        lambda d, u, d2: WarmupStableDecay(d, total=d2, form="sqrt", end_factor=0.1),
        lambda t, n: 1 if t < n else 0.1 + 0.9 * (1 - math.sqrt(min((t - n) / n, 1))),
    ),
    "any function": (
        lambda d, u, d2: LRSchedule(lt.inverse_time_decay(2), unit=u),
        lambda t, n: 1 / (1 + 2 * float(t)),
    ),
}


def member(name: str, unit: str, steps: int) -> tuple[Any, list[float]]:
    """A callback of the family, and the multipliers of all steps by its formula."""
    make, formula = FAMILY[name]
    length, clock, given, twice = {
        "epochs": (Fraction("1.2"), "ep", 1.2, "2.4ep"),
        "steps": (Fraction(steps + 1), "st", f"{steps + 1}st", f"{2 * steps + 2}st"),
        "share": (Fraction("0.9"), "ep", "0.3dur", "0.6dur"),
    }[unit]
    times = [Fraction(i, steps if clock == "ep" else 1) for i in range(EPOCHS * steps)]
    return make(given, clock, twice), [formula(t, length) for t in times]


def every_step(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


class Alone(Net):
    """One optimizer, stepped by hand on every batch."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        optimizer.step()

    def configure_optimizers(self) -> Any:
        return super().configure_optimizers()[1]


each_clock = pytest.mark.parametrize("unit", UNITS)


def check_each_step(name: str, unit: str, folder: Path) -> None:
    """Every step uses the closed form, with and without accumulation, also when resumed in mid-epoch."""
    for accumulation in (1, 3):
        steps = BATCHES // accumulation
        callback, expected = member(name, unit, steps)
        saver = every_step(folder / str(accumulation))
        whole = fit(callback, saver, accumulate_grad_batches=accumulation)
        assert [lrs[-1] / 0.1 for _, lrs in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
        assert [lrs[0] / 0.01 for _, lrs in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
        middle = folder / str(accumulation) / f"step={steps + 1}.ckpt"
        rest = fit(member(name, unit, steps)[0], ckpt_path=middle, accumulate_grad_batches=accumulation)
        assert rest.trace == whole.trace[steps + 1 :]


def check_manual_optimization(name: str, unit: str, folder: Path) -> None:
    """Every step that the module takes by hand uses the closed form, also when resumed in mid-epoch."""
    callback, expected = member(name, unit, BATCHES)
    whole = fit(callback, every_step(folder), net=Alone(manual=True))
    assert [lr / 0.1 for _, (lr,) in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
    rest = fit(member(name, unit, BATCHES)[0], net=Alone(manual=True), ckpt_path=folder / "step=8.ckpt")
    assert rest.trace == whole.trace[8:]
