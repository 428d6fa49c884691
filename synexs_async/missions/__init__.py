"""Missions: pure functions of (scenario, seed, index). No disk, no event loop, no clock."""
