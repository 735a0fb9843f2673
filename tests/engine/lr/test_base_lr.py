"""A found rate is the new base: with every LR callback in any order, and with a scheduler of the module's own."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from stateful_net import StatefulNet, end_state, fit_stateful
from tiny import LargeBatchNet, Net, fit, same, trainer, weights

from lightning_tricks import (
    CosineDecay,
    DiscriminativeLR,
    ExponentialDecay,
    GradualUnfreezing,
    LRFinder,
    ReduceLROnPlateau,
)
from lightning_tricks.engine.lr.lr_factor import LRFactor


def finder() -> LRFinder:
    return LRFinder(min_lr=1e-4, max_lr=10.0, num_steps=60)


def decay() -> ExponentialDecay:
    return ExponentialDecay(0.5, decay_steps="6st", staircase=True, warmup="3st", warmup_start=0.25)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_factors_act_on_the_found_rate_whatever_the_order_of_the_callbacks(order: tuple[int, ...]) -> None:
    found, cosine = finder(), CosineDecay("18st")
    callbacks = [found, decay(), cosine]
    net = fit(*(callbacks[place] for place in order), net=LargeBatchNet())
    top = found.result.suggestion  # type: ignore[union-attr]
    assert top is not None
    factors = [lr / top for _, (_, lr) in net.trace]
    unfound = fit(*(callbacks[place] for place in (1, 2)), net=LargeBatchNet(), max_epochs=3)
    assert factors == pytest.approx([lr / 0.1 for _, (_, lr) in unfound.trace])
    assert [low / high for _, (low, high) in net.trace] == pytest.approx([0.1] * 18)


class Learnt(LRFactor):
    """A factor that was learnt in the run."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.replace_scheduler, self.value = None, False, 0.25

    def factors_at(self, moment: Any, optimizer: int) -> dict[str, Any]:
        return {"learnt": self.value}

    def reset_factor(self) -> None:
        self.value = 1.0


def test_a_factor_learnt_under_the_old_base_returns_to_one() -> None:
    found = finder()
    net = fit(Learnt(), found, net=LargeBatchNet())
    assert net.trace[0][1][1] == found.result.suggestion  # type: ignore[union-attr]


def test_a_plateau_starts_anew_from_the_found_rate() -> None:
    found = LRFinder(min_lr=1e-4, num_steps=60, at_epochs=(2,))
    plateau = ReduceLROnPlateau(patience=1, min_delta=9.0, stop_at_min=False)
    net = fit(plateau, found, net=LargeBatchNet(), max_epochs=4)
    top = found.result.suggestion  # type: ignore[union-attr]
    assert [lrs[1] for _, lrs in net.trace[::6]] == pytest.approx([0.1, 0.1, top, top / 2])


class PerGroup(Learnt):
    """Layer multipliers."""

    def factors_at(self, moment: Any, optimizer: int) -> dict[str, Any]:
        return {"layers": [1.0, 0.5]}


def test_layer_multipliers_belong_to_the_ratios() -> None:
    found = finder()
    net = fit(PerGroup(), found, net=LargeBatchNet())
    low, high = net.trace[0][1]
    assert high == pytest.approx(found.result.suggestion)  # type: ignore[union-attr]
    assert low == pytest.approx(high / 5)


