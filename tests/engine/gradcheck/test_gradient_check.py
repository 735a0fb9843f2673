"""Gradient check: planted errors are found, right gradients pass, and what cannot be judged is refused."""

import itertools
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from healthy_nets import cnn
from tiny import Net, StatefulLoader
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence

from lightning_tricks import GradientCheck, gradient_check
from lightning_tricks.engine.gradcheck.step_copy import UncheckableStepError

Backward = Callable[[Tensor, Tensor, Tensor], tuple[Any, Any, Any]]
BATCH = (torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 3)
mark = pytest.mark.parametrize


def right(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Any, Any, Any]:
    """Of tanh(x) @ weight.T + bias, whose weight is square."""
    return (grad @ weight) * (1 - x.tanh() ** 2), grad.T @ x.tanh(), grad.sum(0)


def changed(place: int, change: Callable[[Tensor], Any]) -> Backward:
    def backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Any, Any, Any]:
        found = list(right(grad, x, weight))
        found[place] = change(found[place])
        return found[0], found[1], found[2]

    return backward


def row_scaled(gradient: Tensor) -> Tensor:
    return torch.cat([gradient[:1] * 1.01, gradient[1:]])


PLANTED: dict[str, Backward] = {
    "wrong sign of the input": changed(0, torch.neg),
    "wrong sign of the weight": changed(1, torch.neg),
    "wrong sign of the bias": changed(2, torch.neg),
    "missing term: the derivative of tanh": lambda g, x, w: (g @ w, g.T @ x.tanh(), g.sum(0)),
    "missing square in the derivative of tanh": lambda g, x, w: (
        (g @ w) * (1 - x.tanh()), g.T @ x.tanh(), g.sum(0)),
    "missing tanh in the gradient of the weight": lambda g, x, w: (right(g, x, w)[0], g.T @ x, g.sum(0)),
    "wrong reduction: mean over rows of the bias": lambda g, x, w: (*right(g, x, w)[:2], g.mean(0)),
    "wrong reduction: mean over rows of the weight": changed(1, lambda found: found / 6),
    "transposed weight": lambda g, x, w: ((g @ w.T) * (1 - x.tanh() ** 2), g.T @ x.tanh(), g.sum(0)),
    "transposed gradient of the weight": changed(1, torch.t),
    "input scaled by 1 + 1e-4": changed(0, lambda found: found * (1 + 1e-4)),
    "weight scaled by 1 + 1e-4": changed(1, lambda found: found * (1 + 1e-4)),
    "bias scaled by 1 + 1e-4": changed(2, lambda found: found * (1 + 1e-4)),
    "wrong for one row of the input": changed(0, row_scaled),
    "wrong for one unit of the weight": changed(1, row_scaled),
    "input detached": changed(0, lambda found: None),
    "weight detached": changed(1, lambda found: None),
    "bias detached": changed(2, lambda found: None),
    "incoming gradient ignored": lambda g, x, w: right(torch.ones_like(g), x, w),
    "clipped": changed(1, lambda found: found.clamp(-0.01, 0.01)),
    "rows in another order": changed(0, lambda found: found.flip(0)),
    "added twice": changed(0, lambda found: 2 * found),
}  # fmt: skip


class Custom(L.LightningModule):
    """A classifier whose middle layer has a backward pass of its own."""

    def __init__(self, backward: Backward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)

        class Layer(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
                ctx.save_for_backward(x, weight)
                return x.tanh() @ weight.T + bias

            @staticmethod
            def backward(ctx: Any, grad: Tensor) -> Any:
                return backward(grad, *ctx.saved_tensors)

        self.layer = Layer.apply

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self.last(self.layer(self.first(x), self.middle.weight, self.middle.bias)), y)
        self.log("loss", loss)
        return loss


@mark("name", PLANTED)
def test_a_planted_error_is_found(name: str) -> None:
    result = gradient_check(Custom(PLANTED[name]), BATCH, directions=2)
    assert not result.ok
    assert result.relative_difference > 1e-7
    assert result.wrong
    assert str(result).startswith("gradients are wrong")


def test_the_table_names_the_parameter_and_puts_the_worst_first() -> None:
    result = gradient_check(Custom(PLANTED["wrong sign of the bias"]), BATCH)
    assert result.wrong == ["middle.bias"]
    assert next(iter(result.by_parameter)) == "middle.bias"
    assert list(result.by_parameter.values()) == sorted(result.by_parameter.values(), reverse=True)
    assert len(result.by_parameter) == 6


