"""Task configuration: find the configuration of the running Hydra job, and the callbacks of a Trainer being built."""

import sys
from typing import Any

from omegaconf import DictConfig


def config_of_task() -> DictConfig | None:
    """Return the configuration of the current job; ``None`` outside of jobs.

    Hydra passes it only to the application, and gives callbacks another copy, so it is read from the frame that calls
    the application.
    """
    found = _local_of("run_job", "task_cfg")
    return found if isinstance(found, DictConfig) else None


def callbacks_of_new_trainer() -> list[Any]:
    """Return the callbacks that the script passed to the Trainer that is being built."""
    connector = _local_of("on_trainer_init", "self")
    return list(getattr(getattr(connector, "trainer", None), "callbacks", ()))


def _local_of(function: str, name: str) -> Any:
    """Return a variable of the nearest calling function with that name; ``None`` if there is none."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else frame.f_locals.get(name)
