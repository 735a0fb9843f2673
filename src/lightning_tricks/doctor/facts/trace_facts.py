"""Trace facts: the operations of one pass, in order, and the inputs of each.

A trace is a graph: an operation's ``inputs`` are the indices of the operations that produced its tensors. Rules about
dropout, losses and activations read this graph (``graph.py`` walks it).
"""

from dataclasses import dataclass, field

from lightning_tricks.doctor.facts.context_facts import ColumnsFact

Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Statistics:
    """Statistics of a tensor. Large tensors are sampled evenly, except for ``nonfinite``.

    Attributes:
        count: the number of elements.
        nonfinite: how many of them are NaN or infinite; all other statistics are of the finite ones.
        mean: their mean.
        std: their standard deviation.
        low: the smallest value.
        high: the largest value.
        zeros: the share of exact zeros, in [0, 1].
        whole: whether all are whole numbers; determined for integers and for targets of a loss.
        distinct: the number of distinct values, for targets of a loss.
    """

    count: int
    nonfinite: int
    mean: float
    std: float
    low: float
    high: float
    zeros: float
    whole: bool = False
    distinct: int | None = None


@dataclass(frozen=True)
class TensorFact:
    """A tensor; ``statistics`` only if its values were measured."""

    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics | None = None


@dataclass(frozen=True)
class ClassesFact:
    """How a loss treats the classes of its targets.

    Attributes:
        ignored: the share of the targets that equal ``ignore_index``.
        unweighted: the classes among the targets whose weight is 0.
        unweighted_share: their share of the other targets.
        imbalance: the number of targets of the largest class, divided by that of the smallest one.
        weighted_imbalance: the same with the weights of the loss.
    """

    ignored: float = 0.0
    unweighted: tuple[int, ...] = ()
    unweighted_share: float = 0.0
    imbalance: float = 1.0
    weighted_imbalance: float = 1.0


@dataclass(frozen=True)
class Operation:
    """One call of a torch function, or a tensor that existed before.

    Attributes:
        op: its normalized name: ``add`` for ``+``, ``add_`` and ``torch.add``; ``dropout``, ``batch_norm``,
            ``linear``, ``cross_entropy``, ... For tensors that no operation produced: ``parameter``, ``buffer``,
            ``batch``, ``constant``.
        module: the path of the module in whose ``forward`` it was called; for a leaf, the name of the parameter or
            entry.
        inputs: the indices of the operations that produced its tensors, in the order of its arguments.
        names: the names of those arguments, if known (``input``, ``target``, ``weight``, ``bias``).
        input_shapes: the shapes of those arguments.
        settings: its plain arguments by name: ``p``, ``training``, ``dim``, ``reduction``, ...
        shape: the shape of its first result.
        dtype: the dtype of its first result.
        requires_grad: whether its first result requires a gradient.
        inplace: whether it wrote into its first argument.
        wrote: the kind of an existing tensor that it wrote into: ``parameter``, ``buffer``, ``batch``.
        statistics: statistics of its result, for activations, weight layers, losses and their inputs.
        dead: for an activation, the share of units (channels) that are 0 on every sample.
        saturated: for a sigmoid or tanh, the share of units at their limits on more than 90 % of the samples.
        classes: for a loss that weights or ignores classes, the facts about them.
    """

    op: str
    module: str
    inputs: tuple[int, ...]
    names: tuple[str, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()
    settings: dict[str, Scalar] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    dtype: str = ""
    requires_grad: bool = False
    inplace: bool = False
    wrote: str = ""
    statistics: Statistics | None = None
    dead: float | None = None
    saturated: float | None = None
    classes: ClassesFact | None = None

    def fed_by(self, name: str) -> int | None:
        """Return the index of the operation that produced the argument with this name."""
        return next((index for index, known in zip(self.inputs, self.names, strict=False) if known == name), None)


@dataclass(frozen=True)
class BatchNormFact:
    """A batch norm that updated its statistics in the pass.

    Attributes:
        module: its path.
        samples: the number of samples in the batch.
        values: values per channel, samples times positions.
        variance_ratio: the variance of its input without dropout (test) over that with dropout (train), as the median
            over the channels; ``None`` if no dropout reaches it.
    """

    module: str
    samples: int
    values: int
    variance_ratio: float | None = None


@dataclass(frozen=True)
class ArrivalFact:
    """The values that reach the first weights on a path from the batch: unchanged, or as scaled by the step.

    Attributes:
        input: the operation that produced them, or the leaf itself.
        module: the module in whose ``forward`` the weights are used.
        tensor: facts about the tensor.
        columns: facts about its columns.
    """

    input: int
    module: str
    tensor: TensorFact
    columns: ColumnsFact | None = None


@dataclass(frozen=True)
class MaskFact:
    """The mask of an attention over padded sequences.

    Attributes:
        module: the path of the module that calls the attention.
        padding: the share of the padding that no query attends to.
        others: the same share of all other positions.
    """

    module: str
    padding: float
    others: float


@dataclass(frozen=True)
class TermFact:
    """A term of the loss: the operation that produced it, and its gradient's norm for the weights of a shared layer."""

    operation: int
    layer: str
    gradient: float


@dataclass(frozen=True)
class TraceFacts:
    """One pass in training mode.

    Attributes:
        entry: ``training_step`` or ``forward``.
        technique: ``hybrid``, or ``functions`` if only torch functions could be followed.
        operations: leaves and calls, in order.
        outputs: the operations that produced the outputs of the model's ``forward``.
        loss: the operation that produced the loss; ``None`` after ``forward`` alone.
        batchnorms: batch norms that updated their statistics.
        arrivals: the values of the batch that reach weights.
        masks: the masks of attention over padded sequences.
        terms: the terms of the loss that depend on the batch, if there are several.
    """

    entry: str
    technique: str
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]
    loss: int | None
    batchnorms: tuple[BatchNormFact, ...] = ()
    arrivals: tuple[ArrivalFact, ...] = ()
    masks: tuple[MaskFact, ...] = ()
    terms: tuple[TermFact, ...] = ()
