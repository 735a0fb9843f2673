"""Read shared layers: the same module at several places of a container."""

from torch import nn

from lightning_tricks.doctor.facts.model_facts import SharedLayerFact


def read_shared_layers(model: nn.Module) -> tuple[SharedLayerFact, ...]:
    """Return the trainable modules that are at several places of a ``Sequential`` or ``ModuleList``.

    Example:
        >>> layer = nn.Linear(4, 4)
        >>> [(each.container, each.names) for each in read_shared_layers(nn.Sequential(*[layer] * 3))]
        [('', ('0', '1', '2'))]
    """
    found = []
    for path, container in model.named_modules():
        if not isinstance(container, (nn.Sequential, nn.ModuleList)):
            continue
        names: dict[int, list[str]] = {}
        for name, child in container._modules.items():
            if child is not None:
                names.setdefault(id(child), []).append(name)
        for places in (each for each in names.values() if len(each) > 1):
            layer = container.get_submodule(places[0])
            sizes = [
                value.numel() for value in layer.parameters() if value.requires_grad and not nn.parameter.is_lazy(value)
            ]
            if sizes:
                is_chain = isinstance(container, nn.Sequential)
                found.append(SharedLayerFact(path, tuple(places), type(layer).__name__, sum(sizes), is_chain))
    return tuple(found)
