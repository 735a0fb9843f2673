"""`lightning-tricks doctor pkg.module:callable`: what is wrong with a model, and what to try."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_tricks.cli.target import TARGET_HELP, load_target

if TYPE_CHECKING:
    from lightning_tricks.doctor.judging.report import Report

_FORMATS = ("text", "json", "html", "github")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what is wrong with a model, and what to try",
        description="Trace one training step and check the rules of `lightning-tricks list rules`. Exit status: 0 "
        "healthy, 1 findings at --fail-on or worse, 2 cannot look.",
        epilog="example: lightning-tricks doctor project:make --select PLC,LOS --format html --output doctor.html",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}a module, (module, dataloader) or (module, datamodule)",
    )
    parser.add_argument("--format", choices=_FORMATS, default="text", help="text, json, html or github (annotations)")
    words = "codes, prefixes and names with commas between them"
    parser.add_argument("--select", type=_words, default=[], metavar="RULES", help=f"check these alone: {words}")
    parser.add_argument(
        "--ignore", type=_words, default=[], metavar="RULES", help=f"leave out: {words}; PLC001:encoder.* in one place"
    )
    parser.add_argument("--fail-on", choices=["error", "warning", "info"], default="error", help="default: error")
    parser.add_argument("--preview", action="store_true", help="check rules in preview, too")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there")


def run(args: argparse.Namespace) -> int:
    """Diagnose and show; 1 if something at ``--fail-on`` was found, 2 if the doctor cannot look."""
    from lightning_tricks.doctor.judging.diagnose import diagnose
    from lightning_tricks.doctor.show.show_text import verdict

    try:
        with redirect_stdout(sys.stderr):  # what the user's own code prints is no part of the report
            model, data = load_target(args.target)
            where = {"datamodule": data} if hasattr(data, "train_dataloader") else {"train_dataloaders": data}
            chosen = {"select": args.select, "ignore": args.ignore, "preview": args.preview}
            report = diagnose(model, **where, **chosen)
        shown = _render(report, args.format)
        if args.output:
            args.output.write_text(shown if shown.endswith("\n") else f"{shown}\n", encoding="utf-8")
            print(f"{verdict(report)}\nreport: {args.output}")
        else:
            print(shown)
    except Exception as error:  # whatever the user's own code raises belongs on one line too
        print(f"lightning-tricks doctor: {error or type(error).__name__}", file=sys.stderr)
        return 2
    return 1 if report.at_least(args.fail_on) else 0


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _render(report: "Report", form: str) -> str:
    from lightning_tricks.doctor.show.show_github import show_github
    from lightning_tricks.doctor.show.show_html import show_html

    if form == "json":
        return report.to_json(indent=1)
    if form == "html":
        return show_html(report)
    return show_github(report) if form == "github" else str(report)
