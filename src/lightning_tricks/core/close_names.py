"""Close names: known names that are similar to an unknown one, and the question that suggests them."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from operator import eq


def close_names(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Return up to three known names that are similar to ``name``, ignoring case.

    Args:
        name: the given name.
        known: the names that exist.
        cutoff: the minimum similarity of a name, in [0, 1], as the ``ratio`` of :class:`difflib.SequenceMatcher`.

    Returns:
        The names, the most similar first; among equally similar ones, those with more letters in the same positions
        first.

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
    """Return the question that suggests names, with a leading space; empty if there are none.

    Example:
        >>> did_you_mean(["end_factor", "decay_steps"])
        ' Did you mean end_factor or decay_steps?'
        >>> did_you_mean([])
        ''
    """
    listed = " or ".join(names)
    return f" Did you mean {listed}?" if listed else ""
