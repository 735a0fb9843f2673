"""One tiny instance of each public callback, with settings that matter within three epochs of six batches."""

from collections.abc import Callable

from lightning.pytorch import Callback

import lightning_tricks as lt

TINY: dict[str, Callable[[], Callback]] = {
    "CosineDecay": lambda: lt.CosineDecay(end_factor=0.1, warmup="2st"),
    "CosineWarmRestarts": lambda: lt.CosineWarmRestarts(t_0=0.5, t_mult=1.5, warmup="4st", peak_decay=0.9),
    "LRSchedule": lambda: lt.LRSchedule(lt.cosine_decay(7), unit="st", name="steps"),
}


def public_callbacks() -> list[str]:
    """The names of all public callbacks."""
    found = [name for name in lt.__all__ if isinstance(getattr(lt, name), type)]
    return [name for name in found if issubclass(getattr(lt, name), Callback)]