class Step(L.LightningModule):
    """Any net with any loss."""

    def __init__(self, net: Any, loss: Callable[..., Any] = F.mse_loss) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(self.net(batch[0]), *batch[1:])


def smooth(*middle: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), *middle, nn.Tanh(), nn.Linear(8, 3))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x[:, None])[0][:, -1])


@mark(
    "model",
    [
        Custom(right),
        Step(smooth(), F.cross_entropy),
        Step(smooth(nn.BatchNorm1d(8)), F.cross_entropy),
        Step(smooth(nn.LayerNorm(8), nn.Dropout(0.5)), F.cross_entropy),
        Step(smooth(nn.GELU(), nn.Linear(8, 8)), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))),
        Step(Recurrent(), F.cross_entropy),
        Step(smooth(), lambda out, y: F.cross_entropy(out + 0.1 * torch.randn(out.shape), y)),
        Step(smooth(), lambda out, y: F.cross_entropy(out * float(np.random.rand()), y)),
    ],
)
def test_smooth_nets_are_right_to_1e_7_and_left_as_they_were(model: Any) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, of_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    result = gradient_check(model, BATCH)
    assert result.ok, str(result)
    assert result.relative_difference < 1e-7
    assert result.wrong == result.kinks == result.unchecked == []
    assert set(result.by_parameter) == {name for name, _ in model.named_parameters()}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None and value.dtype == torch.float32 for value in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == of_numpy).all()
    assert torch.get_default_dtype() == torch.float32


@mark("manual", [False, True])
def test_test_models_with_relu_and_batchnorm_are_right(manual: bool) -> None:
    class OneStep(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch, 0)

    result = gradient_check(OneStep(manual=manual), next(iter(StatefulLoader())))
    assert result.ok, str(result)
    assert result.relative_difference < 1e-7


def test_a_convolutional_net_with_dropout_and_max_pooling_is_right() -> None:
    torch.manual_seed(0)
    batch = (torch.randn(3, 1, 8, 8), torch.arange(3))
    assert gradient_check(Step(cnn(64, 4), F.cross_entropy), batch, directions=2).ok


@mark("name", ["Albert", "GPT2", "ViT"])
def test_architectures_of_transformers_are_right(name: str) -> None:
    from transformers_batches import model_and_batch

    result = gradient_check(*model_and_batch(name), directions=2)
    assert result.ok, str(result)
    assert result.relative_difference < 1e-7


@mark(
    ("net", "kinks"),
    [
        (lambda x: x.relu().sum(1), ["net.weight"]),
        (lambda x: x.abs().sum(1), ["net.weight"]),
        (lambda x: torch.stack([x, x * 2]).amax(0).sum(1), ["net.weight"]),
    ],
)
def test_kinks_are_reported_and_are_not_errors(net: Callable[[Tensor], Tensor], kinks: list[str]) -> None:
    class Zero(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 1, bias=False)
            self.bias = nn.Parameter(torch.ones(1))
            nn.init.zeros_(self.net.weight)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return (net(self.net(batch[0])) + self.bias).pow(2).mean()

    result = gradient_check(Zero(), BATCH, directions=2)
    assert result.ok, str(result)
    assert result.kinks == ["direction 0", "direction 1", *kinks]
    assert result.by_parameter == {"bias": pytest.approx(0, abs=1e-7)}
    assert "kinks: direction 0" in str(result)


def test_a_wrong_gradient_next_to_a_kink_is_an_error() -> None:
    class Kinked(Custom):
        def __init__(self, backward: Backward) -> None:
            super().__init__(backward)
            self.zero = nn.Parameter(torch.zeros(1))

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) + 1e3 * self.zero.abs().sum()

    result = gradient_check(Kinked(PLANTED["weight detached"]), BATCH)
    assert result.wrong == ["middle.weight"]
    assert result.kinks == [
        *(f"direction {place}" for place in range(8)),
        "zero",
    ]  # parameters alone tell
    assert result.relative_difference > 1e-2
    assert not result.ok


class InFloat32(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x.float() ** 2).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return 2 * ctx.saved_tensors[0] * grad


UNSEEN = np.random.default_rng(0)
COUNTER = itertools.count()


