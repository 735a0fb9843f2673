"""LR path: the first, highest and last learning rate of a run, as three numbers that are saved in checkpoints."""


def extend_path(path: list[float], lr: float) -> list[float]:
    """Return ``[first, highest, last]`` after one more learning rate.

    Args:
        path: the previous return value, or an empty list.
        lr: learning rate of the coming step, in the group with the largest rate.

    Example:
        >>> path = []
        >>> for lr in [0.01, 0.1, 0.001]:
        ...     path = extend_path(path, lr)
        >>> path
        [0.01, 0.1, 0.001]
    """
    return [path[0], max(path[1], lr), lr] if path else [lr, lr, lr]


def describe_path(path: list[float]) -> str:
    """Return the path as a sentence.

    Example:
        >>> describe_path([0.01, 0.1, 9.765625e-06]), describe_path([0.1, 0.1, 0.05]), describe_path([0.1, 0.1, 0.1])
        ('LR 1e-2 -> 9.8e-6, highest 1e-1.', 'LR 1e-1 -> 5e-2.', 'LR 1e-1.')
    """
    first, highest, last = path
    ends = [short(first)] if first == highest == last else [short(first), short(last)]
    return f"LR {' -> '.join(ends)}{f', highest {short(highest)}' if highest > max(first, last) else ''}."


def short(value: float) -> str:
    """Format a rate with two significant digits.

    Example:
        >>> short(0.01), short(9.765625e-06), short(1.0)
        ('1e-2', '9.8e-6', '1')
    """
    mantissa, exponent = f"{value:.1e}".split("e")
    mantissa = mantissa.removesuffix(".0")
    return mantissa if int(exponent) == 0 else f"{mantissa}e{int(exponent)}"
