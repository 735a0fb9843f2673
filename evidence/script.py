"""Script: what the programs of this folder share: silence, and text between the marks of a page."""

import logging
import warnings
from pathlib import Path

import torch


def be_quiet() -> None:
    """Use one thread, and hide warnings and notices: hundreds of trainings would repeat them."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for package in ("lightning.pytorch", "pytorch_lightning", "lightning"):
        logging.getLogger(package).setLevel(logging.ERROR)


def replace_between(page: Path, start: str, end: str, text: str) -> None:
    """Put a text between two marks of a page; a page without the first mark stays as it is."""
    before, mark, rest = page.read_text(encoding="utf-8").partition(start)
    if mark:
        page.write_text(before + start + text + end + rest.partition(end)[2], encoding="utf-8")
