"""Concat backbones: one head on the features of several networks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_flag, check_list, shown, shown_with_type
from lightning_tricks.functional.layer_output import find_layer, layer_output


class ConcatBackbones(nn.Module):
    """Run several backbones, flatten and concatenate their features, and run a head on them.

    *Use when* two pretrained networks extract different features from the same rows, or each handles one kind of input.
    If the features have very different scales, add a normalization as the last layer of each backbone.

    *Interacts with* `GradualUnfreezing`: set ``freeze=False`` and let the callback freeze. With frozen backbones,
    `cache_features` saves most of the time of an epoch.

    Args:
        backbones: at least one module; its output, or that of its layer, is ``(N, *)``.
        head: a module that takes ``(N, D)``, where D is the number of features of all backbones; or a number of classes
            for a lazy linear layer, whose width is known after the first batch: run one batch through the module before
            the optimizer or DDP is built.
        freeze: whether the backbones get no gradient and stay in eval mode, also after ``train()``.
        layers: one submodule name per backbone, whose output is used instead of the backbone's; None for its own
            output.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: there are no backbones, the number of layers differs from theirs, or a layer does not exist.

    Example:
        >>> first, second = nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        >>> model = ConcatBackbones([first, second], head=5)
        >>> model(torch.zeros(2, 4)).shape, model.head.in_features
        (torch.Size([2, 5]), 11)
    """

    def __init__(
        self,
        backbones: Sequence[nn.Module],
        head: nn.Module | int,
        *,
        freeze: bool = True,
        layers: Sequence[str | None] | None = None,
    ) -> None:
        super().__init__()
        given = list(backbones) if isinstance(backbones, nn.ModuleList) else check_list("backbones", backbones)
        for backbone in given:
            if not isinstance(backbone, nn.Module):
                raise TypeError(f"`backbones` must be modules, got {shown_with_type(backbone)}.")
        if not given:
            raise ValueError("`backbones` must have at least one module, got none.")
        self.layers = [None] * len(given) if layers is None else check_list("layers", layers)
        if len(self.layers) != len(given):
            raise ValueError(f"`layers` must have one entry per backbone, {len(given)}, got {shown(self.layers)}.")
        for backbone, layer in zip(given, self.layers, strict=True):
            find_layer(backbone, layer)
        self.backbones = nn.ModuleList(given)
        self.freeze = check_flag("freeze", freeze)
        self.head = head if isinstance(head, nn.Module) else nn.LazyLinear(check_count("head", head, 1))
        if freeze:
            self.backbones.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ConcatBackbones":
        """Set the mode; frozen backbones stay in eval mode."""
        super().train(mode)
        if self.freeze:
            self.backbones.eval()
        return self

    def features(self, *inputs: Any) -> Tensor:
        """Return the concatenated features, ``(N, D)``.

        Args:
            *inputs: one input for all backbones, or one per backbone.

        Raises:
            ValueError: the number of inputs is wrong, or the backbones return different numbers of rows.
        """
        if len(inputs) not in (1, len(self.backbones)):
            raise ValueError(f"Give one input, or one per backbone, {len(self.backbones)}; got {len(inputs)}.")
        each = inputs * len(self.backbones) if len(inputs) == 1 else inputs
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            parts = [
                layer_output(backbone, layer, value).flatten(1)
                for backbone, layer, value in zip(self.backbones, self.layers, each, strict=True)
            ]
        if len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"All backbones must return the same number of rows, got {[tuple(part.shape) for part in parts]}."
            )
        return torch.cat(parts, 1)

    def forward(self, *inputs: Any) -> Any:
        """Return the head's output for one input for all backbones, or for one input per backbone."""
        return self.head(self.features(*inputs))
