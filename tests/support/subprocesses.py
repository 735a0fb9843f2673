"""Run the programs in `scripts/` in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")
Completed = subprocess.CompletedProcess[str]


def import_paths() -> dict[str, str]:
    """Return the environment, with all that can be imported here on `PYTHONPATH`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run_script(name: str, *arguments: object, cwd: Path | None = None, **environment: str) -> Completed:
    """Run `scripts/<name>.py` for at most five minutes and return its status and output."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    inherited = import_paths() | environment
    return subprocess.run(command, capture_output=True, text=True, env=inherited, cwd=cwd, timeout=300)
