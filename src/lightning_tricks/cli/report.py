"""`lightning-tricks report RUN [RUN2]`: render the report of a run again, or of several runs on one page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "report",
        help="render the report of a run, or of several on one page",
        description="Summarize each run in at most ten lines. With --html, write the page of the run or, for several "
        "runs, one page with overlaid curves, the settings that differ, and the checklists.",
        epilog="example: lightning-tricks report lightning_logs/version_3 lightning_logs/version_4 --html runs.html",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or its report.json")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page of the runs")


def run(args: argparse.Namespace) -> int:
    """Render the reports; 2 if one cannot be read, or the page cannot be written."""
    from lightning_tricks.core.atomic_files import write_atomically
    from lightning_tricks.reports.compare_page import show_comparison
    from lightning_tricks.reports.run_page import show_page
    from lightning_tricks.reports.run_record import read_record

    try:
        records = [read_record(path) for path in args.runs]
        print("\n\n".join(record.summary() for record in records))
        if args.html:
            runs = dict(zip(name_runs(args.runs), records, strict=True))
            write_atomically(args.html, show_page(records[0]) if len(records) == 1 else show_comparison(runs))
            print(f"page: {args.html}")
    except (ValueError, OSError) as error:
        print(f"lightning-tricks report: {error}", file=sys.stderr)
        return 2
    return 0


def name_runs(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each run: as many last parts of its path as tell it from the others.

    Example:
        >>> name_runs([Path("a/version_0/report.json"), Path("a/version_1")])
        ['version_0', 'version_1']
        >>> name_runs([Path("a/run"), Path("b/run"), Path("b/run")])
        ['a/run', 'b/run', 'b/run (2)']
    """
    places = [path.parent if path.suffix == ".json" else path for path in map(Path.absolute, paths)]
    depth = next((n for n in range(1, 99) if len({place.parts[-n:] for place in places}) == len(set(places))), 1)
    names: list[str] = []
    for place in places:
        name = "/".join(place.parts[-depth:])
        count = sum(known.partition(" (")[0] == name for known in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names
