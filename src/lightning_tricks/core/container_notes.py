"""Container notes: record the contents of the containers of the standard library, and restore them in place."""

import queue
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import MutableMapping, MutableSet
from typing import Any

from lightning_tricks.core.note import Note, Revive, named, numbered


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
        return Note(None, numbered(container))
    if isinstance(container, types.MappingProxyType):
        return Note(None, named(container))
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
    return Note(undo, [*numbered(keys), *named(held)])


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

    return Note(undo, numbered(held))


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
    return Note(undo, numbered(held))
