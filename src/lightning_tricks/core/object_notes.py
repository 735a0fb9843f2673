"""Object notes: what to record for each kind of object so that it can be restored in place."""

import array
import copy
import functools
import io
import itertools
import queue
import random
import sys
import types
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSet
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_tricks.core.tensor_copies import is_plain, overwrite_

Revive = Callable[[Any], Any]
"""Return the object to restore: the original or, if it cannot be rewound, a copy."""

_COUNTERS: tuple[type, ...] = (
    itertools.count,
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
    type(iter(b"")),
)


class Note(NamedTuple):
    """How to restore an object, and its contents by name."""

    undo: Callable[[Revive], None] | None
    inner: list[tuple[str, Any]]


def note_container(container: Any) -> Note | None:
    """Record the contents of a container of the standard library, or of a subclass."""
    for base in (dict, list, deque, set):
        if isinstance(container, base):
            kind = OrderedDict if isinstance(container, OrderedDict) else base
            return _note_mapping(container, kind) if base is dict else _note_sequence(container, base)
    if isinstance(container, (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)):
        return _note_mapping(container, MutableMapping)
    if isinstance(container, weakref.WeakSet):
        return _note_sequence(container, MutableSet)
    if isinstance(container, queue.Queue):
        return _note_sequence(container.queue, type(container.queue))
    if isinstance(container, queue.SimpleQueue):
        return _note_simple_queue(container)
    if isinstance(container, (tuple, frozenset)):
        return Note(None, _numbered(container))
    if isinstance(container, types.MappingProxyType):
        return Note(None, _named(container))
    return None


def _note_mapping(container: Any, base: Any) -> Note:
    held = dict(container)

    def undo(revive: Revive) -> None:
        then = {key: revive(value) for key, value in held.items()}
        if len(container) == len(then) and all(
            a is b and container[a] is then[b] for a, b in zip(container, then, strict=True)
        ):
            return
        base.clear(container)
        base.update(container, then)

    keys = [key for key in held if not isinstance(key, (str, int))]
    return Note(undo, [*_numbered(keys), *_named(held)])


def _note_sequence(container: Any, base: Any) -> Note:
    held = list(container)

    def undo(revive: Revive) -> None:
        then = [revive(value) for value in held]
        if len(container) == len(then) and all(a is b for a, b in zip(container, then, strict=True)):
            return
        base.clear(container)
        if base in (set, MutableSet):
            for value in then:
                container.add(value)
        else:
            base.extend(container, then)

    return Note(undo, _numbered(held))


def _note_simple_queue(container: Any) -> Note:
    def drain() -> list[Any]:
        return [container.get_nowait() for _ in range(container.qsize())]

    held = drain()

    def fill(values: list[Any]) -> None:
        for value in values:
            container.put(value)

    def undo(revive: Revive) -> None:
        drain()
        fill([revive(value) for value in held])

    fill(held)
    return Note(undo, _numbered(held))


def _numbered(values: Any) -> list[tuple[str, Any]]:
    return [(f"[{place}]", value) for place, value in enumerate(values)]


def _named(values: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(f"[{key!r}]" if isinstance(key, (str, int)) else "[...]", value) for key, value in values.items()]


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
    inner = _numbered(holder.flat) if holder.dtype == object else []
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


def note_attributes(attributes: dict[str, Any], skip: tuple[str, ...] = ()) -> Note:
    """Record the attributes in an object's ``__dict__``; those in ``skip`` are restored, but not followed."""
    held = dict(attributes)

    def undo(revive: Revive) -> None:
        for name in attributes.keys() - held.keys():
            del attributes[name]
        attributes.update({name: revive(value) for name, value in held.items()})

    return Note(undo, [(f".{name}", value) for name, value in held.items() if name not in skip])


def note_slots(holder: Any) -> Note | None:
    """Record the attributes that an object keeps in ``__slots__``."""
    names = _slots_of(type(holder))
    if not names:
        return None
    held = {name: getattr(holder, name) for name in names if hasattr(holder, name)}

    def undo(revive: Revive) -> None:
        for name in names:
            if name in held:
                object.__setattr__(holder, name, revive(held[name]))
            elif hasattr(holder, name):
                object.__delattr__(holder, name)

    return Note(undo, [(f".{name}", value) for name, value in held.items()])


def _slots_of(kind: type) -> list[str]:
    declared = [vars(cls).get("__slots__", ()) for cls in kind.__mro__]
    names = [name for slots in declared for name in ((slots,) if isinstance(slots, str) else slots)]
    return [name for name in names if name not in ("__dict__", "__weakref__") and not _is_private(name)]


def note_class(cls: type) -> Note:
    """Record the data of a class, such as a counter shared by its instances; its methods are not recorded."""
    held = {name: value for name, value in vars(cls).items() if _is_data(name, value)}

    def undo(revive: Revive) -> None:
        for name in [name for name, value in vars(cls).items() if _is_data(name, value) and name not in held]:
            delattr(cls, name)
        for name, value in held.items():
            then = revive(value)
            if vars(cls).get(name) is not then:
                setattr(cls, name, then)

    return Note(undo, [(f".{name}", value) for name, value in held.items()])


def _is_data(name: str, value: object) -> bool:
    return not name.startswith(("__", "_abc_")) and not isinstance(value, type) and not hasattr(type(value), "__get__")


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")  # stored under another name


def note_callable(callable_: Any) -> Note | None:
    """Record the object behind a bound method, a partial function or a weak reference.

    The variables in a function's closure, like global variables, are not part of a training's objects.
    """
    if isinstance(callable_, types.MethodType):
        return Note(None, [(".__self__", callable_.__self__)])
    if isinstance(callable_, weakref.ReferenceType):
        return Note(None, [("()", callable_())])
    if isinstance(callable_, functools.partial):
        return Note(None, [(".args", callable_.args), (".keywords", callable_.keywords)])
    return None


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


def copy_iterator(iterator: Iterator[Any]) -> Iterator[Any] | None:
    """Return a copy of an iterator at the same position; ``None`` if it cannot be copied.

    Iterators that consume another iterator (``map``, ``zip``, ``islice``) would share it with their copy.
    """
    if not isinstance(iterator, _COUNTERS):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # itertools objects, which Python 3.14 no longer copies
            return copy.copy(iterator)
    except TypeError:
        return None
