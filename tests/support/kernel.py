"""Run the cells of a notebook in a Jupyter kernel."""

from pathlib import Path

import nbclient
import nbformat
from subprocesses import import_paths


def execute(notebook: nbformat.NotebookNode, folder: Path, *, allow_errors: bool = False) -> None:
    """Run the cells one after the other; each then holds what it left below it.

    Args:
        notebook: a notebook.
        folder: the folder in which the kernel runs.
        allow_errors: whether to continue after a cell that fails.
    """
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=120, allow_errors=allow_errors, resources=resources)
    client.execute(env=import_paths() | {"IPYTHONDIR": str(folder), "JUPYTER_PLATFORM_DIRS": "1"})
