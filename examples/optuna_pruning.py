"""Optuna's pruner on digits: unpromising trainings stop after a few epochs.

Requires `pip install 'lightning-tricks[optuna]'` (optuna 4 or later). Hydra's Optuna sweeper does not support pruning,
because a job has no access to its trial. Therefore this is a study without Hydra, with a callback of a few lines.
Usage: python examples/optuna_pruning.py [FILE] [TRIALS]
"""

import logging
import sys
import warnings

import lightning as L
import optuna

from digits import CNN, Digits
from lightning_tricks import CosineDecay
from lightning_tricks.reports.curves import new_figure

EPOCHS, AXES = 12, {"yscale": "log", "xlabel": "epoch", "ylabel": "validation loss"}
QUIET = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


class ReportToTrial(L.Callback):
    """Report the validation loss of each epoch to Optuna, and stop a training that its pruner rejects."""

    def __init__(self, trial: optuna.Trial, monitor: str = "val_loss") -> None:
        self.trial, self.monitor, self.epochs = trial, monitor, 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs += 1
        self.trial.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search(pruner: optuna.pruners.BasePruner, trials: int) -> tuple[optuna.Study, int]:
    """Return a study of ``trials`` trainings, and the total number of epochs."""
    epochs = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal epochs
        L.seed_everything(0, verbose=False)
        lr = trial.suggest_float("lr", 1e-4, 3.0, log=True)
        distance = trial.suggest_float("1 - momentum", 0.01, 0.5, log=True)
        report = ReportToTrial(trial)
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=EPOCHS, num_sanity_val_steps=0, callbacks=[CosineDecay(), report], **QUIET
        )
        try:
            trainer.fit(CNN(lr=lr, momentum=1 - distance), Digits())
        finally:
            epochs += report.epochs
        return float(trainer.callback_metrics["val_loss"])

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    study.optimize(objective, n_trials=trials)
    return study, epochs


def main(file: str = "optuna_pruning.png", trials: str = "16") -> None:
    """Run the same search without and with the pruner, and draw the loss of each training."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {"no pruner": optuna.pruners.NopPruner(), "median": optuna.pruners.MedianPruner(n_warmup_steps=2)}
    panels = new_figure((8, 3.2)).subplots(1, 2, sharey=True, subplot_kw=AXES)
    for axes, (name, pruner) in zip(panels, pruners.items(), strict=True):
        study, epochs = search(pruner, int(trials))
        pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
        best = study.best_trial
        print(f"{name:<10} {epochs:4} epochs, {pruned} pruned, best val_loss {best.value:.4f} in {best.number}")
        for trial in study.trials:
            axes.plot(*zip(*trial.intermediate_values.items(), strict=True), color="C0" if trial == best else "0.7")
        axes.set_title(f"{name}: {epochs} epochs", fontsize=10)
    axes.figure.savefig(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
