"""PiecewiseConstant: the closed form at every step, lists from Hydra, and what is refused, at once or at the start."""

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from schedule_family import check_each_step, check_manual_optimization, each_clock
from tiny import fit

import lightning_tricks as lt
from lightning_tricks import PiecewiseConstant


@each_clock
@pytest.mark.parametrize("form", ["piecewise"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


def test_a_list_from_hydra_will_do_for_a_table() -> None:
    root = Path(lt.__file__).parent / "conf" / "tricks" / "piecewise_constant.yaml"
    node = OmegaConf.load(root).piecewise_constant
    node.boundaries, node.factors = ["2st", "0.5dur"], [1, 0.5, 0.1]
    callback = instantiate(node)
    assert callback.boundaries == ["2st", "0.5dur"]
    assert callback.settings()["factors"] == [1, 0.5, 0.1]
    used = [lrs[-1] / 0.1 for _, lrs in fit(callback, max_steps=12).trace]
    assert used == pytest.approx([1] * 2 + [0.5] * 4 + [0.1] * 6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: PiecewiseConstant([1], [1]),
            ValueError,
            r"one entry more than `boundaries`, got 1 factors for 1",
        ),
        (lambda: PiecewiseConstant([2, 1], [1, 1, 1]), ValueError, r"`boundaries` must increase, got \[2.0, 1.0\]"),
        (lambda: PiecewiseConstant(["0.5dur", "0.2dur"], [1, 1, 1]), ValueError, r"must increase, got \[0.5, 0.2\]"),
        (lambda: PiecewiseConstant([0], [1, 1]), ValueError, r"`boundaries\[0\]` must be a duration > 0, got 0"),
        (lambda: PiecewiseConstant(["a"], [1, 1]), ValueError, r"`boundaries\[0\]` must be a duration.*got 'a'"),
        (lambda: PiecewiseConstant([1], [1, -1]), ValueError, "`factors` must be finite and >= 0, got -1"),
        (lambda: PiecewiseConstant("1ep", [1, 1]), TypeError, "`boundaries` must be a list, got '1ep'"),
        (lambda: PiecewiseConstant([1], 0.1), TypeError, "`factors` must be a list, got 0.1"),
        (
            lambda: PiecewiseConstant([1, "500st"], [1, 1, 1]),
            ValueError,
            r"must share a clock, got `boundaries\[0\]`=1 \(in ep\), `boundaries\[1\]`='500st' \(in st\). Give all in",
        ),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_what_only_the_run_can_tell_is_refused_when_it_starts() -> None:
    late = PiecewiseConstant(["0.5dur", "2ep"], [1, 0.5, 0.1])
    assert len(fit(late, max_epochs=3).trace) == 18
    with pytest.raises(ValueError, match=r"`boundaries` must increase, got \[5.0, 2.0\]"):
        fit(late, max_epochs=10)
    with pytest.raises(ValueError, match=r"must share a clock, got `boundaries\[0\]`='0.5dur' \(in st\)"):
        fit(late, max_steps=10)
