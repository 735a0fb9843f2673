"""`lightning-tricks report RUN`: render the report of a run anew, or print what happened in several."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "report",
        help="render the report of a run from its report.json",
        description="Print what happened in each run, in at most ten lines; with --html, write the page of a run.",
        epilog="example: lightning-tricks report lightning_logs/version_3 --html run.html",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or its report.json")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page of the run (one RUN)")


def run(args: argparse.Namespace) -> int:
    """Render the reports; 2 if one cannot be read, or the page cannot be written."""
    from lightning_tricks.core.atomic_files import write_atomically
    from lightning_tricks.reports.run_page import show_page
    from lightning_tricks.reports.run_record import read_record

    try:
        if args.html and len(args.runs) > 1:
            raise ValueError(f"--html takes one RUN, got {len(args.runs)}.")
        records = [read_record(path) for path in args.runs]
        print("\n\n".join(record.summary() for record in records))
        if args.html:
            write_atomically(args.html, show_page(records[0]))
            print(f"page: {args.html}")
    except (ValueError, OSError) as error:
        print(f"lightning-tricks report: {error}", file=sys.stderr)
        return 2
    return 0
