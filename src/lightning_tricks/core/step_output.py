"""Step output: find the loss in what ``training_step`` or ``validation_step`` returns."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def returned_loss(output: Any) -> Tensor | None:
    """Return the loss in the output of a step; ``None`` if there is no tensor.

    Args:
        output: a tensor, a mapping with the key ``"loss"``, or anything else.

    Example:
        >>> import torch
        >>> returned_loss({"loss": torch.tensor(0.5), "rows": 8}), returned_loss(None)
        (tensor(0.5000), None)
    """
    loss = output.get("loss") if isinstance(output, Mapping) else output
    return loss if isinstance(loss, Tensor) else None
