"""Every public callback under each setting of the Trainer that changes steps, batches, validation or surroundings."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from leftovers import shape_of
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import CombinedLoader
from tiny import Net, StatefulLoader, trainer
from tricks import TINY, public_callbacks

import lightning_tricks as lt

Loader = StatefulLoader


class Setting(NamedTuple):
    """A way to run two epochs of six batches."""

    arguments: Mapping[str, Any] = MappingProxyType({})
    steps: tuple[int, int] = (6, 6)
    """Optimizer steps of each epoch."""
    train: Callable[[], Any] | None = None
    val: Callable[[], Any] | None = None
    accumulation: dict[int, int] | None = None
    """Batches per step by epoch, for a `GradientAccumulationScheduler`."""


def two_at_once() -> dict[str, Loader]:
    return {"one": Loader(), "other": Loader(batches=3)}


def two_to_validate() -> list[Loader]:
    return [Loader(batches=2, seed=1), Loader(batches=3, seed=2)]


SETTINGS = {
    "overfit two batches": Setting({"overfit_batches": 2}, (2, 2)),
    "overfit half": Setting({"overfit_batches": 0.5}, (3, 3)),
    "half of the batches": Setting({"limit_train_batches": 0.5}, (3, 3)),
    "four batches": Setting({"limit_train_batches": 4}, (4, 4)),
    "one batch to validate": Setting({"limit_val_batches": 1}),
    "half to validate": Setting({"limit_val_batches": 0.5}),
    "no validation": Setting({"limit_val_batches": 0}),
    "max_time": Setting({"max_time": "00:00:10:00"}),
    "loaders made again": Setting({"reload_dataloaders_every_n_epochs": 1}),
    "accumulation": Setting({"accumulate_grad_batches": 4}, (2, 2)),
    "accumulation schedule": Setting({}, (6, 2), accumulation={0: 1, 1: 3}),
    "no inference mode": Setting({"inference_mode": False}),
    "barebones": Setting({"barebones": True}),
    "simple profiler": Setting({"profiler": "simple"}),
    "advanced profiler": Setting({"profiler": "advanced"}),
    "anomaly detection": Setting({"detect_anomaly": True}),
    "validation by batches": Setting({"check_val_every_n_epoch": None, "val_check_interval": 4}),
    "validation twice an epoch": Setting({"val_check_interval": 0.5}),
    "validation every two batches": Setting({"val_check_interval": 2}),
    "validation every other epoch": Setting({"check_val_every_n_epoch": 2}),
    "no sanity check": Setting({"num_sanity_val_steps": 0}),
    "a whole sanity check": Setting({"num_sanity_val_steps": -1}),
    "max_steps too": Setting({"max_steps": 9}, (6, 3)),
    "logged each step": Setting({"logger": True, "log_every_n_steps": 1}),
    "logged never": Setting({"log_every_n_steps": 0}),
    "two loaders, dict": Setting(train=two_at_once),
    "two loaders, list": Setting(train=lambda: [Loader(), Loader(batches=3)]),
    "two loaders, longest": Setting(train=lambda: CombinedLoader(two_at_once(), "max_size_cycle")),
    "two loaders, shortest": Setting({}, (3, 3), train=lambda: CombinedLoader(two_at_once(), "min_size")),
    "two to validate, list": Setting(val=two_to_validate),
    "two to validate, dict": Setting(val=lambda: dict(zip("ab", two_to_validate(), strict=True))),
    "bf16": Setting({"precision": "bf16-mixed"}),
    "double precision": Setting({"precision": "64-true"}),
}

CALLBACKS: dict[str, Callable[[], Callback]] = {
    **TINY,
    # thawed by the fourth step, which every setting reaches
    "GradualUnfreezing": lambda: lt.GradualUnfreezing(every="1st", rewarmup="1st"),
    # two loaders at once have batches without a place 0
    "NormalizeInputs": lambda: lt.NormalizeInputs(limit_batches=4),
    # lengths in epochs alone, for `max_steps` makes shares of a run a number of steps
    "PiecewiseConstant": lambda: lt.PiecewiseConstant([0.5, 1.5], [0.5, 1, 0.3]),
}


class SeveralNet(Net):
    """`Net` on the first of several batches; it records how many validations there were before each step."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0
        self.checks_before: list[int] = []

    def loss(self, batch: Any) -> Any:
        batch = batch["one"] if isinstance(batch, dict) else batch
        return super().loss(batch if len(batch[0]) != 2 else batch[0])

    def training_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        loss = self.loss(batch)
        if dataloader_idx == 0:
            self.log("val_loss", loss, add_dataloader_idx=False)

    def on_validation_epoch_end(self) -> None:
        self.checks += not self.trainer.sanity_checking

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        super().on_before_optimizer_step(optimizer)
        self.checks_before.append(self.checks)


