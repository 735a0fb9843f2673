"""A part of the faults of other tools' galleries, and their table in the documentation."""

from pathlib import Path

import of_torch_audit
import of_torchtest2
import pytest
from fault import FAULTS, Fault, table
from named import named

PAGE = Path(__file__).parents[3] / "docs" / "doctor-world.md"
# the others have patients or questions of the same kind
CHECKED = [each for each in FAULTS if each.place in ("1", "3", "5", "7", "TA105", "TA302", "TA305", "TA403", "TA405")]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("fault", CHECKED, ids=lambda fault: fault.name)
def test_the_fault_is_named_by_the_rule_in_the_table(fault: Fault) -> None:
    assert bool(named(fault)) == bool(fault.code), fault.what


@pytest.mark.parametrize("peer", [of_torchtest2.PEER, of_torch_audit.PEER])
def test_the_documentation_has_the_table_of_a_peer(peer: str) -> None:
    assert table(peer) in PAGE.read_text()


def test_nearly_all_faults_are_named() -> None:
    assert sum(not fault.code for fault in FAULTS) <= 1
