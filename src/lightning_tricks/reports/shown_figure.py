"""Shown figure: a matplotlib ``Figure`` that a notebook displays without a magic command."""

import io
from typing import Any

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure without a window and outside of pyplot's global list, which Jupyter shows as a picture."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


def png_of(figure: Any) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90)
    return picture.getvalue()
