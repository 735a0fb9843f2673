"""Report output: write the files of a report, and send its figure to the loggers that accept figures."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_tricks.core.atomic_files import write_atomically
from lightning_tricks.reports.run_data import RunData
from lightning_tricks.reports.run_page import show_page
from lightning_tricks.reports.run_picture import draw_curves
from lightning_tricks.reports.run_record import RunRecord

CURVES = "curves.png"


def write_files(folder: Path, record: RunRecord, *, curves: bool) -> Path | None:
    """Write ``report.json``, ``report.html`` and, if there is anything to draw, ``curves.png``.

    Returns:
        The path of the picture; ``None`` if there is none.

    Raises:
        OSError: the folder cannot be written to.
    """
    write_atomically(folder / "report.json", record.to_json())
    write_atomically(folder / "report.html", show_page(record))
    picture = draw_curves(record) if curves else None
    if picture is None:
        return None
    write_atomically(folder / CURVES, picture)
    return folder / CURVES


def log_picture(loggers: Iterable[Any], picture: Path, record: RunData) -> None:
    """Send the picture of a report to each logger that accepts figures, at the step of the report.

    A logger is recognized by its public methods: ``log_image`` (Weights & Biases), an experiment with ``add_image``
    (TensorBoard), an experiment with ``log_artifact`` and a ``run_id`` (MLflow). A logger that only writes files
    (``CSVLogger``) gets a copy in its folder.
    """
    for logger in loggers:
        experiment = getattr(logger, "experiment", None)
        if callable(getattr(logger, "log_image", None)):
            logger.log_image(key="report/curves", images=[str(picture)], step=record.steps)
        elif callable(getattr(experiment, "add_image", None)):
            experiment.add_image("report/curves", _pixels(picture), record.steps, dataformats="HWC")  # type: ignore[union-attr]
        elif callable(getattr(experiment, "log_artifact", None)) and getattr(logger, "run_id", None):
            experiment.log_artifact(logger.run_id, str(picture), "report")  # type: ignore[union-attr]
        elif type(logger).__name__ == "CSVLogger" and Path(logger.log_dir) != picture.parent:
            write_atomically(Path(logger.log_dir) / CURVES, picture.read_bytes())


def _pixels(picture: Path) -> Any:
    """Return ``(H, W, 3)`` colors in [0, 1]."""
    from matplotlib.image import imread

    return imread(io.BytesIO(picture.read_bytes()))[:, :, :3]
