"""An accelerator in software: tensors with real values that behave as those of a device do, with no device at hand.

torch's type `lazy` has no backend of its own here, so that a dispatch mode can be one. Values are kept in host memory
by wrappers; each operation checks that all tensors are on one device, as a real one does, and each transfer to the host
is counted. A transfer that does not block arrives when the host next waits for the device, not before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE, OTHER = torch.device("lazy:0"), torch.device("lazy:1")
READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "unique", "_unique2", "item")
"""Operations whose result is known to the host only when the device has finished."""
INDEXING = ("index", "index_put_", "index_put")
"""Operations that take indices in host memory, and transfer them."""


class DeviceTensor(Tensor):
    """A tensor on the simulated device, with its values in `inner`."""

    inner: Tensor
    is_cuda = False
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> "DeviceTensor":
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=device,
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} is called on a device tensor outside of `simulated()`")

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:
        return f"DeviceTensor({self.shape}, {self.dtype}, {self.device})"


class Simulation(TorchDispatchMode):
    """The device and what it is asked for.

    Args:
        has_float64: whether the device has float64, which MPS has not.
        is_cuda: whether its tensors say that they are on CUDA.

    Attributes:
        waits: for each time that the host waited, the operation.
        late: transfers to the host that were not waited for yet, with the device that they come from.
    """

    def __init__(self, has_float64: bool = True, is_cuda: bool = False) -> None:
        super().__init__()
        self.has_float64 = has_float64
        self.kind = type("CudaTensor", (DeviceTensor,), {"is_cuda": is_cuda})
        self.waits: list[str] = []
        self.late: list[tuple[torch.device, Tensor, Tensor]] = []

    def arrive(self, device: torch.device | None = None) -> None:
        """Deliver the transfers under way, or those from one device."""
        for source, host, value in self.late:
            if device in (None, source):
                host.copy_(value)
        self.late = [late for late in self.late if device not in (None, late[0])]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        found = [leaf for leaf in given if isinstance(leaf, DeviceTensor)]
        wanted = kwargs.get("device")
        if name == "copy_":
            return self._copy(func, args, kwargs)
        device = torch.device(wanted) if wanted is not None else _common_device(name, given, found)
        if device.type == "lazy" and device.index is None:
            device = DEVICE
        if name == "_to_copy" and found and device.type == "cpu" and kwargs.get("non_blocking"):
            return self._send(found[0], kwargs)
        if self._waits_for(name, given, found, device, kwargs):
            self.waits.append(name)
            self.arrive()
        plain = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory", "non_blocking")}
        if wanted is not None:
            plain["device"] = torch.device("cpu")
        result = func(*tree_map(_inner, args), **tree_map(_inner, plain))
        if device.type != "lazy":
            return result
        if not self.has_float64 and any(is_double(value) for value in tree_leaves(result)):
            raise TypeError(f"Cannot convert a tensor to float64, which the device does not have (in {name})")
        wrapped = tree_map(lambda value: self.kind(value, device) if isinstance(value, Tensor) else value, result)
        return return_and_correct_aliasing(func, args, kwargs, wrapped)

    def _waits_for(self, name: str, given: list[Tensor], found: list[Any], device: torch.device, kwargs: Any) -> bool:
        """Return whether the host waits in an operation: a read, or a transfer of ordinary memory that blocks."""
        if name == "_to_copy":
            moves = bool(found) != (device.type == "lazy")
            return moves and not (device.type == "lazy" and kwargs.get("non_blocking"))
        on_host = any(not isinstance(tensor, DeviceTensor) and tensor.dim() for tensor in given)
        return bool(found) and (name in READS or (name in INDEXING and on_host))

    def _send(self, source: DeviceTensor, kwargs: Any) -> Tensor:
        """Return memory in which the values arrive later."""
        host = torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        self.late.append((source.device, host, source.inner.clone()))
        return host

    def _copy(self, func: Any, args: Any, kwargs: Any) -> Any:
        target, source, *rest = args
        blocks = not (rest[0] if rest else kwargs.get("non_blocking", False))
        if isinstance(target, DeviceTensor) or not isinstance(source, DeviceTensor):
            if blocks and isinstance(target, DeviceTensor) and not isinstance(source, DeviceTensor):
                self.waits.append("copy_ to the device")
            _inner(target).copy_(_inner(source))
        elif blocks:
            self.waits.append("copy_")
            self.arrive()
            target.copy_(source.inner)
        else:
            self.late.append((source.device, target, source.inner.clone()))
        return target


def is_double(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.float64, torch.complex128)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, DeviceTensor) else value


def _common_device(name: str, given: list[Tensor], found: list[DeviceTensor]) -> torch.device:
    """Return the device of the result, or raise as torch does for tensors on several."""
    devices = {tensor.device for tensor in found}
    devices |= {tensor.device for tensor in given if not isinstance(tensor, DeviceTensor) and tensor.dim() > 0}
    if len(devices) > 1 and name not in INDEXING and not name.startswith("_foreach"):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, "
            f"{' and '.join(sorted(map(str, devices)))}! (in {name})"
        )
    return found[0].device if found else torch.device("cpu")


@contextmanager
def simulated(**properties: Any) -> Iterator[Simulation]:
    """While entered, the devices `lazy:0` and `lazy:1` can be used; see :class:`Simulation` for their properties."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=...)` then transfers through the mode
    try:
        with Simulation(**properties) as device, torch.autograd.set_multithreading_enabled(False):
            yield device
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


class SimulatedAccelerator(CPUAccelerator):
    """What Lightning asks of an accelerator."""

    def setup_device(self, device: torch.device) -> None: ...


class WhereItIs(SingleDeviceStrategy):
    """A strategy that leaves a module on the devices on which it has put its parts."""

    def model_to_device(self) -> None: ...

    def teardown(self) -> None: ...


def on_simulated_device() -> dict[str, Any]:
    """Return the arguments of a Trainer whose batches come to the first of these devices."""
    return {"accelerator": SimulatedAccelerator(), "strategy": WhereItIs(DEVICE)}
