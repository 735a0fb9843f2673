"""Durations: parse lengths of time such as ``"3ep"``, and measure them on the clock of a run.

Lengths are kept as fractions, so that corners are exact: ``"0.07dur"`` of 100 steps is step 7, where the float product
is 7.000000000000001.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational, Real
from typing import Literal, NamedTuple

from lightning_tricks.core.arguments import LONGEST, SHORTEST, as_float, shown, shown_with_type

Duration = int | float | str
"""``3`` or ``"3ep"``: epochs; ``"500st"``: optimizer steps; ``"0.1dur"``: a share of the run."""

Unit = Literal["ep", "st"]

_FORM = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(ep|st|dur)\s*")
_LONGEST_TEXT = 64
_FORMS = '3 or "3ep" (epochs), "500st" (optimizer steps) or "0.1dur" (a share of the run)'


class Length(NamedTuple):
    """A parsed duration: an amount and its unit (``"dur"`` is a share of the run)."""

    amount: Fraction
    unit: Literal["ep", "st", "dur"]


@dataclass(frozen=True)
class RunLength:
    """The bounds of a run: ``epochs`` and optimizer ``steps``, each ``None`` if it does not bound the run."""

    epochs: int | None
    steps: int | None


class Moment(NamedTuple):
    """The time just before an optimizer step.

    Attributes:
        epoch: number of full epochs before this one.
        part: optimizer steps already taken in this epoch (under manual optimization: batches).
        parts: number of them in a whole epoch; ``None`` until a loader without length has been read to its end once.
        step: optimizer steps already taken in the run, by this optimizer.
    """

    epoch: int
    part: int
    parts: int | None
    step: int

    def time(self, unit: Unit) -> float:
        """Return the time in epochs or in steps.

        The result of a single division of two integers is the float nearest to the true quotient. It is therefore equal
        to a corner that was rounded once from the same fraction.
        """
        if unit == "st":
            return self.step
        if self.parts is None:
            return self.epoch
        return (self.epoch * self.parts + min(self.part, self.parts)) / self.parts


def parse_duration(value: Duration, name: str = "duration", *, positive: bool = False) -> Length:
    """Parse a duration.

    Args:
        value: ``3``, ``"3ep"``, ``"500st"`` or ``"0.1dur"``.
        name: the argument as the caller spells it, for the message.
        positive: do not accept zero.

    Raises:
        TypeError: the value is neither a number nor a string.
        ValueError: the value is negative, NaN or infinite, or a string of unknown form.

    Example:
        >>> parse_duration("0.07dur")
        Length(amount=Fraction(7, 100), unit='dur')
        >>> parse_duration(2.5)
        Length(amount=Fraction(5, 2), unit='ep')
    """
    if isinstance(value, bool) or not isinstance(value, (str, Real)):
        raise TypeError(f"`{name}` must be a duration: {_FORMS}; got {shown_with_type(value)}.")
    if isinstance(value, str):
        match = _FORM.fullmatch(value) if len(value) <= _LONGEST_TEXT else None
        if match is None:
            raise ValueError(f"`{name}` must be a duration: {_FORMS}; got {shown(value)}.")
        number, unit = float(match[1]), match[2]
    else:
        match, number, unit = None, as_float(value), "ep"
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be a finite duration: {_FORMS}; got {shown(value)}.")
    if number < 0 or (positive and number == 0):
        raise ValueError(f"`{name}` must be a duration {'>' if positive else '>='} 0, got {shown(value)}.")
    if number > LONGEST or 0 < number < SHORTEST:
        raise ValueError(f"`{name}` must be 0 or from {SHORTEST:g} to {LONGEST:g}, got {shown(value)}.")
    if isinstance(value, Rational):
        amount = Fraction(int(value.numerator), int(value.denominator))
    else:  # via the decimal form: 0.1 means one tenth, not the nearest binary number
        amount = Fraction(match[1] if match and number else repr(number))
    return Length(amount, unit)  # type: ignore[arg-type]


def measure(length: Length, run: RunLength, name: str = "duration") -> tuple[Fraction, Unit]:
    """Return the amount of a length and the clock it is measured on.

    A share refers to the run's epochs if epochs bound the run, otherwise to its steps. Units are never converted.

    Raises:
        ValueError: a share of an unbounded run.

    Example:
        >>> measure(parse_duration("0.07dur"), RunLength(epochs=None, steps=100))
        (Fraction(7, 1), 'st')
    """
    if length.unit != "dur":
        return length.amount, length.unit
    if run.epochs is not None:
        return length.amount * run.epochs, "ep"
    if run.steps is not None:
        return length.amount * run.steps, "st"
    raise ValueError(
        f"`{name}` is a share of the run ({float(length.amount):g}dur), but nothing bounds this run. "
        'Set `max_epochs` or `max_steps` in the Trainer, or give the length in epochs ("3ep") or steps ("500st").'
    )


def measure_together(run: RunLength, **lengths: Duration) -> tuple[dict[str, float], Unit]:
    """Measure the lengths of one factor, which must share a clock.

    Args:
        run: what bounds the run.
        **lengths: durations by the name of their argument.

    Returns:
        The lengths as floats, and their clock. A length of zero is zero on every clock; if all are zero, it is
        ``"ep"``.

    Raises:
        ValueError: the lengths are on different clocks, or one is a share of an unbounded run.

    Example:
        >>> measure_together(RunLength(epochs=10, steps=None), t_0="0.2dur")
        ({'t_0': 2.0}, 'ep')
    """
    measured = {name: measure(parse_duration(value, name), run, name) for name, value in lengths.items()}
    units: set[Unit] = {unit for amount, unit in measured.values() if amount}
    if len(units) > 1:
        given = ", ".join(f"`{name}`={lengths[name]!r} (in {unit})" for name, (_, unit) in measured.items())
        raise ValueError(f"The lengths of one factor must share a clock, got {given}. Give all in epochs or in steps.")
    return {name: float(amount) for name, (amount, _) in measured.items()}, units.pop() if units else "ep"


def placeholder_lengths(durations: dict[str, Duration]) -> dict[str, float]:
    """Return provisional lengths for checking arguments before anything is known about a run.

    Args:
        durations: durations by name, all > 0.

    Raises:
        ValueError: a duration is not > 0, or they are on different clocks.

    Example:
        >>> placeholder_lengths({"t_0": "0.5dur", "t_1": "3ep"})
        {'t_0': 1.0, 't_1': 2.0}
    """
    parsed = {name: parse_duration(value, name, positive=True) for name, value in durations.items()}
    certain = {name: durations[name] for name, length in parsed.items() if length.unit != "dur"}
    measure_together(RunLength(None, None), **certain)
    if 0 < len(certain) < len(parsed):  # shares and lengths can be compared only during the run
        return {name: float(place) for place, name in enumerate(parsed, 1)}
    return {name: float(length.amount) for name, length in parsed.items()}
