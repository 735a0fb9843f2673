"""`lightning-tricks compare DIR`: the jobs of a sweep as a table, a figure, CSV and JSON, during or after the sweep."""

import argparse
import json
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "compare",
        help="compare the jobs of a sweep: table, importance of each parameter, figure",
        description="Read the overrides and metrics of a Hydra sweep, finished or not, and show one row per job, the "
        "best first, and the importance of each parameter.",
        epilog="example: lightning-tricks compare multirun/2026-11-21/16-00-00 --metric val_accuracy --mode max",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of the sweep (hydra.sweep.dir)")
    parser.add_argument(
        "--metric", help="a column of the jobs' metrics.csv (default: val_loss, or the only validation metric)"
    )
    parser.add_argument(
        "--mode",
        choices=["min", "max"],
        help="whether low or high is best (default: max for accuracies, otherwise min)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per job, with all digits")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, importances and scales")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a figure: .png, .pdf, .svg ...")


def run(args: argparse.Namespace) -> int:
    """Show the sweep; 1 if no job has the metric, 2 if there is no sweep."""
    from lightning_tricks.sweeps.capacity_curve import plot_sizes
    from lightning_tricks.sweeps.metric_choice import choose_metric, choose_mode
    from lightning_tricks.sweeps.sweep_plots import plot_rows
    from lightning_tricks.sweeps.sweep_rows import read_rows
    from lightning_tricks.sweeps.sweep_table import csv_rows, describe_rows, plain_rows

    try:
        metric = args.metric or choose_metric(read_rows(args.folder).metrics)
        sweep = read_rows(args.folder, metric, args.mode or choose_mode(metric))
        print(describe_rows(sweep))
        if args.csv:
            args.csv.write_text(csv_rows(sweep), encoding="utf-8")
            print(f"table: {args.csv}")
        if args.json:
            args.json.write_text(json.dumps(plain_rows(sweep), indent=1), encoding="utf-8")
            print(f"numbers: {args.json}")
        has_metric = any(row.best is not None for row in sweep.rows)
        if args.plot and has_metric:
            (plot_sizes if sweep.grown else plot_rows)(sweep).savefig(args.plot, dpi=150)
            print(f"figure: {args.plot}")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"lightning-tricks compare: {error}", file=sys.stderr)
        return 2
    states = {row.status for row in sweep.rows}
    if not has_metric and states & {"running", "waiting"} and not states & {"completed", "no record"}:
        print(f"no job has logged `{metric}` yet")
        return 0
    if not has_metric:
        print(f"lightning-tricks compare: {_why_no_metric(metric, sweep.metrics)}", file=sys.stderr)
    return 0 if has_metric else 1


def _why_no_metric(metric: str, metrics: list[str]) -> str:
    if metric in metrics:
        return f"no job has a finite `{metric}`."
    if metrics:
        return f"no job has logged `{metric}`. Choose with --metric among {', '.join(sorted(metrics))}."
    return "no metrics.csv below any job: give the Trainer `lightning.pytorch.loggers.CSVLogger` in the job's folder."
