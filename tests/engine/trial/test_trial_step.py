"""The step of a trial: straight to torch where all hooks are Lightning's own, else through whoever has a hand in it."""

import functools
from collections.abc import Callable
from typing import Any

import lightning.pytorch as lightning_pytorch
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from stateful_net import LOADERS, StatefulNet
from tiny import StatefulLoader, same, trainer
from torch import Tensor, nn

from lightning_tricks import GradientClipping, find_lr

STEPS = 10
GRADIENT_HOOKS = ["on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step"]
BATCH_HOOKS = ["on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"]
MODULE_HOOKS = [
    *GRADIENT_HOOKS,
    *BATCH_HOOKS,
    "optimizer_zero_grad",
    "backward",
    "configure_gradient_clipping",
    "clip_gradients",
    "optimizer_step",
]
STRATEGY_HOOKS = ["backward", "pre_backward", "post_backward", "optimizer_step", "batch_to_device"]
PRECISION_HOOKS = ["pre_backward", "backward", "post_backward", "optimizer_step", "clip_gradients"]
PRECISION_HOOKS += ["_wrap_closure", "_after_closure", "_clip_gradients"]


class _Plain:
    """A module that overrides nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return (self.layer(batch[0]) - batch[1]).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Plain(_Plain, lightning_pytorch.LightningModule):
    """Of the `lightning` package."""


class OtherPlain(_Plain, pytorch_lightning.LightningModule):
    """Of the `pytorch_lightning` package."""


def search(net: Any, *callbacks: Any, loader: Any = None, **arguments: Any) -> list[float]:
    """Return the losses of a sweep of ten steps."""
    runner = trainer(*callbacks, **arguments)
    loader = StatefulLoader(batch_size=16) if loader is None else loader
    return find_lr(net, loader, trainer=runner, num_steps=STEPS, min_lr=1e-4, max_lr=0.5).losses


def counting(method: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    """Return a method that does the same and says so; it bears the name of what it wraps."""

    @functools.wraps(method)
    def counted(*args: Any, **kwargs: Any) -> Any:
        seen.append(method.__name__)
        return method(*args, **kwargs)

    return counted


def overriding(base: type, hook: str, seen: list[str]) -> Any:
    """Return a class that overrides one method with one that does the same and says so."""
    override = counting(getattr(base, hook), seen)
    del override.__wrapped__  # type: ignore[attr-defined]  # through which Lightning looks at the original
    return type(base.__name__, (base,), {hook: override})


def watched(seen: list[Any], **of_net: Any) -> Any:
    """Return a module that says, where no trial takes it back, what its steps do in which order."""

    class Watched(StatefulNet):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            seen.append(("loss", loss.detach().clone(), torch.is_grad_enabled()))
            loss.register_hook(lambda grad: seen.append(("backward", grad)))
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            zero_grad = optimizer.zero_grad
            optimizer.zero_grad = lambda: (seen.append("zero_grad"), zero_grad())
            optimizer.register_step_pre_hook(lambda _, args, kwargs: seen.append((len(args), list(kwargs))))
            optimizer.register_step_post_hook(lambda *_: seen.append([p.detach().clone() for p in self.parameters()]))
            return optimizer

    return Watched(**of_net)


@pytest.mark.parametrize("optimizer", ["adam", "tensor", "sgd", "lbfgs"])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_straight_way_and_lightnings_do_the_same_to_the_last_bit(optimizer: str, accumulated: int) -> None:
    seen: list[list[Any]] = [[], []]
    losses = []
    for way, events in enumerate(seen):
        net = watched(events, optimizer=optimizer)
        if way:
            vars(net)["on_after_backward"] = lambda: None
        torch.manual_seed(7)
        losses.append(search(net, loader=LOADERS["dicts"](), accumulate_grad_batches=accumulated))
    assert losses[0] == losses[1]
    assert len(losses[0]) == STEPS
    assert same(*seen)


@pytest.mark.parametrize(("package", "net"), [(lightning_pytorch, Plain), (pytorch_lightning, OtherPlain)])
def test_the_way_is_straight_where_all_hooks_are_lightnings_own(
    package: Any, net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    call = package.trainer.call
    for name in ("_call_callback_hooks", "_call_lightning_module_hook"):
        watch = functools.partial(
            lambda whole, runner, hook, *a, **k: called.append(hook) or whole(runner, hook, *a, **k)
        )
        monkeypatch.setattr(call, name, functools.partial(watch, getattr(call, name)))
    search(net(), package=package)
    assert "on_fit_start" in called
    assert not {*MODULE_HOOKS} & {*called}


@pytest.mark.parametrize("hook", MODULE_HOOKS)
def test_an_override_of_the_module_is_called_in_each_step(hook: str) -> None:
    seen: list[str] = []
    search(overriding(Plain, hook, seen)())
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", MODULE_HOOKS)
def test_a_wrapped_method_of_the_instance_is_called_in_each_step(hook: str) -> None:
    seen: list[str] = []
    net = Plain()
    vars(net)[hook] = counting(getattr(net, hook), seen)
    search(net)
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", ["backward", "on_after_batch_transfer"])
def test_what_is_no_function_may_stand_for_a_method(hook: str) -> None:
    seen: list[str] = []
    net = Plain()
    vars(net)[hook] = functools.partial(counting(getattr(net, hook), seen))
    search(net)
    assert len(seen) == STEPS


def test_a_patch_of_lightnings_own_class_is_called_in_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    base = lightning_pytorch.LightningModule
    monkeypatch.setattr(base, "on_before_zero_grad", counting(base.on_before_zero_grad, seen))
    search(Plain())
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", BATCH_HOOKS)
def test_a_hook_of_the_datamodule_is_called_in_each_step(hook: str) -> None:
    seen: list[str] = []
    data = overriding(lightning_pytorch.LightningDataModule, hook, seen)()
    data.train_dataloader = StatefulLoader
    find_lr(Plain(), datamodule=data, trainer=trainer(), num_steps=STEPS, max_lr=0.1)
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", GRADIENT_HOOKS)
def test_a_callback_with_a_hand_in_the_step_is_called_in_each(hook: str) -> None:
    seen: list[str] = []
    search(Plain(), overriding(lightning_pytorch.Callback, hook, seen)())
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", STRATEGY_HOOKS)
def test_a_method_of_the_strategy_is_called_in_each_step(hook: str) -> None:
    seen: list[str] = []
    search(Plain(), strategy=overriding(SingleDeviceStrategy, hook, seen)(), accelerator="auto")
    assert len(seen) == STEPS


@pytest.mark.parametrize("hook", PRECISION_HOOKS)
def test_a_method_of_the_precision_is_called_in_each_step(hook: str) -> None:
    seen: list[str] = []
    search(Plain(), plugins=[overriding(Precision, hook, seen)()])
    assert len(seen) == STEPS


@pytest.mark.parametrize("method", ["step", "_on_before_step", "_on_after_step"])
def test_a_method_of_lightnings_optimizer_is_called_in_each_step(method: str) -> None:
    seen: list[str] = []

    class Wrapped(Plain):
        def configure_optimizers(self) -> Any:
            optimizer = LightningOptimizer(super().configure_optimizers())
            setattr(optimizer, method, counting(getattr(optimizer, method), seen))
            return optimizer

    search(Wrapped())
    assert len(seen) == STEPS


@pytest.mark.parametrize("clip", [{"gradient_clip_val": 0.01}, {"callbacks": [GradientClipping(0.01)]}])
def test_clipping_acts_in_each_step(clip: dict[str, Any]) -> None:
    class Lightnings(Plain):
        def on_after_backward(self) -> None: ...

    callbacks = clip.get("callbacks", [])
    arguments = {key: value for key, value in clip.items() if key != "callbacks"}
    clipped = search(Plain(), *callbacks, **arguments)
    assert clipped == search(Lightnings(), *callbacks, **arguments)
    assert clipped != search(Plain())
