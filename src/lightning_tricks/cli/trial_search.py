"""Trial search: load a target, search with trial steps, and show the result as text, figure and JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from lightning_tricks.cli.target import load_target


def add_output_arguments(parser: argparse.ArgumentParser, contents: str) -> None:
    """Add ``--plot`` and ``--json``.

    Args:
        parser: the parser of a subcommand.
        contents: what the JSON file contains.
    """
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a figure: .png, .pdf, .svg ...")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write {contents}")


def show_search(command: str, args: argparse.Namespace, search: Callable[..., Any]) -> int:
    """Search and show the result.

    Args:
        command: the name of the subcommand, for error messages.
        args: ``target``, ``plot`` and ``json``.
        search: takes a module and, by name, a data module or loaders; its result has ``suggestion``, ``plot`` and
            ``to_dict``.

    Returns:
        The exit code: 1 if there is no suggestion, 2 if the search is not possible.
    """
    try:
        model, data = load_target(args.target)
        where = {"datamodule": data} if hasattr(data, "train_dataloader") else {"train_dataloaders": data}
        with redirect_stdout(sys.stderr):  # the progress bar and the output of the user's code are not the result
            result = search(model, **where)
        print(result)
        if args.plot:
            result.plot().savefig(args.plot, dpi=150)
            print(f"figure: {args.plot}")
        if args.json:
            args.json.write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
            print(f"numbers: {args.json}")
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks {command}: {error}", file=sys.stderr)
        return 2
    return 0 if result.suggestion is not None else 1
