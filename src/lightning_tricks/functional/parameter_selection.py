"""Parameter selection: choose parameters by glob patterns on their names; biases and norms are special."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from lightning_tricks.functional.layer_order import name_pattern, parameter_names, plain_name

_SHOWN = 12
_PARAMETRIZED = "parametrizations."


def select_weights(
    model: nn.Module, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()
) -> dict[str, nn.Parameter]:
    """Return the parameters that patterns select; biases and norms only where a pattern names them exactly.

    Args:
        model: any module.
        include: glob patterns on parameter names. A bias or the parameter of a normalization layer is selected only by
            a pattern that matches it without a wildcard.
        exclude: glob patterns on parameter names, which win over ``include``.

    Returns:
        The parameters by name, in registration order. A tied weight appears once; any of its names selects or excludes
        it.

    Raises:
        ValueError: a pattern matches no parameter that it could select or exclude, or no parameter remains.

    Example:
        >>> layers = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
        >>> list(select_weights(layers))
        ['0.weight', '2.weight']
        >>> list(select_weights(layers, include=["0.*", "0.bias"], exclude=["2.*"]))
        ['0.weight', '0.bias']
    """
    spared = find_biases_and_norms(model)
    used: set[str] = set()
    selected: dict[str, nn.Parameter] = {}
    for names, value in parameter_names(model):
        cleaned = [plain_name(name) for name in names]
        including = [p for p in include if _matches(p, cleaned) and (id(value) not in spared or _is_exact(p, cleaned))]
        excluding = [pattern for pattern in exclude if _matches(pattern, cleaned)]
        used.update(including, excluding)
        if including and not excluding:
            selected[names[0]] = value  # type: ignore[assignment]
    _refuse_idle(model, {"include": include, "exclude": exclude}, used)
    if not selected:
        raise ValueError(
            f"`include`={list(include)} and `exclude`={list(exclude)} select no parameter of {type(model).__name__}. "
            f"{_parameter_names(model)}"
        )
    return selected


def find_biases_and_norms(model: nn.Module) -> set[int]:
    """Return the ``id`` of each bias and of each parameter of a normalization layer.

    Example:
        >>> layers = nn.Sequential(nn.LSTM(4, 8), nn.BatchNorm1d(8))
        >>> [name for name, value in layers.named_parameters() if id(value) in find_biases_and_norms(layers)]
        ['0.bias_ih_l0', '0.bias_hh_l0', '1.weight', '1.bias']
    """
    found = set()
    for path, module in model.named_modules():
        is_norm = "norm" in type(module).__name__.lower()
        for name, value in module.named_parameters(recurse=False):
            if is_norm or _is_bias(f"{path}.{name}"):
                found.add(id(value))
    return found


def _is_bias(path: str) -> bool:
    """Return whether a parameter's path ends in a bias, even if a parametrization has renamed it."""
    leaf = path.rpartition(_PARAMETRIZED)[2].split(".")[0] if _PARAMETRIZED in path else path.rpartition(".")[2]
    return leaf == "bias" or leaf.startswith("bias_") or leaf.endswith("_bias")


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _is_exact(pattern: str, names: Iterable[str]) -> bool:
    return any(pattern in (name, name_pattern(name)) for name in names)


def _refuse_idle(model: nn.Module, given: dict[str, Sequence[str]], used: set[str]) -> None:
    for argument, patterns in given.items():
        idle = [pattern for pattern in patterns if pattern not in used and pattern != "*"]
        if idle:
            raise ValueError(
                f"`{argument}`: {', '.join(map(repr, idle))} matches no parameter of {type(model).__name__} "
                f"that can be selected (a bias or norm must be named without a wildcard). {_parameter_names(model)}"
            )


def _parameter_names(model: nn.Module) -> str:
    names = [name for name, _ in model.named_parameters()]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Its parameters: {', '.join(names[:_SHOWN])}{more}."
