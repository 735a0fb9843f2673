"""Evidence: all that the doctor knows of a model, a batch and a step, as frozen numbers.

Rules read this and nothing else, so that they can run later and elsewhere. A part that could not be had is ``None``,
and ``missing`` says why.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property

from lightning_tricks.doctor.graph import Graph
from lightning_tricks.doctor.plain import from_plain, to_plain
from lightning_tricks.doctor.surroundings import ColumnsFact, PlanFacts, PretrainedFact, RowsFacts
from lightning_tricks.doctor.trace_facts import Scalar, Statistics, TensorFact, TraceFacts


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
        """Say whether it is of one of these classes or a subclass."""
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
    """The model: modules in registration order, parameters each once, parts that were trained before."""

    kind: str
    modules: tuple[ModuleFact, ...]
    parameters: tuple[ParameterFact, ...]
    hidden: tuple[HiddenFact, ...] = ()
    pretrained: tuple[PretrainedFact, ...] = ()
    is_lightning: bool = False

    def module(self, path: str) -> ModuleFact | None:
        """Return the module of that path."""
        return self._by_path.get(path)

    def is_layer(self, path: str) -> bool:
        """Say whether there is a module of that path that holds no others."""
        return path in self._by_path and path not in self._parents

    @cached_property
    def _by_path(self) -> dict[str, ModuleFact]:
        return {one.path: one for one in self.modules}

    @cached_property
    def _parents(self) -> set[str]:
        return {one.path.rpartition(".")[0] for one in self.modules if one.path}

    def parameter(self, name: str) -> ParameterFact | None:
        """Return the parameter of that name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, ParameterFact]:
        return {name: one for one in self.parameters for name in (one.name, *one.aliases)}


@dataclass(frozen=True)
class GroupFact:
    """One parameter group.

    Attributes:
        settings: ``lr``, ``weight_decay``, ``momentum``, ``eps`` …; pairs such as betas as ``betas.0``, ``betas.1``.
        parameters: names in the model.
        foreign: how many of its tensors are not the model's.
    """

    settings: dict[str, Scalar]
    parameters: tuple[str, ...]
    foreign: int = 0


@dataclass(frozen=True)
class SchedulerFact:
    """An LR scheduler: its class, plain attributes, and Lightning's ``interval`` and ``frequency``."""

    kind: str
    settings: dict[str, Scalar]
    interval: str
    frequency: int


@dataclass(frozen=True)
class OptimizerFact:
    """One optimizer; ``defaults`` as ``GroupFact.settings``, ``home`` the module that defines its class."""

    kind: str
    home: str
    bases: tuple[str, ...]
    defaults: dict[str, Scalar]
    groups: tuple[GroupFact, ...]
    schedulers: tuple[SchedulerFact, ...] = ()


@dataclass(frozen=True)
class LoaderFact:
    """One data loader.

    Attributes:
        kind: its class.
        dataset: the class of its dataset.
        rows: ``len(dataset)``, ``None`` without length.
        batches: ``len(loader)``, ``None`` without length.
        batch_size: as given; ``None`` with a batch sampler of the user's.
        sampler: the sampler's class, ``None`` for iterable data.
        shuffles: whether rows come in random order; ``None``: cannot be known.
        drop_last: as given.
        iterable: an iterable dataset, or no ``DataLoader`` at all.
    """

    kind: str
    dataset: str
    rows: int | None
    batches: int | None
    batch_size: int | None
    sampler: str | None
    shuffles: bool | None
    drop_last: bool
    iterable: bool


@dataclass(frozen=True)
class LeafFact:
    """One leaf of the batch: its place (``0``, ``labels``, ``1.boxes``), and what a tensor's columns look like."""

    path: str
    kind: str
    tensor: TensorFact | None = None
    columns: ColumnsFact | None = None


@dataclass(frozen=True)
class BatchFacts:
    """The batch: its type, its leaves, and the number of samples that most of them agree on."""

    kind: str
    leaves: tuple[LeafFact, ...]
    size: int | None


