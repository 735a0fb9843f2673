"""Early notice: warn after the sanity validation about a monitor that it did not log, an epoch before the error."""

import re
from collections.abc import Iterable

from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.close_names import close_names, did_you_mean

_VALIDATIONS = {"val", "valid", "validation", "eval", "dev"}


def warn_of_unknown_monitor(owner: str, monitor: str, logged: Iterable[str], strict: bool = True) -> None:
    """Warn about a monitor that the sanity validation should have logged but did not.

    Training may log any metric later, so only a validation name, or a name that differs from a logged one in spelling,
    is suspicious. It is only a warning, because a module may log less in the sanity validation.

    Args:
        owner: the name of the monitoring callback.
        monitor: the monitored name.
        logged: the names that the sanity validation logged; without any, nothing can be concluded.
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
    """Return the parts of a name, split at any separator.

    Example:
        >>> _words("val/loss") == _words("Val_Loss")
        True
    """
    return [word for word in re.split(r"[^0-9a-z]+", name.lower()) if word]
