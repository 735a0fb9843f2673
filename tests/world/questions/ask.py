"""Ask the doctor about a program: before training, or in a fit where only that shows the cause."""

from typing import Any

import lightning.pytorch as L

from lightning_tricks import Doctor, diagnose


def ask(arguments: dict[str, Any]) -> Any:
    """Return the report of `diagnose` with these arguments or, with `fit` among them, of a fit with these settings."""
    arguments = dict(arguments)
    settings = arguments.pop("fit", None)
    return diagnose(**arguments) if settings is None else _fit(settings, **arguments)


def _fit(
    settings: dict[str, Any], model: L.LightningModule, train_dataloaders: Any, val_dataloaders: Any = None
) -> Any:
    doctor = Doctor()
    settings = {"log_every_n_steps": 5, **settings}
    settings["callbacks"] = [doctor, *settings.get("callbacks", ())]
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, **settings)  # fmt: skip
    trainer.fit(model, train_dataloaders, val_dataloaders)
    return doctor.report
