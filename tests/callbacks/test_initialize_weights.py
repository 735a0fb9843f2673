"""InitializeWeights: once, before everything else that uses weights, the same on all ranks, never on loaded weights."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from ranks import SaveRank, load_ranks
from recorders import Recorder
from stateful_net import StatefulNet, end_state, fit_stateful
from tiny import Net, fit, same, trainer, weights
from torch import Tensor, nn

from lightning_tricks import GradualUnfreezing, InitializeWeights, LRFinder, NormalizeInputs


def first_weights(*callbacks: Any, net: Any = None, **arguments: Any) -> dict[str, Tensor]:
    """The weights that the first step starts from."""
    recorder = Recorder(on_train_batch_start=lambda _, module: weights(module))
    fit(*callbacks, recorder, net=net, **{"max_epochs": 1, **arguments})
    return recorder.seen["on_train_batch_start"][0]


def gains(found: dict[str, Tensor]) -> tuple[float, float]:
    return tuple(float(found[name].svd().S[0]) for name in ("body.0.weight", "head.weight"))


@pytest.mark.parametrize("manual", [False, True])
def test_each_layer_starts_with_the_gain_of_its_activation_and_the_line_says_so(manual: bool, caplog: Any) -> None:
    initializer = InitializeWeights("orthogonal")
    with caplog.at_level(logging.INFO):
        found = first_weights(initializer, net=Net(manual=manual))
    assert gains(found) == pytest.approx((2**0.5, 1.0), rel=1e-5)  # before ReLU, behind a norm; before the loss
    assert float(found["body.0.bias"].abs().max()) == 0
    assert initializer.initialized == ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]
    assert "`InitializeWeights`: orthogonal in body.0, head; not in body.1 (BatchNorm1d)." in caplog.text


class RestoreWeights(Callback):
    """Give a module the weights that it was built with, as training starts."""

    def __init__(self, net: Any) -> None:
        self.state = weights(net)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.load_state_dict(self.state)


@pytest.mark.parametrize("scheme", ["he_normal", "lsuv"])
def test_but_for_the_weights_a_run_is_as_it_would_have_been(scheme: str) -> None:
    bare, ours = StatefulNet(), StatefulNet()
    expected = end_state(*fit_stateful(None, net=bare))
    restore = RestoreWeights(ours)
    found = end_state(*fit_stateful(restore, net=ours, callbacks=[InitializeWeights(scheme)]))
    assert same(found, expected)


def test_a_second_fit_trains_on() -> None:
    net, initializer = Net(), InitializeWeights()
    fit(initializer, net=net, max_epochs=1)
    for again in (initializer, InitializeWeights("lsuv")):
        trained = weights(net)
        assert same(first_weights(again, net=net), trained)


def test_a_resumed_run_keeps_the_weights_of_its_checkpoint(tmp_path: Path) -> None:
    runner = trainer(InitializeWeights("lsuv"), max_epochs=1)
    runner.fit(Net())
    runner.save_checkpoint(tmp_path / "a.ckpt")
    resumed, net = InitializeWeights("lsuv"), Net()
    found = first_weights(resumed, net=net, ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
    assert same(found, weights(runner.lightning_module))
    assert resumed.initialized == ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]


def test_weights_that_were_loaded_into_the_module_are_kept(caplog: Any) -> None:
    trained, net = Net(), Net()
    fit(net=trained, max_epochs=30)
    net.load_state_dict(trained.state_dict())
    with caplog.at_level(logging.INFO):
        assert same(first_weights(InitializeWeights(), net=net), weights(trained))
    assert "no layer was initialized" in caplog.text
    assert "pretrained: " in caplog.text
    again = Net()
    again.load_state_dict(trained.state_dict())
    found = first_weights(InitializeWeights(overwrite_pretrained=True), net=again)
    assert not torch.equal(found["body.0.weight"], trained.body[0].weight)
    assert not torch.equal(found["head.weight"], trained.head.weight)


@pytest.mark.parametrize("first", [True, False])
def test_the_finder_measures_the_new_weights_and_layers_are_frozen_afterwards(first: bool) -> None:
    initializer, finder = InitializeWeights("orthogonal"), LRFinder(num_steps=20)
    unfreezing = GradualUnfreezing(groups=["body.*", "head.*"], schedule=[0, 1])
    seen: list[float] = []

    class Watched(Net):
        def loss(self, batch: Any) -> Tensor:
            seen.append(float(self.body[0].weight.detach().svd().S[0]))
            return super().loss(batch)

    tricks = [initializer, finder, unfreezing] if first else [unfreezing, finder, initializer]
    fit(*tricks, net=Watched(), max_epochs=1)
    assert initializer.initialized[0] == "body.0.weight"
    assert seen[-20:][0] == pytest.approx(2**0.5, rel=1e-5)  # the finder's and the frozen first epoch's


class Offset(Net):
    """`Net` on inputs that are far from normalized, without the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.Identity()
        self.outputs: list[float] = []

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return 100 * batch[0] + 1000, batch[1]

    def loss(self, batch: Any) -> Tensor:
        self.outputs.append(float(self.body[0](batch[0]).detach().std(correction=0)))
        return super().loss(batch)


