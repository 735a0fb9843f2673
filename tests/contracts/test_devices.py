"""Every public callback on an accelerator: a model on two devices, without float64 and without a wait in a step."""

from collections import Counter
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from simulated_device import DEVICE, OTHER, on_simulated_device, simulated
from tiny import Net, trainer
from tricks import TINY, public_callbacks

from lightning_tricks.core import devices
from lightning_tricks.engine.checkup.step_watch import _start_step

NAMES = [name for name in public_callbacks() if name != "DropoutSchedule"]
"""All but the one that draws with a generator of the device, of which the simulation has none."""
SETTLED = 2


class SpreadNet(Net):
    """`Net` with its body on one device and its head on another."""

    def configure_model(self) -> None:
        self.body.to(DEVICE)
        self.head.to(OTHER)

    def loss(self, batch: Any) -> Any:
        x, y = (part.to(DEVICE, non_blocking=True) for part in batch)
        return (self.head(self.body(x).to(OTHER)) - y.to(OTHER)).pow(2).mean()

    def on_before_optimizer_step(self, optimizer: Any) -> None: ...


def waits_in_steps(*callbacks: Callback) -> tuple[Counter[str], SpreadNet]:
    """Fit four epochs, and return for what the host waited in the batches of the last two, and the module."""
    found: Counter[str] = Counter()
    with simulated(has_float64=False) as device:
        net = SpreadNet()
        runner = trainer(*callbacks, **on_simulated_device(), max_epochs=2 * SETTLED, limit_val_batches=0)
        loop = runner.fit_loop.epoch_loop
        advance = loop.advance

        def watched(*arguments: Any) -> None:
            before = len(device.waits)
            advance(*arguments)
            if runner.current_epoch >= SETTLED:
                found.update(device.waits[before:])

        loop.advance = watched
        runner.fit(net)
    return found, net


def test_all_callbacks_train_a_model_on_two_devices_and_wait_for_neither_in_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One exception: each of the four that leave out steps reads one flag in each step of an ordinary optimizer."""
    monkeypatch.setattr(devices, "_WITHOUT_FLOAT64", {DEVICE.type})
    callbacks = {name: TINY[name]() for name in NAMES}
    clippers = sum(hasattr(callback, "skip_nonfinite") for callback in callbacks.values())
    bare, _ = waits_in_steps()
    found, net = waits_in_steps(*callbacks.values())
    assert not bare
    assert found == {"_local_scalar_dense": SETTLED * 6 * clippers}
    assert (net.body[0].weight.device, net.head.weight.device) == (DEVICE, OTHER)
    report = callbacks["Doctor"].report
    assert report.evidence.step is not None
    assert report.evidence.own_failures == ()
    assert not any(finding.name == "model-refuses-batch" for finding in report.findings)


def test_a_rate_on_the_device_is_not_read_when_a_step_is_measured() -> None:
    """The rate of a `capturable` optimizer."""
    with simulated() as device:
        weight = torch.nn.Parameter(torch.ones(2, 2, device=DEVICE))
        weight.grad = torch.ones_like(weight)
        module = torch.nn.ParameterDict({"weight": weight})
        optimizer = torch.optim.SGD(module.parameters(), lr=torch.tensor(0.5, device=DEVICE), foreach=False)
        device.waits.clear()
        step = _start_step(module, optimizer, 1)
        assert not device.waits
        optimizer.param_groups[0]["lr"].fill_(9.0)
        assert step.lr == 0.5
