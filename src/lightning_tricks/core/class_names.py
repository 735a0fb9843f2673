"""Class names: recognize objects of classes that several packages define, or that it would cost too much to import."""


def is_instance_of(value: object, *names: str) -> bool:
    """Return whether an object is of a class of one of these names or of a subclass, whichever package defines it.

    Example:
        >>> is_instance_of(True, "int"), is_instance_of(True, "float", "str")
        (True, False)
    """
    return any(kind.__name__ in names for kind in type(value).__mro__)