def run(name: str, *callbacks: Callback) -> tuple[Any, SeveralNet]:
    """Fit under a setting and return the Trainer and the module."""
    setting, net = SETTINGS[name], SeveralNet()
    extra = [GradientAccumulationScheduler(dict(setting.accumulation))] if setting.accumulation else []
    arguments = dict(setting.arguments)
    if arguments.get("logger"):
        arguments["logger"] = CSVLogger(".")
    made = {"train_dataloaders": setting.train, "val_dataloaders": setting.val}
    loaders = {key: make() for key, make in made.items() if make is not None}
    runner = trainer(*callbacks, *extra, **{"max_epochs": 2, **arguments})
    runner.fit(net, **loaders)
    return runner, net


ATTRIBUTES = ("current_epoch", "log_every_n_steps", "accumulate_grad_batches", "gradient_clip_val", "val_check_batch")


def left_behind(runner: Any, net: SeveralNet) -> dict[str, Any]:
    """Return how far a fit went, and all that it left on the Trainer and the module."""
    attributes = {name: getattr(runner, name) for name in ATTRIBUTES}
    return {"steps": len(net.trace), "attributes": attributes, "shape": shape_of(runner, net)}


@cache
def left_behind_by_none(name: str) -> dict[str, Any]:
    return left_behind(*run(name))


def fit_and_compare(name: str, *callbacks: Callback) -> SeveralNet:
    """Fit; all steps are taken and what is left behind is what a fit without callbacks leaves."""
    runner, net = run(name, *callbacks)
    assert len(net.trace) == runner.global_step == sum(SETTINGS[name].steps)
    assert left_behind(runner, net) == left_behind_by_none(name)
    return net


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_of_them_train_to_the_end_and_leave_nothing_behind(setting: str) -> None:
    assert set(CALLBACKS) == set(public_callbacks())
    fit_and_compare(setting, *[make() for make in CALLBACKS.values()])


OTHERS = ["Doctor", "PlacementCheck", "LRFinder", "LiveControl", "EarlyStopping", "GradualUnfreezing"]
CLIPPING = ["AdaptiveGradientClipping", "AutoClip", "GradientClipping", "ZClip"]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("names", [*[[name] for name in OTHERS], CLIPPING], ids=" ".join)
def test_one_kind_of_them_trains_to_the_end_and_leaves_nothing_behind(names: list[str], setting: str) -> None:
    fit_and_compare(setting, *[CALLBACKS[name]() for name in names])


class Time(NamedTuple):
    """The time just before a step."""

    epochs: float
    steps: int
    checks: int
    """Validations so far."""
    share: float
    """Of the run."""


def half_cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1))) / 2


def one_cycle(time: Time) -> float:
    if time.share < 0.3:
        return half_cosine(time.share / 0.3, 0.2, 1)
    return half_cosine((time.share - 0.3) / 0.7, 1, 0.02)


