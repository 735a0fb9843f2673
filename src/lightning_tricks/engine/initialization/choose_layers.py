"""Choose layers: which layers of a model get initial weights, and why the others keep theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from lightning_tricks.engine.initialization.loaded_weights import find_loaded
from lightning_tricks.functional.parameter_selection import select_weights

DRAWN = (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase)
_SHOWN = 6


@dataclass(frozen=True)
class ChosenLayers:
    """The layers to initialize, and those that are not changed.

    Attributes:
        layers: the layers by path.
        kept: paths of unchanged layers, by the reason.
    """

    layers: dict[str, nn.Module]
    kept: dict[str, list[str]]

    def describe(self, scheme: str) -> str:
        """Return a sentence with what is initialized and what is not."""
        done = f"{scheme} in {_join(list(self.layers))}" if self.layers else "no layer was initialized"
        rest = "; ".join(f"{_join(paths)} ({reason})" for reason, paths in self.kept.items())
        return done + (f"; not in {rest}" if rest else "") + "."


def choose_layers(
    model: nn.Module,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    overwrite_pretrained: bool = False,
) -> ChosenLayers:
    """Return the layers that are initialized.

    Args:
        model: any module.
        include: glob patterns on the names of weights.
        exclude: glob patterns that take precedence over ``include``.
        overwrite_pretrained: also choose layers with loaded weights.

    Raises:
        ValueError: a pattern matches nothing.

    Example:
        >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9), nn.LayerNorm(9))
        >>> model[1].weight = model[0].weight
        >>> choose_layers(model).describe("he_normal")
        'no layer was initialized; not in 1 (tied to an embedding); 0, 2 (Embedding, LayerNorm).'
    """
    selected = {id(value) for value in select_weights(model, include, exclude).values()}
    embedded = {id(module.weight) for module in model.modules() if isinstance(module, (nn.Embedding, nn.EmbeddingBag))}
    layers: dict[str, nn.Module] = {}
    kept: dict[str, list[str]] = {}
    seen: set[int] = set()
    for path, layer in model.named_modules():
        if not isinstance(layer, DRAWN):
            continue
        own = {id(value) for value in _weights(layer)}
        reason = _reason(layer, own, selected, embedded)
        if reason:
            kept.setdefault(reason, []).append(path)
        elif not own <= seen:  # otherwise it is tied to a chosen layer
            layers[path] = layer
        seen |= own
    for path, reason in ({} if overwrite_pretrained else find_loaded(model, layers)).items():
        del layers[path]
        kept.setdefault(f"pretrained: {reason}", []).append(path)
    others = {path: type(module).__name__ for path, module in model.named_modules() if _is_other(module)}
    if others:
        kept[", ".join(sorted(set(others.values())))] = list(others)
    return ChosenLayers(layers, kept)


def _weights(layer: nn.Module) -> list[Any]:
    return [value for name, value in layer.named_parameters(recurse=False) if name.startswith("weight")]


def _reason(layer: nn.Module, own: set[int], selected: set[int], embedded: set[int]) -> str:
    """Return why a layer is not changed; empty if it is changed."""
    weights = _weights(layer)
    if any(is_lazy(value) for value in weights):
        return "not built before the first batch"
    if any(value.is_meta or value.dim() < 2 or not value.is_floating_point() for value in weights):
        return "not real floating-point matrices on a device"
    if not any(name in ("weight", "weight_hh", "weight_hh_l0") for name, _ in layer.named_parameters(recurse=False)):
        return "computed from other parameters"
    if not own & selected:
        return "excluded by the patterns"
    if own & embedded:
        return "tied to an embedding"
    return "" if any(value.requires_grad for value in weights) else "frozen"


def _is_other(module: nn.Module) -> bool:
    """Return whether a module has its own parameters for which there is no rule."""
    own = [name for name, _ in module.named_parameters(recurse=False)]
    is_parametrization = type(module).__module__ == "torch.nn.utils.parametrize"
    return bool(own) and not isinstance(module, DRAWN) and not is_parametrization


def _join(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path or "the model itself" for path in paths[:_SHOWN]) + more
