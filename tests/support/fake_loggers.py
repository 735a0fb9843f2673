"""Loggers by whose class names ours are found, each with its client; they keep the numbers, texts and figures."""

from types import SimpleNamespace
from typing import Any

from lightning.pytorch.loggers.logger import DummyLogger


class PlainLogger(DummyLogger):
    """A logger for which no way to log a text or a figure is known."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, list[tuple[int, float]]] = {}
        self.texts: dict[str, str] = {}
        self.figures: list[tuple[Any, ...]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.numbers.setdefault(name, []).append((int(step or 0), value))

    def keep(self, figure: Any, *place: Any) -> None:
        assert figure.axes
        self.figures.append(place)


class TensorBoardLogger(PlainLogger):
    """``experiment`` is a ``SummaryWriter``."""

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(
            add_text=lambda tag, text, step: self.texts.update({tag: text.strip("`\n")}),
            add_figure=lambda tag, figure, step: self.keep(figure, tag, step),
        )


class MLFlowLogger(PlainLogger):
    """``experiment`` is an ``MlflowClient``."""

    run_id = "run 7"

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(
            log_text=lambda run_id, text, file: self.texts.update({file.removesuffix(".txt"): text}),
            log_figure=lambda run_id, figure, file: self.keep(figure, run_id, file),
        )


class WandbLogger(PlainLogger):
    def log_text(self, key: str, columns: list[str], data: list[list[str]], step: int) -> None:
        assert columns == ["text"]
        self.texts[key] = data[0][0]

    def log_image(self, key: str, images: list[Any], step: int) -> None:
        self.keep(images[0], key, step)


class CometLogger(PlainLogger):
    """``experiment`` is a ``comet_ml.Experiment``."""

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(
            log_text=lambda text, step: self.texts.update([text.split("\n", 1)]),
            log_figure=lambda name, figure, step: self.keep(figure, name, step),
        )
