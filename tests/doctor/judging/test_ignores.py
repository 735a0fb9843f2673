"""Comments in the source and patterns among the arguments leave findings out, and only those."""

import linecache
from typing import Any

import pytest
from torch import nn

from lightning_tricks import diagnose
from lightning_tricks.doctor.reading.read_source import read_source


class Loud(nn.Module):
    """# lt: ignore[PLC005] in a docstring is no comment."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.9)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9))


class QuietByCode(Loud):
    # lt: ignore[PLC005]
    pass


class QuietByName(Loud):  # lt: ignore[dropout-p-out-of-range]
    pass


class QuietByPrefix(Loud):
    # lt: ignore[LOS, PLC]
    pass


class Other(Loud):  # lt: ignore[LOS001]
    pass


class OneAttribute(Loud):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 4),
            nn.Dropout(0.95),  # lt: ignore[PLC005]
        )


class Child(QuietByCode):
    pass


class Outer(Loud):
    class Inner(nn.Module):  # lt: ignore[PLC005]
        pass


def places(model: nn.Module, **arguments: Any) -> list[str]:
    return [finding.where for finding in diagnose(model, select=["PLC005"], **arguments).findings]


BOTH = ["drop", "layers.1"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Loud, BOTH),
        (QuietByCode, []),
        (QuietByName, []),
        (QuietByPrefix, []),
        (Other, BOTH),
        (OneAttribute, ["drop"]),
        (Child, []),
        (Outer, BOTH),
    ],
)
def test_a_comment_is_about_its_class_or_its_attribute_and_what_lies_below(model: Any, expected: list[str]) -> None:
    assert places(model()) == expected


def test_a_comment_in_a_part_says_nothing_of_the_rest() -> None:
    assert places(nn.ModuleDict({"quiet": QuietByCode(), "loud": Loud()})) == ["loud.drop", "loud.layers.1"]


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        (["PLC005:layers.*"], ["drop"]),
        (["PLC005:layers"], ["drop"]),
        (["PLC:dro?"], ["layers.1"]),
        (["dropout-p-out-of-range:*"], []),
        ("PLC005:drop", ["layers.1"]),
        (["LOS:*"], BOTH),
    ],
)
def test_a_pattern_leaves_out_what_a_rule_says_of_some_places(ignore: Any, expected: list[str]) -> None:
    assert places(Loud(), ignore=ignore) == expected


def test_an_unknown_word_before_a_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`ignore`: 'PLX005' is not a rule. Did you mean PLC005"):
        diagnose(Loud(), ignore=["PLX005:drop"])


def test_an_unknown_word_in_a_comment_is_a_finding_with_its_place() -> None:
    class Mistaken(nn.Module):  # lt: ignore[PLC00, dropout-p-out-of-rage]
        pass

    found = [finding for finding in diagnose(Mistaken()).findings if finding.code == "DOC002"]
    assert len(found) == 1
    assert "dropout-p-out-of-rage" in found[0].message
    assert "dropout-p-out-of-range" in found[0].try_next


def test_a_library_class_has_no_source_and_a_users_has_file_and_line() -> None:
    assert read_source(nn.Linear).file is None
    found = read_source(Loud)
    assert found.file == __file__
    assert found.line is not None
    assert linecache.getline(__file__, found.line).startswith("class Loud")


def test_a_class_of_a_notebooks_cell_is_read_too() -> None:
    code = "from torch import nn\nclass Cell(nn.Module):  # lt: ignore[PLC005]\n    def forward(self, x): ...\n"
    file = "<ipython-input-7>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    space: dict[str, Any] = {"__name__": "not_a_module_with_a_file"}
    exec(compile(code, file, "exec"), space)
    assert read_source(space["Cell"]).ignores == ("PLC005",)
    exec("from torch import nn\nclass Nowhere(nn.Module):\n    pass\n", space)
    assert read_source(space["Nowhere"]).file is None
