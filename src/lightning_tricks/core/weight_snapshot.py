"""Weight snapshots: copy the parameters and buffers of a module, to the host or on the same device, and restore them.

A copy from a CUDA device goes to pinned memory asynchronously; reading the copies waits for it. Only the local shard of
a sharded parameter is copied.
"""

import mmap
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_tricks.core.tensor_copies import is_plain, overwrite_, without_repeats

_PAGES = 1 << 16


class Restored(NamedTuple):
    """Whether the copies were written, and a description of each tensor of the module that they do not fit."""

    written: bool
    misfits: list[str]


class WeightSnapshot:
    """The parameters and buffers of a module at one moment, by name; a tied tensor appears once.

    Args:
        on_host: keep the copies in host memory instead of on the module's device.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> snapshot = WeightSnapshot()
        >>> snapshot.take(model)
        >>> before = model.weight.item()
        >>> _ = nn.init.constant_(model.weight, 7.0)
        >>> snapshot.restore_(model)
        Restored(written=True, misfits=[])
        >>> model.weight.item() == before
        True
    """

    def __init__(self, *, on_host: bool = True) -> None:
        self.on_host = on_host
        self._tensors: dict[str, Tensor] = {}
        self._parameters: set[str] = set()
        self._caches: set[str] = set()
        self._lent = False
        self._arrivals: list[torch.cuda.Event] = []

    def __bool__(self) -> bool:
        return bool(self._tensors)

    def take(self, source: "nn.Module | WeightSnapshot") -> None:
        """Overwrite the last copy with a module's tensors, or with those of another snapshot."""
        if isinstance(source, WeightSnapshot):
            named, self._parameters, self._caches = source._tensors, source._parameters, source._caches
        else:
            named, self._caches = dict(named_tensors(source)), set(non_persistent_names(source))
            self._parameters = {name for name, _ in source.named_parameters()}
        named = {name: tensor for name, tensor in named.items() if not tensor.is_meta}
        memory = {} if self._lent else self._tensors
        # validation runs in inference mode; its tensors could not be written outside of it
        with torch.inference_mode(False), torch.no_grad():
            self._tensors = {name: self._copy(tensor.detach(), memory.get(name)) for name, tensor in named.items()}
        self._lent = False
        devices = {tensor.device for tensor in named.values() if tensor.is_cuda} if self.on_host else ()
        self._arrivals = [_arrival_from(device) for device in devices]

    def _copy(self, tensor: Tensor, memory: Tensor | None) -> Tensor:
        if not is_plain(tensor):
            return tensor.clone().cpu() if self.on_host else tensor.clone()
        pinned = self.on_host and tensor.is_cuda
        if memory is None or memory.shape != tensor.shape or memory.dtype != tensor.dtype:
            device = torch.device("cpu") if self.on_host else tensor.device
            if device.type == "cpu" and not pinned and tensor.nbytes >= _PAGES:
                return _map_memory(tensor).copy_(tensor)
            memory = torch.empty_like(tensor, device=device, pin_memory=pinned)
        return memory.copy_(tensor, non_blocking=pinned)

    def named_copies(self) -> dict[str, Tensor]:
        """Return the completed copies by name; later calls do not overwrite them."""
        self._wait()
        self._lent = True
        return dict(self._tensors)

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        """Load tensors by name, for instance from a checkpoint; an empty dict clears the snapshot."""
        self._tensors, self._lent, self._arrivals = dict(tensors), True, []
        self._parameters, self._caches = set(), set()

    def restore_(self, module: nn.Module) -> Restored:
        """Write the copies into the module's own tensors, so that optimizers continue with them.

        If a parameter has no copy of its shape, or a copied parameter no longer exists, nothing is written, because a
        mixture of two moments would be a model that was never trained. Buffers that do not fit stay unchanged.
        Non-persistent buffers are caches, which may appear, disappear and change size.

        Returns:
            Whether the copies were written, and what does not fit: parameters if they were not written, otherwise
            buffers.
        """
        self._wait()
        now = {name: tensor for name, tensor in named_tensors(module) if not tensor.is_meta}
        copies = _without_masks(self._tensors, now)
        parameters = {name for name, _ in module.named_parameters()}
        misfits = {name: misfit for name, tensor in now.items() if (misfit := _misfit(tensor, copies.get(name)))}
        misfits.update({name: "is gone" for name in copies.keys() - now.keys() if not _is_meta(module, name)})
        wrong = [name for name in misfits if name in parameters or name in self._parameters]
        if wrong:
            return Restored(False, [f"`{name}` {misfits[name]}" for name in wrong])
        for name in now.keys() - misfits.keys():
            _write(now[name], copies[name], name, misfits)
        left = sorted(misfits.keys() - self._caches - set(non_persistent_names(module)))
        return Restored(True, [f"`{name}` {misfits[name]}" for name in left])

    def _wait(self) -> None:
        for arrival in self._arrivals:
            arrival.synchronize()
        self._arrivals = []


