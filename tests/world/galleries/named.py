"""Ask the doctor which finding names a fault."""

import torch
from ask import ask
from fault import Fault


def named(fault: Fault) -> str:
    """Return the finding of the fault's rule, of any severity, as text; empty if there is none."""
    torch.manual_seed(0)
    findings = ask(fault.build()).findings
    return next((str(finding) for finding in findings if finding.code == fault.code), "")
