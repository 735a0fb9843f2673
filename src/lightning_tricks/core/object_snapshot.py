"""Object snapshots: record the contents of objects, including everything they refer to, and restore them exactly.

Everything is restored in place: the same tensors, lists and dicts with their old contents, so that other references to
them stay valid.
"""

import argparse
import io
import random
import sys
import threading
import types
import weakref
from collections import UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.attribute_notes import (
    copy_iterator,
    note_attributes,
    note_callable,
    note_class,
    note_slots,
)
from lightning_tricks.core.container_notes import note_container
from lightning_tricks.core.note import Note
from lightning_tricks.core.value_notes import note_bytes, note_numpy, note_random, note_tensor

_SIMPLE = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    type,
    types.FunctionType,
    torch.device,
    torch.dtype,
    torch.Size,
)
_PLAIN = frozenset(_SIMPLE)
_TRAINERS = {"lightning", "pytorch_lightning", "lightning_fabric"}
_FOREIGN = {*_TRAINERS, "torch", "numpy", "pandas", "hydra", "omegaconf", "builtins", *sys.stdlib_module_names}
_TORCH_OWN = ("torch.optim", "torch.amp", "torch.cuda.amp", "torch.utils.data")
_HOLDERS = (types.SimpleNamespace, argparse.Namespace, UserDict, UserList, threading.local)
_LONG, _LONGER = 10_000, 1_000_000
_SKIPPED = ("_iterator", "_trainer", "_fabric")


class ObjectSnapshot:
    """The contents of objects at the time of :meth:`remember`.

    It follows attributes (in slots, namespaces and classes too), containers, queues and weak references, into
    modules, optimizers, schedulers, samplers, datasets and objects of user-defined classes. Objects of other
    libraries, such as a Trainer or a logger, are not followed unless their package is in ``enter``.

    Args:
        enter: packages whose objects are also followed.

    Attributes:
        unrestorable: the location and class of each object that cannot be restored, such as a generator.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> memory = ObjectSnapshot()
        >>> memory.remember(model, optimizer)
        >>> before = model.weight.item()
        >>> model(torch.ones(1)).backward()
        >>> optimizer.step()
        >>> memory.restore_()
        >>> model.weight.item() == before, model.weight.grad, len(optimizer.state)
        (True, None, 0)
    """

    def __init__(self, enter: Iterable[str] = ()) -> None:
        self.unrestorable: list[str] = []
        self._enter = set(enter)
        self._seen: dict[int, object] = {}  # a reference keeps their ids from being reused
        self._undo: list[Callable[[Callable[[Any], Any]], None]] = []
        self._copies: dict[int, Iterator[Any]] = {}
        self._open: dict[type, bool] = {}

    def leave_out(self, *objects: object) -> None:
        """Exclude these objects."""
        self._seen.update({id(object): object for object in objects})

    def remember(self, *roots: object, tensors: bool = True) -> None:
        """Record the contents of these objects, whatever their class.

        Args:
            roots: modules, optimizers, samplers, any objects.
            tensors: also copy tensors and arrays, which a step may write in place. Those of a dataset are only
                referenced.
        """
        waiting: deque[tuple[Any, bool, Any]] = deque((root, True, (None, type(root).__name__)) for root in roots)
        longest = _LONGER if tensors else _LONG
        while waiting:
            holder, is_root, trail = waiting.popleft()
            if isinstance(holder, _SIMPLE) or type(holder) in weakref.ProxyTypes or id(holder) in self._seen:
                continue
            if not tensors and isinstance(holder, (Tensor, nn.Module)) and not is_root:
                continue  # another call may request them with their values
            self._seen[id(holder)] = holder
            for note in self._notes(holder, is_root, tensors, trail):
                if note.undo is not None:
                    self._undo.append(note.undo)
                if len(note.inner) <= 2 * longest:
                    waiting.extend((x, False, (trail, name)) for name, x in note.inner if type(x) not in _PLAIN)

    def _notes(self, holder: Any, is_root: bool, tensors: bool, trail: Any) -> Iterator[Note]:
        """Record how to restore one object, and yield its contents."""
        if type(holder) is dict or type(holder) is list:
            yield from filter(None, [note_container(holder)])
            return
        if isinstance(holder, Tensor):
            yield from _notes_of_tensor(holder, tensors)
            return
        array = note_numpy(holder)
        if array is not None:
            yield from [array] * tensors
            return
        note = note_random(holder) or note_container(holder) or note_bytes(holder) or note_callable(holder)
        if note is not None:
            yield note
        elif isinstance(holder, Iterator) and not self._is_open(holder):
            self._note_iterator(holder, trail)
            return
        if is_root or self._is_open(holder):
            yield from self._notes_of_attributes(holder)

    def _notes_of_attributes(self, holder: Any) -> Iterator[Note]:
        if hasattr(holder, "__dict__"):
            self._seen[id(vars(holder))] = vars(holder)
            yield note_attributes(vars(holder), _SKIPPED)
        slots = note_slots(holder)
        if slots is not None:
            yield slots
        yield from self._notes_of_classes(holder)

    def _notes_of_classes(self, holder: object) -> Iterator[Note]:
        if id(type(holder)) in self._seen:
            return
        for cls in type(holder).__mro__:
            if id(cls) not in self._seen and cls.__module__.partition(".")[0] not in _FOREIGN:
                self._seen[id(cls)] = cls
                yield note_class(cls)

    def _note_iterator(self, iterator: Iterator[Any], trail: Any) -> None:
        """Keep a copy of an iterator if it can be copied; otherwise record that it cannot be restored."""
        if isinstance(iterator, io.IOBase):
            return  # files that a step reads or writes are out of scope
        own = copy_iterator(iterator)
        if own is not None:
            self._copies[id(iterator)] = own
        else:
            kind = type(iterator)
            name = (
                kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__name__}"
            )
            self.unrestorable.append(f"`{_path(trail)}` ({name})")

    def _is_open(self, holder: object) -> bool:
        """Return whether the attributes of an object belong to the training and may be inspected."""
        kind = type(holder)
        if kind not in self._open:
            self._open[kind] = self._may_enter(kind)
        return self._open[kind]

    def _may_enter(self, kind: type) -> bool:
        if issubclass(kind, _HOLDERS):
            return True
        homes = [cls.__module__ for cls in kind.__mro__]
        packages = {home.partition(".")[0] for home in homes}
        if issubclass(kind, nn.Module) or packages & self._enter:
            return True
        if packages & _TRAINERS:
            return False
        return homes[0].startswith(_TORCH_OWN) or homes[0].partition(".")[0] not in _FOREIGN

    def restore_(self) -> None:
        """Restore everything; can be called repeatedly.

        Raises:
            Exception: the first exception raised by an object during its restoration; all other objects are still
                restored.
        """
        fresh: dict[int, Any] = {}
        errors: list[Exception] = []

        def revive(value: Any) -> Any:
            """Return the recorded value; for an iterator, a copy at the recorded position."""
            if id(value) in self._copies and self._seen.get(id(value)) is value:
                return fresh.setdefault(id(value), copy_iterator(self._copies[id(value)]))
            return value

        for undo in reversed(self._undo):  # in reverse order, so that containers are restored last
            try:
                undo(revive)
            except Exception as error:  # one object that fails must not prevent the restoration of the others
                errors.append(error)
        if errors:
            raise errors[0]


