"""Wrapped methods: call a function before or after a method of one object; calls can be removed in any order."""

from collections.abc import Callable
from typing import Any


class WrappedMethod:
    """A bound method with calls before and after it.

    Lightning calls the hooks of all callbacks before the module's own. A function that must run after the last
    callback, or after the module's own code, is called together with the module's method.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for call in tuple(self.before):
            call()
        result = self.method(*args, **kwargs)
        for call in tuple(self.after):
            call()
        return result

    def __reduce__(self) -> Any:
        """Copy and pickle as the original method, because a copied module is independent of our callbacks."""
        return self.method.__reduce__()


def call_with(owner: object, name: str, call: Callable[[], None], *, before: bool = False) -> Callable[[], None]:
    """Call ``call`` after (or ``before``) each call of ``owner.name``, on this object only.

    Returns:
        A function that removes the call; after the last removal the object is restored.
    """
    found = vars(owner).get(name)
    wrapped = found if isinstance(found, WrappedMethod) else WrappedMethod(getattr(owner, name))
    object.__setattr__(owner, name, wrapped)  # a module's own `__setattr__` would look for parameters first
    calls = wrapped.before if before else wrapped.after
    calls.append(call)

    def detach() -> None:
        if call not in calls:
            return
        calls.remove(call)
        if wrapped.before or wrapped.after or vars(owner).get(name) is not wrapped:
            return
        object.__delattr__(owner, name)
        if getattr(owner, name) != wrapped.method:  # the object had its own attribute
            object.__setattr__(owner, name, wrapped.method)

    return detach
