"""Frozen layers: which layer groups of a module train at the moment, and all of it put back in the end."""

from collections.abc import Iterable, Sequence

from torch import nn

from lightning_tricks.functional.freezing import find_resting, set_trainable_
from lightning_tricks.functional.layer_groups import LayerGroup


class FrozenLayers:
    """The layer groups of one module, of which some train and the others have no gradient and rest in ``eval()``.

    What did not train when it was built stays frozen, whatever its group does.

    Args:
        module: any module.
        groups: its layer groups; all train at first.
    """

    def __init__(self, module: nn.Module, groups: Sequence[LayerGroup]) -> None:
        self._module = module
        self._groups = groups
        self._trainable = {name for name, value in module.named_parameters() if value.requires_grad}
        self._resting: list[nn.Module] = []

    def thaw(self, thawed: Sequence[int]) -> bool:
        """Let the groups of these numbers train, freeze the others; return whether that changed a parameter."""
        names = [name for i in thawed for name in self._groups[i].names]
        frozen = [name for i, group in enumerate(self._groups) if i not in thawed for name in group.names]
        before = [value.requires_grad for value in self._module.parameters()]
        self.set_gradients(thawed)
        self._wake()
        self._resting = [module for module in find_resting(self._module, frozen, names) if module.training]
        self.rest()
        return before != [value.requires_grad for value in self._module.parameters()]

    def set_gradients(self, thawed: Iterable[int] | None) -> None:
        """Let the parameters of these groups have gradients, ``None`` for all groups; no module rests for it yet."""
        layers = range(len(self._groups)) if thawed is None else thawed
        names = {name for i in layers for name in self._groups[i].names}
        set_trainable_(self._module, self._trainable, names & self._trainable)

    def rest(self) -> None:
        """Put what is frozen back into ``eval()`` where the module's own code, or a loop, has set it to training."""
        for module in self._resting:
            if module.training:
                module.training = False

    def put_back(self) -> None:
        """Let train what trained when this was built, in the modes of then."""
        set_trainable_(self._module, self._trainable, self._trainable)
        self._wake()

    def _wake(self) -> None:
        for module in self._resting:
            module.training = True
        self._resting = []
