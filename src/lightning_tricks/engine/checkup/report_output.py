"""Report output: write the files of a report, and send its figure to the loggers of the run."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from lightning_tricks.core.atomic_files import write_atomically
from lightning_tricks.engine.run.result_logging import log_figure
from lightning_tricks.reports.run_page import show_page
from lightning_tricks.reports.run_picture import draw_curves
from lightning_tricks.reports.run_record import RunRecord

CURVES = "curves.png"


def write_files(folder: Path, record: RunRecord, *, curves: bool) -> Any | None:
    """Write ``report.json``, ``report.html`` and, if there is anything to draw, ``curves.png``.

    Returns:
        The matplotlib figure of ``curves.png``; ``None`` if there is none.

    Raises:
        OSError: the folder cannot be written to.
    """
    write_atomically(folder / "report.json", record.to_json())
    write_atomically(folder / "report.html", show_page(record))
    figure = draw_curves(record) if curves else None
    if figure is not None:
        from lightning_tricks.reports.shown_figure import png_of  # imports matplotlib

        write_atomically(folder / CURVES, png_of(figure))
    return figure


def log_curves(trainer: Trainer, figure: Any, folder: Path) -> None:
    """Send the figure of a report to the loggers that accept figures, and copy it into the folders of CSV loggers.

    Args:
        trainer: the Trainer of the run.
        figure: the matplotlib figure.
        folder: the folder of the report, which has its ``curves.png`` already.

    Raises:
        OSError: the folder of a CSV logger cannot be written to.
    """
    log_figure(trainer, lambda: figure, "report/curves")
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger) and Path(logger.log_dir) != folder:
            write_atomically(Path(logger.log_dir) / CURVES, (folder / CURVES).read_bytes())
