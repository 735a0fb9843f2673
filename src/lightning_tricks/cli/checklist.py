"""`lightning-tricks checklist RUN`: print the six steps of a run."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "checklist",
        help="print the six-step checklist of a run",
        description="Judge a run by the six steps from the loss to the real world: done, missing, not applicable or "
        "unknown, with the evidence and what to try next.",
        epilog="example: lightning-tricks checklist lightning_logs/version_3",
    )
    parser.add_argument("path", type=Path, metavar="RUN_OR_JSON", help="a run's folder, or its report.json")


def run(args: argparse.Namespace) -> int:
    """Print the checklist; 2 if the report cannot be read."""
    from lightning_tricks.reports.run_record import read_record

    try:
        print(read_record(args.path).checklist)
    except (ValueError, OSError) as error:
        print(f"lightning-tricks checklist: {error}", file=sys.stderr)
        return 2
    return 0
