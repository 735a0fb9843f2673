"""Own failures: turn an exception of the doctor's own code into a note, so that the rest of its work continues."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_PACKAGE = Path(__file__).parents[2]


class OwnFailures:
    """The exceptions of the doctor's own code, as notes.

    Every part of the doctor (reading, tracing, rules, reporting) runs through :meth:`attempt`; only the watch of a run,
    where each call counts, catches them itself and calls :meth:`note`. Exceptions of the user's code are evidence, and
    are caught where that code is called.

    Attributes:
        notes: one line per failure, in order of occurrence.

    Example:
        >>> failures = OwnFailures()
        >>> failures.attempt("divide", lambda: 1 // 0, otherwise=7)
        7
        >>> failures.notes
        ['The doctor could not divide: ZeroDivisionError: ... Please report this.']
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def attempt(self, what: str, action: Callable[[], _Result], otherwise: _Result) -> _Result:
        """Return the result of an action, or a substitute if it raises.

        Args:
            what: the action; completes "The doctor could not ...".
            action: a part of the doctor's work.
            otherwise: the substitute.
        """
        try:
            return action()
        except Exception as error:  # any exception here is the doctor's own and must not reach the user's training
            self.note(what, error)
            return otherwise

    def note(self, what: str, error: BaseException) -> None:
        """Record a note about an exception."""
        note = f"The doctor could not {what}: {describe_failure(error)} Please report this."
        if note not in self.notes:
            self.notes.append(note)


def describe_failure(error: BaseException) -> str:
    """Return an exception's class and first line, and the innermost place in this package."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    place = f" ({Path(frames[-1].filename).relative_to(_PACKAGE)}:{frames[-1].lineno})" if frames else ""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}{place}."


def _is_own(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE)
