"""Watching runs from outside: how they stand, what they log, what their missions did.

All of it reads what a run leaves on disk. Nothing here imports torch, or a mission's own code.
"""
