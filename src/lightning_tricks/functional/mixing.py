"""Mixing: blend or paste rows of a batch into each other, both inputs and targets."""

import math

import torch
from torch import Tensor

IGNORED = -100
"""The class index that torch's losses ignore by default."""

Region = tuple[slice, ...]
"""Which part of each row is pasted: a slice for each dimension after the first."""


def blend_rows(values: Tensor, shift: int, share: float) -> Tensor:
    r"""Return each row blended with the row ``shift`` places before it.

    .. math:: \tilde x_i = \lambda x_i + (1 - \lambda) x_{i - s}

    Args:
        values: ``(N, *)``, floating.
        shift: s; counted cyclically, so the first rows are blended with the last.
        share: :math:`\lambda`, the weight of the row itself, in [0, 1].

    References:
        Zhang, Cisse, Dauphin & Lopez-Paz, mixup: beyond empirical risk minimization, 2018, equation in section 1.

    Example:
        >>> blend_rows(torch.tensor([[0.0], [10.0]]), 1, 0.75)
        tensor([[2.5000],
                [7.5000]])
    """
    return values.roll(shift, 0).lerp_(values, share)


def paste_rows(values: Tensor, shift: int, region: Region) -> Tensor:
    """Return each row with a region replaced by that of the row ``shift`` places before it.

    Args:
        values: ``(N, *)``.
        shift: counted cyclically, so the first rows get a region of the last.
        region: slices of the dimensions after the first.

    Example:
        >>> paste_rows(torch.tensor([[1, 1, 1], [2, 2, 2]]), 1, (slice(1, 3),))
        tensor([[1, 2, 2],
                [2, 1, 1]])
    """
    pasted = values.clone()
    where = (slice(None), *region)
    pasted[where] = values.roll(shift, 0)[where]
    return pasted


def draw_box(height: int, width: int, share: float, center: tuple[float, float]) -> tuple[Region, float]:
    r"""Return a box that covers about ``1 - share`` of an image, and the exact share outside of it.

    Its sides are :math:`\sqrt{1 - \lambda}` times those of the image; the part outside the image is cut off.

    Args:
        height: height of the image.
        width: width of the image.
        share: :math:`\lambda`, in [0, 1].
        center: center of the box, each coordinate in [0, 1).

    References:
        Yun et al., CutMix: regularization strategy to train strong classifiers with localizable features, 2019,
        section 3.1.

    Example:
        >>> draw_box(4, 8, 0.75, (0.5, 0.5))
        ((Ellipsis, slice(1, 3, None), slice(2, 6, None)), 0.75)
    """
    half = 0.5 * math.sqrt(1.0 - share)
    rows, left_rows = _span(height, int(center[0] * height), int(half * height))
    columns, left_columns = _span(width, int(center[1] * width), int(half * width))
    covered = left_rows * left_columns / (height * width)
    return (..., rows, columns), 1.0 - covered  # type: ignore[return-value]


def _span(length: int, center: int, half: int) -> tuple[slice, int]:
    start, stop = max(center - half, 0), min(center + half, length)
    return slice(start, stop), stop - start


def draw_span(length: int, share: float, start: float) -> tuple[slice, float]:
    """Return a span that covers about ``1 - share`` of a sequence, and the exact share outside of it.

    Args:
        length: length of the sequence.
        share: in [0, 1].
        start: position of the span among its possible positions, in [0, 1).

    Example:
        >>> draw_span(10, 0.7, 0.5)
        (slice(4, 7, None), 0.7)
    """
    size = min(round((1.0 - share) * length), length)
    first = int(start * (length - size + 1))
    return slice(first, first + size), 1.0 - size / length


def to_probabilities(target: Tensor, num_classes: int) -> Tensor:
    """Return class indices as probabilities; an ignored index (negative) becomes a row of zeros.

    Args:
        target: ``(N, *)``, integers.
        num_classes: C.

    Returns:
        ``(N, C, *)`` in the default floating dtype, as :func:`torch.nn.functional.cross_entropy` accepts it.

    Example:
        >>> to_probabilities(torch.tensor([1, 0, -100]), 2)
        tensor([[0., 1.],
                [1., 0.],
                [0., 0.]])
    """
    classes = torch.arange(num_classes, device=target.device).view(-1, *[1] * (target.ndim - 1))
    return (target.unsqueeze(1) == classes).to(torch.get_default_dtype())


def check_class_indices(target: Tensor, num_classes: int) -> None:
    """Raise an error for indices outside the classes; synchronizes with the device.

    Raises:
        ValueError: an index is negative and not -100, or not smaller than ``num_classes``.
    """
    wrong = target[((target < 0) & (target != IGNORED)) | (target >= num_classes)]
    if len(wrong):
        raise ValueError(
            f"`num_classes`={num_classes}, but the targets contain class index {int(wrong[0])}. Give the number of "
            "all classes; an index that the loss should ignore must be -100."
        )
