"""The address of a rule's page: stated by a variable or the package, shown in each form of a report, else in none."""

import json
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from builder import rule_pages

from lightning_tricks import Finding, Report
from lightning_tricks.cli.explain import explain
from lightning_tricks.doctor.rules import page_url as module
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.show.show_github import show_github
from lightning_tricks.doctor.show.show_html import show_html
from lightning_tricks.doctor.show.show_sarif import show_sarif

SITE = "https://docs.example/lightning-tricks"
PAGE = f"{SITE}/rules/LOS001.html"
FOUND = Finding("LOS001", "softmax-before-cross-entropy", "error", "head", "a softmax", "return logits")
OWN = Finding("OWN001", "own", "error", "head", "a rule of the project", "other")
REPORT = Report("Net", [FOUND, OWN])


@pytest.fixture(autouse=True)
def stated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Message]:
    """The metadata of the package, to which a test adds addresses; the variable is not set."""
    message = Message()
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.setattr(module, "metadata", lambda package: message)
    module._site_of_package.cache_clear()
    yield message
    module._site_of_package.cache_clear()


def forms_of(report: Report) -> dict[str, str]:
    """A report in each of its forms, and the page that `explain` prints."""
    forms = {"text": str(report), "json": report.to_json(), "html": show_html(report), "github": show_github(report)}
    return forms | {"sarif": show_sarif(report, "1.0"), "explain": explain("LOS001")}


def test_without_an_address_no_form_shows_one(stated: Message) -> None:
    stated["Project-URL"] = f"Repository, {SITE}"
    assert page_url("LOS001") is None
    for form, text in forms_of(REPORT).items():
        assert "/rules/" not in text, form
        assert "helpUri" not in text, form
        assert '"pages"' not in text, form


def test_the_address_is_the_packages_and_the_variable_takes_precedence(
    stated: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated["Project-URL"] = "Repository, https://host/owner/name"
    stated["Project-URL"] = f"Documentation, {SITE}/"
    assert page_url("LOS001") == PAGE
    monkeypatch.setenv(module.VARIABLE, "http://localhost:8000/")
    assert page_url("LOS001") == "http://localhost:8000/rules/LOS001.html"


def test_a_source_tree_without_metadata_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Message:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(module, "metadata", missing)
    assert page_url("LOS001") is None


def test_each_form_shows_the_address_for_packaged_rules_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.VARIABLE, SITE)
    forms = forms_of(REPORT)
    assert f"\n         see: {PAGE}\n" in forms["text"]
    assert json.loads(forms["json"])["pages"] == {"LOS001": PAGE}
    assert f'<a href="{PAGE}">LOS001</a>' in forms["html"]
    annotation, other, _ = forms["github"].splitlines()
    assert annotation.endswith(f"Try: return logits%0ASee {PAGE}")
    assert "See" not in other
    (rule,) = json.loads(forms["sarif"])["runs"][0]["tool"]["driver"]["rules"]
    assert rule["helpUri"] == PAGE
    assert forms["explain"].endswith(f"Its page, with examples: {PAGE}")
    assert all("OWN001.html" not in text for text in forms.values())
    assert Report.from_json(forms["json"]) == REPORT


def test_the_builder_of_the_site_writes_each_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.VARIABLE, SITE)
    monkeypatch.setattr(rule_pages, "_page", lambda rule, programs: f"# {rule.code}\n")
    rule_pages.write_rule_pages(tmp_path, tmp_path)
    written = {path.relative_to(tmp_path).with_suffix(".html").as_posix() for path in tmp_path.rglob("*.md")}
    addresses = {str(page_url(rule.code)).removeprefix(f"{SITE}/") for rule in all_rules()}
    assert written == addresses | {"rules/index.html"}
