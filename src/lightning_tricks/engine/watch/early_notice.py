"""Early notice: warn after the sanity validation of a monitor that it did not log, an epoch before the error."""

import re
from collections.abc import Iterable

from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.close_names import close_names, did_you_mean

_VALIDATIONS = {"val", "valid", "validation", "eval", "dev"}


def warn_of_unknown_monitor(owner: str, monitor: str, logged: Iterable[str], strict: bool = True) -> None:
    """Warn of a monitor that the sanity validation should have logged, and did not.

    Training may log whatever it likes later, so that only a name of validation's, or one that differs from a logged
    name by its spelling alone, is suspicious. It stays a warning: a module may log less in the sanity validation.

    Args:
        owner: who monitors.
        monitor: the name.
        logged: the names that the sanity validation logged; if there are none, it reveals nothing.
        strict: the first check raises an error if the metric is not there.
    """
    names = sorted(logged)
    first, *_ = _words(monitor) or [""]
    respelt = [name for name in names if _words(name) == _words(monitor)]
    if not names or not (respelt or first in _VALIDATIONS):
        return
    offer = did_you_mean(f"`{name}`" for name in respelt or close_names(monitor, names))
    then = "the first check raises an error" if strict else "nothing is checked"
    rank_zero_warn(
        f"`{owner}` monitors `{monitor}`, which the sanity validation did not log; it logged "
        f"{', '.join(f'`{name}`' for name in names)}.{offer} If nothing logs it later, {then}."
    )


def _words(name: str) -> list[str]:
    """Return the parts of a name, whatever separates them.

    Example:
        >>> _words("val/loss") == _words("Val_Loss")
        True
    """
    return [word for word in re.split(r"[^0-9a-z]+", name.lower()) if word]
