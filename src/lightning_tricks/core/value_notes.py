"""Value notes: record the values of tensors, arrays, streams and random number generators, and restore them."""

import array
import io
import random
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.note import Note, Revive, numbered
from lightning_tricks.core.tensor_copies import is_plain, overwrite_


def note_bytes(holder: Any) -> Note | None:
    """Record the contents of a ``bytearray``, an ``array.array`` or an in-memory stream."""
    if isinstance(holder, (bytearray, array.array)):
        held: Any = holder[:]

        def undo(revive: Revive) -> None:
            holder[:] = held

        return Note(undo, [])
    if isinstance(holder, (io.BytesIO, io.StringIO)):
        value, position = holder.getvalue(), holder.tell()

        def rewind(revive: Revive) -> None:
            holder.seek(0)
            holder.truncate()
            holder.write(value)  # type: ignore[arg-type]
            holder.seek(position)

        return Note(rewind, [])
    if type(holder).__module__ == "multiprocessing.sharedctypes" and hasattr(holder, "get_obj"):
        return _note_shared(holder, "value" if hasattr(holder, "value") else "raw")
    return None


def _note_shared(holder: Any, name: str) -> Note:
    """Record a number, or an array of numbers, that processes share."""
    held = holder.value if name == "value" else holder[:]

    def undo(revive: Revive) -> None:
        if name == "value":
            holder.value = held
        else:
            holder[:] = held

    return Note(undo, [])


def note_numpy(holder: Any) -> Note | None:
    """Record the values of a NumPy array; objects in an array of objects are followed."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(holder, numpy.ndarray):
        return None
    inner = numbered(holder.flat) if holder.dtype == object else []
    if not holder.flags.writeable:
        return Note(None, inner)
    held = numpy.array(holder, copy=True, subok=False)

    def undo(revive: Revive) -> None:
        numpy.asarray(holder)[...] = held

    return Note(undo, inner)


def note_tensor(tensor: Tensor) -> Note:
    """Record the values of a tensor, its gradient, and the memory that it points to."""
    if nn.parameter.is_lazy(tensor):
        return Note(None, [])
    held, grad = tensor.detach().clone(), tensor.grad if tensor.is_leaf else None
    needs_grad = tensor.requires_grad
    place = tensor.data if type(tensor) in (Tensor, nn.Parameter) and is_plain(tensor) else None

    def undo(revive: Revive) -> None:
        with torch.inference_mode(tensor.is_inference()), torch.no_grad():
            if place is not None and tensor.data_ptr() != place.data_ptr():
                tensor.data = place  # the memory may be shared with another tensor
            if place is not None and tensor.shape != held.shape:
                tensor.data = held.clone()
        overwrite_(tensor, held)
        if tensor.is_leaf and tensor.requires_grad != needs_grad:
            tensor.requires_grad_(needs_grad)
        if tensor.is_leaf and tensor.grad is not grad:
            tensor.grad = grad

    return Note(undo, [] if grad is None else [(".grad", grad)])


def note_random(candidate: Any) -> Note | None:
    """Record the state of a random number generator."""
    kind = f"{type(candidate).__module__}.{type(candidate).__name__}"
    if isinstance(candidate, torch.Generator):
        return _later(candidate.set_state, candidate.get_state())
    if isinstance(candidate, random.Random) and not isinstance(candidate, random.SystemRandom):
        return _later(candidate.setstate, candidate.getstate())
    if kind == "numpy.random.mtrand.RandomState":
        return _later(candidate.set_state, candidate.get_state())
    if kind == "numpy.random._generator.Generator":
        bits = candidate.bit_generator
        return _later(lambda state: setattr(bits, "state", state), bits.state)
    return None


def _later(put: Callable[[Any], object], state: object) -> Note:
    def undo(revive: Revive) -> None:
        put(state)

    return Note(undo, [])