def _arrival_from(device: torch.device) -> torch.cuda.Event:
    """Return the moment at which all copies from a device, given up to now, have arrived; each device has its queue."""
    arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrival.record(torch.cuda.current_stream(device))
    return arrival


def _map_memory(tensor: Tensor) -> Tensor:
    """Return memory of the tensor's shape, strides and dtype in separate pages.

    On the heap, memory that is kept this long lies above the memory that each step allocates and frees. The allocator
    then returns and requests those pages at every step, which made whole fits up to 20 % slower.
    """
    strides = torch.empty_like(tensor, device="meta").stride()
    return torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype).as_strided(tensor.shape, strides)


def _misfit(tensor: Tensor, copy: Tensor | None) -> str:
    """Return why a copy cannot be written into a tensor; an empty string if it can."""
    if copy is None:
        return "is new"
    if not tensor.is_nested and copy.shape != tensor.shape:
        return f"has shape {tuple(tensor.shape)}, but its copy has shape {tuple(copy.shape)}"
    return ""


def _write(tensor: Tensor, copy: Tensor, name: str, misfits: dict[str, str]) -> None:
    try:
        overwrite_(tensor, copy)
    except RuntimeError as error:  # one tensor must not make a finished training fail
        misfits[name] = f"cannot be written ({error})"


def _is_meta(module: nn.Module, name: str) -> bool:
    owner, _, leaf = name.rpartition(".")
    try:
        return bool(getattr(module.get_submodule(owner), leaf).is_meta)
    except AttributeError:
        return False


def _without_masks(copies: dict[str, Tensor], now: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of pruned parameters under the names they have after ``torch.nn.utils.prune.remove``."""
    merged = dict(copies)
    for name in copies:
        plain = name.removesuffix("_orig")
        if name.endswith("_orig") and plain in now and name not in now and f"{plain}_mask" in merged:
            mask = merged.pop(f"{plain}_mask")
            merged[plain] = merged.pop(name) * mask
    return merged


def non_persistent_names(module: nn.Module) -> Iterator[str]:
    """Yield the names of the buffers that are left out of the module's ``state_dict``."""
    for prefix, part in module.named_modules():
        for name in part._non_persistent_buffers_set:
            yield f"{prefix}.{name}" if prefix else name


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the initialized parameters and all buffers by name, each value once.

    For a sharded tensor, the value is this process's shard; for an expanded one, the values before expansion.
    """
    part: Any
    for part in module.modules():
        # after a forward pass the outermost layers of `fully_shard` may still hold gathered parameters
        if hasattr(part, "reshard") and hasattr(part, "unshard"):
            part.reshard()
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if not is_lazy(tensor):
            yield name, without_repeats(_shard_of(tensor))


def is_sharded(module: nn.Module) -> bool:
    """Return whether any parameter of the module is sharded over processes."""
    return any(_shard_of(tensor) is not tensor for tensor in module.parameters())


def _shard_of(tensor: Any) -> Tensor:
    """Return this process's part of a DTensor, or of a parameter that DeepSpeed's ZeRO-3 has partitioned."""
    shard: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else getattr(tensor, "ds_tensor", tensor)
    return shard
