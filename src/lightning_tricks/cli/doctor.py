"""`lightning-tricks doctor pkg.module:callable`: check a model and suggest remedies."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_tricks.cli.target import TARGET_HELP, file_of_target, load_target

if TYPE_CHECKING:
    from lightning_tricks.doctor.judging.baseline import Accepted
    from lightning_tricks.doctor.judging.report import Report

_FORMATS = ("text", "json", "html", "github", "sarif")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="check a model and suggest remedies",
        description="Trace one training step and check the rules of `lightning-tricks list rules`. Exit status: 0 "
        "healthy, 1 findings of severity --fail-on or worse (with --baseline: only new ones), 2 the check failed.",
        epilog="example: lightning-tricks doctor project:make --select PLC,LOS --format html --output doctor.html",
    )
    parser.add_argument(
        "target",
        metavar="MODULE:CALLABLE",
        help=f"{TARGET_HELP}a module, (module, dataloader) or (module, datamodule)",
    )
    _add_choice_of_rules(parser)
    parser.add_argument("--fail-on", choices=["error", "warning", "info"], default="error", help="default: error")
    _add_output(parser)
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="accept the findings in this file; new ones fail")
    parser.add_argument("--update-baseline", action="store_true", help="write all findings into --baseline")


def _add_choice_of_rules(parser: argparse.ArgumentParser) -> None:
    words = "comma-separated codes, prefixes and names"
    parser.add_argument("--select", type=_words, default=[], metavar="RULES", help=f"check only these: {words}")
    parser.add_argument(
        "--ignore",
        type=_words,
        default=[],
        metavar="RULES",
        help=f"skip these: {words}; PLC001:encoder.* ignores matching modules",
    )
    parser.add_argument("--preview", action="store_true", help="also check rules in preview")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=_FORMATS, default="text", help="github: annotations; sarif: for code scanning"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report to this file")
    parser.add_argument(
        "--verbose", action="store_true", help="text: add a line for each rule with the observed number"
    )


def run(args: argparse.Namespace) -> int:
    """Check a model and print the report; return 1 for findings of at least ``--fail-on``, 2 if the check failed."""
    from lightning_tricks.doctor.show.show_text import verdict

    try:
        if args.update_baseline and args.baseline is None:
            raise ValueError("`--update-baseline` needs `--baseline FILE`.")
        accepted = _read_accepted(args)  # first, because reading a file is faster than a diagnosis
        with redirect_stdout(sys.stderr):  # output of user code is not part of the report
            report = _diagnose(args)
        report = _with_baseline(report, accepted, args)
        shown = _render(report, args)
        if args.output:
            args.output.write_text(shown if shown.endswith("\n") else f"{shown}\n", encoding="utf-8")
            print(f"{verdict(report)}\nreport: {args.output}")
        else:
            print(shown)
    except Exception as error:  # exceptions of user code are also shown on one line
        print(f"lightning-tricks doctor: {error or type(error).__name__}", file=sys.stderr)
        return 2
    return 1 if report.at_least(args.fail_on) else 0


def _diagnose(args: argparse.Namespace) -> "Report":
    from lightning_tricks.doctor.judging.diagnose import diagnose

    model, data = load_target(args.target)
    where = {"datamodule": data} if hasattr(data, "train_dataloader") else {"train_dataloaders": data}
    return diagnose(model, **where, select=args.select, ignore=args.ignore, preview=args.preview)


def _read_accepted(args: argparse.Namespace) -> "list[Accepted]":
    from lightning_tricks.doctor.judging.baseline import read_baseline

    if args.baseline is None or (args.update_baseline and not args.baseline.exists()):
        return []
    return read_baseline(args.baseline)


def _with_baseline(report: "Report", accepted: "list[Accepted]", args: argparse.Namespace) -> "Report":
    """Return the report without the findings of the baseline, after updating the baseline if requested."""
    from lightning_tricks.doctor.judging.baseline import apply_baseline, renew_baseline, write_baseline
    from lightning_tricks.doctor.show.show_text import count_of

    if args.baseline is None:
        return report
    if args.update_baseline:
        renewed = renew_baseline(report, accepted)
        write_baseline(args.baseline, renewed)
        accepts = f"accepts {count_of(len(renewed), 'finding')}, {len(accepted)} before"
        print(f"baseline: {args.baseline} {accepts}", file=sys.stderr)
        accepted = renewed
    return apply_baseline(report, accepted, args.baseline.name)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _render(report: "Report", args: argparse.Namespace) -> str:
    from lightning_tricks import __version__
    from lightning_tricks.doctor.show.show_github import show_github
    from lightning_tricks.doctor.show.show_html import show_html
    from lightning_tricks.doctor.show.show_sarif import show_sarif

    file = file_of_target(args.target)
    forms = {
        "text": lambda: report.to_text(verbose=args.verbose),
        "json": lambda: report.to_json(indent=1),
        "html": lambda: show_html(report),
        "github": lambda: show_github(report, file),
        "sarif": lambda: show_sarif(report, __version__, file),
    }
    return forms[args.format]()
