"""No callback makes the host wait for the device in a training step, except where the API says so."""

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from gpu_device import ASKED, DEVICE, ON_CUDA, counted_waits, trainer_settings
from lightning.pytorch import Callback
from tiny import Net, trainer
from tricks import TINY, public_callbacks

Around = Callable[[list[str]], Any]
SETTLED = 3
"""Epochs until every callback has found its rate, its order and its moments."""


class FusedNet(Net):
    """`Net` without a record of its rates, which would be read in each step."""

    def __init__(self, optimizer: str = "fused AdamW") -> None:
        super().__init__()
        self.kind = optimizer

    def on_before_optimizer_step(self, optimizer: Any) -> None: ...

    def configure_optimizers(self) -> Any:
        groups = [{"params": self.body.parameters(), "lr": 0.01}, {"params": self.head.parameters(), "lr": 0.1}]
        if self.kind == "fused AdamW":
            return torch.optim.AdamW(groups, fused=True)
        if self.kind == "rate on the device":
            for group in groups:
                group["lr"] = torch.tensor(group["lr"], device=DEVICE)
            return torch.optim.AdamW(groups, capturable=ON_CUDA, foreach=ON_CUDA)
        return torch.optim.SGD(groups, momentum=0.9)


def waits_in_training_steps(*callbacks: Callback, net: Net | None = None, around: Around = counted_waits) -> list[str]:
    """Return where the host waited in the batches after the first epochs: fetched, transferred, trained on."""
    found: list[str] = []
    runner = trainer(*callbacks, **trainer_settings(max_epochs=2 * SETTLED, limit_val_batches=0))
    loop = runner.fit_loop.epoch_loop
    advance = loop.advance

    def watched(*arguments: Any) -> None:
        with around(found) if runner.current_epoch >= SETTLED else nullcontext():
            advance(*arguments)

    loop.advance = watched
    runner.fit(net or FusedNet())
    return found


@pytest.mark.parametrize("name", public_callbacks() if ASKED else ["Doctor"])
def test_no_step_waits_with_a_fused_optimizer(name: str) -> None:
    assert waits_in_training_steps(TINY[name]()) == waits_in_training_steps()


if ASKED:  # tests/contracts/test_devices.py has it in the ordinary suite

    def test_no_step_waits_with_all_callbacks_at_once() -> None:
        assert waits_in_training_steps(*[make() for make in TINY.values()]) == waits_in_training_steps()


@pytest.mark.parametrize("name", ["GradientClipping", "AutoClip"][: 2 if ASKED else 1])
def test_an_optimizer_that_is_not_fused_has_one_flag_read_in_each_step(name: str) -> None:
    """The one exception: whoever leaves out steps of an optimizer that cannot skip one itself."""
    bare = waits_in_training_steps(net=FusedNet("SGD"))
    found = waits_in_training_steps(TINY[name](), net=FusedNet("SGD"))
    assert len(found) - len(bare) == SETTLED * 6


@pytest.mark.parametrize("name", ["Doctor", "RunReport", "CosineDecay"][: 3 if ASKED else 1])
def test_a_learning_rate_on_the_device_is_not_read_in_a_step(name: str) -> None:
    """On the CPU torch itself reads such a rate; the callbacks add nothing to that."""
    bare = waits_in_training_steps(net=FusedNet("rate on the device"))
    assert len(waits_in_training_steps(TINY[name](), net=FusedNet("rate on the device"))) == len(bare)


if ON_CUDA:

    def test_cuda_raises_nowhere_in_a_step_with_all_callbacks_at_once() -> None:
        @contextmanager
        def raising(found: list[str]) -> Any:
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")

        assert waits_in_training_steps(*[make() for make in TINY.values()], around=raising) == []
