"""The named schedules in a real Trainer: the closed form at every step, the order of callbacks, and what is refused."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf
from tiny import BATCHES, Net, fit, same, weights
from tricks import TINY

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
)
from lightning_tricks.engine.lr.lr_factor import LRFactor

EPOCHS = 3
UNITS = ("epochs", "steps", "share")


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


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("name", FAMILY)
def test_every_step_uses_the_closed_form_also_when_resumed_mid_epoch(
    name: str, accumulation: int, unit: str, tmp_path: Path
) -> None:
    steps = BATCHES // accumulation
    callback, expected = member(name, unit, steps)
    whole = fit(callback, every_step(tmp_path), accumulate_grad_batches=accumulation)
    assert [lrs[-1] / 0.1 for _, lrs in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
    assert [lrs[0] / 0.01 for _, lrs in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
    middle = tmp_path / f"step={steps + 1}.ckpt"
    rest = fit(member(name, unit, steps)[0], ckpt_path=middle, accumulate_grad_batches=accumulation)
    assert rest.trace == whole.trace[steps + 1 :]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", FAMILY)
def test_under_manual_optimization_too(name: str, unit: str, tmp_path: Path) -> None:
    class Alone(Net):
        """One optimizer, stepped by hand on every batch."""

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()

        def configure_optimizers(self) -> Any:
            return super().configure_optimizers()[1]

    callback, expected = member(name, unit, BATCHES)
    whole = fit(callback, every_step(tmp_path), net=Alone(manual=True))
    assert [lr / 0.1 for _, (lr,) in whole.trace] == pytest.approx(expected, rel=1e-12, abs=0)
    rest = fit(member(name, unit, BATCHES)[0], net=Alone(manual=True), ckpt_path=tmp_path / "step=8.ckpt")
    assert rest.trace == whole.trace[8:]


LR_CALLBACKS = [name for name, make in TINY.items() if isinstance(make(), LRFactor)]


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(LR_CALLBACKS, 2)])
def test_all_pairs_of_lr_callbacks_commute(one: str, other: str) -> None:
    first = fit(TINY[one](), TINY[other](), max_epochs=2)
    second = fit(TINY[other](), TINY[one](), max_epochs=2)
    assert first.trace == second.trace
    assert same(weights(first), weights(second))


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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ExponentialDecay(0), ValueError, "`decay_rate` must be finite and > 0, got 0"),
        (lambda: ExponentialDecay(-0.1), ValueError, "`decay_rate` must be finite and > 0, got -0.1"),
        (lambda: ExponentialDecay(math.nan), ValueError, "`decay_rate` must be finite and > 0, got nan"),
        (lambda: ExponentialDecay("0.9"), TypeError, "`decay_rate` must be a number, got '0.9'"),
        (lambda: ExponentialDecay(decay_steps=0), ValueError, "`decay_steps` must be a duration > 0, got 0"),
        (lambda: ExponentialDecay(decay_steps="0st"), ValueError, "`decay_steps` must be a duration > 0, got '0st'"),
        (lambda: ExponentialDecay(staircase="no"), TypeError, "`staircase` must be True or False, got 'no'"),
        (lambda: InverseTimeDecay(-1), ValueError, "`decay_rate` must be finite and >= 0, got -1"),
        (lambda: InverseTimeDecay(decay_steps="1"), ValueError, "`decay_steps` must be a duration.*got '1'"),
        (lambda: InverseSqrtDecay(0), ValueError, "`k` must be finite and > 0, got 0"),
        (lambda: InverseSqrtDecay(unit="dur"), ValueError, "`unit` must be one of 'ep', 'st', got 'dur'"),
        (lambda: PolynomialDecay(power=0), ValueError, "`power` must be finite and > 0, got 0"),
        (lambda: PolynomialDecay(end_factor=2), ValueError, r"`end_factor` must lie in \[0, 1\], got 2"),
        (lambda: PolynomialDecay(cycle=1), TypeError, "`cycle` must be True or False, got 1"),
        (lambda: PolynomialDecay(-3), ValueError, "`decay_steps` must be a duration > 0, got -3"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_share_of_a_run_without_an_end_is_refused_when_it_starts() -> None:
    with pytest.raises(ValueError, match=r"`decay_steps` is a share of the run \(1dur\), but nothing bounds this run"):
        fit(PolynomialDecay(), max_epochs=-1, max_time={"seconds": 1})
