"""Numeric facts: the operation that produced the first non-finite value, forward and backward."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArgumentFact:
    """An argument of an operation; ``low`` and ``high`` refer to its finite values.

    Attributes:
        name: the name of the argument.
        shape: its shape.
        low: the smallest value.
        high: the largest value.
        zeros: how many values are exactly 0.
        infinite: how many values are infinite.
        closed_rows: how many rows of the last dimension contain only ``-inf``.
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
    """An operation with finite inputs or gradients and a non-finite result.

    Attributes:
        op: its name.
        module: the module in whose ``forward`` it was called.
        result: ``NaN`` or ``infinite``.
        arguments: its arguments.
        place: the line of the user's source that called it, such as ``model.py:12``; empty if unknown.
        unused: in a backward pass, the incoming gradient was 0 where the result is not finite, because the value was
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
    """Where the first non-finite value of a step was produced.

    Attributes:
        forward: the operation in the step itself; ``None`` if the loss is finite or no operation was found.
        backward: the operation in the backward pass of a finite loss.
        parameters: the parameters whose gradients are not finite at a finite loss.
        step: the Trainer's step number, for a step during a run.
        rank: the process that ran the step, if there are several.
    """

    forward: FaultyOperation | None = None
    backward: FaultyOperation | None = None
    parameters: tuple[str, ...] = ()
    step: int | None = None
    rank: int | None = None
