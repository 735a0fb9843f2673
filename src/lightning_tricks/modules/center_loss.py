"""Center loss: pull the features of each class together."""

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_number
from lightning_tricks.modules.rank_sums import sum_over_ranks_


class CenterLoss(nn.Module):
    r"""Half the squared distance of features to the center of their class, with centers that follow the features.

    .. math:: \ell = \frac{1}{2N} \sum_i \lVert x_i - c_{y_i} \rVert_2^2, \qquad
        c_j \leftarrow c_j - \alpha \frac{\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    where :math:`n_j` is the number of rows of class j in the batch. The loss is computed before the centers move. In
    ``train`` mode, each call moves the centers by the rows of all processes, so that they are the same on all ranks; in
    ``eval`` mode they are fixed. They start at zero. Rows with NaN or infinite features do not move them.

    *Use when* features are compared by distance (verification, retrieval, few rows). Add it to the cross entropy with a
    small factor (0.003 to 0.1 in the paper); on its own it is smallest if all features are equal.

    *Interacts with* several processes: each must call it in the same steps, with its own rows. Under gradient
    accumulation the centers move in each batch.

    Args:
        num_classes: C, >= 1.
        num_features: D, >= 1.
        alpha: how far the centers move, in [0, 1]; 0.5 in the paper.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> center_loss = CenterLoss(num_classes=2, num_features=1)
        >>> center_loss(torch.tensor([[2.0], [4.0]]), torch.tensor([0, 0]))
        tensor(5.)
        >>> center_loss.centers
        tensor([[1.],
                [0.]])

    References:
        Wen, Zhang, Li & Qiao, A discriminative feature learning approach for deep face recognition, 2016, eq. 2 to 4.
    """

    centers: Tensor

    def __init__(self, num_classes: int, num_features: int, *, alpha: float = 0.5) -> None:
        super().__init__()
        self.num_classes = check_count("num_classes", num_classes, 1)
        self.num_features = check_count("num_features", num_features, 1)
        self.alpha = check_number("alpha", alpha, 0, 1)
        self.register_buffer("centers", torch.zeros(num_classes, num_features))

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch and, in ``train`` mode, move the centers.

        Args:
            features: ``(N, D)``, N >= 1.
            target: ``(N,)`` class indices.

        Returns:
            A scalar ``()``: the mean over rows, with a gradient for the features.

        Raises:
            TypeError: the class indices do not have an integer dtype.
            ValueError: the shapes do not match.
        """
        if features.ndim != 2 or features.shape[1] != self.num_features or not len(features):
            raise ValueError(
                f"`features` must have shape (N, {self.num_features}) with N >= 1, got {tuple(features.shape)}; "
                "flatten them, or set `num_features`."
            )
        if target.shape != features.shape[:1]:
            raise ValueError(f"`target` must have shape ({len(features)},), got {tuple(target.shape)}.")
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise TypeError(f"`target` must contain class indices, got {target.dtype}; use `target.long()`.")
        index = target.long()
        difference = features.to(self.centers.dtype) - self.centers[index]
        if self.training:
            self._move(difference.detach(), index)
        return difference.square().sum() / (2 * len(features))

    @torch.no_grad()
    def _move(self, difference: Tensor, index: Tensor) -> None:
        """Move the centers towards their rows, summed over all processes."""
        usable = difference.isfinite().all(1, keepdim=True)
        rows = torch.cat([torch.where(usable, difference, 0), usable.to(difference.dtype)], 1)
        sums = sum_over_ranks_(rows.new_zeros(self.num_classes, rows.shape[1]).index_add_(0, index, rows))
        self.centers += self.alpha * sums[:, :-1] / (1 + sums[:, -1:])

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.num_classes}, {self.num_features}, alpha={self.alpha:g}"