@pytest.mark.parametrize("first", [True, False])
def test_lsuv_measures_normalized_inputs_whatever_the_order(first: bool) -> None:
    tricks = [InitializeWeights("lsuv"), NormalizeInputs()]
    net = Offset()
    fit(*(tricks if first else tricks[::-1]), net=net, max_epochs=1, num_sanity_val_steps=0)
    assert net.outputs[0] == pytest.approx(1.0, rel=0.05)


class RankNet(Net):
    """`Net` with weights and batches that differ by rank until they are synchronized."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return (1 + self.trainer.global_rank) * batch[0], batch[1]


@pytest.mark.parametrize("scheme", ["he_normal", "lsuv"])
def test_two_ranks_start_from_the_same_weights_those_of_rank_0(scheme: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 1}
    save = SaveRank(tmp_path, lambda _, module: weights(module), "on_train_start")
    fit(InitializeWeights(scheme, seed=3), save, net=RankNet(), **{**arguments, "limit_train_batches": 1})
    one, other = load_ranks(tmp_path)
    assert same(one, other)
    alone = first_weights(InitializeWeights(scheme, seed=3), net=RankNet())
    for name in ("body.0.weight", "head.weight"):
        torch.testing.assert_close(one[name], alone[name])


def test_a_step_that_cannot_be_followed_is_a_warning_and_the_fit_goes_on(recwarn: Any) -> None:
    class Breaks(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if not isinstance(self.trainer, Trainer):
                raise RuntimeError("only in a Trainer")
            return super().training_step(batch, batch_idx)

    net = Breaks()
    fit(InitializeWeights("lsuv"), net=net, max_epochs=1)
    assert any("`InitializeWeights` could not run a step" in str(warning.message) for warning in recwarn)
    assert len(net.trace) == 6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scheme": "he"}, ValueError, "`scheme`"),
        ({"nonlinearity": 3}, TypeError, "`nonlinearity`"),
        ({"include": [3]}, TypeError, "`include`"),
        ({"seed": 1.5}, TypeError, "`seed`"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        InitializeWeights(**arguments)


def test_patterns_that_match_nothing_are_refused_before_anything_changes() -> None:
    net = Net()
    before = weights(net)
    with pytest.raises(ValueError, match=r"`exclude`: 'neck.\*' matches no parameter"):
        fit(InitializeWeights(exclude=["neck.*"]), net=net)
    assert same(weights(net), before)
    with pytest.raises(MisconfigurationException, match="Two `InitializeWeights`"):
        fit(InitializeWeights(), InitializeWeights("lsuv"), net=net)
