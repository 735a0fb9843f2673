"""Layer output: run a model and return the output of one of its layers."""

from typing import Any

from torch import Tensor, nn

from lightning_tricks.core.arguments import shown_with_type
from lightning_tricks.core.close_names import close_names


def find_layer(model: nn.Module, layer: str | None) -> nn.Module:
    """Return the submodule with a given name, or the model itself for ``None``.

    Raises:
        TypeError: the name is not a string.
        ValueError: there is no such submodule; the message suggests close names.

    Example:
        >>> find_layer(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), "2")
        Traceback (most recent call last):
        ...
        ValueError: `layer` must name a submodule of Sequential, got '2'; for instance '0' or '1'.
    """
    if layer is None:
        return model
    if not isinstance(layer, str):
        raise TypeError(f"`layer` must be the name of a submodule or None, got {shown_with_type(layer)}.")
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if layer not in modules or not layer:
        names = [name for name in modules if name]
        close = close_names(layer, names) or names[:3]
        offer = f"; for instance {' or '.join(map(repr, close))}" if close else "; it has none"
        raise ValueError(f"`layer` must name a submodule of {type(model).__name__}, got {layer!r}{offer}.")
    return modules[layer]


def layer_output(model: nn.Module, layer: str | None, *args: Any, **kwargs: Any) -> Tensor:
    """Call ``model(*args, **kwargs)`` and return the output of one of its layers.

    Args:
        model: any module.
        layer: the name of a submodule that the call runs exactly once; ``None`` for the model's own output.
        *args: positional arguments of the model.
        **kwargs: keyword arguments of the model.

    Returns:
        The layer's output.

    Raises:
        TypeError: the output is not a tensor.
        ValueError: there is no such layer.
        RuntimeError: the layer is not run, or is run several times.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> layer_output(model, "0", torch.zeros(4, 2)).shape
        torch.Size([4, 3])
    """
    module = find_layer(model, layer)
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        returned = model(*args, **kwargs)
    finally:
        handle.remove()
    if layer is None:
        outputs = [returned]
    if len(outputs) != 1:
        raise RuntimeError(
            f"`layer` {layer!r} of {type(model).__name__} ran {len(outputs)} times in one call; name a layer that runs "
            "once."
        )
    if not isinstance(outputs[0], Tensor):
        owner = type(model).__name__ if layer is None else f"layer {layer!r}"
        raise TypeError(
            f"The output of {owner} must be a tensor, got {type(outputs[0]).__name__}; name an inner layer with "
            "`layer`."
        )
    return outputs[0]