@dataclass(frozen=True)
class GradientFact:
    """The gradient of a trainable parameter after one backward pass; ``norm`` is ``None`` where there is none."""

    name: str
    norm: float | None
    nonfinite: bool = False


@dataclass(frozen=True)
class StepFacts:
    """One training step.

    Attributes:
        loss: its value; ``None`` if the step returned none.
        requires_grad: whether the loss leads back to anything that trains.
        manual: the module optimizes manually.
        backwards: how many backward passes were run.
        gradients: of every parameter that is to train.
        logged: what was logged, by name.
    """

    loss: float | None
    requires_grad: bool
    manual: bool
    backwards: int
    gradients: tuple[GradientFact, ...]
    logged: dict[str, float]


@dataclass(frozen=True)
class OverfitFacts:
    """A short training on the batch alone: the loss before, the smallest since, and the steps taken."""

    first: float
    smallest: float
    steps: int


@dataclass(frozen=True)
class DropoutCall:
    """A dropout that was active in eval mode."""

    module: str
    function: str
    p: float


@dataclass(frozen=True)
class BehaviourFacts:
    """What the outputs do in eval mode. Changes are relative to the outputs' own size; ``None``: not measured.

    Attributes:
        module: the path of what was run: the model, or its largest part where the step calls parts.
        repeat_change: two passes over the same batch.
        input_change: one sample is replaced by another; if that changes nothing, all samples in another order.
        mixing_change: the largest change of any other sample's output when one sample is replaced.
        always_on: dropout calls that were active all the same.
        random: functions that draw random numbers in eval mode (``randn_like`` …).
        reason: why something was not measured.
    """

    module: str = ""
    repeat_change: float | None = None
    input_change: float | None = None
    mixing_change: float | None = None
    always_on: tuple[DropoutCall, ...] = ()
    random: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class ErrorFact:
    """An exception of the model's own on the batch: its last line, and the deepest place in the user's source."""

    phase: str
    kind: str
    message: str
    module: str
    file: str
    line: int
    function: str


@dataclass(frozen=True)
class RunFacts:
    """What training showed.

    Attributes:
        first_bad_step: the first step whose loss was not finite, ``None`` if there was none.
        unchanged: trainable parameters that the first epoch left as they were, to the last bit.
    """

    first_bad_step: int | None = None
    unchanged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Everything, each part on its own.

    Attributes:
        model: always there.
        optimizers: ``None`` where they could not be built.
        train_loader: the first one.
        val_loader: the first one.
        rows: what rows of the two data sets have in common.
        plan: how long the Trainer means to train.
        batch: ``None`` without a batch.
        trace: the operations of one step or forward pass in training mode.
        step: the loss and gradients of that step.
        behaviour: passes in eval mode.
        overfit: measured only where a rule that needs it is asked for.
        error: the model's own exception, where it raised one.
        run: what training showed, where it was watched.
        missing: for each part that is ``None``, the reason.
    """

    model: ModelFacts
    optimizers: tuple[OptimizerFact, ...] | None = None
    train_loader: LoaderFact | None = None
    val_loader: LoaderFact | None = None
    rows: RowsFacts | None = None
    plan: PlanFacts | None = None
    batch: BatchFacts | None = None
    trace: TraceFacts | None = None
    step: StepFacts | None = None
    behaviour: BehaviourFacts | None = None
    overfit: OverfitFacts | None = None
    error: ErrorFact | None = None
    run: RunFacts | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        """The traced operations, to walk over; for rules that need ``trace``."""
        if self.trace is None:
            raise LookupError(f"there is no trace: {self.missing.get('trace')}")
        return Graph(self.trace)

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(to_plain(self))

    @classmethod
    def from_json(cls, text: str) -> "Evidence":
        """Read what :meth:`to_json` wrote."""
        return from_plain(cls, json.loads(text))
