"""Cosine decay: half a cosine over the run, once."""

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.durations import Duration
from lightning_tricks.functional.schedules import cosine_decay


class CosineDecay(NamedSchedule):
    """Decay the learning rate along half a cosine, once.

    Use when: the length of the run is known; the default of most recipes (Loshchilov & Hutter 2017).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_steps: length of the decay, a Duration > 0; ``"1dur"`` is the run.
        end_factor: the multiplier at the end and after it, in ``[0, 1]``; typically 0 to 0.1.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import CosineDecay
        >>> trainer = Trainer(max_epochs=10, callbacks=[CosineDecay(end_factor=0.01, warmup="0.05dur")])

        With Hydra: ``tricks=[cosine_decay] tricks.cosine_decay.end_factor=0.01``

    See :func:`lightning_tricks.functional.schedules.cosine_decay` for the mathematics.
    """

    pure = staticmethod(cosine_decay)
    lengths = ("decay_steps",)

    def __init__(
        self,
        decay_steps: Duration = "1dur",
        *,
        end_factor: float = 0.0,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.decay_steps = decay_steps
        self.end_factor = end_factor
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)
