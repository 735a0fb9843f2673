"""Frozen layers: control which layer groups of a module currently train, and restore everything at the end."""

from collections.abc import Collection, Sequence

from torch import nn

from lightning_tricks.functional.freezing import find_frozen_modules, set_trainable_
from lightning_tricks.functional.layer_groups import LayerGroup
from lightning_tricks.functional.resharding import reshard_


class FrozenLayers:
    """The layer groups of one module, of which some train and the others have no gradient and are in ``eval()``.

    Parameters are identified by identity, because pruning and parametrizations rename them during a run. A parameter
    that is registered later belongs to the group of its module. Parameters that did not train when this object was
    created stay frozen.

    Args:
        module: any module.
        groups: its layer groups; initially all train.
    """

    def __init__(self, module: nn.Module, groups: Sequence[LayerGroup]) -> None:
        reshard_(module)
        self._module = module
        self._layer_of: dict[int, int] = {}
        self._trainable: list[nn.Parameter] = []  # keeps a reference, so that no other object gets the same id
        self._homes: dict[str, int] = {}
        self._frozen_modules: list[nn.Module] = []
        values = dict(module.named_parameters())
        for layer, group in enumerate(groups):
            for name in group.names:
                self._add(name, values[name], layer)

    def _add(self, name: str, value: nn.Parameter, layer: int) -> None:
        self._homes.setdefault(name.rpartition(".")[0], layer)
        self._layer_of[id(value)] = layer
        if value.requires_grad:
            self._trainable.append(value)

    def layer_of(self, value: object) -> int | None:
        """Return the number of the layer group that a parameter belongs to."""
        return self._layer_of.get(id(value))

    def adopt_new(self) -> bool:
        """Add parameters that were registered later; return whether there are any."""
        reshard_(self._module)
        known = len(self._layer_of)
        for name, value in self._module.named_parameters():
            home = name.rpartition(".")[0]
            while id(value) not in self._layer_of and home:  # a parametrization is in a submodule of the layer
                if home in self._homes:
                    self._add(name, value, self._homes[home])
                home = home.rpartition(".")[0]
        return len(self._layer_of) > known

    def thaw(self, thawed: Collection[int]) -> bool:
        """Unfreeze the groups with these numbers and freeze the others; return whether that changed a parameter."""
        before = [value.requires_grad for value in self._module.parameters()]
        self.set_gradients(thawed)
        self._set_train()
        names: dict[bool, list[str]] = {True: [], False: []}
        for name, value in self._module.named_parameters():
            if id(value) in self._layer_of:
                names[self._layer_of[id(value)] in thawed].append(name)
        frozen = find_frozen_modules(self._module, names[False], names[True])
        self._frozen_modules = [module for module in frozen if module.training]
        self.set_eval()
        return before != [value.requires_grad for value in self._module.parameters()]

    def set_gradients(self, thawed: Collection[int] | None) -> None:
        """Enable gradients for the parameters of these groups (``None``: all groups), without changing module modes."""
        self.adopt_new()
        for value in self._trainable:
            set_trainable_([value], thawed is None or self._layer_of[id(value)] in thawed)

    def set_eval(self) -> None:
        """Set frozen modules to ``eval()`` again after other code has set them to training mode."""
        for module in self._frozen_modules:
            if module.training:
                module.training = False

    def restore(self) -> None:
        """Restore the trainable parameters and the modes from the time of construction."""
        reshard_(self._module)
        set_trainable_(self._trainable, True)
        self._set_train()

    def _set_train(self) -> None:
        for module in self._frozen_modules:
            module.training = True
        self._frozen_modules = []