def _notes_of_tensor(tensor: Tensor, copied: bool) -> Iterator[Note]:
    if copied:
        yield note_tensor(tensor)
    if isinstance(tensor, nn.Parameter):
        yield note_attributes(vars(tensor))


def _path(trail: Any) -> str:
    names: list[str] = []
    while trail is not None:
        trail, name = trail
        names.append(name)
    return "".join(reversed(names))


def remember_random_state() -> Callable[[], None]:
    """Return a function that restores the global generators of python, numpy, torch and all devices in use."""
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = sys.modules.get("numpy")
    of_numpy = numpy.random.get_state() if numpy else None
    devices = [(module, _states_of(module)) for module in _devices_in_use()]

    def restore() -> None:
        random.setstate(python)
        torch.set_rng_state(cpu)
        if numpy:
            numpy.random.set_state(of_numpy)
        for module, states in devices:
            if hasattr(module, "set_rng_state_all"):
                module.set_rng_state_all(states)
            else:
                module.set_rng_state(states)

    return restore


def seed_random_state(seed: int) -> None:
    """Seed the global generators that :func:`remember_random_state` restores.

    Unlike :func:`torch.manual_seed`, which leaves a seed for devices that are used only later.

    Args:
        seed: in [0, 2**63]; numpy uses its lowest 32 bits.
    """
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy:
        numpy.random.seed(seed % 2**32)
    for module in _devices_in_use():
        getattr(module, "manual_seed_all", module.manual_seed)(seed)


def _devices_in_use() -> list[Any]:
    """Return torch's modules of the device types that this process uses."""
    return [module for name in ("cuda", "xpu", "mps") if (module := _device_in_use(name)) is not None]


def _states_of(module: Any) -> Any:
    """Return the states of the generators of all devices of a type; MPS has one device."""
    return module.get_rng_state_all() if hasattr(module, "get_rng_state_all") else module.get_rng_state()


def _device_in_use(name: str) -> Any:
    """Return torch's module for a device type, or None if this process does not use such a device."""
    module = getattr(torch, name, None)
    if module is None:
        return None
    # torch 2.4 has no `torch.mps.is_available`
    is_available = torch.backends.mps.is_available if name == "mps" else module.is_available
    is_initialized = getattr(module, "is_initialized", None)
    return module if is_available() and (is_initialized is None or is_initialized()) else None
