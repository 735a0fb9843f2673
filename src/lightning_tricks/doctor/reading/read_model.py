"""Read a model: its modules, its parameters, and what PyTorch does not register."""

from typing import Any

from torch import Tensor, nn

from lightning_tricks.doctor.facts.model_facts import HiddenFact, ModelFacts, ModuleFact, ParameterFact
from lightning_tricks.doctor.reading.measure_tensors import (
    count_zero_rows,
    measure,
    plain_settings,
    share_of_duplicate_rows,
)
from lightning_tricks.doctor.reading.read_buffers import read_nonfinite_buffers
from lightning_tricks.doctor.reading.read_copies import read_copies
from lightning_tricks.doctor.reading.read_pretraining import read_pretraining
from lightning_tricks.doctor.reading.read_shared_layers import read_shared_layers
from lightning_tricks.doctor.reading.read_source import Source, read_source


def read_model(model: nn.Module) -> ModelFacts:
    """Return the facts about a model that do not require running it.

    Example:
        >>> facts = read_model(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3)))
        >>> facts.modules[2].kind, facts.modules[2].settings["p"], facts.parameters[0].shape
        ('Dropout', 0.3, (3, 2))
    """
    sources = {kind: read_source(kind) for kind in {type(module) for module in model.modules()}}
    return ModelFacts(
        kind=type(model).__name__,
        modules=tuple(_read_module(path, module, sources[type(module)]) for path, module in model.named_modules()),
        parameters=tuple(_read_parameters(model)),
        hidden=tuple(_read_hidden(model)),
        pretrained=read_pretraining(model),
        copies=read_copies(model),
        is_lightning=is_lightning(model),
        nonfinite_buffers=tuple(read_nonfinite_buffers(model)),
        shared_layers=read_shared_layers(model),
    )


def is_lightning(model: nn.Module) -> bool:
    """Return whether it is a LightningModule of either package, by its attributes."""
    return all(callable(getattr(model, name, None)) for name in ("training_step", "configure_optimizers", "log"))


def _read_module(path: str, module: nn.Module, source: Source) -> ModuleFact:
    cls = type(module)
    own = (f"{path}.{name}" if path else name for name, _ in module.named_parameters(recurse=False))
    return ModuleFact(
        path=path,
        kind=getattr(module, "original_name", cls.__name__),
        home=cls.__module__,
        bases=tuple(base.__name__ for base in cls.__mro__ if issubclass(base, nn.Module)),
        training=module.training,
        settings=plain_settings({key: value for key, value in vars(module).items() if key != "training"}),
        parameters=tuple(own),
        ignores=source.ignores,
        file=source.file,
        line=source.line,
    )


def _read_parameters(model: nn.Module) -> list[ParameterFact]:
    names: dict[int, list[str]] = {}
    values: dict[int, nn.Parameter] = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), []).append(name)
        values[id(value)] = value
    return [_read_parameter(names[key], value) for key, value in values.items()]


def _read_parameter(names: list[str], value: nn.Parameter) -> ParameterFact:
    lazy = nn.parameter.is_lazy(value)
    return ParameterFact(
        name=names[0],
        aliases=tuple(names[1:]),
        module=names[0].rpartition(".")[0],
        shape=() if lazy else tuple(value.shape),
        dtype=str(value.dtype),
        requires_grad=value.requires_grad,
        statistics=measure(value),
        duplicate_rows=share_of_duplicate_rows(value),
        has_grad=value.grad is not None,
        zero_rows=count_zero_rows(value),
    )


def _read_hidden(model: nn.Module) -> list[HiddenFact]:
    known = {id(module) for module in model.modules()} | {id(parameter) for parameter in model.parameters()}
    found = []
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or not isinstance(value, (list, tuple, dict)):
                continue
            hidden = [member for member in _members(value) if id(member) not in known]
            if hidden:
                trainable = any(_trains(member) for member in hidden)
                found.append(HiddenFact(path, attribute, type(hidden[0]).__name__, len(hidden), trainable))
    return found


def _members(value: Any, depth: int = 3) -> list[nn.Module | nn.Parameter]:
    if isinstance(value, (nn.Module, nn.Parameter)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)) or not depth:
        return []
    return [member for inner in value for member in _members(inner, depth - 1)]


def _trains(member: nn.Module | Tensor) -> bool:
    return (
        any(value.requires_grad for value in member.parameters())
        if isinstance(member, nn.Module)
        else member.requires_grad
    )
