"""Input dropout: dropout on the inputs of chosen layers without changing the model's structure."""

import random
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from lightning_tricks.core.compiled_code import has_compiled, left_uncompiled


class InputDropout:
    """Dropout on the first input of one layer.

    If the layer's input comes directly from a dropout layer, that layer's rate is set instead; this is detected in the
    first forward pass in training mode. The masks come from a separate generator, seeded with ``mark`` and the number
    of previous masks, so that a resumed run draws the same masks. A forward pass that is repeated in the backward pass
    (activation checkpointing) draws the same mask again.

    Compiled code calls the hooks as they are, with a break in its graph, so that a new rate compiles nothing. There, a
    dropout layer that feeds the layer is set to 0, and its input is dropped here instead.

    Args:
        layer: the layer whose input is dropped, in training mode only.
        dropouts: the model's dropout layers.
        mark: seed of the masks.

    Attributes:
        p: the rate.
        num_masks: the number of masks drawn so far.
        feeder: the dropout layer that already feeds the layer.
    """

    def __init__(self, layer: nn.Module, dropouts: Iterable[nn.Module], mark: str) -> None:
        self.p = 0.0
        self.num_masks = 0
        self.feeder: Any = None
        self._old_rate: float | None = None
        self._mark = mark
        self._last: tuple[nn.Module, Any, Any] | None = None  # a dropout layer, its input and its output
        self._is_compiled = has_compiled()
        note, drop = left_uncompiled(self._note), left_uncompiled(self._drop)
        self._watches: list[Any] = [
            each.register_forward_hook(note) for each in dropouts if isinstance(each, _DropoutNd)
        ]
        self._hook = layer.register_forward_pre_hook(drop)

    def __deepcopy__(self, memo: Any) -> "InputDropout":
        """When copied with a module, as weight averaging does, the copy has its own rate."""
        copied = object.__new__(InputDropout)
        vars(copied).update(vars(self), _watches=[], _last=None, feeder=None)
        return copied

    def set_rate(self, p: float) -> None:
        """Set the rate."""
        self.p = p
        if self.feeder is not None and not self._is_compiled:
            self.feeder.p = p

    def remove(self) -> None:
        """Remove the hooks and restore the rate of a dropout layer that was set instead."""
        self._stop_watching()
        self._hook.remove()
        if self.feeder is not None:
            self.feeder.p = self._old_rate
            self.feeder = None

    def _stop_watching(self) -> None:
        for watch in self._watches:
            watch.remove()
        self._watches, self._last = [], None

    def _note(self, dropout: nn.Module, args: Any, output: Any) -> None:
        if args and isinstance(output, Tensor):
            self._last = dropout, args[0], output

    def _drop(self, layer: nn.Module, args: Any) -> Any:
        if not layer.training or not args or not isinstance(args[0], Tensor):
            return None
        values = args[0]
        if self._watches:
            values = self._find_feeder(values)
        elif self.feeder is not None and not self._is_compiled:
            return None
        return (self._masked(values), *args[1:]) if self.p else (values, *args[1:])

    def _find_feeder(self, values: Tensor) -> Tensor:
        """Return the input of the dropout layer that feeds this layer, whose rate is set from now on."""
        found = self._last
        self._stop_watching()
        if found is None or not (found[2] is values or values._base is found[2]):
            return values
        self.feeder, before, _ = found
        self._old_rate, self.feeder.p = self.feeder.p, 0.0 if self._is_compiled else self.p
        return before.reshape(values.shape) if isinstance(before, Tensor) else values

    def _masked(self, values: Tensor) -> Tensor:
        repeats = torch._C._current_graph_task_id() != -1  # during a backward pass
        self.num_masks += not repeats
        seed = random.Random(f"{self._mark}/{self.num_masks}").getrandbits(63)
        generator = torch.Generator(values.device).manual_seed(seed)
        keep = 1.0 - self.p
        mask = torch.empty_like(values, requires_grad=False).bernoulli_(keep, generator=generator)
        return values * mask.div_(keep)
