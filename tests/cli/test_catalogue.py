"""The command: what it prints comes from docstrings and options, quickly, and a wrong name is answered."""

import re
import subprocess
import sys

import pytest
from tricks import public_callbacks

import lightning_tricks as lt
from lightning_tricks.cli.catalogue import Card, find_card, plain_text, read_cards
from lightning_tricks.cli.explain import explain
from lightning_tricks.cli.main import main
from lightning_tricks.cli.recipes import Recipe, read_recipes
from lightning_tricks.doctor.rules.registry import all_rules


def test_list_names_every_public_callback_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in public_callbacks():
        line = next(line for line in lines if f" {name} " in line)
        assert plain_text(getattr(lt, name).__doc__ or "").splitlines()[0] in line


@pytest.mark.parametrize("name", ["cosine_warm_restarts", "CosineWarmRestarts"])
def test_explain_prints_the_card_and_the_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith("CosineWarmRestarts (tricks=[cosine_warm_restarts])")
    for expected in (
        "Use when:",
        "Args:",
        "t_mult: ratio of each cycle",
        "_target_: lightning_tricks.CosineWarmRestarts",
    ):
        assert expected in out
    assert ":func:" not in out
    assert "``" not in out


@pytest.mark.parametrize("card", read_cards(), ids=lambda card: card.option)
def test_explain_shows_what_a_card_refers_to(card: Card) -> None:
    blocks = explain(card.option).split("\n\n")
    references = [i for i, block in enumerate(blocks) if re.match(r"[A-Z][a-z ]+: +as [A-Z]", block)]
    for i in references:
        name = blocks[i].split()[blocks[i].split().index("as") + 1].strip(",.;:")
        assert blocks[i + 1].startswith(f"    {name}: ")
    assert (
        bool(references) == (" as :class:`" in (getattr(lt, card.callback).__doc__ or "")) if card.docstring else True
    )


def test_the_section_that_is_shown_is_the_whole_section_of_the_other_card() -> None:
    out = explain("one_cycle")
    assert "    LRSchedule: the rate of a step is set right after" in out
    assert "`on_before_optimizer_step`. Accumulation does not advance it." in out


@pytest.mark.parametrize("recipe", read_recipes(), ids=lambda recipe: recipe.name)
def test_explain_knows_recipes_and_what_their_tricks_do(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", recipe.name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{recipe.name} (+recipes={recipe.name})\n\n{recipe.page}")
    assert recipe.tricks
    for card in read_cards():
        assert (f"    {card.option} " in out.partition("The option,")[0]) == (card.option in recipe.tricks)
        assert card.option not in recipe.tricks or card.title in out
    assert "defaults:\n      - /tricks@_here_:" in out


def test_explain_offers_the_closest_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fine_tun"]) == 2
    assert "There is no trick or recipe named 'fine_tun'. Did you mean fine_tune?" in capsys.readouterr().err


def test_list_recipes_names_each_with_its_tricks_and_its_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[each.name, ",".join(each.tricks)] for each in read_recipes()]
    assert all(line.endswith(each.title) and each.title for line, each in zip(lines, read_recipes(), strict=True))


def test_explain_offers_the_closest_names_and_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "cosine_dekay"]) == 2
    assert "There is no trick named 'cosine_dekay'. Did you mean cosine_decay" in capsys.readouterr().err
    assert main(["explain", "zzzz"]) == 2
    assert "`lightning-tricks list` shows all" in capsys.readouterr().err


def test_list_rules_names_every_rule_with_what_it_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "rules"]) == 0
    text = capsys.readouterr().out.splitlines()
    assert main(["list", "rules", "--format", "markdown"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(text) == len(all_rules()) == len(table) - 2
    for rule in all_rules():
        assert any(
            line.startswith(f"{rule.code}  {rule.name} ") and line.endswith(plain_text(rule.title)) for line in text
        )
        assert any(line.startswith(f"| `{rule.code}` | `{rule.name}` | {rule.severity}") for line in table)


@pytest.mark.parametrize("name", ["PLC005", "dropout-p-out-of-range"])
def test_explain_prints_the_page_of_a_rule_by_code_and_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith("PLC005 dropout-p-out-of-range: warning\n\nDropout with an unusual rate.")
    for expected in (
        "What it looks at:",
        "References:",
        "'high': 0.5",
        "# lt: ignore[PLC005]",
        "Checked from the model",
    ):
        assert expected in out
    assert "``" not in out


@pytest.mark.parametrize(
    ("name", "offer"), [("PLC055", "PLC005"), ("dropout-p-out-of-rage", "dropout-p-out-of-range"), ("plc005", "PLC005")]
)
def test_explain_offers_the_closest_rules(name: str, offer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name]) == 2
    assert f"{name!r} is not a rule. Did you mean {offer}" in capsys.readouterr().err


def test_a_command_that_is_none_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["lost"])
    assert stop.value.code == 2
    assert "invalid choice: 'lost'" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == lt.__version__


def test_listing_and_explaining_import_neither_torch_nor_lightning() -> None:
    code = (
        "import sys; from lightning_tricks.cli.main import main; main(['list']); main(['explain', 'cosine_decay']);"
        "main(['list', 'rules']); main(['explain', 'PLC005']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_docstring_read_from_the_source_is_the_classs_own() -> None:
    card = find_card("cosine_decay", read_cards())
    assert card.docstring.splitlines()[0] == (lt.CosineDecay.__doc__ or "").splitlines()[0]
