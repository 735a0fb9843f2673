"""Trace facts: the operations of one pass, in order, and what fed each of them.

A trace is a graph: an operation's ``inputs`` are the indices of the operations that made its tensors. What rules say of
dropout, losses and activations they read from this graph (``graph.py`` walks it).
"""

from dataclasses import dataclass, field

from lightning_tricks.doctor.facts.context_facts import ColumnsFact

Scalar = bool | int | float | str | None


@dataclass(frozen=True)
class Statistics:
    """A tensor in numbers. Large tensors are sampled at even distances, but for ``nonfinite``.

    Attributes:
        count: its elements.
        nonfinite: how many of them are NaN or infinite; the other numbers are about the finite ones.
        mean: their mean.
        std: their standard deviation.
        low: the smallest.
        high: the largest.
        zeros: the share of exact zeros, in [0, 1].
        whole: all are whole numbers; looked at for integers and for what a loss takes as its target.
        distinct: how many different ones there are, for what a loss takes as its target.
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
    """What a tensor looks like; ``statistics`` only of numbers that were measured."""

    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics | None = None


@dataclass(frozen=True)
class Operation:
    """One call of a torch function, or a tensor that was there before.

    Attributes:
        op: its name without marks: ``add`` for ``+``, ``add_`` and ``torch.add``; ``dropout``, ``batch_norm``,
            ``linear``, ``cross_entropy`` … For tensors that no operation made: ``parameter``, ``buffer``, ``batch``,
            ``constant``.
        module: the path of the module in whose forward it was called; for a leaf the name of the parameter or place.
        inputs: the indices of the operations that made its tensors, in the order of its arguments.
        names: the names of those arguments where they are known (``input``, ``target``, ``weight``, ``bias``).
        input_shapes: the shapes of those arguments.
        settings: its plain arguments by name: ``p``, ``training``, ``dim``, ``reduction`` …
        shape: of its first result.
        dtype: of its first result.
        requires_grad: whether its first result does.
        inplace: it wrote into its first argument.
        wrote: what it wrote into, where that was there before: ``parameter``, ``buffer``, ``batch``.
        statistics: of its result, for activations, weight layers, losses and what feeds these.
        dead: of an activation, the share of units (channels) that are 0 on every sample.
        saturated: of a sigmoid or tanh, the share of units at their limits on more than 90 % of the samples.
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

    def fed_by(self, name: str) -> int | None:
        """Return the index of what was given as the argument of that name."""
        return next((index for index, known in zip(self.inputs, self.names, strict=False) if known == name), None)


@dataclass(frozen=True)
class BatchNormFact:
    """A batch norm that learnt its statistics in the pass.

    Attributes:
        module: its path.
        samples: samples in the batch.
        values: values per channel, samples times positions.
        variance_ratio: variance of its input without dropout (test) over that with it (train), the median over the
            channels; ``None`` where no dropout reaches it.
    """

    module: str
    samples: int
    values: int
    variance_ratio: float | None = None


@dataclass(frozen=True)
class ArrivalFact:
    """What arrives at the first weights on a way from the batch: as it came, or as the step has scaled it.

    Attributes:
        input: the operation that made it, or the leaf itself.
        module: in whose forward the weights are used.
        tensor: what it looks like.
        columns: what its columns look like.
    """

    input: int
    module: str
    tensor: TensorFact
    columns: ColumnsFact | None = None


@dataclass(frozen=True)
class TraceFacts:
    """One pass in training mode.

    Attributes:
        entry: ``training_step`` or ``forward``.
        technique: ``hybrid``, or ``functions`` where only torch functions could be followed.
        operations: leaves and calls, in order.
        outputs: the operations that made the outputs of the model's ``forward``.
        loss: the operation that made the loss, ``None`` after ``forward`` alone.
        batchnorms: those whose statistics were being learnt.
        arrivals: what of the batch arrives at weights.
    """

    entry: str
    technique: str
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]
    loss: int | None
    batchnorms: tuple[BatchNormFact, ...] = ()
    arrivals: tuple[ArrivalFact, ...] = ()
