"""A report as text that fits, as one page of HTML, as annotations: each says all of it and breaks nothing."""

import json
import linecache
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lightning_tricks import Finding, Report, diagnose
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.rules.outcome import Outcome
from lightning_tricks.doctor.show.module_tree import module_tree
from lightning_tricks.doctor.show.show_github import show_github
from lightning_tricks.doctor.show.show_html import show_html
from lightning_tricks.doctor.show.show_text import show_text, verdict


class Block(nn.Module):
    def __init__(self, p: float = 0.9, index: int = 0) -> None:
        super().__init__()
        self.index = index
        self.conv, self.drop = nn.Linear(4, 4), nn.Dropout(p)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(index=i) for i in range(4))
        self.others = nn.ModuleList([Block(0.3), Block(0.3), nn.ReLU()])
        self.calm = nn.Sequential(nn.Linear(4, 4), nn.ReLU())


REPORT = diagnose(Model())
LOUD = Finding("LOS001", "softmax-before-cross-entropy", "error", "loss", "a <b>& c%\n2,", "give `logits`: now")
WITH_LOSS = Report(REPORT.model, [*REPORT.findings, LOUD], REPORT.notes, REPORT.checked, REPORT.evidence)


def test_the_text_has_the_verdict_first_the_worst_next_and_what_was_not_checked_last() -> None:
    lines = str(WITH_LOSS).splitlines()
    assert lines[0] == "Model: not healthy (1 error, 1 warning)"
    assert lines[2].split() == ["error", "LOS001", "softmax-before-cross-entropy"]
    assert "at layers.*.drop: Dropout has p = 0.9, above 0.7 (4 times)" in str(WITH_LOSS)
    assert lines.index("         try: p=0.5 or tricks=[dropout_schedule]") < next(
        i for i, line in enumerate(lines) if line.startswith("Not checked")
    )


@pytest.mark.parametrize("width", [40, 57, 80, 200])
def test_the_text_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    long = Finding("PLC001", "dropout-before-batchnorm", "warning", "encoder." * 30 + "norm", "word " * 40, "x" * 150)
    report = Report("Net", [long], ["Not checked: " + "ACT003, " * 40])
    assert max(map(len, show_text(report, width).splitlines())) < width
    monkeypatch.setenv("COLUMNS", str(width))
    assert str(report) == show_text(report, width)


def test_a_healthy_report_is_one_line() -> None:
    assert str(Report("Net", checked=["PLC005"])) == "Net: healthy (1 rule checked)"


def outcomes(**reasons: int) -> list[Outcome]:
    """Two rules that passed, and for each reason so many that were not checked."""
    passed = [Outcome(f"PLC00{i}", "passes", "passed", "p = 0.1") for i in range(2)]
    return passed + [
        Outcome(f"LOS{i:03}", "waits", "not checked", reason.replace("_", " "))
        for reason, count in reasons.items()
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ({}, "2 rules judged"),
        ({"no_batch": 1}, "2 rules judged, 1 not: no batch"),
        ({"no_batch": 1, "no_loader": 3}, "2 rules judged, 4 not: no loader (3), no batch (1)"),
        ({"a": 1, "b": 3, "c": 2, "d": 1}, "2 rules judged, 7 not: b (3), c (2), other reasons (2)"),
    ],
)
def test_the_verdict_says_how_many_rules_were_judged_and_why_others_were_not(
    reasons: dict[str, int], said: str
) -> None:
    healthy = Report("Net", outcomes=outcomes(**reasons))
    sick = replace(healthy, findings=[LOUD])
    assert verdict(healthy) == f"Net: healthy ({said})"
    assert verdict(sick) == f"Net: not healthy (1 error; {said})"
    for report in (healthy, sick):
        assert show_text(report, 200).splitlines()[0] == verdict(report)
        assert show_github(report).splitlines()[-1] == verdict(report)
        assert said in Reader(show_html(report)).text


def test_the_long_text_has_a_line_for_each_rule_and_the_short_one_none() -> None:
    report = Report("Net", outcomes=outcomes(no_batch=1))
    assert "p = 0.1" not in str(report)
    lines = report.to_text(verbose=True).splitlines()
    assert lines[-3:] == [
        "passed      PLC000 passes: p = 0.1",
        "passed      PLC001 passes: p = 0.1",
        "not checked LOS000 waits: no batch",
    ]
    assert "LOS000 waits" in Reader(show_html(report)).text


class Reader(HTMLParser):
    """Check that all that is opened is closed, and keep what is read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_shows_the_findings_in_the_tree() -> None:
    page = show_html(WITH_LOSS)
    read = Reader(page)
    assert not read.links
    assert "url(" not in page
    assert "@import" not in page
    assert "a <b>& c%" in read.text
    assert "color-scheme: light dark" in page
    tree = re.sub(r"\s+", " ", read.text[read.text.index("Modules") :])
    assert "0–3 Block × 4conv Linear(in_features=4, out_features=4)drop Dropout(p=0.9) PLC005" in tree
    assert "0–1 Block × 2" in tree
    assert tree.count("PLC005") == 1
    assert WITH_LOSS._repr_html_() in page


@given(text=st.text(st.sampled_from("<>&\"'`{}%ab "), max_size=30))
def test_whatever_a_finding_says_is_text_on_the_page(text: str) -> None:
    report = Report(text, [Finding("PLC001", "x", "info", text, text, text)], [text], [], REPORT.evidence)
    read = Reader(show_html(report))
    assert text.replace("`", "") in read.text.replace("`", "")


def test_only_branches_with_findings_are_open() -> None:
    tree = module_tree(read_model(Model()), REPORT.findings)
    assert {branch.name: branch.has_findings for branch in tree.children} == {
        "layers": True,
        "others": False,
        "calm": False,
    }
    page = show_html(REPORT)
    assert page.count("<details open>") == 3
    assert "<details><summary><b>calm" in page


def test_a_report_without_evidence_has_no_tree_and_goes_round_through_json() -> None:
    again = Report.from_json(WITH_LOSS.to_json())
    assert again == WITH_LOSS
    assert json.loads(WITH_LOSS.to_json())["ok"] is False
    assert "Modules" not in show_html(again)


def test_annotations_name_the_users_class_and_escape_what_github_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", __file__.partition("/tests/")[0])
    lines = show_github(WITH_LOSS).splitlines()
    assert lines[0].startswith("::error file=tests/doctor/show/test_show.py,line=")
    assert lines[0].endswith(
        "title=LOS001 softmax-before-cross-entropy::at loss: a <b>& c%25%0A2,. Try: give `logits`: now"
    )
    assert lines[1].startswith("::warning file=tests/doctor/show/test_show.py,line=")
    assert lines[-1] == "Model: not healthy (1 error, 1 warning)"
    place = {int(line) for line in re.findall(r"line=(\d+)", "\n".join(lines))}
    assert {linecache.getline(__file__, number).strip() for number in place} == {
        "class Model(nn.Module):",
        "class Block(nn.Module):",
    }
