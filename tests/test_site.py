"""The pages that the site generates: complete, and made of what the code states. `make docs` builds all of them."""

import doctest
import inspect
import re
from pathlib import Path

import pytest
from builder import example_pages, markdown, notebook_pages, pages, programs, rule_pages
from builder.guide_pages import with_output
from builder.trick_pages import CHOOSER, PEERS, TrickPage, index_page, own_tricks
from patient import all_patients

import lightning_tricks
from hydra import compose, initialize_config_module
from lightning_tricks.cli.catalogue import read_cards
from lightning_tricks.doctor.judging.project import plan_checks
from lightning_tricks.doctor.rules.registry import all_rules, find_rule

TRICKS = own_tricks()


def test_the_chooser_leads_to_tricks_and_one_that_it_lacks_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {page.card.option for page in TRICKS}
    assert {option for named in CHOOSER.values() for option in named} <= options
    assert set(PEERS) <= options

    def is_complete(page: str) -> bool:
        chooser = page.partition("## All tricks")[0]
        return all(f"]({option}.md)" in chooser for option in options)

    assert is_complete(index_page(TRICKS))
    monkeypatch.delitem(CHOOSER, "has a test set that is used again and again")
    (others,) = re.findall(r"^For other cases: (.*)\.$", index_page(TRICKS), flags=re.MULTILINE)
    assert "[TestGuard](test_guard.md)" in others.split(", ")
    assert is_complete(index_page(TRICKS))


@pytest.mark.parametrize("page", TRICKS, ids=lambda page: page.card.option)
def test_the_lines_for_hydra_and_lightning_cli_are_valid(page: TrickPage) -> None:
    assert page.card.callback in page.trainer_lines
    with initialize_config_module("lightning_tricks.conf", version_base="1.3"):
        cfg = compose(overrides=[f"+{page.overrides[0]}", *page.overrides[1:]])
    assert page.card.option in cfg.tricks
    callback = ""
    for argument in page.cli_arguments:
        key, _, value = argument.removeprefix("--trainer.callbacks").partition("=")
        if key == "+":
            callback = value.removeprefix("lightning_tricks.")
        assert key == "+" or key.removeprefix(".") in inspect.signature(getattr(lightning_tricks, callback)).parameters


@pytest.mark.parametrize("has_fault", [True, False])
def test_a_rules_program_runs_alone_and_is_diagnosed(has_fault: bool, tmp_path: Path) -> None:
    rule = find_rule("PLC001")
    patient = next(each for each in all_patients() if each.code == rule.code and each.is_sick is has_fault)
    program = programs.program_of(patient.build, rule)
    assert "sick" not in program.text
    report = programs.run_program(program.text, tmp_path / "program.py")
    assert [finding.code for finding in report.findings] == ["PLC001"] * has_fault


def test_the_settings_on_a_rules_page_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for rule in (rule for rule in all_rules() if rule.options):
        (block,) = re.findall(r"```toml\n(.*?)```", rule_pages._suppress(rule), flags=re.DOTALL)
        (tmp_path / "pyproject.toml").write_text(block)
        settings = plan_checks()
        assert rule.code in settings.ignore
        assert rule not in settings.rules
        assert settings.options.get(rule.code, {}).items() <= rule.options.items()


def test_a_page_of_the_guide_shows_what_its_blocks_print_and_draw(tmp_path: Path) -> None:
    text = (
        "A.\n\n```python\nprint(1 + 1)\n```\n\nB.\n\n```python\n"
        "from lightning_tricks.reports.curves import new_figure\n# An empty square\nfigure = new_figure((1, 1))\n```\n"
    )
    shown = with_output(text, "page", tmp_path / "drawn", tmp_path / "work")
    assert "print(1 + 1)\n```\n\n```text\n2\n```\n" in shown
    assert "drawn/page-2.svg\n:alt: An empty square\n" in shown
    assert (tmp_path / "drawn" / "page-2.svg").read_text().startswith("<?xml")
    with pytest.raises(ValueError, match="needs a comment above it that describes the picture"):
        with_output(text.replace("# An empty square\n", ""), "page", tmp_path / "drawn", tmp_path / "work")


def test_a_page_of_a_notebook_shows_what_is_stored_in_it(tmp_path: Path) -> None:
    notebook_pages.write_notebook_pages(tmp_path)
    text = (tmp_path / "notebooks" / "fix_a_model.md").read_text()
    assert text.startswith("# The doctor on a sick model\n\n[Download this notebook](fix_a_model.ipynb)\n")
    assert (tmp_path / "notebooks" / "fix_a_model.ipynb").is_file()
    assert "](../notebooks/fix_a_model.md)" in (tmp_path / "notebooks" / "find_train_read.md").read_text()
    assert "```text\nerror   LOS001 softmax-before-cross-entropy" in text
    assert "](../doctor-ci.md)" in text
    (picture,) = (tmp_path / "notebooks" / "drawn").glob("fix_a_model-*.png")
    assert f":::{{figure}} drawn/{picture.name}\n:alt: Validation accuracy of five models" in text


def test_links_lead_to_pages_and_to_copies_of_files(tmp_path: Path) -> None:
    text = "[a](../CHANGELOG.md#x) [b](rules.md) [c](../LICENSE) [d](../tests/world) ![e](pictures/demo.png) [f](https://g)"
    shown = pages.relink(text, pages.DOCS / "doctor.md", Path("doctor.md"), tmp_path)
    assert shown == "[a](changelog.md#x) [b](rules.md) [c](files/LICENSE) d ![e](pictures/demo.png) [f](https://g)"
    assert (tmp_path / "files" / "LICENSE").is_file()
    assert "](../start.md)" in pages.relink("[a](../README.md)", pages.DOCS / "x.md", Path("guide/x.md"), tmp_path)


def test_the_start_page_is_the_readmes_first_sections(tmp_path: Path) -> None:
    start = pages.start_page(tmp_path)
    assert [line for line in start.splitlines() if line.startswith("## ")] == [
        *("## Install", "## Use it with a Trainer", "## Use it with Hydra")
    ]


def test_examples_of_the_gallery_are_short_tested_drawn_and_all_shown() -> None:
    files = {file.stem: file for file in example_pages.EXAMPLES.glob("*.py")}
    behind_other_pages = {"digits", "size_gallery"}  # the data, and the pictures of a page
    behind_other_pages |= {"align_domains", "center_loss", "shifted_domain", "transfer"}  # figures of two pages
    assert set(files) - set(example_pages.GALLERY) == behind_other_pages
    for name, example in example_pages.GALLERY.items():
        assert len(files[name].read_text().splitlines()) < 80, name
        assert example.arguments is not None or (pages.DOCS / "pictures" / example.picture).is_file(), name
        tested = "eight_faults" if name == "eight_faults_fixed" else name
        assert (pages.ROOT / "tests" / "examples" / f"test_{tested}.py").is_file(), name


def test_options_of_lightning_have_a_page_too() -> None:
    assert {card.option for card in read_cards()} - {page.card.option for page in TRICKS} >= {"ema", "swa", "timer"}


@pytest.mark.parametrize("module", [markdown, pages, rule_pages], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
