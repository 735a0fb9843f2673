"""Eval part: a module with the arguments of a call, its outputs in eval mode, and their gradients for its inputs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.doctor.reading.containers import changeable_tensors_in, tensors_in, with_tensors_changed
from lightning_tricks.doctor.tracing.custom_gradients import noting_functions


class EvalPart:
    """A module with its inputs.

    Args:
        module: in eval mode when it is run.
        call: its arguments.
        size: the number of samples; tensors with another first dimension do not count as inputs.

    Attributes:
        call: the arguments.
        inputs: the tensors with a row for each sample.
        outputs: the floating-point outputs of the last pass with gradients.
        gradients: its gradients, by the identity of the input; ``None`` for an input that no output depends on.
        functions: the arguments of user-defined ``autograd.Function`` objects.
        has_run: whether there was such a pass.
    """

    def __init__(self, module: nn.Module, call: tuple[Any, Any], size: int) -> None:
        self._module, self.call = module, call
        known = dict.fromkeys(changeable_tensors_in(call))
        self.inputs = [each for each in known if each.dim() and each.shape[0] == size]
        self.outputs: list[Tensor] = []
        self.gradients: dict[int, Tensor | None] = {}
        self.functions: dict[type, tuple[Any, ...]] = {}
        self.has_run = False

    def run(self, new: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Return the floating-point outputs, with some inputs replaced by other tensors."""
        known = new or {}
        args, kwargs = with_tensors_changed(self.call, lambda item: known.get(id(item), item))
        return [each.float() for each in tensors_in(self._module(*args, **kwargs)) if each.is_floating_point()]

    def run_changed(self, old: Tensor, new: Tensor) -> list[Tensor]:
        """Return the floating-point outputs, with an input replaced by another tensor."""
        return self.run({id(old): new})

    def run_with_gradients(self) -> None:
        """Run one pass, and its backward pass for all floating-point inputs."""
        leaves = {id(each): each.detach().clone().requires_grad_(True) for each in self.inputs if is_float(each)}
        with noting_functions(self.functions):
            # copies, because a step may write into its input
            outputs = self.run({key: leaf.clone() for key, leaf in leaves.items()})
        self.outputs = [each.detach() for each in outputs]
        roots = [each for each in outputs if each.requires_grad]
        found: Any = [None] * len(leaves)
        if roots and leaves:
            found = torch.autograd.grad(_root(roots), list(leaves.values()), allow_unused=True)
        self.gradients, self.has_run = dict(zip(leaves, found, strict=True)), True

    def try_with_gradients(self) -> bool:
        """Run a pass with gradients; return whether the module supports it."""
        try:
            self.run_with_gradients()
        except Exception:  # in eval mode, a model may write into its inputs, or leave the graph
            return False
        return True


def is_float(tensor: Tensor) -> bool:
    """Return whether a tensor holds floating-point numbers, of which there are gradients."""
    return tensor.is_floating_point()


def _root(outputs: list[Tensor]) -> Tensor:
    """Return one number in which outputs do not cancel, as the sum of a softmax would."""
    weights = (torch.linspace(0.5, 1.5, each.numel(), device=each.device).view(each.shape) for each in outputs)
    return stack_tensors([(each * weight).sum() for each, weight in zip(outputs, weights, strict=True)]).sum()
