"""The text that people read is plain, idiomatic English: no phrase of this list, which names the replacements.

Of Python files, docstrings, comments and strings are read; of notebooks, the cells of text; of the changelog, the
section of unreleased changes.
"""

import io
import json
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CITATION.cff",
    "action.yml",
    "docs",
    "examples",
    ".github",
    "conf",
    "src",
)
"""Files and folders that are checked."""
SUFFIXES = {".ipynb", ".md", ".py", ".yaml", ".yml", ".toml", ".cff"}

PHRASES = {
    r"(some|any|no)body( else)?|someone( else)?|anyone else|none but|who(m)?ever": "another callback, the user, ...",
    r"has a hand in|(have|with) a hand in": "modifies",
    r"at the wheel|on the wheel|hand on the": "a literal term: steering, controlling",
    r"says|said|saying": "reports, states, returns, contains",
    r"tells(?! the rule)|told(?! to end)|tell (apart|from|whether)": "reports, returns, distinguishes",
    r"customar(y|ily)": "typical",
    r"beside": "next to, in addition to, with",
    r"(put|puts|putting) (\w+ ){0,3}back": "restores",
    r"(give|gives|gave|giving|given) (\w+ ){0,2}back": "returns",
    r"(take|takes|took|taking|taken) (over|(\w+ )?(off|away) again|it off)": "loads, takes precedence, removes",
    r"(take|takes|taking) in(?! ``|$| \w+ ``)(?= (what|the|new|optim|param|group))": "handles, adds, loads",
    r"mend|mends|mended|mending": "fix",
    r"borne|(is|are|be) bor(ne|n) by|bears? (only|with|no)": "accepted, supported, contains only",
    r"upside down": "`low` must be less than `high`",
    r"(?<!there )(is|are|was|were) no (?!longer|more|less|better|worse|lower|higher|different|greater|smaller)\w+": (
        "is not a ..."
    ),
    r"(?<!there is )(?<!there are )no \w+ but": "is not a ..., only",
    r"that (is|are) none|which (is|are) none|which no(?! (other|loss|callback|optimizer))": (
        "an unknown name, which cannot be"
    ),
    r"message is there|(is|are|was) there already": "see the log of rank 0; exists",
    r"so (many|few|long|short|far away) (of )?(them|in a row|times|steps|checks|trainings|epochs|batches|a tr\w+)": (
        "at most this number of consecutive"
    ),
    r"before (it|the model|the module|the run) trains on": "before training continues",
    r"(go|goes|going|went|gone) on": "continues",
    r"anew|afresh": "again",
    r"wants? (to be|an? \w+er|its own)|want to be": "needs, requires, must be",
    r"at hand": "available",
    r"of (one's|ones|its|their|his|the \w+'s|a \w+'s) own(?= ?([.,;:)]|$|and|in|by|or|which|than|above))": (
        "its own, separate, user-defined"
    ),
    r"of their own accord": "by themselves",
    r"(brings?|comes?) along": "includes, installs",
    r"by heart": "overfits",
    r"(cry|cries) wolf|sighs?": "a literal term",
    r"thaws?(?!:)|thawed|thawing": "unfreeze",
    r"stands? (wrong|first|last|behind|apart|in for|above|where it)|(wherever|whatever order) (it|they) stands?": (
        "is placed, is listed, replaces"
    ),
    r", for (it|they|he|she) \w+": "because",
    r"alike": "the same, in the same way, both",
    r"of no use|no business of": "not needed",
    r"see (them|it|the children) off": "stop",
    r"lets? go( of)?|letting go": "release",
    r"(?<!it )looks? at|looked at": "reads, checks, measures, examines",
    r"hands? (\w+ )?(on|over|out) to|handed (on|over|out)": "passes",
    r"left alone|leaves? (\w+ ){0,2}alone": "not changed",
    r"what (it|they|he|one) (is|are|was|were|has|have|had) |(in|of) what (is|was)|what (came|comes|became) of": (
        "a noun: the result, the value, the outcome"
    ),
    r"stays? (as|where) (it|they) (is|are|was|were)|as (it|they) (was|were) before": "is not changed, is restored",
    r"(whatever|wherever|whichever) \w+ (it|they|he) \w+": "any, regardless of",
    r"save (in|for|the cyclic)": "except",
    r"learnt|spelt": "learned, spelled",
    r"by hand": "manually",
    r"in words(?= *$|\.|;)|a line each|one (\w+ )?a (step|line|file|group|row|job)|once a (step|batch)": "one per ...",
    r"(initiali|normali|regulari|minimi|maximi|synchroni|optimi|recogni)s(e|ed|es|ing|ation)": "American: -ize",
    r"colour\w*|neighbour\w*|favour\w*": "American spelling: color, neighbor",
    r"data sets?(?! the)": "dataset, as in PyTorch",
}
"""Regular expression of a phrase, and what to write instead."""

FILES = sorted(
    file
    for place in PLACES
    for file in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
    if file.suffix in SUFFIXES
)
PATTERNS = [(re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), instead) for phrase, instead in PHRASES.items()]


def prose(file: Path) -> str:
    """Return the part of a file that people read as text."""
    text = file.read_text(encoding="utf-8")
    if file.name == "CHANGELOG.md":
        return text.split("\n## ")[1]
    if file.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    if file.suffix != ".py":
        return text
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}  # from 3.12 on
    return "\n".join(
        re.sub(r"^[rRbBfFuU]*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$|^#:? ?", "", token.string)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type in kinds and " " in token.string  # a single word in quotes is a name
    )


def readable(text: str) -> str:
    """Return the text without generated tables, whose words are those of their sources, and without names in code."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    text = re.sub(r":(func|class|meth|mod|attr|math):`[^`]*`", "code", text)
    return re.sub(r"(``?)[^`\n]*\1|\{[^{}]*\}", "code", text)


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
    found = faults(prose(file))
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
        "the groups thaw later",
        "the sweep goes on",
        "draws are made anew",
        "it has a scheduler of its own.",
        "they lie anew, alike",
        "a run in which so many steps",
        "lets go of parameters",
        "handed over to the loader",
        "no matter whoever wrote it",
        "set it by hand",
        "an initialised layer",
        "the colour of a data set",
        "it stays as it is",
        "one row a job",
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
        "The names of its own parameters, without those of its children.",
        "There is nothing to restore; the value is returned unchanged.",
    ],
)
def test_plain_sentences_pass(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("module.py", '"""Doc."""\n\nsaid = beside  # a comment\nraise ValueError(f"the {x} is wrong")\n', "said"),
        ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\nnew\n\n## 0.1\n\nsaid\n", "said"),
    ],
)
def test_code_and_released_changes_are_not_read(name: str, content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    read = prose(tmp_path / name)
    assert text not in read
    assert ("a comment" in read and "is wrong" in read) or "new" in read
