"""Polynomial averaging: the last ninth of the steps so far counts, and a model that cannot be copied trains without."""

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from recorders import Recorder
from tiny import BATCHES, Net, OtherNet, fit, same, weights
from torch import Tensor

from lightning_tricks import EarlyStopping
from lightning_tricks.engine.watch import average_weights
from lightning_tricks.engine.watch.polynomial_averaging import PolynomialAveraging, average_


def averaged(values: list[float]) -> float:
    found = torch.tensor([0.0])
    for count, value in enumerate(values):
        average_([found], [torch.tensor([value])], count)
    return float(found)


@pytest.mark.parametrize("steps", [10, 1000])
def test_the_mean_age_of_the_weights_is_the_same_share_of_short_and_long_trainings(steps: int) -> None:
    assert averaged([7.0] * steps) == pytest.approx(7.0)
    assert averaged([float(step) for step in range(1, steps + 1)]) / steps == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("manual", [False, True])
def test_validation_and_the_end_have_the_average_and_training_has_not(manual: bool) -> None:
    taken: list[dict[str, Tensor]] = []
    keep = Recorder(
        on_train_batch_end=lambda _, net, *__: taken.append(weights(net)),
        on_validation_batch_start=lambda _, net, *__: weights(net),
        on_train_epoch_start=lambda _, net: weights(net),
    )
    net = fit(PolynomialAveraging(), keep, net=Net(manual=manual), max_epochs=2)
    averages = [{name: value for name, value in taken[0].items() if value.is_floating_point()}]
    for count, now in enumerate(taken[1:], start=1):
        averages.append({name: value.clone() for name, value in averages[-1].items()})
        average_(list(averages[-1].values()), [now[name] for name in averages[-1]], count)
    seen = keep.seen["on_validation_batch_start"]
    name = "head.weight"
    # two batches in each validation; the first of the last but one
    torch.testing.assert_close(seen[-4][name], averages[BATCHES - 1][name])
    assert same(keep.seen["on_train_epoch_start"][1], taken[BATCHES - 1])
    torch.testing.assert_close(weights(net)[name], averages[-1][name])
    assert not same(averages[-1][name], taken[-1][name])


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-true", torch.bfloat16), ("64-true", torch.float64)])
def test_a_model_of_another_precision_is_averaged(precision: Any, dtype: torch.dtype) -> None:
    taken: list[dict[str, Tensor]] = []
    keep = Recorder(on_train_batch_end=lambda _, net, *__: taken.append(weights(net)))
    net = fit(PolynomialAveraging(), keep, precision=precision, max_epochs=2)
    average = taken[0]["head.weight"].double()
    for count, now in enumerate(taken[1:], start=1):
        average_([average], [now["head.weight"].double()], count)
    found = weights(net)["head.weight"]
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), average, rtol=1e-9 if dtype == torch.float64 else 1e-2, atol=1e-12)
    assert not torch.equal(found, taken[-1]["head.weight"])


class Locked(Net):
    """A module that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Growing(Net):
    """A module with a buffer that grows in its second epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(1))

    def on_train_epoch_start(self) -> None:
        self.cache = torch.zeros(1 + self.current_epoch)


class Late(Net):
    """A module that is built in ``configure_model``."""

    def configure_model(self) -> None:
        """Build nothing more."""


@pytest.mark.parametrize(
    ("module", "reason"), [(Locked, "cannot be copied (TypeError: cannot pickle"), (Late, "built in `configure_model`")]
)
def test_a_model_that_cannot_be_copied_trains_without_an_average(
    module: type[Net], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        trained = fit(PolynomialAveraging(), EarlyStopping("val_loss"), net=module(), max_epochs=2)
    assert reason in caplog.text
    assert same(weights(trained), weights(fit(EarlyStopping("val_loss"), net=module(), max_epochs=2)))


def test_a_module_whose_tensors_change_trains_on_without_an_average() -> None:
    with pytest.warns(UserWarning, match="not averaged any more: the number or the shapes"):
        trained = fit(PolynomialAveraging(), net=Growing(), max_epochs=3)
    assert same(weights(trained), weights(fit(net=Growing(), max_epochs=3)))


def test_sharded_and_uninitialized_models_are_not_averaged(caplog: pytest.LogCaptureFixture) -> None:
    class ModelParallelStrategy: ...

    trick, lazy = PolynomialAveraging(), Net()
    lazy.extra = torch.nn.LazyLinear(2)
    cases: list[tuple[Any, Any, str]] = [
        (ModelParallelStrategy(), Net(), "ModelParallelStrategy shards the model"),
        (object(), lazy, "uninitialized parameters"),
    ]
    for strategy, module, reason in cases:
        with caplog.at_level(logging.INFO):
            trick.setup(SimpleNamespace(strategy=strategy), module, "fit")  # type: ignore[arg-type]
        assert reason in caplog.text
        trick.on_train_batch_end(SimpleNamespace(global_step=1), module)  # type: ignore[arg-type]


def test_the_other_package_averages_too_and_an_old_lightning_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_lightning

    alone = weights(fit(net=OtherNet(), package=pytorch_lightning))
    assert not same(weights(fit(PolynomialAveraging(), net=OtherNet(), package=pytorch_lightning)), alone)
    monkeypatch.setattr(average_weights, "IS_KNOWN", False)
    assert type(average_weights.average_weights()) is Callback
