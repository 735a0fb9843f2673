"""The entry point: pass the arguments to a subcommand and return its exit status."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import lightning_tricks
from lightning_tricks.cli.output import PIPE_CLOSED, degrade_to_ascii, is_closed_pipe, silence_closed_pipe

# A subcommand is a module of this folder with `add_parser` and `run`; dashes become underscores in the module's name.
SUBCOMMANDS = (
    "list",
    "explain",
    "preview",
    "find-lr",
    "find-batch-size",
    "control",
    "init",
    "doctor",
    "compare",
    "size",
    "gradcheck",
    "cache-features",
    "report",
    "checklist",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the arguments after the command's name; by default those of the process.

    Returns:
        The exit status: 0 success; 1 success with a negative result (the doctor has findings at ``--fail-on``, no job
        of a sweep has the metric); 2 the command cannot be run as requested; 130 interrupted; 141 the reader of a pipe
        closed it.
    """
    degrade_to_ascii()
    parser = argparse.ArgumentParser(
        prog="lightning-tricks",
        description="Training techniques for PyTorch Lightning.",
        epilog="exit status: 0 success, 1 negative result (findings, no metric), 2 cannot be run as requested",
    )
    parser.add_argument("--version", action="version", version=lightning_tricks.__version__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: import_module(f"lightning_tricks.cli.{name.replace('-', '_')}") for name in SUBCOMMANDS}
    for module in modules.values():
        module.add_parser(subparsers)
    args = parser.parse_args(arguments)
    try:
        status: int = modules[args.command].run(args)
        sys.stdout.flush()
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        silence_closed_pipe(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return 130
    return status
