"""The device of the tests in `tests/gpu`, and how often the host waits for it."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ASKED = os.environ.get("LIGHTNING_TRICKS_DEVICE")
"""The device that `make gpu` asks for; unset in the ordinary suite, which takes the quickest part, on the CPU."""
DEVICE = torch.device(ASKED or "cpu")
ON_CUDA = DEVICE.type == "cuda"
ACCELERATOR = {"cuda": "gpu"}.get(DEVICE.type, DEVICE.type)
SYNCS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "unique")
"""Operations that make a host wait for its device, by their names in ATen."""


class CountSyncs(TorchDispatchMode):
    """Count the operations that make a host wait for its device, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in SYNCS
        return func(*args, **(kwargs or {}))


@contextmanager
def counted_waits(found: list[str]) -> Iterator[None]:
    """Append a line for each time that the host waits: on CUDA torch's own warnings, elsewhere :class:`CountSyncs`."""
    if not ON_CUDA:
        with CountSyncs() as counter:
            yield
        found += ["read of a tensor"] * counter.count
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found += [f"{each.filename}:{each.lineno}" for each in caught if "synchroniz" in str(each.message)]


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if ON_CUDA:
        torch.cuda.synchronize()


def trainer_settings(**more: Any) -> dict[str, Any]:
    """The arguments of a silent Trainer on one such device."""
    return {"accelerator": ACCELERATOR, "devices": 1, **more}
