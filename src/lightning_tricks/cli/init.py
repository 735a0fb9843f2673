"""`lightning-tricks init FOLDER`: write a small project that trains immediately, as a starting point."""

import argparse
import sys
from pathlib import Path

import lightning_tricks


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "init",
        help="write a small project that trains immediately",
        description="Write conf/, train.py, model.py, data.py, a test and a Makefile. Nothing is overwritten.",
    )
    parser.add_argument("folder", type=Path, help="the target folder; created if it does not exist")


def run(args: argparse.Namespace) -> int:
    """Write the project; return 2 if one of its files exists or cannot be written."""
    written = {args.folder / path: text for path, text in read_template()}
    there = sorted(str(path) for path in written if path.exists() or path.is_symlink())
    if there:
        print(
            f"lightning-tricks init: nothing was written, because these files exist: {', '.join(there)}.",
            file=sys.stderr,
        )
        return 2
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        print(f"lightning-tricks init: {error}", file=sys.stderr)
        return 2
    print("\n".join(str(path) for path in sorted(written)))
    print(f"\ncd {args.folder} && python train.py    # needs: pip install 'lightning-tricks[demo]'")
    return 0


def read_template() -> list[tuple[Path, str]]:
    """Return the files of the project: relative paths and texts."""
    folder = Path(lightning_tricks.__file__).parent / "templates" / "project"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "__pycache__"]
    # a file named .gitignore would apply to the template itself
    return [
        (path.relative_to(folder).with_name(path.name.replace("gitignore", ".gitignore")), path.read_text("utf-8"))
        for path in files
    ]
