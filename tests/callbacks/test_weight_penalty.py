"""Weight penalty: equal to the loss written out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.plugins import MixedPrecision
from ranks import SaveRank, load_ranks
from stateful_net import fit_stateful
from tiny import Net, fit, same, weights
from torch import Tensor

from lightning_tricks import GradientClipping, LRFinder, WeightPenalty, weight_penalty

L1, L2 = 0.01, 0.05


class PenaltyNet(Net):
    """`Net` with a weight that the loss does not reach, and a penalty in the loss if asked."""

    def __init__(self, written_out: bool, optimizer: str = "sgd", none_at: int | None = None, **of_net: Any) -> None:
        super().__init__(**of_net)
        self.unreached = torch.nn.Parameter(torch.tensor([[2.0, -1.0]]))
        self.written_out, self.optimizer, self.none_at = written_out, optimizer, none_at

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = super().loss(batch)
        penalized = [self.unreached, self.body[0].weight, self.head.weight]
        return loss + weight_penalty(penalized, L1, L2) if self.written_out and self.training else loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        return None if batch_idx == self.none_at else super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        if not self.automatic_optimization:
            body, head = super().configure_optimizers()
            body.add_param_group({"params": [self.unreached]})
            return body, head
        return {
            "sgd": lambda: torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9),
            "adam": lambda: torch.optim.Adam(self.parameters(), lr=0.01),
            "fused": lambda: torch.optim.Adam(self.parameters(), lr=0.01, fused=True),
            "lbfgs": lambda: torch.optim.LBFGS(self.parameters(), lr=0.05, max_iter=4),
        }[self.optimizer]()


def both(optimizer: str = "sgd", callbacks: Any = lambda: (), of_net: Any = None, **arguments: Any) -> Any:
    """The weights with the callback, and with the loss written out; batches of five to an accumulation of two."""
    make = {name: value() if callable(value) else value for name, value in arguments.items()}
    ours = fit(*callbacks(), WeightPenalty(l1=L1, l2=L2), net=PenaltyNet(False, optimizer, **(of_net or {})), **make)
    make = {name: value() if callable(value) else value for name, value in arguments.items()}
    written = fit(*callbacks(), net=PenaltyNet(True, optimizer, **(of_net or {})), **make)
    return weights(ours), weights(written)


def assert_equal(pair: tuple[dict[str, Tensor], dict[str, Tensor]], rel: float = 1e-6) -> None:
    ours, written = pair
    for name in written:
        torch.testing.assert_close(
            ours[name], written[name], rtol=rel, atol=rel, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_it_equals_the_loss_written_out(optimizer: str) -> None:
    pair = both(optimizer, precision="64-true")
    assert_equal(pair)
    assert not torch.equal(pair[0]["unreached"], PenaltyNet(False).unreached)


@pytest.mark.parametrize("none_at", [None, 1, 2, 4])
def test_it_equals_it_where_the_last_window_is_not_full_or_a_batch_gives_no_loss(none_at: int | None) -> None:
    of_net = {"none_at": none_at}
    assert_equal(both(accumulate_grad_batches=2, limit_train_batches=5, precision="64-true", of_net=of_net))


@pytest.mark.parametrize("optimizer", ["adam", "fused"])
def test_it_equals_it_under_a_gradient_scaler(optimizer: str) -> None:
    def half() -> MixedPrecision:
        return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=256.0))

    assert_equal(both(optimizer, plugins=half, accumulate_grad_batches=2, limit_train_batches=5), 2e-3)


def test_it_equals_it_under_manual_optimization_with_two_optimizers() -> None:
    of_net = {"manual": True, "steps_per_batch": 2}
    assert_equal(both(of_net=of_net, precision="64-true"))


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_it_acts_before_clipping_wherever_it_stands(manual: bool, first: bool) -> None:
    def callbacks_of(penalty: WeightPenalty | None) -> list[Any]:
        clip = GradientClipping(0.3)
        return [clip] if penalty is None else [penalty, clip] if first else [clip, penalty]

    nets = [
        fit(
            *callbacks_of(None if written else WeightPenalty(l1=L1, l2=L2)),
            net=PenaltyNet(written, manual=manual),
            precision="64-true",
        )
        for written in (False, True)
    ]
    assert_equal((weights(nets[0]), weights(nets[1])))


def test_the_order_of_the_callbacks_is_restored() -> None:
    callbacks = [GradientClipping(), WeightPenalty(l2=L2)]
    net = fit(*callbacks)
    assert [callback for callback in net.trainer.callbacks if callback in callbacks] == callbacks


def test_frozen_weights_and_those_of_no_pattern_are_left_alone() -> None:
    net = PenaltyNet(False)
    net.body[0].weight.requires_grad_(False)
    before = weights(net)
    fit(WeightPenalty(l2=0.5, exclude=["unreached"]), net=net)
    after = weights(net)
    assert torch.equal(before["body.0.weight"], after["body.0.weight"])
    assert torch.equal(before["unreached"], after["unreached"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_bias_is_penalized_if_it_is_named() -> None:
    nets = [fit(WeightPenalty(l2=1.0, include=names)) for names in (["*"], ["*", "head.bias"])]
    biases = [float(net.head.bias.detach()) for net in nets]
    assert abs(biases[1]) < abs(biases[0])


def test_a_line_search_is_refused() -> None:
    net = PenaltyNet(False)
    net.configure_optimizers = lambda: torch.optim.LBFGS(net.parameters(), line_search_fn="strong_wolfe")
    with pytest.raises(MisconfigurationException, match="`line_search_fn=None`"):
        fit(WeightPenalty(l2=L2), net=net)


def test_a_pattern_that_matches_nothing_is_refused_when_fit_starts() -> None:
    with pytest.raises(ValueError, match=r"`include`: 'hed.\*' matches no parameter of Net"):
        fit(WeightPenalty(l2=L2, include=["hed.*"]))


def test_nothing_to_penalize_is_warned_about_and_changes_nothing() -> None:
    with pytest.warns(UserWarning, match="`l1=0` and `l2=0`"):
        net = fit(WeightPenalty())
    assert same(weights(net), weights(fit()))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"l1": -1.0}, ValueError, "`l1` must be finite and >= 0, got -1.0"),
        ({"l2": float("nan")}, ValueError, "`l2` must be finite and >= 0"),
        ({"l2": "1e-4"}, TypeError, "`l2` must be a number"),
        ({"include": 3}, TypeError, "`include` must be a list of glob patterns, got 3"),
        ({"exclude": [1]}, TypeError, "`exclude` must be a list of glob patterns"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        WeightPenalty(**arguments)


def test_a_finder_measures_with_the_penalty_and_leaves_the_run_as_it_was() -> None:
    def run(finder: LRFinder | None) -> Any:
        return fit_stateful(finder, callbacks=[WeightPenalty(l2=0.5)])[1]

    finder, bare = LRFinder(num_steps=15, apply=False), LRFinder(num_steps=15, apply=False)
    assert same(weights(run(finder)), weights(run(None)))
    fit_stateful(bare)
    assert finder.result is not None
    assert bare.result is not None
    assert finder.result.losses[0] == bare.result.losses[0]
    assert finder.result.losses != bare.result.losses


@pytest.mark.parametrize("accumulation", [1, 4])
def test_two_ranks_equal_the_loss_written_out_on_two_ranks(accumulation: int, tmp_path: Path) -> None:
    strategy = "ddp_fork_find_unused_parameters_true"
    arguments = {"strategy": strategy, "devices": 2, "max_epochs": 2, "precision": "64-true"}
    arguments["accumulate_grad_batches"] = accumulation
    for written in (False, True):
        (tmp_path / str(written)).mkdir()
        penalties = [] if written else [WeightPenalty(l1=L1, l2=L2)]
        fit(*penalties, SaveRank(tmp_path / str(written)), net=PenaltyNet(written), **arguments)
    ours, written_out = load_ranks(tmp_path / "False"), load_ranks(tmp_path / "True")
    for rank in (0, 1):
        assert_equal((ours[rank]["weights"], written_out[rank]["weights"]))
