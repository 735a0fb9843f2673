"""The hook that all clipping callbacks share: where it acts, what it refuses, what it logs and what it costs."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from scaled_grad_net import GOOD, ScaledGradNet, batches
from tiny import Net, fit, logged, same, trainer, weights
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_tricks import AdaptiveGradientClipping, AutoClip, GradientClipping, ZClip
from lightning_tricks.engine.run.run import Run

ALL = {
    "norm": lambda **more: GradientClipping(0.5, **more),
    "value": lambda **more: GradientClipping(clip_value=0.05, **more),
    "AGC": lambda **more: AdaptiveGradientClipping(0.05, **more),
    "AutoClip": lambda **more: AutoClip(50, **more),
    "ZClip": lambda **more: ZClip(1.0, warmup=2, **more),
}
kinds = pytest.mark.parametrize("kind", ALL)


def norms_after(net: Any) -> list[float]:
    """Let a module note the norm of what its optimizers step with: its hook comes after the callbacks'."""
    seen: list[float] = []

    def note(optimizer: Any) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        seen.append(float(torch.nn.utils.get_total_norm(grads)))

    net.on_before_optimizer_step = note
    return seen


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_clips_as_the_trainer_does_where_the_trainer_can(accumulate: int) -> None:
    ours = fit(GradientClipping(0.5), accumulate_grad_batches=accumulate)
    theirs = fit(gradient_clip_val=0.5, accumulate_grad_batches=accumulate)
    assert same(weights(ours), weights(theirs))
    ours = fit(GradientClipping(clip_value=0.01), accumulate_grad_batches=accumulate)
    theirs = fit(gradient_clip_val=0.01, gradient_clip_algorithm="value", accumulate_grad_batches=accumulate)
    assert same(weights(ours), weights(theirs))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_is_clipped(precision: str) -> None:
    class Cast(Net):
        def loss(self, batch: Any) -> Tensor:
            return super().loss([part.to(self.head.weight.dtype) for part in batch])

    net = Cast()
    seen = norms_after(net)
    fit(GradientClipping(0.1), net=net, precision=precision)
    assert len(seen) == 18
    assert 0.09 < max(seen) <= 0.1 * (1.01 if "bf16-true" in precision else 1.0001)


def test_under_manual_optimization_every_step_of_every_optimizer_is_clipped() -> None:
    net = Net(manual=True, steps_per_batch=2)
    seen = norms_after(net)
    fit(GradientClipping(0.1), net=net)
    assert len(seen) == 54
    assert max(seen) <= 0.1001
    assert max(norms_without(Net(manual=True, steps_per_batch=2))) > 1


def norms_without(net: Any) -> list[float]:
    seen = norms_after(net)
    fit(net=net)
    return seen


class Scaled(ScaledGradNet):
    """Under fp16-AMP on a CPU, with a scale that shows if nobody divides by it; a backward that can be left out."""

    leave_out = False

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        loss = super().training_step(batch, batch_idx)
        return None if self.leave_out and batch_idx % 2 else loss


class ScaledByHand(Scaled):
    """The same, stepped by hand."""

    def __init__(self, optimizer: str) -> None:
        super().__init__(optimizer)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


def amp(scale: float = 1024.0) -> MixedPrecision:
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=scale))


