"""The notebooks: a kernel runs them, and what they print and draw is what is stored in them, except for numbers."""

import base64
import copy
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kernel import execute

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))


def shown(cell: Any) -> list[str]:
    """What a cell printed and drew, with all numbers alike; long lines may be broken elsewhere.

    A kernel sends what is printed when it has the time, in one message or in several, also between a line and its end.
    """
    printed, drawn = "", []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            printed += output.text
        elif output.output_type != "stream":
            drawn += [output.data["text/plain"], *sorted(output.data)]
    return [" ".join(re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", text).split()) for text in (printed, *drawn)]


def test_what_a_kernel_sends_in_pieces_is_what_it_sends_at_once() -> None:
    def cell(*texts: str) -> Any:
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in texts]
        return nbformat.v4.new_code_cell(outputs=outputs)

    assert shown(cell("2 steps\n", "no finding", "\n")) == shown(cell("3 steps\nno finding\n"))
    assert shown(cell("2 steps\n", "no finding", "\n")) != shown(cell("no finding\n"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_is_what_is_stored_in_it(path: Path, tmp_path: Path) -> None:  # a kernel: seconds
    stored = nbformat.read(path, as_version=4)
    run = copy.deepcopy(stored)
    execute(run, tmp_path)
    hint = f"run `jupyter execute --inplace {path.name}`"
    assert [shown(cell) for cell in run.cells] == [shown(cell) for cell in stored.cells], hint


def test_notebooks_are_small_name_what_to_install_and_show_pictures() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["find_train_read", "fix_a_model"]
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 400_000
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert "pip install 'lightning-tricks[plot]' scikit-learn" in notebook.cells[0].source
        pictures = [
            data["image/png"]
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if "image/png" in (data := output.get("data", {}))
        ]
        assert pictures
        assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
