"""Dropout rates: find a model's dropout layers and set their rates."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from lightning_tricks.core.arguments import check_number, check_words
from lightning_tricks.functional.layer_order import plain_name


def set_dropout_(model: nn.Module, p: float, include: Sequence[str] = ("*",)) -> dict[str, float]:
    """Set the rate of dropout layers, in place.

    The dropout layers are torch's (any number of dimensions, including ``AlphaDropout``), ``LockedDropout``, and the
    dropout between the layers of a recurrent network. The dropout inside attention layers is not changed.

    Args:
        model: any module.
        p: the new rate, in [0, 1).
        include: glob patterns on module names.

    Returns:
        The old rates, by module name.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: ``p`` is outside [0, 1), or a pattern matches no dropout layer.

    Example:
        >>> model = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 4), nn.Dropout(0.5))
        >>> set_dropout_(model, 0.2, include=["2"])
        {'2': 0.5}
        >>> model[0].p, model[2].p
        (0.1, 0.2)
    """
    check_number("p", p, 0, 1, high_open=True)
    patterns = check_words("include", include, "glob patterns")
    layers = find_dropout(model)
    chosen = {name: layer for name, layer in layers.items() if any(fnmatchcase(name, each) for each in patterns)}
    idle = [each for each in patterns if not any(fnmatchcase(name, each) for name in layers)]
    if idle:
        raise ValueError(
            f"`include`: {', '.join(map(repr, idle))} matches no dropout layer of {type(model).__name__}. Dropout "
            f"layers: {', '.join(list(layers)[:12]) or 'none'}."
        )
    return {name: set_rate_(layer, p) for name, layer in chosen.items()}


def find_dropout(model: nn.Module) -> dict[str, nn.Module]:
    """Return the dropout layers of a model by name, in registration order.

    Example:
        >>> list(find_dropout(nn.Sequential(nn.LSTM(4, 4, num_layers=2), nn.LSTM(4, 4), nn.Dropout2d())))
        ['0', '2']
    """
    return {plain_name(name): module for name, module in model.named_modules() if _has_rate(module)}


def _has_rate(module: nn.Module) -> bool:
    return isinstance(module, _DropoutNd) or (isinstance(module, nn.RNNBase) and module.num_layers > 1)


def set_rate_(layer: Any, p: float) -> float:
    """Set the rate of one dropout layer and return the old one."""
    attribute = "dropout" if isinstance(layer, nn.RNNBase) else "p"
    old: float = getattr(layer, attribute)
    setattr(layer, attribute, p)
    return old


def ramp(start: float, end: float, share: float) -> float:
    """Return the linear interpolation from ``start`` to ``end``; ``end`` where ``share`` is 1 or more.

    Example:
        >>> ramp(0.2, 0.5, 0.5), ramp(0.2, 0.5, 3.0)
        (0.35, 0.5)
    """
    return end if share >= 1 else start + (end - start) * share
