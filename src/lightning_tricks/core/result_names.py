"""Result names: the names of tricks' results in loggers, which distinguish them from metrics of a model."""

RESULT_PREFIX = "tricks/"
"""First part of the names; TensorBoard and W&B show all of them in one section."""


def is_result(name: str) -> bool:
    """Return whether a logged name belongs to a trick's result.

    Example:
        >>> is_result("tricks/EarlyStopping/best_score"), is_result("val/loss")
        (True, False)
    """
    return name.startswith(RESULT_PREFIX)
