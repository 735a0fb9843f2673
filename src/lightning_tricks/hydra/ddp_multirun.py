"""DDP in Hydra's multirun: each process of a job gets that job's configuration, and nothing is left for the next job.

A strategy that starts its processes as children of the script repeats the command line in them. With ``--multirun``
this repeats the whole sweep in each child, with its own sweeper: rank 0 trains with one drawn rate, rank 1 with
another.
"""

import copy
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig, flag_override

from lightning_tricks.hydra.pinning import pin_values_
from lightning_tricks.hydra.task_config import config_of_task

_log = logging.getLogger(__name__)
_VARIABLES = (
    *("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "PYTHONPATH"),
)
_LAUNCHERS = ("lightning.fabric", "lightning.pytorch", "lightning_fabric", "pytorch_lightning")
_COMMAND = "_hydra_subprocess_cmd"  # a private function of Lightning that builds the command of a child
_QUIET = "ignore:Experimental rerun CLI option:UserWarning"
_PATIENCE = 20.0  # seconds after which the children of a failed job are terminated

_CURE = (
    "Use `trainer.strategy=ddp_spawn` or `ddp_fork`, whose processes are not started from the command line, or the "
    "versions of lightning that lightning-tricks names in its README."
)


class DDPMultirun(Callback):
    """Start a job's processes with the job's configuration, and restore process group and environment afterwards.

    Select it with ``hydra/callbacks=lightning_tricks_ddp``. All ranks then have the same sampled values, in one job
    directory, under any sweeper, any launcher, and for every strategy whose processes are children of the script (DDP,
    FSDP, ModelParallel, DeepSpeed). Processes that torchrun or SLURM started are not changed.
    """

    def __init__(self) -> None:
        self._program: list[str] = []
        self._job: _Job | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record how this program was started, because a launcher may run its jobs in processes of another program."""
        self._program = program_of_this_process()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Do the same, and stop a child that repeats the sweep.

        Raises:
            SystemExit: a child repeats the sweep; Hydra turns other exceptions of a callback into warnings.
        """
        if "LOCAL_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise SystemExit(
                f"lightning_tricks_ddp: the process of LOCAL_RANK={os.environ['LOCAL_RANK']} was started with the "
                f"command of the whole sweep and would draw its own values. {_CURE}"
            )
        self._program = program_of_this_process()

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Make the job's children start with its configuration."""
        if "LOCAL_RANK" in os.environ:  # another launcher has started the processes
            return
        job_config = config_of_task()
        if job_config is not None:
            pin_values_(job_config, job_config, config)
        pin_values_(config, config)
        self._job = _Job(self._program or program_of_this_process(), config)
        self._job.begin()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Restore everything before the next job."""
        if self._job is not None:
            self._job.end(succeeded=job_return.status == JobStatus.COMPLETED)
            self._job = None


class _Job:
    """One job: what it changed in this process, and how its children are started."""

    def __init__(self, program: list[str], config: DictConfig) -> None:
        self.program, self.config = program, config
        self.workplace = os.getcwd()  # `hydra.job.chdir` has already been applied
        self.folder = Path(tempfile.mkdtemp(prefix="lightning-tricks-"))
        self.environment = {name: os.environ.get(name) for name in _VARIABLES}
        self.replaced: list[tuple[Any, Any]] = []

    def begin(self) -> None:
        """Replace the function that builds the command of a child, in both Lightning packages.

        Raises:
            RuntimeError: the function does not exist in this version.
        """
        for module in _launcher_modules():
            if not callable(getattr(module, _COMMAND, None)):
                raise RuntimeError(f"`{module.__name__}` no longer has `{_COMMAND}`, so ranks may differ. {_CURE}")
            self.replaced.append((module, getattr(module, _COMMAND)))
            setattr(module, _COMMAND, self.command)
        original = self.config.hydra.runtime.cwd
        if self.program[0] == "-m" and original != self.workplace:  # `-m` searches the folder it is started from
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [original, os.environ.get("PYTHONPATH")]))

    def command(self, local_rank: int) -> tuple[list[str], str]:
        """Return the command of a child, the program with this job's configuration, and its working folder."""
        name = f"train_ddp_process_{local_rank}"  # Lightning's name, so that the child has its own log file
        config = copy.deepcopy(self.config)
        with flag_override(config.hydra, "readonly", False):
            config.hydra.job.name = name
            # not needed by a child, and not picklable by a launcher's worker
            config.hydra.launcher = config.hydra.sweeper = None
        file = self.folder / f"{name}.pickle"
        file.write_bytes(pickle.dumps(config))
        return [sys.executable, "-W", _QUIET, *self.program, "--experimental-rerun", str(file)], self.workplace

    def end(self, succeeded: bool) -> None:
        """Restore everything, and stop the child processes."""
        for module, original in self.replaced:
            setattr(module, _COMMAND, original)
        # imported here, because torch is not needed if jobs run elsewhere
        distributed = import_module("torch.distributed")
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
        _wait_for_children(succeeded)
        for name, value in self.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self.folder, ignore_errors=True)


def program_of_this_process() -> list[str]:
    """Return the part of this process's command after ``python``, without the arguments."""
    spec = sys.modules["__main__"].__spec__
    return [os.path.abspath(sys.argv[0])] if spec is None else ["-m", spec.name]


def _launcher_modules() -> list[Any]:
    """Return the modules that start children, of `lightning` and of its other package if installed."""
    found = []
    for package in _LAUNCHERS:
        try:
            found.append(import_module(f"{package}.strategies.launchers.subprocess_script"))
        except ModuleNotFoundError:
            if package.startswith("lightning."):
                raise
    return found


def _wait_for_children(succeeded: bool) -> None:
    """Wait for the children of a job that has ended.

    Lightning's observer ends this process, and so the sweep, if a child has failed; it must not outlive the job.
    """
    for thread in threading.enumerate():
        children = getattr(thread, "_child_processes", None) if thread.name == "child-process-observer" else None
        if not isinstance(children, list):
            continue
        observed, children[:] = list(children), []
        for child in observed:
            try:
                child.wait(None if succeeded else _PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if succeeded and child.returncode:
                _log.warning(f"A process of this job, PID {child.pid}, ended with status {child.returncode}.")
