"""Text and figure: the text and the figure of a result, as an HTML fragment for notebooks."""

import base64
import html
from collections.abc import Callable
from typing import Any


def text_and_figure(text: str, draw: Callable[[], Any], alt: str) -> str:
    """Return the text and the embedded figure; only the text if matplotlib is not installed.

    Args:
        text: the printed text.
        draw: returns the figure.
        alt: the alternative text of the picture.

    Example:
        >>> def draw():
        ...     raise ModuleNotFoundError("matplotlib")
        >>> text_and_figure("lr <= 0.1", draw, "learning rate")
        '<div><pre>lr &lt;= 0.1</pre></div>'
    """
    shown = f"<pre>{html.escape(text)}</pre>"
    try:
        figure = draw()
    except ModuleNotFoundError:
        return f"<div>{shown}</div>"
    from lightning_tricks.reports.shown_figure import png_of

    data = base64.b64encode(png_of(figure)).decode()
    return f'<div>{shown}<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}"/></div>'
