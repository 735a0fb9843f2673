"""Snapshots: copy the parameters and buffers of a module, to the host or beside them, and put them back.

A copy from a CUDA device goes to pinned memory without waiting; whoever asks for the copies waits. Of a sharded
parameter the local shard is copied: what a process has, it keeps.
"""

import mmap
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

_PAGES = 1 << 16


class WeightSnapshot:
    """The parameters and buffers of a module at one moment, by name; a tied one once.

    Args:
        on_host: copies go to host memory; else they stay on the module's device.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> snapshot = WeightSnapshot()
        >>> snapshot.take(model)
        >>> before = model.weight.item()
        >>> _ = nn.init.constant_(model.weight, 7.0)
        >>> snapshot.put_back_(model)
        >>> model.weight.item() == before
        True
    """

    def __init__(self, *, on_host: bool = True) -> None:
        self.on_host = on_host
        self._tensors: dict[str, Tensor] = {}
        self._lent = False
        self._arrival: torch.cuda.Event | None = None

    def __bool__(self) -> bool:
        return bool(self._tensors)

    def take(self, source: "nn.Module | WeightSnapshot") -> None:
        """Copy a module's tensors, or those of another snapshot, over the last copy."""
        named = source._tensors if isinstance(source, WeightSnapshot) else dict(named_tensors(source))
        memory = {} if self._lent else self._tensors
        # validation runs in inference mode, whose tensors could not be written again outside it
        with torch.inference_mode(False), torch.no_grad():
            self._tensors = {name: self._copy(tensor.detach(), memory.get(name)) for name, tensor in named.items()}
        self._lent, self._arrival = False, None
        if self.on_host and any(tensor.is_cuda for tensor in named.values()):
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record()

    def _copy(self, tensor: Tensor, memory: Tensor | None) -> Tensor:
        pinned = self.on_host and tensor.is_cuda
        if memory is None or memory.shape != tensor.shape or memory.dtype != tensor.dtype:
            device = torch.device("cpu") if self.on_host else tensor.device
            if device.type == "cpu" and not pinned and tensor.nbytes >= _PAGES:
                return _map_memory(tensor).copy_(tensor)
            memory = torch.empty(tensor.shape, dtype=tensor.dtype, device=device, pin_memory=pinned)
        return memory.copy_(tensor, non_blocking=pinned)

    def lend(self) -> dict[str, Tensor]:
        """Return the copies by name, complete; they are not written again, however long they are held."""
        self._wait()
        self._lent = True
        return dict(self._tensors)

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        """Take over tensors by name, those of a checkpoint for instance; an empty dict forgets."""
        self._tensors, self._lent, self._arrival = dict(tensors), True, None

    def put_back_(self, module: nn.Module) -> None:
        """Write the copies into the module's own tensors, so that optimizers go on with them.

        Raises:
            ValueError: a tensor of the module has another shape now, or is not among the copies.
        """
        self._wait()
        with torch.inference_mode(False), torch.no_grad():
            for name, tensor in named_tensors(module):
                copy = self._tensors.get(name)
                if copy is None or copy.shape != tensor.shape:
                    found = "does not exist" if copy is None else f"has the shape {tuple(copy.shape)}"
                    raise ValueError(
                        f"The best weights cannot be put back: `{name}` has the shape {tuple(tensor.shape)}, its copy "
                        f"{found}. The model was rebuilt during the run; set `restore_best=False`."
                    )
                tensor.detach().copy_(copy)

    def _wait(self) -> None:
        if self._arrival is not None:
            self._arrival.synchronize()
            self._arrival = None


def _map_memory(tensor: Tensor) -> Tensor:
    """Return memory of the tensor's shape and type in pages of its own.

    On the heap, what is held for so long lies above what each step takes and gives back; the allocator then returns and
    asks for those pages at every step, which made whole fits up to a fifth slower.
    """
    return torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype).view(tensor.shape)


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and all buffers by name; of a sharded one this process's shard."""
    part: Any
    for part in module.modules():
        # after a forward pass the outermost layers of `fully_shard` may still hold the gathered parameters
        if hasattr(part, "reshard") and hasattr(part, "unshard"):
            part.reshard()
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        yield name, _shard_of(tensor)


def is_sharded(module: nn.Module) -> bool:
    """Say whether a parameter of the module is spread over processes."""
    return any(_shard_of(tensor) is not tensor for tensor in module.parameters())


def _shard_of(tensor: Any) -> Tensor:
    """Return this process's part of a DTensor, or of a parameter that DeepSpeed's ZeRO-3 has partitioned."""
    shard: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else getattr(tensor, "ds_tensor", tensor)
    return shard
