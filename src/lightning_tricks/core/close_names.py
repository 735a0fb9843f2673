"""Close names: known names that are spelt like an unknown one, and the question that offers them."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from operator import eq


def close_names(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Return up to three known names that are spelt like ``name``, whatever their case.

    Args:
        name: what was given.
        known: the names that exist.
        cutoff: similarity from which a name counts, 0 to 1, the ``ratio`` of :class:`difflib.SequenceMatcher`.

    Returns:
        The most similar ones first; of equally similar ones, those that have more letters in the same places.

    Example:
        >>> close_names("plc05", ["PLC001", "PLC005", "DAT002"])
        ['PLC005', 'PLC001']
    """
    given = name.lower()

    def distance(candidate: str) -> tuple[float, int, str]:
        low = candidate.lower()
        return -SequenceMatcher(None, low, given).ratio(), -sum(map(eq, low, given)), candidate

    ranked = sorted((distance(candidate), candidate) for candidate in set(known))
    return [candidate for (negative_ratio, *_), candidate in ranked if -negative_ratio >= cutoff][:3]


def did_you_mean(names: Iterable[str]) -> str:
    """Return the question that offers names, with a space in front of it; empty if there are none.

    Example:
        >>> did_you_mean(["end_factor", "decay_steps"])
        ' Did you mean end_factor or decay_steps?'
        >>> did_you_mean([])
        ''
    """
    listed = " or ".join(names)
    return f" Did you mean {listed}?" if listed else ""
