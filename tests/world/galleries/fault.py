"""Faults that other tools for checking models show or list, each as a small program of our own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Build = Callable[[], dict[str, Any]]
NOT_NAMED = "not named"


@dataclass(frozen=True)
class Fault:
    """A fault that a peer describes, the rule that names it, and a program that has it.

    Attributes:
        peer: the package that describes the fault.
        place: the number of the example in its gallery, or the code of its rule.
        what: the fault, in a few words.
        code: the rule that names it; empty if none does.
        build: returns the arguments of `diagnose`; with `fit` among them, those of a fit.
    """

    peer: str
    place: str
    what: str
    code: str
    build: Build

    @property
    def name(self) -> str:
        return self.build.__name__


FAULTS: list[Fault] = []


def fault(peer: str, place: str, what: str, code: str) -> Callable[[Build], Build]:
    """Mark a function that returns a program with a fault."""

    def mark(build: Build) -> Build:
        FAULTS.append(Fault(peer, place, what, code, build))
        return build

    return mark


def table(peer: str) -> str:
    """Return the rows of the documentation's table about a peer."""
    rows = [f"| {each.place} | {each.what} | {each.code or NOT_NAMED} |" for each in FAULTS if each.peer == peer]
    return "\n".join(rows)
