"""Calibrate norms: give untrained batch norms the statistics of the batch, so that eval mode shows what the model does.

The statistics of a new batch norm, mean 0 and variance 1, are not those of its input: in a deep net the signal of the
batch may vanish in eval mode although it does not in training.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def calibrate_norms_(model: nn.Module, run: Callable[[], Any]) -> list[str]:
    """Run a pass that sets the statistics of batch norms that have seen no batch; return the paths of these norms.

    Args:
        model: in eval mode afterwards, with other statistics.
        run: a pass of the model. If it raises, such as for a single value per channel, nothing is changed.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.BatchNorm1d(1, affine=False))
        >>> calibrate_norms_(model, lambda: model(torch.tensor([[10.0], [20.0]])))
        ['0']
        >>> model[0].running_mean, model[0].training
        (tensor([15.]), False)
    """
    model.eval()
    norms: dict[str, Any] = {
        path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm) and _is_new(module)
    }
    if not norms:
        return []
    before = [(norm, norm.momentum, norm.running_mean.clone(), norm.running_var.clone()) for norm in norms.values()]
    for norm in norms.values():
        norm.train().momentum = 1.0
    try:
        run()
    except (RuntimeError, ValueError, IndexError):
        for norm, _, mean, variance in before:
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        norms = {}
    finally:
        for norm, momentum, _, _ in before:
            norm.eval().momentum = momentum
    return list(norms)


def batch_statistics(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the mean and variance over the batch of each batch norm whose first statistics are those of one step.

    Args:
        model: after one step; what its running statistics were before is for the caller to know.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.BatchNorm1d(1))
        >>> _ = model(torch.tensor([[10.0], [20.0]]))
        >>> [(float(mean), float(variance)) for mean, variance in batch_statistics(model).values()]
        [(15.0, 50.0)]
    """
    found = {}
    for path, norm in model.named_modules():
        if not isinstance(norm, _BatchNorm) or norm.num_batches_tracked is None or norm.running_mean is None:
            continue
        count = 0 if norm.num_batches_tracked.is_meta else int(norm.num_batches_tracked)
        share = 1.0 if norm.momentum is None else 1 - (1 - norm.momentum) ** count
        if count and share > 0 and norm.running_var is not None:
            variance = (norm.running_var - (1 - share)) / share
            found[path] = (norm.running_mean / share, variance.clamp_min(0))
    return found


def set_statistics_(model: nn.Module, found: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Set the statistics of batch norms that have seen no batch, except where they are not finite."""
    for path, (mean, variance) in found.items():
        norm: Any = model.get_submodule(path)
        if _is_new(norm) and bool(torch.isfinite(mean).all() and torch.isfinite(variance).all()):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def _is_new(norm: Any) -> bool:
    counted, mean, variance = norm.num_batches_tracked, norm.running_mean, norm.running_var
    if not isinstance(mean, Tensor) or nn.parameter.is_lazy(mean) or mean.is_meta:
        return False
    untouched = bool((mean == 0).all()) and bool((variance == 1).all())
    return untouched and (counted is None or int(counted) == 0)
