"""Every case of every family, and the table of docs/reliability.md filled with what came of it.

    python tests/faults/torture.py [--family NAME …] [--seconds S] [--jobs N] [--write]

Without `--write` the table is only printed. With `--seconds` the cases are shuffled, and those that
come too late are left out, and counted as such.
"""

from __future__ import annotations

import random
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Final
from unittest import SkipTest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from families import all_cases
from harness import ROOT, Case, Findings, scratch_folder

DOCUMENT: Final = ROOT / "docs" / "reliability.md"
_TABLE: Final = re.compile(r"(<!-- table -->\n).*?(<!-- end of table -->)", re.DOTALL)
_COLUMNS: Final = (
    "fault",
    "points tried",
    "sessions",
    "records lost",
    "duplicates",
    "digests that differ",
    "wrong exits",
)


def main() -> None:
    """Run the cases, print what was found, and fail if it was anything."""
    parser = ArgumentParser(description="Put every fault to the command.")
    parser.add_argument("--family", nargs="+", help="only these rows of the table")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time (default: 2)")
    parser.add_argument("--write", action="store_true", help=f"fill the table of {DOCUMENT.name}")
    options = parser.parse_args()

    cases = [
        case for case in all_cases("long") if not options.family or case.family in options.family
    ]
    families = list(dict.fromkeys(case.family for case in cases))
    if options.seconds < float("inf"):
        random.Random(0).shuffle(cases)
    found = run(cases, monotonic() + options.seconds, options.jobs)
    rows = {family: found[family] for family in families}
    table = as_markdown(rows)
    print(table)
    if options.write:
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(_TABLE.sub(lambda match: f"{match[1]}{table}{match[2]}", text), "utf-8")
    if not all(findings.clean for findings in rows.values()):
        sys.exit(1)


def run(cases: Sequence[Case], deadline: float, jobs: int) -> dict[str, Findings]:
    """Run the cases side by side; return the findings of each family, in their order."""
    rows = {case.family: Findings() for case in cases}
    left_out = 0

    def check(case: Case) -> Findings | None:
        if monotonic() > deadline:
            return None
        with scratch_folder() as folder:
            try:
                return case.check(folder)
            except SkipTest as reason:
                print(f"SKIPPED {case.family}: {case.name}: {reason}", flush=True)
                return Findings()

    with ThreadPoolExecutor(jobs) as threads:
        for case, findings in zip(cases, threads.map(check, cases), strict=True):
            if findings is None:
                left_out += 1
                continue
            rows[case.family] += findings
            if not findings.clean:
                print(f"FAULT {case.family}: {case.name}", *findings.notes, sep="\n  ", flush=True)
    if left_out:
        print(f"{left_out} of {len(cases)} cases were left out, as the time was over")
    return rows


def as_markdown(rows: dict[str, Findings]) -> str:
    """Write the table, with a last line that sums it up."""
    lines = [_line(_COLUMNS), _line(["---", *["---:"] * (len(_COLUMNS) - 1)])]
    for family, findings in rows.items():
        lines.append(_line([family, *_figures(findings)]))
    lines.append(_line(["**all**", *_figures(sum(rows.values(), Findings()))]))
    return "".join(lines)


def _figures(findings: Findings) -> Iterable[str]:
    figures = (
        findings.points - findings.unreached,
        findings.runs,
        findings.lost,
        findings.duplicates,
        findings.differences,
        findings.wrong_exits,
    )
    return (f"{figure:,}" for figure in figures)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
