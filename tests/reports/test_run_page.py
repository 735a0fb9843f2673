"""The page is self-contained, escaped, and shows only what there is evidence for."""

import xml.etree.ElementTree as ET

import pytest
from run_pages import EVIL, Page, full

from lightning_tricks.reports.loss_names import training_and_validation
from lightning_tricks.reports.run_page import show_page
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series


def test_a_full_page_has_a_heading_for_each_section_and_an_alternative_for_each_picture() -> None:
    page = Page(show_page(full()))
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == 1
    assert names.count("h2") == 8
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and "aria-hidden" not in attrs]
    assert len(pictures) == 10
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert names.count("table") + names.count("ol") >= len(pictures), "a table or list next to each picture"
    assert names.count("figure") == len(pictures)
    assert dict(page.tags)["html"]["lang"] == "en"


def test_a_page_asks_for_nothing_and_runs_nothing() -> None:
    text = show_page(full())
    tags = Page(text).tags
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not any(name in ("src", "href") or name.startswith("on") for _, attrs in tags for name in attrs)
    assert "url(" not in text
    assert "@import" not in text


def test_names_are_escaped_and_pictures_stay_well_formed() -> None:
    text = show_page(full(EVIL))
    assert "<script" not in text
    assert "alert(&#x27;%d %s &quot;&amp;&quot;)" in text
    Page(text)
    for picture in text.split("<svg ")[1:]:
        ET.fromstring("<svg " + picture.partition("</svg>")[0] + "</svg>")


@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_of_one_step_has_a_page(steps: int) -> None:
    names = [tag for tag, _ in Page(show_page(full(steps=steps))).tags]
    assert names.count("h1") == 1
    assert names.count("h2") == 8


def test_sections_without_evidence_are_left_out() -> None:
    nothing = Series((0, 1), (None, None))
    text = show_page(RunRecord("Net", metrics={"loss": nothing}, lrs={"0.0": nothing}, grad_norm=nothing))
    assert "Never finite: loss" in text
    assert text.count("<h2>") == 2
    assert show_page(RunRecord("Net")).count("<h2>") == 0


def test_the_gap_is_between_a_training_and_a_validation_loss() -> None:
    assert training_and_validation(["val_loss", "train_loss_epoch", "train_loss"]) == ("train_loss_epoch", "val_loss")
    assert training_and_validation(["train_loss"]) is None
    assert 'class="band"' in show_page(full())
