"""Influence facts: which inputs, and which of their features, change an output; which graphs a step keeps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InfluenceFact:
    """An input of the model, a tensor with one row per sample, and which parts of it change an output.

    Attributes:
        path: its place in the batch, or the name of the argument.
        features: their number: columns of ``(N, F)`` and ``(N, T, F)``, channels of images; 1 for ids and masks.
        ignored: the features that change no output.
        offered: whether it is in a dictionary or another container that is passed as a whole.
        position: of a sequence ``(N, T)`` or ``(N, T, F)``, the only position that changes an output; ``None`` if there
            are several.
        length: the number of positions.
    """

    path: str
    features: int
    ignored: tuple[int, ...]
    offered: bool = False
    position: int | None = None
    length: int = 0


@dataclass(frozen=True)
class CustomGradient:
    """An ``autograd.Function`` whose gradient differs from finite differences.

    Attributes:
        function: its name.
        error: the largest error of a directional derivative, relative to the largest derivative.
        designed: whether the function is a step function or the identity, whose gradient differs on purpose.
    """

    function: str
    error: float
    designed: bool


@dataclass(frozen=True)
class VisibleTarget:
    """A sequence whose next steps are the targets, and the relative change of outputs by steps that come later."""

    path: str
    change: float


@dataclass(frozen=True)
class InfluenceFacts:
    """A module of the model in eval mode.

    Attributes:
        module: its path.
        inputs: the influence of each input.
        gradients: wrong custom gradients.
        visible: the sequence whose later steps change earlier outputs, although they are the targets of these.
    """

    module: str
    inputs: tuple[InfluenceFact, ...] = ()
    gradients: tuple[CustomGradient, ...] = ()
    visible: VisibleTarget | None = None


@dataclass(frozen=True)
class HeldGraph:
    """An attribute that keeps tensors with their graph after a step.

    Attributes:
        module: the path of the module that has it.
        attribute: its name.
        fails: whether the next step runs backward through this graph and raises an error.
        growth: the number of additional tensors after the next step.
    """

    module: str
    attribute: str
    fails: bool
    growth: int
