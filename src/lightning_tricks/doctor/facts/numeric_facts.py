"""Numeric facts: the operation that made the first value that is not finite, forward and backward."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArgumentFact:
    """A tensor that an operation was given; ``low`` and ``high`` are of its finite values.

    Attributes:
        name: of the argument.
        shape: its shape.
        low: the smallest value.
        high: the largest value.
        zeros: how many values are exactly 0.
        infinite: how many are infinite.
        closed_rows: how many rows of the last dimension hold ``-inf`` alone.
    """

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    zeros: int = 0
    infinite: int = 0
    closed_rows: int = 0


@dataclass(frozen=True)
class FaultyOperation:
    """An operation with finite inputs, or gradients, and a result that is not finite.

    Attributes:
        op: its name.
        module: in whose forward it was called.
        result: ``NaN`` or ``infinite``.
        arguments: what it was given.
        place: the line of the user's source that called it, ``model.py:12``; empty if none did.
        unused: of a backward pass, the gradient that arrived was 0 where the result is not finite: the value was
            masked out afterwards.
    """

    op: str
    module: str
    result: str
    arguments: tuple[ArgumentFact, ...] = ()
    place: str = ""
    unused: bool = False


@dataclass(frozen=True)
class NumericFacts:
    """Where the first value that is not finite was made in a step.

    Attributes:
        forward: in the step itself; ``None`` if the loss is finite, or no operation was found.
        backward: in the backward pass of a finite loss.
        parameters: those whose gradients are not finite at a finite loss.
        step: the Trainer's, of a step in the middle of a run.
    """

    forward: FaultyOperation | None = None
    backward: FaultyOperation | None = None
    parameters: tuple[str, ...] = ()
    step: int | None = None
