"""The best weights are those that were evaluated, whoever exchanged them; a result written at the end stays."""

import copy
import warnings
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging
from recorders import Recorder, weights_now
from scripted import Scripted, fit_scripted
from tiny import Net, fit, same, trainer, weights
from torch import nn
from torch.nn.utils import parametrizations

from lightning_tricks import EarlyStopping, ReduceLROnPlateau
from lightning_tricks.engine.run.trick import Trick


class Average(Callback):
    """An exponential average of the weights, in the module for each validation.

    Args:
        begin: the hook that puts the average into the module.
        end: the hook that puts the trained weights back.
        write: how: ``copy_``, through ``data``, or by exchanging the memory.
    """

    def __init__(self, begin: str, end: str, write: str) -> None:
        super().__init__()
        self.average: dict[str, torch.Tensor] = {}
        self.begin, self.end, self.write = begin, end, write
        setattr(self, begin, lambda trainer, module: self.exchange(module))
        setattr(self, end, lambda trainer, module: self.exchange(module))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        for name, value in pl_module.named_parameters():
            average = self.average.setdefault(name, value.detach().clone())
            average.lerp_(value.detach(), 0.3)

    def exchange(self, module: Any) -> None:
        for name, value in module.named_parameters():
            if name not in self.average:  # the sanity validation
                return
            if self.write == "memory":
                self.average[name], value.data = value.data, self.average[name]
                continue
            trained = value.detach().clone()
            target = value.detach() if self.write == "copy_" else value.data
            target.copy_(self.average[name])
            self.average[name] = trained


class TrickAverage(Average, Trick):
    """An average that is a trick."""


HOOKS = [
    ("on_validation_start", "on_validation_end"),
    ("on_validation_epoch_start", "on_validation_epoch_end"),
    ("on_validation_start", "on_validation_epoch_end"),
]


@pytest.mark.parametrize("write", ["copy_", "data", "memory"])
@pytest.mark.parametrize("hooks", HOOKS, ids=["-".join(pair) for pair in HOOKS])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [Average, TrickAverage])
def test_the_weights_that_were_evaluated_are_restored_whoever_exchanged_them(
    kind: type[Average], first: bool, hooks: tuple[str, str], write: str
) -> None:
    rule, average, net = EarlyStopping(patience=9), kind(*hooks, write), Net(lr=2.0)
    fit(*([average, rule] if first else [rule, average]), net=net, max_epochs=5)
    plain = Net()
    plain.load_state_dict(net.state_dict())
    assert trainer().validate(plain, verbose=False)[0]["val_loss"] == rule.best_score


