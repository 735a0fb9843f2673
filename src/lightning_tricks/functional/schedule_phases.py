"""Schedule phases: a constant phase, which can be extended, and a decay at the end (WSD)."""

from typing import Literal

from lightning_tricks.core.arguments import check_choice, check_length, check_number
from lightning_tricks.functional.schedule_parts import Schedule, half_cosine

DecayForm = Literal["linear", "cosine", "sqrt"]
FORMS = ("linear", "cosine", "sqrt")


def warmup_stable_decay(
    total: float, decay_steps: float, form: DecayForm = "linear", end_factor: float = 0.0
) -> Schedule:
    r"""Stay at 1, then decay to ``end_factor`` in the last ``decay_steps``, and stay there.

    With the share :math:`x = (t - (T - D)) / D` of the decay, limited to :math:`[0, 1]`,

    .. math:: m(t) = f + (1 - f)\, g(x), \quad
        g(x) = 1 - x, \quad \tfrac{1}{2}(1 + \cos \pi x), \quad \text{or } 1 - \sqrt{x}

    The warm-up is a separate factor: multiply by :func:`linear_warmup`, as the callback does.

    Args:
        total: the time :math:`T` at which the decay ends, > 0.
        decay_steps: the length :math:`D` of the decay, in ``(0, total]``.
        form: the shape :math:`g`: ``"linear"``, ``"cosine"`` (fastai's ``flat_cos``) or ``"sqrt"``, which falls fast at
            first.
        end_factor: the multiplier :math:`f` from ``total`` on, in ``[0, 1]``.

    Example:
        >>> warmup_stable_decay(total=100, decay_steps=20).values([0, 80, 90, 100, 1_000])
        [1.0, 1.0, 0.5, 0.0, 0.0]
        >>> warmup_stable_decay(total=100, decay_steps=20, form="sqrt").values([80, 85, 100])
        [1.0, 0.5, 0.0]

    References:
        Hu et al., MiniCPM, 2024, section 4.2; Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed
        Training Durations, 2024, section 3, which finds a decay over 10 to 20 % of the run and ``"sqrt"`` best.
    """
    check_length("total", total)
    check_length("decay_steps", decay_steps)
    if decay_steps > total:
        raise ValueError(f"`decay_steps` must be at most `total`, got {decay_steps:g} and {total:g}.")
    check_choice("form", form, FORMS)
    check_number("end_factor", end_factor, 0, 1)
    return Schedule(_warmup_stable_decay, (total, decay_steps, form, end_factor))


def _warmup_stable_decay(t: float, total: float, decay_steps: float, form: DecayForm, end_factor: float) -> float:
    if t >= total:
        return end_factor
    share = max(0.0, (t - (total - decay_steps)) / decay_steps)
    if form == "cosine":
        return half_cosine(share, 1.0, end_factor)
    return end_factor + (1 - end_factor) * (1 - (share if form == "linear" else share**0.5))
