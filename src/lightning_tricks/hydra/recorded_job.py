"""Recorded jobs: run an application's function and record its outcome."""

import logging
import math
import os
import re
import time
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import DictConfig

from lightning_tricks.sweeps.sweep_records import JOB_FILE, JobRecord, read_job, write_job
from lightning_tricks.sweeps.sweep_standing import describe_job, read_standing

log = logging.getLogger(__name__)

_ENDINGS = (re.compile(r"^Training (.+?) \(epoch "), re.compile(r"^`Trainer\.fit` (stopped: .+?)\.?$"))
_TRAINERS = ("", "lightning.pytorch", "pytorch_lightning")  # neither package propagates its messages to the root logger


class JobExitError(RuntimeError):
    """A job called ``sys.exit`` with a status that indicates failure."""


class RecordedJob:
    """Call the application's function, and write ``sweep_job.json`` into the job's folder before and after.

    It runs where the launcher runs the job: in this process, in another process, or on another machine.
    """

    def __init__(self, task_function: TaskFunction) -> None:
        self.__wrapped__ = task_function

    def __call__(self, config: DictConfig) -> Any:
        """Run the job; a failure is recorded and raised again for the launcher."""
        if later_rank():  # only the first process of a job writes the record
            return self.__wrapped__(config)
        folder = Path(HydraConfig.get().runtime.output_dir)
        before = read_job(folder)
        if before is not None and before.status == "completed":
            raise RuntimeError(f"{folder} contains a completed job: the launcher numbers its jobs differently.")
        start, ending = time.time(), _StopReasonHandler()
        record = JobRecord("running", start)
        write_job(folder, record)
        try:
            with ending:
                result = self._call(config)
            record = replace(record, status="completed", result=_number(result))
            if line := _describe_standing(folder, record.result):
                log.info(line)
            return result
        except Exception as error:
            log.exception("This job failed.")  # into the job's log; the sweep continues and shows only the message
            record = replace(record, status="failed", error=_short(error))
            raise
        except KeyboardInterrupt:
            record = replace(record, status="interrupted")
            raise
        finally:
            write_job(folder, replace(record, seconds=time.time() - start, stopped_by=ending.words))

    def _call(self, config: DictConfig) -> Any:
        try:
            return self.__wrapped__(config)
        except SystemExit as end:  # it would end the whole sweep if the launcher runs jobs in its own process
            if end.code in (None, 0):
                return None
            raise JobExitError(f"the job called sys.exit({end.code!r})") from end


def _describe_standing(folder: Path, result: float | None) -> str:
    """Return what a job returned or logged, and the best of its sweep so far; other jobs may have ended meanwhile."""
    config: Any = HydraConfig.get()
    if result is None:
        sweep = read_standing(Path(config.sweep.dir))
        return describe_job(sweep, config.job.get("num", folder.name)) if sweep is not None else ""
    ended = {folder.name: result}
    for path in Path(config.sweep.dir).glob(f"*/{JOB_FILE}"):
        record = read_job(path.parent)
        if record and record.status == "completed" and record.result is not None:
            ended[path.parent.name] = record.result
    choose = max if config.sweeper.get("direction") == "maximize" else min
    best = choose(ended, key=lambda name: ended[name])
    return f"Job {config.job.get('num', folder.name)} returned {result:.6g}; best so far {ended[best]:.6g} (job {best})"


class _StopReasonHandler(logging.Handler):
    """Capture the log line that reports what ended a training, ours or the Trainer's."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.words = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        found = next((match for match in (ending.match(message) for ending in _ENDINGS) if match), None)
        if found:
            self.words = found[1].replace("`", "")

    def __enter__(self) -> None:
        for name in _TRAINERS:
            logging.getLogger(name).addHandler(self)

    def __exit__(self, *error: object) -> None:
        for name in _TRAINERS:
            logging.getLogger(name).removeHandler(self)


def later_rank() -> str:
    """Return the variable that marks this as a further process of a job, such as ``"RANK=1"``; otherwise nothing."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        rank = os.environ.get(name, "0")
        if rank.isdigit() and int(rank) > 0:
            return f"{name}={rank}"
    return ""


def _number(result: Any) -> float | None:
    """Return an application's result as a number if it is a float, or a tensor or array with one element."""
    if isinstance(result, bool) or not (isinstance(result, Real) or hasattr(result, "item")):
        return None
    try:
        number = float(result)
    except (TypeError, ValueError, RuntimeError):  # more than one element
        return None
    return number if math.isfinite(number) else None


def _short(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
