"""Average weights: the averaging of the recipe ``auto``, where the installed Lightning has it."""

from lightning.pytorch import Callback, callbacks
from lightning_utilities.core.rank_zero import rank_zero_info

IS_KNOWN = hasattr(callbacks, "WeightAveraging")
"""Whether Lightning averages weights during validation: from version 2.6."""


def average_weights() -> Callback:
    """Return the callback that averages the weights over the last ninth of the steps so far.

    Before Lightning 2.6, a callback that does nothing.
    """
    if not IS_KNOWN:
        rank_zero_info("The recipe `auto` averages no weights: that needs lightning 2.6 or later.")
        return Callback()
    from lightning_tricks.engine.watch.polynomial_averaging import PolynomialAveraging

    return PolynomialAveraging()
