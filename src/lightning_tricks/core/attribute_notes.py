"""Attribute notes: record the attributes of objects and classes, and the objects behind callables and iterators."""

import copy
import functools
import itertools
import types
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

from lightning_tricks.core.note import Note, Revive

_COUNTERS: tuple[type, ...] = (
    itertools.count,
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
    type(iter(b"")),
)


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
