"""Run programs in processes of their own: fresh interpreters, or forks of one that has done the imports."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")
PRELOAD = ["torch", "lightning.pytorch", "pytorch_lightning", "hydra", "omegaconf", "sklearn.datasets", "matplotlib"]
Completed = subprocess.CompletedProcess[str]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(PRELOAD)


def import_paths() -> dict[str, str]:
    """Return the environment, with all that can be imported here on `PYTHONPATH`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run_script(name: str, *arguments: object, cwd: Path | None = None, ranks: int = 1, **environment: str) -> Completed:
    """Run `scripts/<name>.py` for at most ten minutes and return its status and output."""
    words = [str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    return run_forked(words, cwd=cwd, environment=import_paths() | environment, ranks=ranks)


def run_fresh(words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Completed:
    """Run ``python *words`` in an interpreter of its own, as a person would start it."""
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)


def run_forked(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ranks: int = 1,
    encoding: str = "utf-8",
    timeout: float = 600,
) -> Completed:
    """Run ``python *words`` in a process that is forked from one that has imported torch and Lightning.

    It starts in 20 ms, where a fresh interpreter needs seconds to import them. It has nothing of pytest's process.

    Args:
        words: what follows ``python``: a script or ``-m`` and a module, and arguments.
        cwd: the folder it runs in.
        environment: all its variables; ``PYTHONPATH`` and ``PYTHONIOENCODING`` act as in a fresh interpreter.
        ranks: how many to run at once, with the variables that ``torchrun`` sets, so that Lightning launches no more.
        encoding: of its output.
        timeout: seconds.
    """
    variables = dict(os.environ if environment is None else environment)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for rank, place in enumerate(_places(ranks)):
            given = (list(words), str(cwd or os.getcwd()), variables | place, f"{folder}/{rank}")
            runs.append(_SERVER.Process(target=_run, args=given))
            runs[-1].start()
        statuses = [_status(run, words, timeout) for run in runs]
        out, err = (_read(folder, name, ranks, encoding) for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(words, next((status for status in statuses if status), 0), out, err)


def _places(ranks: int) -> list[dict[str, str]]:
    """Return the variables of each rank; none for a single process."""
    if ranks == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(ranks)}
    return [common | {"LOCAL_RANK": str(rank)} for rank in range(ranks)]


def _status(run: multiprocessing.process.BaseProcess, words: Sequence[str], timeout: float) -> int:
    run.join(timeout)
    if run.exitcode is None:
        run.kill()
        raise subprocess.TimeoutExpired(words, timeout)
    return run.exitcode


def _read(folder: str, name: str, ranks: int, encoding: str) -> str:
    return "".join(Path(f"{folder}/{rank}.{name}").read_bytes().decode(encoding) for rank in range(ranks))


def _run(words: list[str], cwd: str, environment: dict[str, str], output: str) -> None:
    """Become ``python *words``: its folder, variables, paths, streams, arguments and main module."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for stream in (sys.stdout, sys.stderr):
        file = os.open(f"{output}.{stream.name[1:-1]}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream.fileno())
        if "PYTHONIOENCODING" in environment:
            stream.reconfigure(encoding=environment["PYTHONIOENCODING"], errors=stream.errors)
    first = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [*first, *(part for part in sys.path if part not in first)]
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, cwd)
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")
