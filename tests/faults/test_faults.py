"""A selection of all faults; `make torture` tries every one."""

from __future__ import annotations

from pathlib import Path

import pytest
from families import all_cases
from harness import Case, shim


@pytest.mark.timeout(400)  # a chain is some thirty sessions
@pytest.mark.parametrize("case", all_cases("short"), ids=lambda case: case.name)
def test_a_run_survives(case: Case, tmp_path: Path) -> None:
    """Nothing is lost, nothing is there twice, and the data set is the same."""
    findings = case.check(tmp_path)
    assert findings.clean, "\n".join(findings.notes)


def test_the_faults_can_be_put() -> None:
    """Skipped visibly where they can't: on Linux, with a C compiler, they can."""
    if shim() is None:
        pytest.skip("no C compiler, or no Linux: faults at single calls were not tried")
