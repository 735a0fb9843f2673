"""The page is self-contained, escaped, and shows only what there is evidence for."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from lightning_tricks.reports.loss_names import training_and_validation
from lightning_tricks.reports.run_data import Clipping, RatioMap, ReportedFinding, Sweep, Thaw
from lightning_tricks.reports.run_page import show_page
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series

EVIL = '<script>alert(\'%d %s "&")</script>\N{FIRE}'


class Page(HTMLParser):
    """The tags of a page, checked for their nesting."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def full(name: str = "layer", steps: int = 5) -> RunRecord:
    x = tuple(range(steps))
    falling = Series(x, tuple(1 / (i + 1) for i in x))
    return RunRecord(
        name,
        "completed",
        metrics={"train_loss": falling, "val_loss": falling, f"{name} accuracy": falling, "clip_rate": falling},
        lrs={"0.0": falling},
        factors={f"{name}/schedule": falling},
        grad_norm=falling,
        update_ratios=RatioMap(x, (name,), (falling.values,)),
        sweep=Sweep((1e-3, 1e-2, 1e-1), (1.0, 0.5, None), 0.01, name),
        clipping=(Clipping(name, 1.0, 0),),
        findings=(ReportedFinding(0, "RUN001", name, "warning", name, name, name),),
        thaws=(Thaw(0, (1,)),),
        layer_groups=(name, "head"),
        tricks=(name,),
        configuration={name: name},
        versions={"python": "3"},
    )


def test_a_full_page_has_a_heading_for_each_section_and_an_alternative_for_each_picture() -> None:
    page = Page(show_page(full()))
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == 1
    assert names.count("h2") == 8
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and "aria-hidden" not in attrs]
    assert len(pictures) == 8
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert names.count("table") >= len(pictures) - 1, "a table next to each picture"
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
