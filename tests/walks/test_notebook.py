"""A walk through a notebook: a real Jupyter kernel runs its cells, and what each shows is what the pages promise."""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kernel import execute

PAGE = (Path(__file__).parents[2] / "docs" / "entry-points.md").read_text()
FIT = """
from lightning.pytorch import Trainer
from tiny import LargeBatchNet as Net, StatefulLoader
from lightning_tricks import *
finder, stopping, doctor, report = LRFinder(num_steps=30), EarlyStopping(), Doctor(), RunReport(curves=False)
trainer = Trainer(max_epochs=2, accelerator="cpu", callbacks=[finder, stopping, doctor, report], logger=False,
                  enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Net())
"""
CELLS = {
    "page": "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)),
    "callbacks": "callbacks",
    "one callback": "callbacks[0]",
    "preview": "from lightning_tricks import preview_lr\npreview_lr(callbacks, 10, 100, lr=0.1)",
    "preview drawn": "preview_lr(callbacks, 10, 100, lr=0.1).plot()",
    "fit": FIT,
    "finder": "finder.result",
    "finder drawn": "finder.result.plot()",
    "doctor": "doctor.report",
    "run": "report.report",
    "checklist": "report.report.checklist",
    "without a fit": "find_lr(Net(), StatefulLoader(), num_steps=20)",
    "wrong": "CosineDecay(end_factor=2)",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each cell left below it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()])
    execute(notebook, tmp_path_factory.mktemp("notebook"), allow_errors=True)
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def result(outputs: list[Any]) -> Any:
    (shown,) = (output for output in outputs if output.output_type == "execute_result")
    return shown.data


def printed(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_no_cell_fails_but_the_one_that_is_wrong(outputs: dict[str, list[Any]]) -> None:
    errors = {name: out[-1].evalue for name, out in outputs.items() if out and out[-1].output_type == "error"}
    assert list(errors) == ["wrong"]
    assert errors["wrong"].startswith("`end_factor` must")
    own = printed(outputs["page"])
    assert not own or "TqdmWarning: IProgress not found" in own, "composing prints nothing; tqdm misses ipywidgets"


def test_callbacks_are_the_calls_that_build_them(outputs: dict[str, list[Any]]) -> None:
    assert result(outputs["callbacks"])["text/plain"] == "[OneCycle(pct_start=0.2), GradientClipping()]"
    assert result(outputs["one callback"])["text/html"].startswith("<code>OneCycle(pct_start=0.2)</code>")


@pytest.mark.parametrize("name", ["preview drawn", "finder drawn"])
def test_a_plot_is_a_picture_without_magic(name: str, outputs: dict[str, list[Any]]) -> None:
    assert base64.b64decode(result(outputs[name])["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["preview", "finder", "without a fit"])
def test_a_result_shows_its_text_and_its_picture(name: str, outputs: dict[str, list[Any]]) -> None:
    data = result(outputs[name])
    assert "data:image/png;base64," in data["text/html"]
    assert "\n" not in data["text/plain"].strip("\n")[:200]


@pytest.mark.parametrize("name", ["doctor", "run", "checklist"])
def test_a_report_is_a_page_and_its_text_is_short(name: str, outputs: dict[str, list[Any]]) -> None:
    data = result(outputs[name])
    assert len(data["text/html"]) > 500
    assert len(data["text/plain"]) < 200


def test_a_fit_reports_rate_findings_and_end_and_a_search_alone_prints_nothing(outputs: dict[str, list[Any]]) -> None:
    text = printed(outputs["fit"])
    assert "LRFinder: learning rate" in text
    assert "Doctor: LargeBatchNet:" in text
    assert "Training ended at max_epochs=2 (epoch 1, step 12). Best val_loss" in text
    assert "GPU available" not in printed(outputs["without a fit"])
