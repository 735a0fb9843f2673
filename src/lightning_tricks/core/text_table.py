"""Text table: rows of cells as lines of aligned columns."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line per row, with the cells of each column on the left of a column as wide as the widest.

    Example:
        >>> align([["job", "loss"], ["12", "0.5"]])
        ['job  loss', '12   0.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
