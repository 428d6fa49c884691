"""Print a digest of records of the team mission, by the block kernel and by the specification.

    python tests/faults/records.py

It needs NumPy and msgspec alone, so that Pythons without torch can be compared.
"""

from __future__ import annotations

import hashlib

import msgspec

from synexs_async.missions.scenario import default_scenario
from synexs_async.missions.team import simulate_mission
from synexs_async.missions.team_block import TeamMission

MISSIONS = 300
SEED = 2**63 + 11


def main() -> None:
    """Print both digests."""
    lines: list[bytes] = []
    features = hashlib.sha256()
    for first in range(0, MISSIONS, 75):
        block = TeamMission().simulate(SEED, first, 75)
        lines += block.lines
        features.update(block.features.tobytes())
    specified = (
        msgspec.json.encode(simulate_mission(default_scenario(), SEED, index)) + b"\n"
        for index in range(MISSIONS)
    )
    for digest in (
        hashlib.sha256(b"".join(lines)),
        hashlib.sha256(b"".join(specified)),
        features,
    ):
        print(digest.hexdigest())


if __name__ == "__main__":
    main()
