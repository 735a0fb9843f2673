"""Schedulers of any library keep a found rate and layer multipliers, or are named in a warning."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from foreign_schedulers import LikeTimm, OwnCycle, Stubborn, TwoArguments, Wrapping
from tiny import Net, StatefulLoader, fit
from torch.optim import lr_scheduler

from lightning_tricks import CosineDecay, DiscriminativeLR, LRFinder, OneCycle


class Scheduled(Net):
    """One rate for all parameters, and a scheduler that is stepped after each batch, as its library documents it."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def train_dataloader(self) -> StatefulLoader:
        return StatefulLoader(batch_size=32)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if isinstance(scheduler, LikeTimm):
            scheduler.step(self.trainer.global_step)
        elif not isinstance(scheduler, TwoArguments):
            scheduler.step()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [{"scheduler": self.make(optimizer), "interval": "step"}]


def rates(net: Net) -> list[list[float]]:
    """The rates of the run, without those of the sweep."""
    return [lrs for _, lrs in net.trace[-18:]]


KNOWN = {
    "timm": (LikeTimm, 0.1),
    "own cycle": (OwnCycle, 0.2),
    "wrapping": (Wrapping, 0.1),
    "cyclic": (lambda o: lr_scheduler.CyclicLR(o, 0.02, 0.2, 3), 0.2),
    "one cycle": (lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=18), 0.2),
    "cosine with a floor": (lambda o: lr_scheduler.CosineAnnealingLR(o, 18, eta_min=0.05), 0.1),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_the_found_rate_is_the_peak_and_the_shape_stays(kind: str) -> None:
    make, peak = KNOWN[kind]
    finder = LRFinder(min_lr=1e-4, max_lr=10.0, num_steps=50)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*LRFinder")
        found = fit(finder, net=Scheduled(make))
    alone = fit(net=Scheduled(make))
    top = finder.result.suggestion  # type: ignore[union-attr]
    assert top is not None
    assert rates(found) == [pytest.approx([lr / peak * top for lr in lrs]) for lrs in rates(alone)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            Stubborn,
            "`Stubborn` overwrites the rates of `LRFinder`: its step 3 sets the learning rate of group 0 to 0.0",
        ),
        (TwoArguments, "`TwoArguments` cannot be stepped ahead"),
    ],
)
def test_a_scheduler_that_undoes_the_found_rate_is_named(make: Any, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        fit(LRFinder(min_lr=1e-4, max_lr=10.0, num_steps=50), net=Scheduled(make))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Stubborn, r"`Stubborn` overwrites the rates of `DiscriminativeLR`: its step 3 sets .* of group 0 to 0.03 "),
        (OwnCycle, r"OwnCycle\(base_max_lr=0.2\), OwnCycle\(max_lr=0.2\), OwnCycle\(min_lr=0.01\) has a single rate"),
    ],
)
def test_a_scheduler_that_undoes_layer_multipliers_is_named(make: Any, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        fit(DiscriminativeLR(4.0, groups=["body.*", "head.*"]), net=Scheduled(make))


def test_layer_multipliers_hold_under_a_scheduler_in_the_manner_of_timm() -> None:
    def make(optimizer: Any) -> LikeTimm:
        scheduler = LikeTimm(optimizer)
        scheduler.lr_min = scheduler.warmup_lr_init = 0.0  # one number for all groups, a warning otherwise
        scheduler.warmup_steps = [value / 3 for value in scheduler.base_values]
        return scheduler

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*DiscriminativeLR")
        net = fit(DiscriminativeLR(4.0, groups=["body.*", "head.*"]), net=Scheduled(make))
    assert max(high for _, high in rates(net)) == pytest.approx(0.1)
    assert all(low == pytest.approx(high / 4) for low, high in rates(net)[1:])


@pytest.mark.parametrize("kind", ["cyclic", "one cycle"])
def test_a_replaced_cyclic_scheduler_leaves_rate_and_momentum_as_they_were_built(kind: str) -> None:
    momenta: list[float] = []

    class Watched(Scheduled):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            super().on_before_optimizer_step(optimizer)
            momenta.append(optimizer.param_groups[0]["momentum"])

    net = fit(CosineDecay(replace_scheduler=True), net=Watched(KNOWN[kind][0]))
    assert rates(net)[0] == [0.1]
    assert set(momenta) == {0.9}
    net = fit(OneCycle(replace_scheduler=True), net=Watched(KNOWN[kind][0]))
    assert max(rate for (rate,) in rates(net)) == pytest.approx(0.1, rel=0.05)
