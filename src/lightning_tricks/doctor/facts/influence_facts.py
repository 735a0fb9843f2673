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
    """

    path: str
    features: int
    ignored: tuple[int, ...]
    offered: bool = False


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
class InfluenceFacts:
    """A module of the model in eval mode: its path, the influence of each input, and wrong custom gradients."""

    module: str
    inputs: tuple[InfluenceFact, ...] = ()
    gradients: tuple[CustomGradient, ...] = ()


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
