"""Freezing: find the modules that belong to frozen parameters, and switch the parameters' gradients off or on."""

from collections.abc import Collection, Iterable

from torch import nn


def set_trainable_(parameters: Iterable[nn.Parameter], trainable: bool) -> None:
    """Freeze parameters and drop their gradients, or unfreeze them.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> set_trainable_([layer.weight], False)
        >>> [name for name, value in layer.named_parameters() if value.requires_grad]
        ['bias']
    """
    for parameter in parameters:
        parameter.requires_grad_(trainable)
        if not trainable:
            parameter.grad = None


def find_frozen_modules(model: nn.Module, frozen: Collection[str], awake: Collection[str]) -> list[nn.Module]:
    """Return the modules that belong only to frozen parameters; their BatchNorm and Dropout must be in ``eval()``.

    A Dropout or norm without parameters between two modules belongs to the one before it in an ``nn.Sequential``.
    Elsewhere it belongs to the one after it, because a head's Dropout is usually registered before the head.

    Args:
        model: any module.
        frozen: names of the parameters that are frozen.
        awake: names of the parameters that train; parameters in neither are ignored.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 1))
        >>> find_frozen_modules(model, ["0.weight", "0.bias", "1.weight", "1.bias"], ["3.weight", "3.bias"])
        [Linear(in_features=2, out_features=2, bias=True), BatchNorm1d(2, ...), Dropout(p=0.5, inplace=False)]
    """
    places = dict.fromkeys(frozen, True) | dict.fromkeys(awake, False)
    states = {id(value): places[name] for name, value in model.named_parameters() if name in places}
    resting: dict[int, nn.Module] = {}
    used: set[int] = set()
    _collect(model, states, resting, used)
    return [module for key, module in resting.items() if key not in used]


def _collect(module: nn.Module, states: dict[int, bool], resting: dict[int, nn.Module], used: set[int]) -> None:
    state = _state(module, states)
    if state:
        resting.update((id(part), part) for part in module.modules())
        return
    used.add(id(module))
    children = list(module.children())
    for i, child in enumerate(children):
        if any(True for _ in child.parameters()):
            _collect(child, states, resting, used)
        elif _is_dropout_or_norm(child) and _neighbor_is_frozen(module, children, i, states):
            resting.update((id(module), module) for module in child.modules())
        else:
            used.update(id(module) for module in child.modules())


def _state(module: nn.Module, states: dict[int, bool]) -> bool | None:
    """Whether all parameters of a module are frozen; ``None`` if none of them counts."""
    found = [states[id(value)] for value in module.parameters() if id(value) in states]
    return all(found) if found else None


def _neighbor_is_frozen(parent: nn.Module, children: list[nn.Module], at: int, states: dict[int, bool]) -> bool:
    before = _first_state(reversed(children[:at]), states)
    after = _first_state(children[at + 1 :], states)
    first, second = (before, after) if isinstance(parent, nn.Sequential) else (after, before)
    return bool(second if first is None else first)


def _first_state(modules: Iterable[nn.Module], states: dict[int, bool]) -> bool | None:
    return next((state for state in (_state(module, states) for module in modules) if state is not None), None)


def _is_dropout_or_norm(module: nn.Module) -> bool:
    kind = type(module).__name__.lower()
    return "drop" in kind or "norm" in kind
