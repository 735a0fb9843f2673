"""Contracts: requirements that a user declares for a model, checked together with the rules."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Contracts:
    """Requirements of a specific model.

    Args:
        frozen: patterns (``backbone.*``) of parameters that must not train, and of modules whose batch norms must not
            update their statistics.
        output_shape: the shape of the model's first output on a batch; ``None`` or a name (``"N"``) allows any size.
        output_range: the smallest and the largest value allowed in this output, in eval mode.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a size below 0, or a range whose first number is larger than the second.

    Example:
        >>> Contracts(frozen=["backbone.*"], output_shape=("N", 10), output_range=(0, 1)).stated
        ('frozen', 'output_shape', 'output_range')
    """

    frozen: Sequence[str] = ()
    output_shape: Sequence[int | str | None] | None = None
    output_range: Sequence[float] | None = None

    def __post_init__(self) -> None:
        self._check_frozen()
        for name in ("output_shape", "output_range"):
            value = getattr(self, name)
            if value is not None:
                if isinstance(value, str) or not isinstance(value, Sequence):
                    raise TypeError(f"`{name}` must be a list or tuple, got {value!r}.")
                object.__setattr__(self, name, tuple(value))
        self._check_shape(self.output_shape or ())
        self._check_range(self.output_range)

    @property
    def stated(self) -> tuple[str, ...]:
        """The names of the contracts that are set."""
        given = {
            "frozen": bool(self.frozen),
            "output_shape": self.output_shape is not None,
            "output_range": self.output_range is not None,
        }
        return tuple(name for name, is_given in given.items() if is_given)

    def _check_frozen(self) -> None:
        patterns = [self.frozen] if isinstance(self.frozen, str) else list(self.frozen)
        if not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise TypeError(f"`frozen` must be a list of patterns such as 'backbone.*', got {self.frozen!r}.")
        object.__setattr__(self, "frozen", tuple(patterns))

    @staticmethod
    def _check_shape(shape: Sequence[int | str | None]) -> None:
        for size in shape:
            if isinstance(size, bool) or not (size is None or isinstance(size, (int, str))):
                raise TypeError(f"`output_shape` must hold whole numbers, names and None, got {size!r}.")
            if isinstance(size, int) and size < 0:
                raise ValueError(f"`output_shape` must hold sizes of at least 0, got {size}; a name allows any size.")

    @staticmethod
    def _check_range(given: Sequence[float] | None) -> None:
        if given is None:
            return
        if len(given) != 2 or any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in given):
            raise TypeError(f"`output_range` must hold two numbers, got {given!r}.")
        if not given[0] <= given[1]:
            raise ValueError(f"The first number of `output_range` must be at most the second, got {given!r}.")
