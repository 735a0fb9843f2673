"""What differs between kinds of devices."""

import pytest
import torch
from simulated_device import DEVICE, OTHER, simulated

from lightning_tricks.core import devices
from lightning_tricks.core.devices import precise, precise_dtype, stack_tensors


def test_float64_is_computed_on_the_host_where_the_device_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_WITHOUT_FLOAT64", {DEVICE.type})
    with simulated(has_float64=False):
        assert precise_dtype(DEVICE) == torch.float32
        found = precise(torch.ones(2, device=DEVICE))
        assert (found.device.type, found.dtype) == ("cpu", torch.float64)
    assert precise(torch.ones(2)).dtype == torch.float64


def test_tensors_of_several_devices_are_stacked_on_the_first_without_a_wait() -> None:
    with simulated() as device:
        found = stack_tensors([torch.tensor(1.0).to(OTHER), torch.tensor(2.0).to(DEVICE)])
        assert found.device == OTHER
        assert stack_tensors([torch.tensor(1.0), torch.tensor(2.0).to(DEVICE)]).tolist() == [1.0, 2.0]
        waits = len(device.waits)
        assert found.tolist() == [1.0, 2.0]
        assert len(device.waits) == waits + 1
