"""Influence facts: which inputs, and which features of them, change an output; what a step keeps of its graph."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InfluenceFact:
    """An input of the model, a tensor with a row for each sample, and what of it changes an output.

    Attributes:
        path: its place in the batch, else the name of the argument.
        features: how many it has: columns of ``(N, F)`` and ``(N, T, F)``, channels of images; 1 for ids and masks.
        ignored: those that change nothing.
    """

    path: str
    features: int
    ignored: tuple[int, ...]


@dataclass(frozen=True)
class CustomGradient:
    """An ``autograd.Function`` whose gradient differs from differences.

    Attributes:
        function: its name.
        error: the largest difference of a directional derivative, relative to the largest derivative.
        designed: the function is a step or the identity, whose gradient is another one on purpose.
    """

    function: str
    error: float
    designed: bool


@dataclass(frozen=True)
class InfluenceFacts:
    """A module of the model in eval mode: its path, what of each input counts, and gradients that are wrong."""

    module: str
    inputs: tuple[InfluenceFact, ...] = ()
    gradients: tuple[CustomGradient, ...] = ()


@dataclass(frozen=True)
class HeldGraph:
    """An attribute that holds tensors with their graph after a step.

    Attributes:
        module: the path of the module that has it.
        attribute: its name.
        fails: the next step runs backward through the graph of this one, and raises.
        growth: how many more tensors it holds after the next step.
    """

    module: str
    attribute: str
    fails: bool
    growth: int