@pytest.mark.parametrize("others", [[], [CosineDecay()]])
def test_groups_that_were_built_with_one_tensor_get_the_found_rate_once(others: list[Any]) -> None:
    class Tensors(LargeBatchNet):
        def configure_optimizers(self) -> Any:
            groups = [{"params": self.body.parameters()}, {"params": self.head.parameters()}]
            return torch.optim.Adam(groups, lr=torch.tensor(0.01))

    found = finder()
    net = fit(*others, found, net=Tensors())
    assert net.trace[0][1] == pytest.approx([found.result.suggestion] * 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("scheduler", [None, "lambda"])
@pytest.mark.parametrize("finder_first", [True, False])
def test_discriminative_rates_keep_their_ratios(scheduler: str | None, finder_first: bool) -> None:
    seen: list[list[float]] = []

    class Watched(StatefulNet):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            seen.append(sorted(group["lr"] for group in optimizer.param_groups))

    found = LRFinder(min_lr=1e-4, max_lr=1.0, suggestion="minimum")
    rates = DiscriminativeLR(2.0, groups=["body.*", "head.*"])
    callbacks = [found, rates] if finder_first else [rates, found]
    runner, _ = fit_stateful(None, "large batches", net=Watched(scheduler=scheduler), callbacks=callbacks)
    low, high = seen[-runner.global_step]
    assert high == pytest.approx(found.result.suggestion)  # type: ignore[union-attr]
    assert low == pytest.approx(high / 20)


def test_training_that_unfreezes_goes_on_as_without_a_finder() -> None:
    def run(look: bool) -> dict[str, Any]:
        finder = LRFinder(min_lr=1e-4, max_lr=1.0, apply=False, at_epochs=(0, 1)) if look else None
        unfreezing = GradualUnfreezing(groups=["body.*", "head.*"])
        return end_state(*fit_stateful(finder, "large batches", callbacks=[unfreezing]))

    assert same(run(look=True), run(look=False))


def test_two_optimizers_keep_their_ratio() -> None:
    found = finder()
    net = fit(found, net=LargeBatchNet(manual=True))
    top = found.result.suggestion  # type: ignore[union-attr]
    rates = dict(net.trace)
    assert rates == {0: [pytest.approx(top / 10)], 1: [pytest.approx(top)]}


def test_a_resumed_run_goes_on_from_the_found_base_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole = fit(finder(), decay(), saver, net=LargeBatchNet())
    resumed = fit(finder(), decay(), net=LargeBatchNet(), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert resumed.trace == whole.trace[6:]
    assert same(weights(resumed), weights(whole))
    assert not [w for w in recwarn if "is built with a learning rate" in str(w.message) or "wrote" in str(w.message)]


EXPECTED = {
    "lambda": lambda step: 0.9**step,
    "cosine": lambda step: (1 + torch.cos(torch.tensor(step / 40 * torch.pi)).item()) / 2,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scheduler_of_the_modules_own_follows(name: str) -> None:
    found = LRFinder(min_lr=1e-4, max_lr=1.0, suggestion="minimum")
    rates: list[list[float]] = []

    class Watched(StatefulNet):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            rates.append([group["lr"] for group in optimizer.param_groups])

    net = Watched(scheduler=name)
    runner, _ = fit_stateful(found, "large batches", net=net)
    top = found.result.suggestion  # type: ignore[union-attr]
    assert top is not None
    taken = rates[-runner.global_step :]
    assert [high for _, high in taken] == pytest.approx([top * EXPECTED[name](step) for step in range(len(taken))])
    assert [low for low, _ in taken] == pytest.approx([high / 10 for _, high in taken])


@pytest.mark.parametrize("name", ["cycle", "sequence", "plateau"])
def test_a_scheduler_that_remembers_rates_elsewhere_follows_too(name: str) -> None:
    found, once = LRFinder(min_lr=1e-4, max_lr=1.0), None
    peaks = []
    for callback in (found, once):
        seen: list[float] = []

        class Watched(StatefulNet):
            def on_before_optimizer_step(self, optimizer: Any, seen: list[float] = seen) -> None:
                seen.append(float(optimizer.param_groups[1]["lr"]))

        runner, _ = fit_stateful(callback, "large batches", net=Watched(scheduler=name), max_epochs=5)
        peaks.append(seen[-runner.global_step :])
    built = 0.1 if name == "cycle" else 0.01
    top = found.result.suggestion  # type: ignore[union-attr]
    assert top is not None
    if name == "plateau":  # cuts depend on the losses
        assert peaks[0][0] == top
    else:
        assert [lr / top for lr in peaks[0]] == pytest.approx([lr / built for lr in peaks[1]], rel=1e-3)


def test_a_tensor_rate_is_written_in_place() -> None:
    found = LRFinder(min_lr=1e-4, max_lr=1.0, suggestion="minimum")
    runner, _ = fit_stateful(found, "large batches", optimizer="tensor")
    rate = runner.optimizers[0].param_groups[0]["lr"]
    assert isinstance(rate, torch.Tensor)
    assert float(rate) == pytest.approx(found.result.suggestion)  # type: ignore[union-attr]


def test_rates_of_zero_have_no_ratio_and_are_refused() -> None:
    with pytest.raises(MisconfigurationException, match="learning rate of 0"):
        trainer(finder()).fit(Net(lr=0.0))
