"""Clipping: bound gradients by their norm, their elements, or the norm of the weights that they belong to.

All functions work in place, on whole lists at once, and return their measurements as tensors on the device.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from lightning_tricks.core.arguments import check_number
from lightning_tricks.functional.gradients import clamp_, join_norms, scale_, tensor_norms
from lightning_tricks.functional.unit_norms import Units, measure_units


@torch.no_grad()
def clip_by_norm_(
    grads: Tensor | Iterable[Tensor | None],
    max_norm: float | Tensor,
    norm_type: float = 2.0,
    *,
    total_norm: Tensor | None = None,
) -> Tensor:
    r"""Scale all gradients by one factor so that their joint norm is at most ``max_norm``.

    .. math:: g \leftarrow g \cdot \min\!\left(1, \frac{c}{\lVert g \rVert_p + 10^{-6}}\right)

    Like :func:`torch.nn.utils.clip_grad_norm_`, for gradients of any kind: sparse, complex, on several devices, of
    several dtypes, and sharded, in which case the norm covers all shards. Half-precision gradients are summed in
    float32.

    Args:
        grads: gradients; ``None`` for a parameter without one.
        max_norm: the bound, > 0; a ``()`` tensor is not read by the host.
        norm_type: p of the p-norm, > 0; may be ``inf``.
        total_norm: ``()`` the joint norm, if already measured.

    Returns:
        ``()`` the norm before clipping; 0 without gradients. NaN in a gradient makes the norm, and then all gradients,
        NaN.

    Raises:
        ValueError: a number that is out of range.

    Example:
        >>> grads = [torch.tensor([3.0]), torch.tensor([[4.0]])]
        >>> clip_by_norm_(grads, max_norm=1.0)
        tensor(5.)
        >>> grads
        [tensor([0.6000]), tensor([[0.8000]])]

    References:
        Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1.
    """
    if not isinstance(max_norm, Tensor):
        check_number("max_norm", max_norm, 0, low_open=True)
    norm_type = check_norm_type(norm_type)
    given = _present(grads)
    if not given:
        return torch.tensor(0.0)
    total = join_norms(tensor_norms(given, norm_type), norm_type) if total_norm is None else total_norm
    scale_(given, clip_factor_for(total, max_norm))
    return total


def clip_factor_for(total: Tensor, max_norm: float | Tensor) -> Tensor:
    """Return the factor for gradients of norm ``total``: at most 1, in the dtype of the norm."""
    return (max_norm / (total + 1e-6)).clamp(max=1.0).to(total.dtype)


def check_norm_type(norm_type: object) -> float:
    """Return the p of a p-norm.

    Raises:
        TypeError: not a number; the string ``"inf"`` is accepted.
        ValueError: not > 0.

    Example:
        >>> check_norm_type("inf")
        inf
    """
    if isinstance(norm_type, (str, float)) and norm_type in ("inf", math.inf):
        return math.inf
    return check_number("norm_type", norm_type, 0, low_open=True)


@torch.no_grad()
def clip_by_value_(
    grads: Tensor | Iterable[Tensor | None], clip_value: float, *, total_norm: Tensor | None = None
) -> Tensor:
    r"""Clamp each element of each gradient to ``[-clip_value, clip_value]``.

    Like :func:`torch.nn.utils.clip_grad_value_`. The real and imaginary parts of complex elements are clamped
    separately. Unlike :func:`clip_by_norm_`, this changes the direction of the gradient. NaN stays NaN, an infinite
    element becomes the bound.

    Args:
        grads: gradients; ``None`` stands for a parameter without one.
        clip_value: the bound, > 0.
        total_norm: ``()`` the L2 norm of all gradients, if already measured.

    Returns:
        ``()`` the L2 norm of all gradients before clipping; 0 without gradients, NaN if any element is NaN.

    Raises:
        ValueError: ``clip_value`` is not > 0.

    Example:
        >>> grads = [torch.tensor([4.0, -3.0, 0.0])]
        >>> clip_by_value_(grads, clip_value=3.5)
        tensor(5.)
        >>> grads
        [tensor([ 3.5000, -3.0000,  0.0000])]
    """
    check_number("clip_value", clip_value, 0, low_open=True)
    given = _present(grads)
    if not given:
        return torch.tensor(0.0)
    total = join_norms(tensor_norms(given)) if total_norm is None else total_norm
    clamp_(given, clip_value)
    return total


@torch.no_grad()
def adaptive_clip_(
    params: Tensor | Iterable[Tensor], clip_factor: float = 0.01, eps: float = 1e-3, *, units: Units | None = None
) -> Tensor:
    r"""Bound the gradient of each unit by a share of the norm of the unit's weights.

    .. math:: g_i \leftarrow g_i \cdot \min\!\left(1,
        \frac{\lambda \max(\lVert w_i \rVert, \epsilon)}{\max(\lVert g_i \rVert, 10^{-6})}\right)

    A unit is the part of a weight that feeds one output, all dimensions but the first; a vector (bias, gain) is one
    unit.

    Args:
        params: parameters whose ``grad`` is scaled in place; those without a gradient are skipped.
        clip_factor: the share, > 0; in the paper 0.01 for batches of 4,096 rows, and more for smaller ones.
        eps: lower bound of the weight norm, > 0, without which a unit initialized with zeros would stay at zero.
        units: the norms of the units of these parameters, if already measured.

    Returns:
        ``()`` the L2 norm of all gradients before clipping; 0 without gradients.

    Raises:
        ValueError: a number that is out of range.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        >>> weight.grad = torch.tensor([[0.3, 0.4], [0.3, 0.4]])
        >>> adaptive_clip_([weight], clip_factor=0.01)
        tensor(0.7071)
        >>> weight.grad
        tensor([[3.0000e-02, 4.0000e-02],
                [6.0000e-06, 8.0000e-06]])

    References:
        Brock, De, Smith & Simonyan, High-performance large-scale image recognition without normalization, 2021, eq. 3.
    """
    check_number("clip_factor", clip_factor, 0, low_open=True)
    check_number("eps", eps, 0, low_open=True)
    given = [params] if isinstance(params, Tensor) else list(params)
    given = [param for param in given if param.grad is not None]
    if not given:
        return torch.tensor(0.0)
    units = measure_units(given) if units is None else units
    units.scale_(units.factors(clip_factor, eps))
    return units.total()


def _present(grads: Tensor | Iterable[Tensor | None]) -> list[Tensor]:
    if isinstance(grads, Tensor):
        return [grads]
    return [grad for grad in grads if grad is not None]