@mark(
    ("loss", "reason"),
    [
        (lambda out, y: F.cross_entropy(out.float(), y), "casts to float32"),
        (lambda out, y: F.cross_entropy(out.float().double(), y), "casts to float32"),
        (lambda out, y: F.cross_entropy(out.half().double(), y), "casts to float16"),
        (lambda out, y: InFloat32.apply(out).sum(), "float32 in a custom function"),
        (lambda out, y: (out @ torch.ones(3, 1, dtype=torch.float32)).sum(), "may cast to float32"),
        (lambda out, y: (out * UNSEEN.random()).sum(), "draws new random numbers at each call"),
        (lambda out, y: (out * (1 + next(COUNTER))).sum(), "draws new random numbers at each call"),
        (lambda out, y: F.cross_entropy(out, y).detach(), "detached"),
        (lambda out, y: (out.argmax(1) == y).sum(), "torch.int64"),
        (lambda out, y: out.sum() * float("nan"), "The loss is nan"),
        (lambda out, y: None, "returns no loss"),
        (lambda out, y: out.no_such_method(), "AttributeError"),
    ],
)
def test_a_step_that_cannot_be_judged_is_refused_with_the_reason(loss: Callable[..., Any], reason: str) -> None:
    with pytest.raises(UncheckableStepError, match=reason):
        gradient_check(Step(smooth(), loss), BATCH)


def test_a_frozen_model_and_several_manual_losses_are_refused() -> None:
    with pytest.raises(UncheckableStepError, match="No parameter of the model is trainable"):
        gradient_check(Step(smooth().requires_grad_(False), F.cross_entropy), BATCH)
    with pytest.raises(UncheckableStepError, match="`manual_backward` 2 times"):
        gradient_check(Net(manual=True, steps_per_batch=2), next(iter(StatefulLoader())))


def test_out_of_time_the_rest_is_listed_as_unchecked() -> None:
    result = gradient_check(Custom(right), BATCH, budget=1e-9)
    assert result.ok
    assert len(result.unchecked) == 6
    assert "not checked, out of time: first.weight" in str(result)


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again, other = (gradient_check(Custom(PLANTED["clipped"]), BATCH, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.relative_difference != other.relative_difference


@mark(
    ("arguments", "error", "message"),
    [
        ({"eps": 0}, ValueError, "`eps` must lie in"),
        ({"tol": 1}, ValueError, "`tol` must lie in"),
        ({"directions": 0}, ValueError, "`directions` must be at least 1"),
        ({"seed": 0.5}, TypeError, "`seed` must be a whole number"),
        ({"budget": "soon"}, ValueError, "`budget` must be a length of time"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gradient_check(Custom(right), BATCH, **arguments)


def test_a_packed_sequence_is_checked_in_float64() -> None:
    class Packed(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 3)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.gru(batch["x"])[1].pow(2).sum()

    batch = {"x": pack_sequence([torch.randn(3, 4), torch.randn(2, 4)])}
    assert gradient_check(Packed(), batch).ok


class Stateful(Net):
    """A step that draws from a generator of its own, counts its calls and logs; tensors that are not parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.calls, self.scale = torch.Generator().manual_seed(1), 0, torch.tensor([2.0])
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.wave = nn.Parameter(torch.randn(4, dtype=torch.complex64))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        self.calls += 1
        x = x + torch.randn(x.shape, generator=self.generator) * self.calls * self.scale
        x = self.normed(x) + (self.wave * self.wave.conj() * (1 + 1j)).real
        assert self.trainer.current_epoch >= 0
        return {"loss": self.loss((x, y)) + (self.wave**2).abs().sum()}


def test_a_step_with_state_of_its_own_is_right_and_its_state_stays() -> None:
    model = Stateful()
    state = model.generator.get_state()
    result = gradient_check(model, next(iter(StatefulLoader())), directions=2)
    assert result.ok, str(result)
    assert "wave" in result.by_parameter
    assert model.calls == 0
    assert torch.equal(model.generator.get_state(), state)


def test_a_model_that_was_fitted_keeps_its_trainer() -> None:
    model, data = Net(), StatefulLoader()
    trainer = L.Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model, data)
    assert gradient_check(model, next(iter(data)), directions=2).ok
    assert model.trainer is trainer


def test_sparse_gradients_are_right() -> None:
    class Sparse(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(10, 4, sparse=True), nn.Linear(4, 2)

        def training_step(self, batch: Any) -> Tensor:
            return F.cross_entropy(self.head(self.table(batch)), torch.tensor([0, 1, 1]))

    result = gradient_check(Sparse(), torch.tensor([1, 2, 2]), directions=2)
    assert result.ok, str(result)
    assert set(result.by_parameter) == {"table.weight", "head.weight", "head.bias"}


def test_the_result_is_data() -> None:
    result = gradient_check(Custom(right), BATCH, directions=1)
    assert GradientCheck(**result.to_dict()) == result
    assert result._repr_html_().startswith("<div><pre>gradients are right")
