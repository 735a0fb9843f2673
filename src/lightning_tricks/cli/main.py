"""The entry point: hand the arguments to a subcommand and return its exit status."""

import argparse
from collections.abc import Sequence
from importlib import import_module

import lightning_tricks

# A subcommand is a module of this folder with `add_parser` and `run`; a dash in its name is an underscore there.
SUBCOMMANDS = ("list", "explain", "preview", "find-lr", "control", "init", "doctor", "compare")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what stands behind the command's name; by default those of the process.

    Returns:
        The exit status: 0 done, 2 cannot be done as asked.
    """
    parser = argparse.ArgumentParser(prog="lightning-tricks", description="Training advice as parts that work.")
    parser.add_argument("--version", action="version", version=lightning_tricks.__version__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: import_module(f"lightning_tricks.cli.{name.replace('-', '_')}") for name in SUBCOMMANDS}
    for module in modules.values():
        module.add_parser(subparsers)
    args = parser.parse_args(arguments)
    status: int = modules[args.command].run(args)
    return status
