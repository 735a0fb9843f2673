"""Task configuration: what the function of the Hydra job that runs at this moment was given."""

import sys

from omegaconf import DictConfig


def config_of_task() -> DictConfig | None:
    """Return the configuration of the job that this function is called in, ``None`` outside of jobs.

    Hydra hands it to the application alone, and gives callbacks another copy: it is read from the frame that calls the
    application.
    """
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_job":
        frame = frame.f_back  # type: ignore[assignment]
    found = None if frame is None else frame.f_locals.get("task_cfg")
    return found if isinstance(found, DictConfig) else None
