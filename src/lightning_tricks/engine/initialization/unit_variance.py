"""Unit variance: scale the weights of a model layer by layer so that each output has variance 1 (LSUV)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.tracing.one_pass import find_entry
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import StepSetup


def measure_scales(setup: StepSetup, layers: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return the standard deviation of each layer's output after all earlier layers have been normalized.

    A layer without bias is linear, so one pass in training mode is sufficient: each output is divided during the pass.
    A layer that is called several times is scaled by its first call. Recurrent layers, layers that the step does not
    use, and layers with constant output are skipped.

    Args:
        setup: a model with weights and zero biases, and its batch.
        layers: the linear and convolutional layers, by path.

    References:
        Mishkin & Matas, All you need is a good init, 2016, algorithm 1.
    """
    scales: dict[str, float] = {}
    handles = [layer.register_forward_hook(_divider(path, scales)) for path, layer in layers.items()]
    model: Any = setup.model
    try:
        model.train()
        stand_in_(model, Step(setup.optimizers, setup.schedulers), setup.trainer)
        with setup.context(), torch.enable_grad():
            find_entry(model, setup.batch).call()
    finally:
        for handle in handles:
            handle.remove()
        setup.restore()
    return scales


def _divider(path: str, scales: dict[str, float]) -> Any:
    """Return a forward hook that divides a layer's output by the standard deviation of its first call."""

    def divide(layer: nn.Module, args: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            return output
        if path not in scales:
            std = float(output.detach().float().std(correction=0))
            scales[path] = std if math.isfinite(std) and std > 1e-12 else 1.0
        return output / scales[path]

    return divide