@kinds
@pytest.mark.parametrize("module", [Scaled, ScaledByHand])
@pytest.mark.parametrize("optimizer", ["SGD", "fused SGD", "AdamW", "fused AdamW"])
def test_under_a_gradient_scaler_the_true_gradients_are_clipped(kind: str, module: Any, optimizer: str) -> None:
    """Fused optimizers unscale inside their step, so that Lightning hands scaled gradients to the hook."""
    runs = {}
    for scale in (1.0, 1024.0):
        net = module(optimizer)
        seen = norms_after(net)
        trainer(ALL[kind](), max_epochs=1, plugins=[amp(scale)]).fit(net, batches([GOOD] * 6))
        runs[scale] = (seen, weights(net))
    assert runs[1024.0][0] == pytest.approx(runs[1.0][0], rel=2e-2)
    for name, weight in runs[1.0][1].items():
        torch.testing.assert_close(runs[1024.0][1][name], weight, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("optimizer", ["SGD", "fused SGD", "AdamW", "fused AdamW"])
def test_under_a_gradient_scaler_the_scaler_skips_and_its_skips_count_but_are_borne(optimizer: str) -> None:
    ended = []
    factors = [torch.inf, GOOD, torch.nan, torch.inf, GOOD]
    for keep_bad in (True, False):
        clipper, net = GradientClipping(0.5, max_skips=0), Scaled(optimizer)
        runner = trainer(clipper, max_epochs=1, plugins=[amp(1.0)])
        runner.fit(net, batches(factors, keep_bad=keep_bad))
        ended.append((clipper.num_skipped, runner.precision_plugin.scaler.get_scale()))
    assert [skipped for skipped, _ in ended] == [3, 0]
    assert [scale for _, scale in ended] == [0.125, 1.0]
    assert all(weight.isfinite().all() for weight in weights(net).values())


@pytest.mark.parametrize("optimizer", ["AdamW", "fused AdamW"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_under_a_gradient_scaler_a_training_step_without_a_loss_is_borne(optimizer: str, accumulate: int) -> None:
    net, clipper = Scaled(optimizer), AutoClip(50, window=8)
    net.leave_out = True
    runner = trainer(clipper, max_epochs=1, plugins=[amp()], accumulate_grad_batches=accumulate)
    runner.fit(net, batches([GOOD] * 8))
    state = clipper.state_dict()["optimizers"]
    if accumulate == 1:
        assert int(state[0]["rules"][0]["seen"]) == 4
        assert float(state[0]["rules"][0]["norms"][:4].max()) < 100  # a scaled one would be a thousand times that
    else:  # the last part of every step is left out, so that the Trainer takes none
        assert state == {}
    assert clipper.num_skipped == 0


def test_two_clippers_under_a_gradient_scaler_unscale_once() -> None:
    runs = []
    for scale in (1.0, 1024.0):
        net = Scaled("fused AdamW")
        both = GradientClipping(0.5), AdaptiveGradientClipping(0.05)
        trainer(*both, max_epochs=1, plugins=[amp(scale)]).fit(net, batches([GOOD] * 4))
        runs.append(weights(net))
    torch.testing.assert_close(runs[0], runs[1], rtol=2e-2, atol=2e-3)


class Memorizing(Net):
    """LBFGS, which evaluates its closure several times in a step."""

    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.01, max_iter=4)


@kinds
def test_lbfgs_has_every_evaluation_clipped_and_the_first_of_a_step_remembered(kind: str) -> None:
    net, clipper = Memorizing(), ALL[kind](skip_nonfinite=False, log=True)
    seen = norms_after(net)
    runner = trainer(clipper, log_every_n_steps=5)
    runner.fit(net)
    steps = runner.global_step
    assert steps == 18
    assert len(seen) > 2 * steps
    if kind == "norm":
        assert max(seen) <= 0.5001
    state = clipper.state_dict()["optimizers"][0]
    assert state["steps"] == steps % 5
    if kind in ("AutoClip", "ZClip"):
        assert int(state["rules"][0]["seen"]) == steps


@kinds
def test_skipping_is_refused_with_lbfgs(kind: str) -> None:
    with pytest.raises(MisconfigurationException, match=r"cannot skip a step of LBFGS.*skip_nonfinite=False"):
        fit(ALL[kind](), net=Memorizing())


@kinds
def test_clipping_beside_the_trainer_is_refused(kind: str) -> None:
    with pytest.raises(MisconfigurationException, match=r"Trainer\(gradient_clip_val=0.5\)` would both clip"):
        fit(ALL[kind](), gradient_clip_val=0.5)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [("DeepSpeedStrategy", "option `gradient_clipping`"), ("FSDPStrategy", "ModelParallelStrategy")],
)
def test_strategies_whose_gradients_are_out_of_reach_are_refused(strategy: str, words: str) -> None:
    runner = SimpleNamespace(
        strategy=type(strategy, (), {"on_exception": print})(), callbacks=[], gradient_clip_val=None
    )
    runner = type("Runner", (), vars(runner))()
    with pytest.raises(MisconfigurationException, match=words):
        GradientClipping().begin_fit(Run(runner, Net()))


@kinds
def test_steps_without_any_gradient_are_no_operation(kind: str) -> None:
    class Empty(Net):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            return None

    net, clipper = Empty(), ALL[kind](log=True)
    before = weights(net)
    fit(clipper, net=net, log_every_n_steps=1, limit_val_batches=0)
    assert same(weights(net), before)
    assert clipper.plain_state() == {"optimizers": {}}
    assert clipper.num_skipped == 0


@kinds
def test_log_writes_the_norms_and_the_rate_when_the_trainer_logs(kind: str, tmp_path: Any) -> None:
    logger = CSVLogger(tmp_path)
    fit(ALL[kind](log=True), logger=logger, log_every_n_steps=4)
    before, after, rate = (logged(logger, name) for name in ("grad_norm", "grad_norm_clipped", "clip_rate"))
    assert [step for step, _ in before] == [3, 7, 11, 15]
    assert all(b[1] <= a[1] * 1.0001 for a, b in zip(before, after, strict=True))
    assert all(0 <= value <= 1 and value * 4 == int(value * 4) for _, value in rate)
    assert any(value > 0 for _, value in rate)
    assert logged(logger, "num_skipped")[-1][1] == 0
    assert not {"grad_norm", "clip_rate"} & set(trainer_metrics(ALL[kind]()))


def trainer_metrics(*callbacks: Any, net: Any = None, **arguments: Any) -> dict[str, float]:
    runner = trainer(*callbacks, **arguments)
    runner.fit(net or Net())
    return {name: float(value) for name, value in runner.callback_metrics.items()}


def test_the_logged_norms_are_those_before_and_after() -> None:
    metrics = trainer_metrics(GradientClipping(1e-3, log=True), log_every_n_steps=1)
    assert metrics["grad_norm"] > 0.01
    assert metrics["grad_norm_clipped"] == pytest.approx(1e-3, rel=1e-2)
    assert metrics["clip_rate"] == 1
    metrics = trainer_metrics(GradientClipping(1e6, log=True), log_every_n_steps=1)
    assert metrics["grad_norm"] == metrics["grad_norm_clipped"]
    assert metrics["clip_rate"] == 0


def test_several_optimizers_are_told_apart_in_the_log() -> None:
    metrics = trainer_metrics(GradientClipping(log=True), net=Net(manual=True), log_every_n_steps=1)
    assert {"grad_norm-optimizer_0", "grad_norm-optimizer_1", "clip_rate-optimizer_1"} <= set(metrics)


def test_how_many_were_skipped_comes_back_from_forked_processes() -> None:
    alike = {"strategy": "ddp_fork", "devices": 2, "use_distributed_sampler": False}  # its order depends on a seed
    runner = trainer(GradientClipping(log=True), max_epochs=1, **alike)
    runner.fit(ScaledGradNet(), batches([GOOD, torch.nan, GOOD, torch.nan]))
    assert float(runner.callback_metrics["num_skipped"]) == 2


class CountReads(TorchDispatchMode):
    """Count the operations that make a host wait for its device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
        return func(*args, **(kwargs or {}))


def reads_in(steps: int, optimizer: str, *callbacks: Any) -> int:
    with CountReads() as counter:
        runner = trainer(*callbacks, max_epochs=1, log_every_n_steps=1000)
        runner.fit(ScaledGradNet(optimizer), batches([GOOD] * (steps - 1) + [torch.nan]))
    return counter.count


@kinds
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "more", "reads"),
    [
        ("fused AdamW", {}, 0),
        ("fused SGD", {"max_skips": 9}, 0),
        ("AdamW", {}, 1),
        ("SGD", {"max_skips": 9}, 1),
        ("SGD", {"skip_nonfinite": False}, 0),
    ],
)
def test_a_step_reads_nothing_or_one_flag(kind: str, log: bool, optimizer: str, more: Any, reads: int) -> None:
    bare = reads_in(14, optimizer) - reads_in(6, optimizer)
    ours = reads_in(14, optimizer, ALL[kind](log=log, **more)) - reads_in(6, optimizer, ALL[kind](log=log, **more))
    assert ours - bare == 8 * reads


@kinds
def test_wrong_arguments_are_refused_with_the_value(kind: str) -> None:
    for more, error, words in (
        ({"max_skips": -1}, ValueError, "`max_skips` must be at least 0, got -1"),
        ({"max_skips": 1.5}, TypeError, "`max_skips` must be a whole number, got 1.5"),
        ({"max_skips": 3, "skip_nonfinite": False}, ValueError, "has no effect with `skip_nonfinite=False`, got 3"),
        ({"skip_nonfinite": "yes"}, TypeError, "`skip_nonfinite` must be True or False, got 'yes'"),
        ({"log": 1}, TypeError, "`log` must be True or False, got 1"),
    ):
        with pytest.raises(error, match=words):
            ALL[kind](**more)


@kinds
def test_its_settings_can_be_compared_between_ranks(kind: str) -> None:
    assert ALL[kind](log=True).settings() != ALL[kind]().settings()
    assert ALL[kind](log=True).settings() == ALL[kind](log=True).settings()


@kinds
def test_a_state_is_a_copy_and_may_be_put_back_at_any_time(kind: str) -> None:
    clipper, states = ALL[kind](log=True), []
    net = Net()
    net.on_train_batch_end = lambda *_: states.append((clipper.state_dict(), copy.deepcopy(clipper.state_dict())))
    fit(clipper, net=net)
    assert all(same(*pair) for pair in states)
    assert not same(states[3][0], states[-1][0])
    clipper.load_state_dict(states[3][0])
    assert same(clipper.state_dict(), states[3][0])
