"""Model facts: the modules and parameters of a model, as frozen numbers."""

import math
from dataclasses import dataclass
from functools import cached_property

from lightning_tricks.doctor.facts.context_facts import PretrainedFact
from lightning_tricks.doctor.facts.trace_facts import Scalar, Statistics


@dataclass(frozen=True)
class ModuleFact:
    """One module.

    Attributes:
        path: its name in the model; ``""`` is the model.
        kind: its class, ``BatchNorm2d``.
        home: the module that defines its class, ``torch.nn.modules.batchnorm``.
        bases: the names of its class and all classes above it: a subclass of ``Dropout`` is a dropout.
        training: its flag.
        settings: its own public attributes that are plain (``p``, ``eps``, ``num_features``, ``in_features`` …).
        parameters: the names, in the model, of its own parameters, not its children's.
        ignores: codes and names in ``# lt: ignore[...]`` comments of its class's source.
        file: the source of its class, if that is the user's.
        line: where the class starts there.
    """

    path: str
    kind: str
    home: str
    bases: tuple[str, ...]
    training: bool
    settings: dict[str, Scalar]
    parameters: tuple[str, ...]
    ignores: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None

    def isa(self, *kinds: str) -> bool:
        """Return whether the module is an instance of one of these classes or of a subclass."""
        return not set(kinds).isdisjoint(self.bases)


@dataclass(frozen=True)
class ParameterFact:
    """One parameter, under the first of its names.

    Attributes:
        name: its name in the model.
        aliases: its other names, if it is tied.
        module: the path of the module that holds it.
        shape: its shape; empty too while it is lazy.
        dtype: ``torch.float32`` …
        requires_grad: whether it is to train.
        statistics: of its values; ``None`` while it is lazy or on no device.
        duplicate_rows: the share of its rows (first dimension) that equal an earlier one; ``None`` for vectors.
        has_grad: it holds a gradient before the step.
        zero_rows: how many of its rows are exactly zero.
    """

    name: str
    aliases: tuple[str, ...]
    module: str
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    statistics: Statistics | None
    duplicate_rows: float | None = None
    has_grad: bool = False
    zero_rows: int = 0


@dataclass(frozen=True)
class BufferFact:
    """A float buffer: its name in the model, and how many of its values are NaN and how many infinite."""

    name: str
    nan: int
    infinite: int


@dataclass(frozen=True)
class HiddenFact:
    """Modules or parameters in a list, dict or tuple, which PyTorch does not register."""

    module: str
    attribute: str
    kind: str
    count: int
    trainable: bool


@dataclass(frozen=True)
class ModelFacts:
    """The model: modules in registration order, parameters each once, parts that were trained before.

    Attributes:
        kind: its class.
        modules: in registration order.
        parameters: each once.
        hidden: what PyTorch does not register.
        pretrained: parts that were trained before.
        is_lightning: it is a LightningModule.
        copies: paths of parts that hold nearly the same numbers as another part of their class.
        nonfinite_buffers: buffers with values that are not finite.
    """

    kind: str
    modules: tuple[ModuleFact, ...]
    parameters: tuple[ParameterFact, ...]
    hidden: tuple[HiddenFact, ...] = ()
    pretrained: tuple[PretrainedFact, ...] = ()
    is_lightning: bool = False
    copies: tuple[str, ...] = ()
    nonfinite_buffers: tuple[BufferFact, ...] = ()

    def is_pretrained(self, path: str) -> bool:
        """Return whether a module lies in a part that was trained before."""
        return any(not part.module or f"{path}.".startswith(f"{part.module}.") for part in self.pretrained)

    def is_copy(self, path: str) -> bool:
        """Return whether a module lies in a part that nearly equals another one."""
        return any(f"{path}.".startswith(f"{copy}.") for copy in self.copies)

    @cached_property
    def pretrained_share(self) -> float:
        """The share of all numbers in parameters that was trained before, in [0, 1]."""
        sizes = {True: 0, False: 0}
        for parameter in self.parameters:
            sizes[self.is_pretrained(parameter.module)] += math.prod(parameter.shape)
        return sizes[True] / max(1, sum(sizes.values()))

    def module(self, path: str) -> ModuleFact | None:
        """Return the module of that path."""
        return self._by_path.get(path)

    def is_layer(self, path: str) -> bool:
        """Return whether the path is that of a module without children."""
        return path in self._by_path and path not in self._parents

    @cached_property
    def _by_path(self) -> dict[str, ModuleFact]:
        return {module.path: module for module in self.modules}

    @cached_property
    def _parents(self) -> set[str]:
        return {module.path.rpartition(".")[0] for module in self.modules if module.path}

    def parameter(self, name: str) -> ParameterFact | None:
        """Return the parameter of that name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, ParameterFact]:
        return {name: parameter for parameter in self.parameters for name in (parameter.name, *parameter.aliases)}
