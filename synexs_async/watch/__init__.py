"""The live view in the terminal: what runs' folders tell, drawn with Textual.

It reads the disk only, in a thread, and never a mission's own code. `commands/watch.py` starts it.
"""
