"""Sizing: widths of hidden layers and batch sizes to start from, by the rules of thumb of the guides."""

from lightning_tricks.core.arguments import check_count, check_number

FULL_BATCH_BELOW = 2000
"""Rows below which a batch of all of them is suggested."""
SMALLEST_BATCH, LARGEST_BATCH = 64, 512
"""The range of suggested batch sizes for larger datasets."""
STRICTEST, LOOSEST = 10.0, 2.0
"""The usual range of ``a``, the number of rows per weight, in :func:`hidden_width_by_samples`."""


def hidden_width(num_inputs: int, num_outputs: int) -> int:
    r"""Return a width for a hidden layer: two thirds of the inputs, plus the outputs.

    .. math:: h = \tfrac{2}{3} n_{in} + n_{out}

    Args:
        num_inputs: features per row, at least 1.
        num_outputs: outputs per row, at least 1.

    Returns:
        Units, rounded to the nearest whole number; at least 1.

    Raises:
        TypeError: an argument is not a whole number.
        ValueError: an argument is less than 1.

    Example:
        >>> hidden_width(64, 10)
        53

    References:
        Heaton, Introduction to Neural Networks for Java, 2nd edition, 2008, chapter 5.
    """
    check_count("num_inputs", num_inputs, 1)
    check_count("num_outputs", num_outputs, 1)
    return max(1, round(2 * num_inputs / 3 + num_outputs))


def hidden_width_by_samples(num_samples: int, num_inputs: int, num_outputs: int, a: float = 2.0) -> int:
    r"""Return the largest width of one hidden layer that leaves ``a`` rows for each of its weights.

    .. math:: h = \frac{N}{a (n_{in} + n_{out})}

    A layer of ``h`` units has about :math:`h (n_{in} + n_{out})` weights. ``a`` is typically between 2, for clean data
    or a regularized network, and 10, for noisy data; compare the widths at both ends.

    Args:
        num_samples: training rows, at least 1.
        num_inputs: features per row, at least 1.
        num_outputs: outputs per row, at least 1.
        a: rows per weight, > 0; typically 2 to 10.

    Returns:
        Units, rounded down; at least 1, even if there are too few rows for one unit.

    Raises:
        TypeError: an argument is not a number.
        ValueError: an argument is out of range.

    Example:
        >>> [hidden_width_by_samples(10_000, 64, 10, a) for a in (2, 5, 10)]
        [67, 27, 13]

    References:
        Hagan et al., Neural Network Design, 2nd edition, 2014, chapter 13.
    """
    check_count("num_samples", num_samples, 1)
    check_count("num_inputs", num_inputs, 1)
    check_count("num_outputs", num_outputs, 1)
    check_number("a", a, 0, low_open=True)
    return max(1, int(num_samples / (a * (num_inputs + num_outputs))))


def suggest_batch_sizes(
    num_samples: int, *, bytes_per_row: float | None = None, memory: float | None = None
) -> list[int]:
    """Return the batch sizes that are worth trying, smallest first.

    Below 2,000 rows that is the full batch; otherwise powers of two from 64 to 512. Of these, sizes that do not fit
    into the memory are left out. If none fits, the largest power of two that does is returned.

    Args:
        num_samples: training rows, at least 1.
        bytes_per_row: bytes that one row of a batch needs during a step, > 0: its inputs and what the backward pass
            needs of it.
        memory: free bytes for a batch, > 0, after parameters and optimizer state.

    Returns:
        Sizes in rows, increasing; at least one.

    Raises:
        TypeError: an argument is not a number.
        ValueError: an argument is out of range, only one of ``bytes_per_row`` and ``memory`` is given, or not even one
            row fits.

    Example:
        >>> suggest_batch_sizes(150), suggest_batch_sizes(50_000)
        ([150], [64, 128, 256, 512])
        >>> suggest_batch_sizes(50_000, bytes_per_row=4e6, memory=1e9)
        [64, 128]

    References:
        Keskar et al., On Large-Batch Training for Deep Learning, 2017; Masters & Luschi, Revisiting Small Batch
        Training for Deep Neural Networks, 2018.
    """
    check_count("num_samples", num_samples, 1)
    most = _rows_that_fit(bytes_per_row, memory)
    sizes = [num_samples]
    if num_samples >= FULL_BATCH_BELOW or most < num_samples:
        sizes = [size for size in _powers(SMALLEST_BATCH, LARGEST_BATCH) if size < num_samples]
    fitting = [size for size in sizes if size <= most]
    return fitting or [_powers(1, min(most, num_samples))[-1]]


def _rows_that_fit(bytes_per_row: float | None, memory: float | None) -> float:
    if bytes_per_row is None and memory is None:
        return float("inf")
    if bytes_per_row is None or memory is None:
        raise ValueError(
            f"`bytes_per_row` and `memory` must be given together, got {bytes_per_row} and {memory}. Give both or none."
        )
    per_row = check_number("bytes_per_row", bytes_per_row, 0, low_open=True)
    free = check_number("memory", memory, 0, low_open=True)
    if free < per_row:
        raise ValueError(
            f"`memory` must hold at least one row of `bytes_per_row`={per_row:g} bytes, got {free:g} bytes. Free "
            "memory, use a smaller model, or a lower precision."
        )
    return free / per_row


def _powers(low: int, high: float) -> list[int]:
    """Return the powers of two in ``[low, high]``; ``low`` is one of them."""
    found = []
    while low <= high:
        found.append(low)
        low *= 2
    return found
