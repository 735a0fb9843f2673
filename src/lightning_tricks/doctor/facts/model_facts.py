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
        kind: its class, such as ``BatchNorm2d``.
        home: the module that defines its class, such as ``torch.nn.modules.batchnorm``.
        bases: the names of its class and all base classes: a subclass of ``Dropout`` is a dropout.
        training: its ``training`` flag.
        settings: its own public attributes that are plain (``p``, ``eps``, ``num_features``, ``in_features``, ...).
        parameters: the names, in the model, of its own parameters, without those of its children.
        ignores: codes and names in ``# lt: ignore[...]`` comments in the source of its class.
        file: the source file of its class, if it is user-defined.
        line: the line where the class starts.
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
    """One parameter, under its first name.

    Attributes:
        name: its name in the model.
        aliases: its other names, if it is tied.
        module: the path of the module that holds it.
        shape: its shape; also empty while it is lazy.
        dtype: such as ``torch.float32``.
        requires_grad: whether it trains.
        statistics: statistics of its values; ``None`` while it is lazy or on the meta device.
        duplicate_rows: the share of its rows (first dimension) that equal an earlier one; ``None`` for vectors.
        has_grad: whether it has a gradient before the step.
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
    """A floating-point buffer: its name in the model, and the numbers of NaN and infinite values."""

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
class SharedLayerFact:
    """A trainable module that is at several places of a container.

    Attributes:
        container: the path of the container.
        names: its places in it.
        kind: its class.
        size: the number of its trainable parameters.
        is_chain: whether the container is a ``Sequential``, which applies the layer to its own output.
    """

    container: str
    names: tuple[str, ...]
    kind: str
    size: int
    is_chain: bool


@dataclass(frozen=True)
class ModelFacts:
    """The model: modules in registration order, each parameter once, and pretrained parts.

    Attributes:
        kind: its class.
        modules: in registration order.
        parameters: each parameter once.
        hidden: modules and parameters that PyTorch does not register.
        pretrained: pretrained parts.
        is_lightning: whether it is a LightningModule.
        copies: paths of parts with nearly the same numbers as another part of the same class.
        nonfinite_buffers: buffers with non-finite values.
        shared_layers: trainable modules that are at several places of a container.
    """

    kind: str
    modules: tuple[ModuleFact, ...]
    parameters: tuple[ParameterFact, ...]
    hidden: tuple[HiddenFact, ...] = ()
    pretrained: tuple[PretrainedFact, ...] = ()
    is_lightning: bool = False
    copies: tuple[str, ...] = ()
    nonfinite_buffers: tuple[BufferFact, ...] = ()
    shared_layers: tuple[SharedLayerFact, ...] = ()

    def is_pretrained(self, path: str) -> bool:
        """Return whether a module is in a pretrained part."""
        return any(not part.module or f"{path}.".startswith(f"{part.module}.") for part in self.pretrained)

    def is_copy(self, path: str) -> bool:
        """Return whether a module is in a part that nearly equals another one."""
        return any(f"{path}.".startswith(f"{copy}.") for copy in self.copies)

    @cached_property
    def pretrained_share(self) -> float:
        """The pretrained share of all numbers in parameters, in [0, 1]."""
        sizes = {True: 0, False: 0}
        for parameter in self.parameters:
            sizes[self.is_pretrained(parameter.module)] += math.prod(parameter.shape)
        return sizes[True] / max(1, sum(sizes.values()))

    def module(self, path: str) -> ModuleFact | None:
        """Return the module with a path."""
        return self._by_path.get(path)

    def is_layer(self, path: str) -> bool:
        """Return whether a path is that of a module without children."""
        return path in self._by_path and path not in self._parents

    @cached_property
    def _by_path(self) -> dict[str, ModuleFact]:
        return {module.path: module for module in self.modules}

    @cached_property
    def _parents(self) -> set[str]:
        return {module.path.rpartition(".")[0] for module in self.modules if module.path}

    def parameter(self, name: str) -> ParameterFact | None:
        """Return the parameter with a name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, ParameterFact]:
        return {name: parameter for parameter in self.parameters for name in (parameter.name, *parameter.aliases)}
