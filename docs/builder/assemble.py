"""Assemble the source folder of the site: python docs/builder/assemble.py build/docs."""

import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from builder.api_pages import write_api_pages
from builder.example_pages import write_example_pages
from builder.guide_pages import write_guide_pages
from builder.notebook_pages import write_notebook_pages
from builder.pages import copy_pages, decisions_page, start_page, write
from builder.rule_pages import write_rule_pages
from builder.trick_pages import write_trick_pages


def main(build: str = "build/docs") -> None:
    """Copy the hand-written pages and generate the others into `build/source`."""
    for name in ("lightning.pytorch", "lightning_utilities.core.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # of the programs with faults, whose reports are on their pages
    folder = Path(build).resolve()
    target = folder / "source"
    copy_pages(target)
    write(target / "start.md", start_page(target))
    write(target / "decisions" / "index.md", decisions_page())
    write_guide_pages(target, folder / "guide")
    write_notebook_pages(target)
    write_trick_pages(target)
    write_api_pages(target)
    write_rule_pages(target, folder / "programs")
    write_example_pages(target, folder / "examples")


if __name__ == "__main__":
    main(*sys.argv[1:])
