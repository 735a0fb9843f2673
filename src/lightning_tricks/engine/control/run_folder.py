"""Run folder: where a run keeps files that no other run shares."""

import os
import sys
from typing import Any


def run_folders(trainer: Any, job_folder: str | None = None) -> list[str]:
    """Return the folders that identify a run, its own first; to be called on the rank that writes.

    Args:
        trainer: the first of its loggers with a ``log_dir`` (TensorBoard and CSV loggers) provides the folder of the
            run; its ``default_root_dir``, which other runs may share, comes last.
        job_folder: the folder of the Hydra job, if there is one.

    Example:
        >>> from types import SimpleNamespace
        >>> logger = SimpleNamespace(log_dir="/runs/version_3")
        >>> run_folders(SimpleNamespace(loggers=[logger], default_root_dir="/runs"), "/outputs/17-05-00")
        ['/runs/version_3', '/outputs/17-05-00', '/runs']
        >>> run_folders(SimpleNamespace(loggers=[], default_root_dir="/runs"))
        ['/runs']
    """
    log_dirs = [getattr(logger, "log_dir", None) for logger in trainer.loggers]
    found = [*log_dirs, job_folder, trainer.default_root_dir]
    local = [os.path.abspath(folder) for folder in found if folder and "://" not in str(folder)]
    return list(dict.fromkeys(local)) or [os.getcwd()]


def hydra_job_folder() -> str | None:
    """Return the output folder of the Hydra job of this process, without importing Hydra if it is not imported."""
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return None
    runtime = module.HydraConfig.get().runtime
    # a configuration composed in a notebook has none
    return str(runtime["output_dir"]) if "output_dir" in runtime else None
