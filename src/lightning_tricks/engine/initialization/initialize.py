"""Initialize: reinitialize the weights of a model, each layer for the activation that follows it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lightning_tricks.core.arguments import check_choice, check_count, check_flag, check_words
from lightning_tricks.engine.initialization.choose_layers import ChosenLayers, choose_layers
from lightning_tricks.engine.initialization.draw_layers import draw_layer, write_values_
from lightning_tricks.engine.initialization.trace_gains import (
    on_the_models_device,
    restored_setup,
    trace,
    traced_gains,
)
from lightning_tricks.engine.initialization.unit_variance import measure_scales
from lightning_tricks.functional.initial_weights import SCHEMES, activation_gain, default_gain

_log = logging.getLogger(__name__)


def initialize_(
    model: nn.Module,
    scheme: str = "he_normal",
    *,
    batch: Any = None,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    nonlinearity: str = "auto",
    overwrite_pretrained: bool = False,
    seed: int | None = None,
) -> list[str]:
    """Reinitialize the weights of linear, convolutional and recurrent layers in place.

    Biases become 0, those of LSTM forget gates 1; recurrent weights are orthogonal. Norms, embeddings, weights tied to
    them, frozen layers and layers with loaded weights are not changed. One log line lists what was initialized and what
    was not. With a batch, one step is traced to find the activation after each layer; the batch, buffers and random
    generators are not changed.

    Args:
        model: any module.
        scheme: ``he_normal``, ``he_uniform``, ``xavier_normal``, ``xavier_uniform``, ``lecun_normal``, ``orthogonal``,
            ``fan_in_uniform`` or ``lsuv``, which needs a batch.
        batch: the argument of the model's ``training_step``, or of its ``forward``.
        include: glob patterns on the names of weights.
        exclude: glob patterns on the names of weights, which take precedence over ``include``.
        nonlinearity: the activation after the layers, by its name in ``torch.nn.functional``; ``"auto"``: found with
            the batch; without a batch, ReLU for He's schemes and none for others.
        overwrite_pretrained: also reinitialize pretrained weights.
        seed: seed of the draws, >= 0; ``None``: derived from torch's seed and the current weights, so that two models
            differ. Global generators are not used.

    Returns:
        The names of the parameters that were initialized.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an unknown scheme or activation, a pattern that matches nothing, or ``lsuv`` without a batch.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> initialize_(model, "xavier_normal", batch=torch.ones(2, 4), exclude=["2.*"])
        ['0.weight', '0.bias']
    """
    check_initialization(scheme, nonlinearity)
    chosen = choose_layers(
        model,
        check_words("include", include, "glob patterns"),
        check_words("exclude", exclude, "glob patterns"),
        check_flag("overwrite_pretrained", overwrite_pretrained),
    )
    if scheme == "lsuv" and batch is None:
        raise ValueError("`scheme='lsuv'` measures the outputs of each layer: give a `batch`.")
    mark = seed_from(chosen) if seed is None else check_count("seed", seed, 0, 2**63)
    batch = None if batch is None else on_the_models_device(model, batch)
    gains = {} if batch is None or not needs_trace(scheme, nonlinearity) else find_gains(model, chosen, batch)
    names = draw_(chosen, scheme, nonlinearity, gains, mark)
    if scheme == "lsuv":
        with restored_setup(model, batch) as setup:
            scales = measure_scales(setup, scalable(chosen))
        divide_(chosen, scales)
    _log.info("`initialize_`: %s", chosen.describe(scheme))
    return names


def check_initialization(scheme: object, nonlinearity: object) -> None:
    """Raise an error for an unknown scheme or activation.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the scheme or the activation is unknown.
    """
    check_choice("scheme", scheme, SCHEMES)
    if not isinstance(nonlinearity, str):
        raise TypeError(f"`nonlinearity` must be 'auto' or the name of an activation, got {nonlinearity!r}.")
    if nonlinearity != "auto":
        activation_gain(nonlinearity)


def needs_trace(scheme: str, nonlinearity: str) -> bool:
    """Return whether a scheme uses the activation after each layer."""
    return nonlinearity == "auto" and scheme not in ("lecun_normal", "fan_in_uniform", "lsuv")


def find_gains(model: nn.Module, chosen: ChosenLayers, batch: Any, *given: Any) -> dict[str, float]:
    """Return the gain of each layer that a step uses, by path; empty if the step cannot be followed.

    Args:
        model: any module.
        chosen: the chosen layers.
        batch: a batch on its device.
        given: the optimizers and the context of a Trainer, for :func:`restored_setup`.
    """
    names = {_weight_name(model, layer): path for path, layer in chosen.layers.items() if hasattr(layer, "weight")}
    with restored_setup(model, batch, *given) as setup:
        facts = trace(setup)
    found = {} if facts is None else traced_gains(facts, names)
    return {names[name]: gain for name, gain in found.items()}


def _weight_name(model: nn.Module, layer: Any) -> str:
    """Return the first name of a layer's weight, which a trace uses."""
    return next(name for name, value in model.named_parameters() if value is layer.weight)


def draw_(
    chosen: ChosenLayers, scheme: str, nonlinearity: str, gains: Mapping[str, float], seed: int | str
) -> list[str]:
    """Write initial weights into layers and return the names of the parameters."""
    otherwise = default_gain(scheme) if nonlinearity == "auto" else activation_gain(nonlinearity)
    names = []
    for path, layer in chosen.layers.items():
        drawn = draw_layer(path, layer, scheme, gains.get(path, otherwise), seed)
        for name, values in drawn.items():
            write_values_(getattr(layer, name), values)
            names.append(f"{path}.{name}" if path else name)
    return names


def scalable(chosen: ChosenLayers) -> dict[str, nn.Module]:
    """Return the layers whose output scales with their weight."""
    return {path: layer for path, layer in chosen.layers.items() if hasattr(layer, "weight")}


@torch.no_grad()
def divide_(chosen: ChosenLayers, scales: Mapping[str, float]) -> None:
    """Divide the weights of layers by numbers, by path."""
    for path, scale in scales.items():
        chosen.layers[path].weight.div_(scale)  # type: ignore[operator]


def seed_from(chosen: ChosenLayers) -> str:
    """Return a seed derived from torch's seed and the current weights, without a draw from its generator."""
    marks = []
    for layer in chosen.layers.values():
        for value in layer.parameters(recurse=False):
            local: Any = value.to_local() if hasattr(value, "to_local") else value
            marks.append(local.detach().flatten()[:16].tolist())
    return f"{torch.initial_seed()}/{marks}"
