"""Evidence: all facts about a model, a batch and a step, as frozen numbers.

Rules read only this, so that they can run later and elsewhere. A part that could not be measured is ``None``, and
``missing`` contains the reason.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property

from lightning_tricks.doctor.facts.behaviour_facts import BehaviourFacts
from lightning_tricks.doctor.facts.context_facts import ColumnsFact, PlanFacts, RowsFacts, SplitFacts
from lightning_tricks.doctor.facts.contracts import Contracts
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.influence_facts import HeldGraph, InfluenceFacts
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.facts.optimizer_facts import OptimizerFact
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.facts.trace_facts import TensorFact, TraceFacts

CONFIGURE_OPTIMIZERS = "`configure_optimizers`"
"""The phase of an :class:`ErrorFact` raised in ``configure_optimizers``."""


@dataclass(frozen=True)
class LoaderFact:
    """One data loader.

    Attributes:
        kind: its class.
        dataset: the class of its dataset.
        rows: ``len(dataset)``; ``None`` without a length.
        batches: ``len(loader)``; ``None`` without a length.
        batch_size: as given; ``None`` with a custom batch sampler.
        sampler: the sampler's class; ``None`` for iterable data.
        shuffles: whether rows come in random order; ``None`` if unknown.
        drop_last: as given.
        iterable: whether the dataset is iterable-style, or the loader is not a ``DataLoader``.
        weights: the number of weights of a ``WeightedRandomSampler``.
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
    weights: int | None = None


@dataclass(frozen=True)
class LeafFact:
    """One leaf of the batch.

    Attributes:
        path: its place: ``0``, ``labels``, ``1.boxes``.
        kind: its class.
        tensor: what it looks like, if it is a tensor.
        columns: what the columns of floating-point numbers look like.
        same_rows: four samples or more of several numbers each are all equal.
    """

    path: str
    kind: str
    tensor: TensorFact | None = None
    columns: ColumnsFact | None = None
    same_rows: bool = False


@dataclass(frozen=True)
class RepeatFact:
    """A column of the leaf ``path`` that is a linear function of the leaf ``of``, exactly."""

    path: str
    column: int
    of: str


@dataclass(frozen=True)
class BatchFacts:
    """The batch.

    Attributes:
        kind: its type.
        leaves: its tensors and other values.
        size: the number of samples that most of them agree on.
        repeats: columns of one leaf that are a linear function of the whole numbers in another one.
    """

    kind: str
    leaves: tuple[LeafFact, ...]
    size: int | None
    repeats: tuple[RepeatFact, ...] = ()


@dataclass(frozen=True)
class GradientFact:
    """The gradient of a trainable parameter after one backward pass; ``norm`` is ``None`` if it has no gradient."""

    name: str
    norm: float | None
    nonfinite: bool = False


@dataclass(frozen=True)
class StepFacts:
    """One training step.

    Attributes:
        loss: its value; ``None`` if the step returned none.
        requires_grad: whether the loss is connected to a trainable parameter.
        manual: whether the module uses manual optimization.
        backwards: the number of backward passes.
        gradients: the gradient of every trainable parameter.
        logged: the logged values, by name.
        stepped: the optimizers, by index, that the module stepped itself.
        cleared: those of them whose gradients were dropped between ``manual_backward`` and the step.
    """

    loss: float | None
    requires_grad: bool
    manual: bool
    backwards: int
    gradients: tuple[GradientFact, ...]
    logged: dict[str, float]
    stepped: tuple[int, ...] = ()
    cleared: tuple[int, ...] = ()


@dataclass(frozen=True)
class OverfitFacts:
    """A short training on the batch alone: the loss before it, the smallest loss, and the number of steps."""

    first: float
    smallest: float
    steps: int


@dataclass(frozen=True)
class ErrorFact:
    """An exception of the user's code: its last line, and the innermost place in the user's source."""

    phase: str
    kind: str
    message: str
    module: str
    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Evidence:
    """All facts; each part is measured separately.

    Attributes:
        model: always present.
        optimizers: ``None`` if they could not be built.
        train_loader: the first training loader.
        val_loader: the first validation loader.
        rows: what rows of the two datasets have in common.
        splits: how rows of the two datasets differ.
        test_rows: which rows of the test set are in the training and validation sets, by the name of the set.
        plan: the planned length of the run.
        batch: ``None`` without a batch.
        trace: the operations of one step or forward pass in training mode.
        step: the loss and gradients of that step.
        behaviour: passes in eval mode.
        overfit: measured only if a selected rule needs it.
        errors: exceptions of the user's code: of the model on the batch, of ``configure_optimizers``, of the loader.
        run: observations of training, if it was watched.
        influence: the inputs that change an output in eval mode.
        held: attributes that keep the graph of a step and cause a problem.
        numerics: for a non-finite step, the operations that caused it; ``None`` if no step was run.
        contracts: the contracts of the user.
        rates_measured_by: the callback that measured the learning rates in this run, or empty.
        missing: for each part that is ``None``, the reason.
        own_failures: failures of the doctor itself, one line each.
    """

    model: ModelFacts
    optimizers: tuple[OptimizerFact, ...] | None = None
    train_loader: LoaderFact | None = None
    val_loader: LoaderFact | None = None
    rows: RowsFacts | None = None
    splits: SplitFacts | None = None
    test_rows: dict[str, RowsFacts] | None = None
    plan: PlanFacts | None = None
    batch: BatchFacts | None = None
    trace: TraceFacts | None = None
    step: StepFacts | None = None
    behaviour: BehaviourFacts | None = None
    overfit: OverfitFacts | None = None
    errors: tuple[ErrorFact, ...] = ()
    run: RunFacts | None = None
    numerics: NumericFacts | None = None
    influence: InfluenceFacts | None = None
    held: tuple[HeldGraph, ...] = ()
    contracts: Contracts | None = None
    rates_measured_by: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    own_failures: tuple[str, ...] = ()

    @property
    def error(self) -> ErrorFact | None:
        """The first exception; ``None`` if there was none."""
        return self.errors[0] if self.errors else None

    @cached_property
    def graph(self) -> Graph:
        """The graph of the traced operations, for rules that need ``trace``."""
        if self.trace is None:
            raise LookupError(f"there is no trace: {self.missing.get('trace')}")
        return Graph(self.trace)

    def to_json(self) -> str:
        """Return the evidence as JSON."""
        return json.dumps(to_plain(self))

    @classmethod
    def from_json(cls, text: str) -> "Evidence":
        """Create the evidence from the result of :meth:`to_json`."""
        return from_plain(cls, json.loads(text))
