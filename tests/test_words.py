"""The text that people read is plain, idiomatic English: no phrase of this list, which names the replacements."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "examples",
    ".github",
    "conf",
    "src/lightning_tricks/conf",
    "src/lightning_tricks/core",
    "src/lightning_tricks/hydra",
    "src/lightning_tricks/sweeps",
    "src/lightning_tricks/templates",
)
"""Files and folders that are checked. (To add: the rest of src.)"""
SUFFIXES = {".md", ".py", ".yaml", ".yml", ".toml"}

PHRASES = {
    r"(somebody|someone|nobody|no one|anybody)( else)?": "another callback, no callback, the user, ...",
    r"has a hand in|(have|with) a hand in": "modifies",
    r"at the wheel|on the wheel|hand on the": "a literal term: steering, controlling",
    r"says|said": "reports, states, returns, contains",
    r"tells|told": "reports, returns",
    r"customar(y|ily)": "typical",
    r"beside": "next to, in addition to, with",
    r"(put|puts|putting) (\w+ ){0,3}back": "restores",
    r"(give|gives|gave|giving|given) (\w+ ){0,2}back": "returns",
    r"(take|takes|took|taking|taken) over": "loads, takes precedence, replaces",
    r"mend|mends|mended|mending": "fix",
    r"borne|(is|are|be) bor(ne|n) by|bears? (only|with|no)": "accepted, allowed, contains only",
    r"upside down": "`low` must be less than `high`",
    r"(?<!there )(is|are|was|were) no (?!longer|more|less|better|worse|lower|higher|different|greater|smaller)\w+": (
        "is not a ..."
    ),
    r"(?<!there is )(?<!there are )no \w+ but": "is not a ..., only",
    r"that (is|are) none|which (is|are) none|which no": "an unknown name, which cannot be",
    r"message is there|(is|are|was) there already": "see the log of rank 0; exists",
    r"so many (of them )?(in a row|times|steps|checks|trainings)": "at most this number of consecutive",
    r"before (it|the model|the module|the run) trains on": "before training continues",
    r"(go|goes|going|went|gone) on": "continues",
    r"anew": "again",
    r"wants? (to be|an? \w+er|its own)|want to be": "needs, requires, must be",
    r"at hand": "available",
    r"of one's own|of ones own|of their own accord": "your own",
    r"brings? along": "includes, installs",
    r"by heart": "overfits",
    r"(cry|cries) wolf|sighs?": "a literal term",
    r"thaws?|thawed|thawing": "unfreeze",
    r"stands? (wrong|first|last|behind|apart)|(wherever|whatever order) (it|they) stands?": "is placed, is listed",
    r", for (it|they|he|she) \w+": "because",
    r"alike": "the same, in the same way",
    r"of no use|no business of": "not needed",
    r"see (them|it|the children) off": "stop",
}
"""Regular expression of a phrase, and what to write instead."""

FILES = sorted(
    file
    for place in PLACES
    for file in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
    if file.suffix in SUFFIXES
)
PATTERNS = [(re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), instead) for phrase, instead in PHRASES.items()]


def readable(text: str) -> str:
    """Return the text without generated tables, whose words are those of their sources, and without names in code."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    return re.sub(r"`[a-z_.]+`", "code", text)


def faults(text: str) -> list[str]:
    """Return each phrase of the list that a text contains, with the words around it and the replacement."""
    joined = re.sub(r"\s*\n\s*(# )?", " ", readable(text))  # phrases cross lines
    return [
        f"`{joined[max(0, found.start() - 30) : found.end() + 30].strip()}`: write {instead}"
        for pattern, instead in PATTERNS
        for found in pattern.finditer(joined)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_it_is_plain_english(file: Path) -> None:
    found = faults(file.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "A name that is none is an error",
        "which no factor turns into",
        "so many of them in a row are borne",
        "is no callback but Foo",
        "the space is upside down",
        "its message is there",
        "somebody else writes it",
        "nobody has a hand in it",
        "the report says so",
        "as the message tells",
        "with customary settings",
        "the optimizer beside it",
        "everything is put\n    back",
        "puts the weights back",
        "it gives the memory back",
        "a later one takes over",
        "before it trains on",
        "find it beside",
        "the mended model",
        "no GPU was at hand",
    ],
)
def test_typical_faults_are_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "There is no shorter way.",
        "It is no longer needed and no better.",
        "It restores the weights and returns the result.",
        "Put the options into `callbacks` next to the module's own.",
        "Two backends bear the same name.",
        "The callback is not a `Callback` (got `Foo`).",
    ],
)
def test_plain_sentences_pass(text: str) -> None:
    assert faults(text) == []