CLOSED_FORMS: dict[str, tuple[Callable[[], Callback], Callable[[Time], float]]] = {
    "CosineDecay": (lambda: lt.CosineDecay(2, end_factor=0.1), lambda time: half_cosine(time.epochs / 2, 1, 0.1)),
    "CosineWarmRestarts": (
        lambda: lt.CosineWarmRestarts(t_0=1, peak_decay=0.5),
        lambda time: half_cosine(time.epochs % 1, 0.5 ** int(time.epochs), 0),
    ),
    "ExponentialDecay": (lambda: lt.ExponentialDecay(0.5, decay_steps="5st"), lambda time: 0.5 ** (time.steps / 5)),
    "InverseSqrtDecay": (lambda: lt.InverseSqrtDecay(unit="st"), lambda time: 1 / math.sqrt(time.steps + 1)),
    "InverseTimeDecay": (lambda: lt.InverseTimeDecay(0.5, decay_steps=0.5), lambda time: 1 / (1 + time.epochs)),
    "LRSchedule": (
        lambda: lt.LRSchedule(lambda t: 1 / (1 + t), unit="ep", warmup="2st"),
        lambda time: min(time.steps / 2, 1) / (1 + time.epochs),
    ),
    "OneCycle": (lambda: lt.OneCycle("1dur", div_factor=5, final_div_factor=10), one_cycle),
    "PiecewiseConstant": (
        lambda: lt.PiecewiseConstant([0.5, 1.5], [0.5, 1, 0.3]),
        lambda time: 0.5 if time.epochs < 0.5 else 1 if time.epochs < 1.5 else 0.3,
    ),
    "PolynomialDecay": (
        lambda: lt.PolynomialDecay("7st", power=0.8),
        lambda time: (1 - min(time.steps, 7) / 7) ** 0.8,
    ),
    # no score is ever better by 9 than the first: a cut at every check after it
    "ReduceLROnPlateau": (
        lambda: lt.ReduceLROnPlateau(patience=1, min_delta=9.0, stop_at_min=False, strict=False),
        lambda time: 0.5 ** max(0, time.checks - 1),
    ),
}


def times(setting: str, net: SeveralNet) -> list[Time]:
    steps, limit = SETTINGS[setting].steps, SETTINGS[setting].arguments.get("max_steps")
    whole = (6, 6) if limit else steps  # an epoch that `max_steps` cuts off is as long as the others
    found = []
    for place, checks in enumerate(net.checks_before):
        epoch, part = (0, place) if place < steps[0] else (1, place - steps[0])
        epochs = epoch + part / whole[epoch]
        found.append(Time(epochs, place, checks, place / limit if limit else epochs / 2))
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_rates_are_the_closed_form(name: str, setting: str) -> None:
    make, multiplier = CLOSED_FORMS[name]
    net = fit_and_compare(setting, make())
    expected = [[0.01 * multiplier(time), 0.1 * multiplier(time)] for time in times(setting, net)]
    assert [lrs for _, lrs in net.trace] == [pytest.approx(lrs, rel=1e-9, abs=1e-15) for lrs in expected]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_multipliers_of_layers_are_constant(setting: str) -> None:
    net = fit_and_compare(setting, lt.DiscriminativeLR(groups=["body.*", "head.*"], multipliers=[0.5, 1]))
    assert all(lrs == pytest.approx([0.005, 0.1]) for _, lrs in net.trace)


@pytest.mark.parametrize("name", CLIPPING)
def test_gradient_clip_val_beside_a_clipping_callback_is_refused_with_both_named(name: str) -> None:
    with pytest.raises(MisconfigurationException, match=rf"`{name}` and `Trainer\(gradient_clip_val=0.5\)`"):
        trainer(CALLBACKS[name](), gradient_clip_val=0.5).fit(Net())


def test_a_run_that_max_time_ends_leaves_nothing_behind() -> None:
    nets, runners = [], []
    for callbacks in ([], [make() for make in CALLBACKS.values()]):
        net, runner = Net(), trainer(*callbacks, max_epochs=10**6, max_time={"milliseconds": 300})
        runner.fit(net)
        nets.append(net)
        runners.append(runner)
    assert shape_of(runners[0], nets[0]) == shape_of(runners[1], nets[1])