class TwoSets(torch.optim.SGD):
    """Steps on one set of weights, and has their average for evaluation, as schedule-free optimizers do."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr)
        for group in self.param_groups:
            group["train_mode"] = True

    def _turn(self, to_train: bool) -> None:
        for group in self.param_groups:
            for value in group["params"]:
                average = self.state[value].setdefault("average", value.detach().clone())
                if group["train_mode"] is not to_train:
                    trained = value.detach().clone()
                    value.data.copy_(average)
                    average.copy_(trained)
            group["train_mode"] = to_train

    def train(self) -> None:
        self._turn(True)

    def eval(self) -> None:
        self._turn(False)

    def step(self, closure: Any = None) -> Any:
        assert self.param_groups[0]["train_mode"], "a step in eval mode"
        loss = super().step(closure)
        for group in self.param_groups:
            for value in group["params"]:
                self.state[value].setdefault("average", value.detach().clone()).lerp_(value.detach(), 0.3)
        return loss


class TurnsForValidation(Net):
    """Turns its optimizer to `eval` for each validation, and back at its end or before the next batch."""

    def __init__(self, back: str) -> None:
        super().__init__(lr=0.3)
        setattr(self, back, self.turn_back)

    def configure_optimizers(self) -> Any:
        return TwoSets(self.parameters(), self.lr)

    def on_validation_start(self) -> None:
        for optimizer in self.trainer.optimizers:
            optimizer.eval()  # type: ignore[attr-defined]

    def turn_back(self, *_: Any) -> None:
        for optimizer in self.trainer.optimizers:
            optimizer.train()  # type: ignore[attr-defined]


@pytest.mark.parametrize("back", ["on_validation_end", "on_train_batch_start"])
def test_an_optimizer_with_two_sets_of_weights_knows_which_were_restored(back: str) -> None:
    rule, net = EarlyStopping(patience=2), TurnsForValidation(back)
    fit(rule, net=net, max_epochs=60)
    assert 6 < rule.best_position[1] < net.trainer.global_step
    best = copy.deepcopy(net.state_dict())
    plain = Net()
    plain.load_state_dict(best)
    assert trainer().validate(plain, verbose=False)[0]["val_loss"] == rule.best_score
    for _ in range(2):
        assert net.trainer.validate(net, verbose=False)[0]["val_loss"] == rule.best_score
    net.on_validation_start()
    assert same(net.state_dict(), best)


def test_weights_that_nobody_exchanges_are_not_copied_for_a_validation() -> None:
    rule = EarlyStopping(patience=9)
    look = Recorder(on_validation_epoch_end=lambda *_: bool(rule._weights._evaluated))
    fit(rule, look)
    assert look.seen["on_validation_epoch_end"] == [False] * 3


class Plain(Scripted):
    """Without BatchNorm, for which SWA adds an epoch."""

    def __init__(self, scores: list[float], batch_norm: bool) -> None:
        super().__init__(scores)
        if not batch_norm:
            self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())


def test_an_average_that_is_installed_at_the_end_stays_and_the_warning_names_its_callback() -> None:
    average = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
    net, rules = Plain([1.0, 2.0], batch_norm=False), [EarlyStopping("score"), ReduceLROnPlateau("score")]
    with pytest.warns(UserWarning, match=r"not restored, because `StochasticWeightAveraging` replaced"):
        fit_scripted(net, average, *rules, max_epochs=5)
    for ours, averaged in zip(net.parameters(), average._average_model.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.equal(ours, averaged)
    assert not rules[0].restores_best()


def test_an_average_that_was_evaluated_and_is_not_the_best_gives_way_with_a_warning() -> None:
    validated = Recorder(on_validation_end=weights_now)
    average = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
    net, rule = Plain([1.0, 2.0], batch_norm=True), EarlyStopping("score")
    with pytest.warns(UserWarning, match=r"`StochasticWeightAveraging` replaced .* the best weights are restored"):
        fit_scripted(net, average, rule, validated, max_epochs=5, limit_train_batches=2)
    assert rule.restores_best()
    assert same(validated.seen["on_validation_end"][0], weights(net)), "of the first score, the best"


@pytest.mark.parametrize("batch_norm", [True, False])
def test_two_watchers_that_restore_the_best_do_not_take_each_other_for_an_average(batch_norm: bool) -> None:
    rules = [EarlyStopping("score", patience=3), ReduceLROnPlateau("score", patience=1, restore_best=True)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", message=".*(does not have many workers|patience|lower than).*")
        fit_scripted(Plain([1.0, 2.0], batch_norm), *rules, max_epochs=5)
    assert [str(w.message) for w in caught if issubclass(w.category, UserWarning)] == []
    assert rules[0].restores_best()


def test_a_run_whose_weights_are_pruned_ends_with_the_best() -> None:
    rule, net = EarlyStopping("score"), Scripted([3.0, 2.0, 1.0, 4.0])
    pruned = Recorder(on_validation_end=lambda _, module: [module.body[0].weight.clone(), module.head.weight.clone()])
    fit_scripted(net, ModelPruning("l1_unstructured", amount=0.3), rule, pruned, max_epochs=5)
    assert same([net.body[0].weight, net.head.weight], pruned.seen["on_validation_end"][2])


@pytest.mark.parametrize("where", ["parameter", "parametrization"])
def test_a_run_whose_parameters_change_ends_with_its_own_weights_and_a_warning(where: str) -> None:
    class Changing(Scripted):
        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()
            if self.current_epoch == 2 and where == "parameter":
                self.gain = nn.Parameter(torch.ones(2))
            elif self.current_epoch == 2:
                parametrizations.weight_norm(self.head)
            self.last = weights(self)

    net, rule = Changing([1.0, 2.0]), EarlyStopping("score")
    with pytest.warns(UserWarning, match="best weights are not restored, because parameters have changed"):
        runner = fit_scripted(net, rule, max_epochs=5)
    assert runner.state.finished
    assert same(weights(net), net.last)
    assert not rule.restores_best()
