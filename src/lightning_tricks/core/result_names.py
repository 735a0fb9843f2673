"""Result names: how loggers name the results of tricks, so that they are not mistaken for metrics of a model."""

RESULT_PREFIX = "tricks/"
"""First part of the names; TensorBoard and W&B show all of them in one section."""


def is_result(name: str) -> bool:
    """Return whether a logged name is that of a trick's result.

    Example:
        >>> is_result("tricks/EarlyStopping/best_score"), is_result("val/loss")
        (True, False)
    """
    return name.startswith(RESULT_PREFIX)
