"""A light Hydra application to sweep: a quadratic in three settings, written to the file that a CSVLogger would write.

The environment tells it to fail (FAIL=1,3), to call sys.exit (EXIT=2) or to be killed (KILL=7) in those jobs, or to fit
on two processes instead (STRATEGY=ddp).
Usage: python sweep_app.py OVERRIDES
"""

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import hydra

HERE = str(Path(__file__).parent)
RAN: list[str] = []  # the numbers of the jobs that this process ran
QUIET = ("hydra/hydra_logging=none", "hydra/job_logging=none")


def quadratic(cfg: Any) -> float:
    job = HydraConfig.get().job
    number = str(job.get("num", ""))
    RAN.append(number)
    if number in os.environ.get("KILL", "").split(","):
        os.kill(os.getpid(), signal.SIGKILL)
    if number in os.environ.get("FAIL", "").split(","):
        raise ArithmeticError(f"job {number} was told to fail")
    if number in os.environ.get("EXIT", "").split(","):
        sys.exit(3)
    out = Path(HydraConfig.get().runtime.output_dir)
    loss = (cfg.model.lr - 0.1) ** 2 + (cfg.model.momentum - 0.8) ** 2 + cfg.model.width / 1e4
    (out / "logs").mkdir(exist_ok=True)
    (out / "logs" / "metrics.csv").write_text(f"epoch,lr,step,val_loss\n0,,10,{loss + 1}\n0,1,11,\n1,,20,{loss}\n")
    log = logging.getLogger("lightning.pytorch")
    log.setLevel(logging.INFO)  # as importing Lightning does
    log.info("Training ended at max_epochs=2 (epoch 2, step 20). Best ...")
    return loss


def fit_on_two_ranks(cfg: Any) -> float:
    """Fit with the strategy in STRATEGY; each rank writes down its values, the rate of its first step, its weights."""
    from tiny import Net, trainer

    net, out = Net(lr=cfg.model.lr), Path(HydraConfig.get().runtime.output_dir)
    fit = trainer(strategy=os.environ.get("STRATEGY", "ddp_fork"), devices=2, max_epochs=1)
    net.on_train_end = lambda: (out / f"rank{fit.global_rank}").write_text(
        f"{cfg.model.lr!r} {net.trace[0]} {net.head.weight.tolist()}"
    )
    fit.fit(net)
    return float(cfg.model.lr)


def sweep(folder: Path, *overrides: str, task: Callable[[Any], float] = quadratic) -> tuple[int, str]:
    """Sweep in this process; return the status, and what went to stderr."""
    errors = io.StringIO()
    before = sys.argv
    sys.argv = ["sweep_app.py", "-m", "hydra/sweeper=lightning_tricks_random", f"hydra.sweep.dir={folder}", *QUIET]
    sys.argv += overrides
    try:
        with contextlib.redirect_stderr(errors):
            hydra.main(version_base="1.3", config_path=HERE, config_name="sweep_app")(task)()
    except SystemExit as end:
        return int(end.code or 0), errors.getvalue()
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()
    return 0, errors.getvalue()


if __name__ == "__main__":
    main = fit_on_two_ranks if "STRATEGY" in os.environ else quadratic
    hydra.main(version_base="1.3", config_path=HERE, config_name="sweep_app")(main)()
